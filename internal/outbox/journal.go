package outbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A journalLine is one line of the journal file, a JSON object. An action has
// a line with the event "send" before each attempt and one with "done",
// "dead" or "none" (no effect) after it.
type journalLine struct {
	At       time.Time `json:"at"`
	Event    string    `json:"event"`
	Identity string    `json:"action"`
	Issue    string    `json:"issue,omitempty"`
	JiraID   string    `json:"jira_id,omitempty"`
	// Target is the id of the status that a transition leads to.
	Target string `json:"target,omitempty"`
}

const (
	eventSend = "send"
	eventDone = "done" // the effect is at Jira
	eventDead = "dead" // refused for good
	eventNone = "none" // the attempt had no effect
)

// Bounds of the journal: it must remember an action for as long as its commit
// could be indexed anew and still be young enough to act, with room to spare.
const (
	journalMemory  = 90 * 24 * time.Hour
	journalCompact = 16 << 20 // bytes from which a start rewrites the file
)

// A journal is the second memory of actions, a file beside the database. It
// exists only so that a lost or older database cannot make an action run
// twice (reliability.md 8). Lines are on disk before note returns.
type journal struct {
	mu   sync.Mutex
	file *os.File               // guarded by mu
	last map[string]journalLine // guarded by mu; newest line by identity
	torn bool                   // guarded by mu; the last write may have left half a line
}

// openJournal reads the file, if there is one, and opens it for appending. A
// torn last line, from a crash while it was written, is dropped: its action
// had not been sent.
func openJournal(path string, now time.Time) (*journal, error) {
	j := &journal{last: make(map[string]journalLine)}
	size, good, err := j.read(path)
	if err != nil {
		return nil, fmt.Errorf("reading the delivery journal: %w", err)
	}
	if good < size {
		if err := os.Truncate(path, good); err != nil {
			return nil, fmt.Errorf("repairing the delivery journal: %w", err)
		}
	}
	if size > journalCompact {
		if err := j.compact(path, now); err != nil {
			return nil, fmt.Errorf("compacting the delivery journal: %w", err)
		}
	}
	if j.file, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("opening the delivery journal: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, j.file.Close())
	}
	return j, nil
}

// read fills last and returns the file's size and the size of its whole lines.
func (j *journal) read(path string) (size, good int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := r.ReadBytes('\n')
		size += int64(len(line))
		if errors.Is(err, io.EOF) {
			return size, good, nil
		}
		if err != nil {
			return size, good, err
		}
		good = size
		var l journalLine
		if json.Unmarshal(line, &l) == nil && l.Identity != "" {
			j.last[l.Identity] = l
		}
	}
}

// compact rewrites the file with the newest line of each action that is not
// older than journalMemory.
func (j *journal) compact(path string, now time.Time) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for id, l := range j.last {
		if now.Sub(l.At) > journalMemory {
			delete(j.last, id)
			continue
		}
		if err := enc.Encode(l); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already after the rename
	_, err = f.Write(b.Bytes())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// note appends a line and waits until it is on disk.
func (j *journal) note(l journalLine) error {
	b, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("noting a delivery: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	b = append(b, '\n')
	if j.torn {
		b = append([]byte{'\n'}, b...)
	}
	_, err = j.file.Write(b)
	if err == nil {
		err = j.file.Sync()
	}
	if j.torn = err != nil; err != nil {
		return fmt.Errorf("noting a delivery: %w", err)
	}
	j.last[l.Identity] = l
	return nil
}

// event returns the newest line about an action; no Event if there is none.
func (j *journal) event(identity string) journalLine {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last[identity]
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
