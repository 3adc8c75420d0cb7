package outbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestJournalRemembers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.log")
	now := time.Now()
	j, err := openJournal(path, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []journalLine{
		{At: now, Event: eventSend, Identity: "a", Issue: "DEMO-1", Target: "3"},
		{At: now, Event: eventSend, Identity: "b"},
		{At: now, Event: eventDone, Identity: "a", JiraID: "10010"},
	} {
		if err := j.note(l); err != nil {
			t.Fatal(err)
		}
	}
	j.close()
	// A crash in the middle of a line.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"at":"2026-11-25T10:00:00Z","event":"send","acti`)
	f.Close()

	if j, err = openJournal(path, now); err != nil {
		t.Fatal(err)
	}
	if got := j.event("a"); got.Event != eventDone || got.JiraID != "10010" {
		t.Errorf("a: %+v, want done with its id", got)
	}
	if got := j.event("b"); got.Event != eventSend {
		t.Errorf("b: %+v, want send", got)
	}
	if got := j.event("c"); got.Event != "" {
		t.Errorf("c: %+v, want nothing", got)
	}
	if err := j.note(journalLine{At: now, Event: eventSend, Identity: "c"}); err != nil {
		t.Fatal(err)
	}
	j.close()
	if j, err = openJournal(path, now); err != nil {
		t.Fatal(err)
	}
	defer j.close()
	if got := j.event("c"); got.Event != eventSend {
		t.Errorf("c after the torn line: %+v, want send", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("journal has mode %v, %v, want 0600", info.Mode(), err)
	}
}

func TestJournalIsCompacted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.log")
	now := time.Now()
	line := `{"at":"` + now.UTC().Format(time.RFC3339) + `","event":"done","action":"new"}` + "\n"
	old := `{"at":"2020-01-01T00:00:00Z","event":"done","action":"old"}` + "\n"
	text := old + strings.Repeat(line, journalCompact/len(line)+1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := openJournal(path, now)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	info, err := os.Stat(path)
	if err != nil || info.Size() > 1000 {
		t.Errorf("journal of %d bytes, %v, want one line", info.Size(), err)
	}
	if j.event("new").Event != eventDone || j.event("old").Event != "" {
		t.Errorf("new is %q and old is %q, want done and forgotten", j.event("new").Event, j.event("old").Event)
	}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(names) != 1 {
		t.Errorf("files left: %v", names)
	}
}
