package smartcommit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gitferry/internal/ferry"
)

// TestExplainExamples sends all worked examples through as JSON lines.
func TestExplainExamples(t *testing.T) {
	all := loadExamples(t)
	var in, out bytes.Buffer
	enc := json.NewEncoder(&in)
	for _, x := range all.Examples {
		line := map[string]any{"id": x.ID, "message": x.Message, "note": "not looked at"}
		if x.Projects != nil {
			line["projects"] = x.Projects
		}
		if err := enc.Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	var o Options
	o.Projects, _ = ProjectSet(all.Context.Projects)
	if err := Explain(&in, &out, o); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(all.Examples) {
		t.Fatalf("%d lines for %d examples", len(lines), len(all.Examples))
	}
	for i, x := range all.Examples {
		var got example
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil {
			t.Fatal(err)
		}
		x.Message, x.Projects, x.JiraNative, x.Note = "", nil, nil, ""
		if diff := cmp.Diff(x, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", lines[i], diff)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(lines[i]), &members); err != nil || len(members) != 5 {
			t.Errorf("%s: want five members (%v)", lines[i], err)
		}
		for _, m := range []string{"keys", "actions", "warnings", "unknown"} {
			if !strings.HasPrefix(string(members[m]), "[") {
				t.Errorf("%s: %q is no list", lines[i], m)
			}
		}
	}
}

func TestExplainLines(t *testing.T) {
	long := `{"message":"` + strings.Repeat("x", MaxLine) + `"}`
	escaped := `{"id":"e","message":"` + strings.Repeat(`\u0041`, 1<<20) + `"}`
	for _, tt := range []struct{ name, in, want, err string }{
		{"nothing", "", "", ""},
		{"blank lines", "\n  \n", "", ""},
		{"plain", `{"id":1,"message":"ABC-1 <b> #done"}`, `{"id":1,"keys":["ABC-1"],"actions":[{"issue":"ABC-1","type":"transition","command":"done"}],"warnings":[],"unknown":[]}`, ""},
		{"no id", `{"message":""}`, `{"id":null,"keys":[],"actions":[],"warnings":[],"unknown":[]}`, ""},
		{"id is a list", `{"id":["a", {"b":1}],"message":""}`, `{"id":["a",{"b":1}],"keys":[],"actions":[],"warnings":[],"unknown":[]}`, ""},
		{"not escaped for HTML", `{"id":"<&>","message":"ABC-1 #comment a<b"}`, `{"id":"<&>","keys":["ABC-1"],"actions":[{"issue":"ABC-1","type":"comment","text":"a<b"}],"warnings":[],"unknown":[]}`, ""},
		{"branch", `{"id":"b","message":"x/abc-1 #done","kind":"branch"}`, `{"id":"b","keys":["ABC-1"],"actions":[],"warnings":[],"unknown":[]}`, ""},
		{"projects of its own", `{"id":"p","message":"NEW-1 ABC-1","projects":["new"]}`, `{"id":"p","keys":["NEW-1"],"actions":[],"warnings":[],"unknown":["ABC-1"]}`, ""},
		{"no projects", `{"id":"p","message":"NEW-1 abc-1","projects":[]}`, `{"id":"p","keys":[],"actions":[],"warnings":[],"unknown":["NEW-1"]}`, ""},
		{"projects not known", `{"id":"p","message":"NEW-1 abc-1","projects":null}`, `{"id":"p","keys":["NEW-1"],"actions":[],"warnings":[],"unknown":[]}`, ""},
		{"every project", `{"id":"p","message":"new-1","projects":"*"}`, `{"id":"p","keys":["NEW-1"],"actions":[],"warnings":[],"unknown":[]}`, ""},
		{"bad JSON", "\n{\n" + `{"id":2,"message":""}`, "{\"id\":null,\"error\":\"line 2: …\"}\n" + `{"id":2,"keys":[],"actions":[],"warnings":[],"unknown":[]}`, "line 2: not an object"},
		{"no message", `{"id":3}`, `{"id":3,"error":"line 1: …"}`, `line 1: no "message"`},
		{"bad kind", `{"id":3,"message":"","kind":"tag"}`, `{"id":3,"error":"line 1: …"}`, `line 1: kind "tag"`},
		{"bad projects", `{"id":3,"message":"","projects":7}`, `{"id":3,"error":"line 1: …"}`, `line 1: projects: want`},
		{"long line", long + "\n" + `{"id":2,"message":""}`, "{\"id\":null,\"error\":\"line 1: …\"}\n" + `{"id":2,"keys":[],"actions":[],"warnings":[],"unknown":[]}`, "line 1: longer than 8192 KiB"},
		{"long last line", long, `{"id":null,"error":"line 1: …"}`, "line 1: longer than 8192 KiB"},
		{"long message", escaped, `{"id":"e","keys":[],"actions":[],"warnings":["message-cut"],"unknown":[]}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			err := Explain(strings.NewReader(tt.in), &out, known)
			got := strings.TrimSpace(out.String())
			for i, l := range strings.Split(got, "\n") {
				if j := strings.Index(l, `"error":"line `); j >= 0 {
					k := strings.Index(l[j:], ": ")
					got = strings.Replace(got, strings.Split(got, "\n")[i], l[:j+k+2]+`…"}`, 1)
				}
			}
			if got != tt.want {
				t.Errorf("output:\n%.300s\nwant\n%s", got, tt.want)
			}
			switch {
			case tt.err == "" && err != nil, tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) || !errors.Is(err, ferry.ErrInvalid)):
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

// TestExplainAnswersAtOnce is the use as a co-process: one question, one
// answer, then the next question.
func TestExplainAnswersAtOnce(t *testing.T) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := Explain(inR, outW, known)
		outW.Close()
		done <- err
	}()
	out := bufio.NewScanner(outR)
	for i := range 3 {
		fmt.Fprintf(inW, `{"id":%d,"message":"ABC-1"}`+"\n", i)
		if !out.Scan() || !strings.HasPrefix(out.Text(), fmt.Sprintf(`{"id":%d,"keys":["ABC-1"]`, i)) {
			t.Fatalf("answer %d: %q", i, out.Text())
		}
	}
	inW.Close()
	if out.Scan() {
		t.Errorf("one more line: %q", out.Text())
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestExplainManyBadLines(t *testing.T) {
	err := Explain(strings.NewReader(strings.Repeat("x\n", 1000)), io.Discard, known)
	if err == nil || strings.Count(err.Error(), "\n") > maxLineErrors || !strings.Contains(err.Error(), "and 980 more lines") {
		t.Errorf("error %v", err)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
func (brokenPipe) Read([]byte) (int, error)  { return 0, io.ErrNoProgress }

func TestExplainBrokenPipes(t *testing.T) {
	if err := Explain(strings.NewReader(`{"message":""}`), brokenPipe{}, known); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("with a closed output: %v", err)
	}
	if err := Explain(brokenPipe{}, io.Discard, known); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("with a broken input: %v", err)
	}
}

func TestExplainText(t *testing.T) {
	var b strings.Builder
	message := "ABC-1, DEF-2: x #in-progress #comment a\nb\x1b[31m\n\nXYZ-3 #time 1h work #label a b\n#assign me\nQQQ-9 #done"
	if err := ExplainText(&b, "c0ffee", message, known); err != nil {
		t.Fatal(err)
	}
	want := `c0ffee
Issues: ABC-1, DEF-2, XYZ-3
Unknown projects: QQQ-9 (linked only if Jira has them; commands for them are not carried out)
Commands:
  ABC-1: transition in-progress
  DEF-2: transition in-progress
  ABC-1: comment "a / b[31m"
  DEF-2: comment "a / b[31m"
  XYZ-3: log 1h as "work"
  XYZ-3: add label a, b
  XYZ-3: assign to the author
Warnings:
  #done has no key of a known project before it; nothing will be done
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("ExplainText(%q) (-want +got):\n%s", message, diff)
	}
	b.Reset()
	if err := ExplainText(&b, "", "tidy", known); err != nil || b.String() != "Issues: none\nCommands: none\n" {
		t.Errorf("ExplainText of nothing: %q, %v", b.String(), err)
	}
}

func TestWarningTexts(t *testing.T) {
	for w := range warningTexts {
		if text := WarningText(w); text == w || len(text) < 20 {
			t.Errorf("WarningText(%q) = %q", w, text)
		}
	}
}
