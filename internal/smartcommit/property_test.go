package smartcommit

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

// realMessages returns the messages of one real repository.
func realMessages(t testing.TB) []string {
	t.Helper()
	f, err := os.Open("testdata/messages-apache.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var messages []string
	for lines := bufio.NewScanner(z); lines.Scan(); {
		var m struct{ Message string }
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m.Message)
	}
	return messages
}

// TestRealMessages compares with counts that were made with plain regular
// expressions (testdata/README.md).
func TestRealMessages(t *testing.T) {
	messages := realMessages(t)
	storm := Options{Projects: map[string]bool{"STORM": true}}
	withKey, acting := 0, 0
	distinct := map[ferry.IssueKey]bool{}
	for _, m := range messages {
		r := Parse(m, storm)
		if len(r.Keys) > 0 {
			withKey++
		}
		if len(r.Actions) > 0 {
			acting++
		}
		for _, k := range r.Keys {
			distinct[k] = true
		}
	}
	// The expression counts one more distinct key: STORM-2 of the branch name
	// STORM-3102-kafka-client-performance-storm-2.0.0, the second of a word.
	if len(messages) != 9907 || withKey != 4826 || len(distinct) != 1812 {
		t.Errorf("%d messages, %d with a key of STORM, %d distinct; want 9907, 4826, 1812", len(messages), withKey, len(distinct))
	}
	// Nobody meant a command in these messages.
	if acting > 20 {
		t.Errorf("%d messages act", acting)
	}

	// Every upper-case key that a regular expression finds is found while
	// every project counts, but for dates and numbers of more than ten digits.
	plain := regexp.MustCompile(`(?:^|[^A-Za-z0-9])([A-Z][A-Z0-9_]+-[1-9][0-9]*)(?:$|[^A-Za-z0-9])`)
	for _, m := range messages {
		keys := Keys(m, Options{All: true})
		for _, k := range plain.FindAllStringSubmatch(m, -1) {
			if len(k[1])-strings.IndexByte(k[1], '-') <= maxNumber+1 && !slices.Contains(keys, ferry.IssueKey(k[1])) {
				t.Errorf("%q: %s is missing in %q", m, k[1], keys)
			}
		}
	}
}

// check tests what holds for every message.
func check(t *testing.T, message string, o Options) Result {
	t.Helper()
	r := Parse(message, o)
	for _, k := range append(slices.Clone(r.Keys), r.Unknown...) {
		if _, err := ferry.ParseIssueKey(string(k)); err != nil {
			t.Fatalf("%q: %v", message, err)
		}
	}
	for _, k := range r.Unknown {
		if slices.Contains(r.Keys, k) {
			t.Fatalf("%q: %s is linked and unknown", message, k)
		}
	}
	if len(r.Keys) > MaxKeys || len(r.Unknown) > MaxKeys || len(r.Actions) > MaxCommands*MaxCommandedKeys || len(r.Warnings) > maxWarnings {
		t.Fatalf("%q: more than the caps allow", message)
	}
	for _, a := range r.Actions {
		if !slices.Contains(r.Keys, a.Key) {
			t.Fatalf("%q: acts on %s, which is not among %q", message, a.Key, r.Keys)
		}
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		back := Action{}
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if back.Ordinal = a.Ordinal; !reflect.DeepEqual(a, back) {
			t.Fatalf("%q: %s reads back differently:\n%s", message, b, cmp.Diff(a, back))
		}
		if !utf8.ValidString(a.Text) || a.Command != Comment && a.Ordinal != 0 && !o.Strict {
			t.Fatalf("%q: %+v", message, a)
		}
		if d := a.Describe(); strings.ContainsAny(d, "\n\r\x1b") {
			t.Fatalf("%q: %q is not fit for a terminal's line", message, d)
		}
	}
	return r
}

// checkLineEnds tests that CRLF and LF mean the same.
func checkLineEnds(t *testing.T, message string, o Options) {
	t.Helper()
	lf := strings.ReplaceAll(message, "\r", "")
	crlf := strings.ReplaceAll(lf, "\n", "\r\n")
	if len(crlf) > MaxMessage {
		return // cut at different places
	}
	if a, b := Parse(lf, o), Parse(crlf, o); !reflect.DeepEqual(a, b) {
		t.Fatalf("%q: LF and CRLF differ:\n%s", lf, cmp.Diff(a, b))
	}
}

// checkTrailer tests that a paragraph of trailers, appended to a message whose
// last paragraph is none, changes no action.
func checkTrailer(t *testing.T, message string, o Options) {
	t.Helper()
	const trailer = "\n\nReviewed-by: ABC-1 #done\nSigned-off-by: Jo <jo@example.com>"
	if o.Strict || len(message)+len(trailer) > MaxMessage {
		return
	}
	lines := splitLines(message)
	before := slices.Clone(lines)
	for i := range before {
		before[i].kind = plainLine
	}
	markQuiet(message, before)
	if !slices.Equal(before, lines) {
		return // there is a paragraph of trailers, which comes alive
	}
	if strings.TrimSpace(message) == "" {
		return // the trailers are the only paragraph
	}
	if a, b := Parse(message, o).Actions, Parse(message+trailer, o).Actions; !reflect.DeepEqual(a, b) {
		t.Fatalf("%q: a trailer changes the actions:\n%s", message, cmp.Diff(a, b))
	}
}

func TestProperties(t *testing.T) {
	all := loadExamples(t)
	var messages []string
	for _, x := range all.Examples {
		messages = append(messages, x.Message)
	}
	// Real messages with a line of commands in their middle.
	for i, m := range realMessages(t) {
		if i%20 == 0 {
			messages = append(messages, m+"\n#time 1h #comment see STORM-1 and\n"+m)
		}
	}
	for _, o := range []Options{known, {}, {All: true}, {Projects: map[string]bool{"STORM": true}}, {Projects: known.Projects, Strict: true}} {
		for _, m := range messages {
			check(t, m, o)
			checkLineEnds(t, m, o)
			checkTrailer(t, m, o)
			if r := Parse(Defuse(m), o); len(r.Actions) > 0 {
				t.Errorf("%q acts although it is defused: %+v", m, r.Actions)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, x := range loadExamples(f).Examples {
		f.Add(x.Message, byte(0))
		f.Add(x.Message, byte(3))
	}
	for i, m := range realMessages(f) {
		if i%100 == 0 {
			f.Add(m, byte(i))
		}
	}
	f.Add("ABC-1_DEF-2-abc-3\u2028#done\u0085- def-4#time1.5w2D\r\n~~~\n#x", byte(1))
	f.Fuzz(func(t *testing.T, message string, mode byte) {
		o := known
		if mode&1 != 0 {
			o.Strict = true
		}
		if mode&2 != 0 {
			o.Projects = nil
		}
		if mode&4 != 0 {
			o.All = true
		}
		if mode&8 != 0 {
			o.Kind = Branch
		}
		check(t, message, o)
		checkLineEnds(t, message, o)
		if o.Kind != Branch {
			checkTrailer(t, message, o)
		}
		if r := Parse(Defuse(message), o); len(r.Actions) > 0 {
			t.Errorf("%q acts although it is defused: %+v", message, r.Actions)
		}
	})
}

func FuzzExplain(f *testing.F) {
	f.Add([]byte(`{"id":"a","message":"ABC-1 #done","kind":"branch","projects":["ABC"]}` + "\n{}"))
	f.Add([]byte(`{"id":1,"message":"\u0000","projects":null}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out strings.Builder
		_ = Explain(strings.NewReader(string(in)), &out, known)
		for l := range strings.Lines(out.String()) {
			if !json.Valid([]byte(l)) {
				t.Fatalf("output line %q", l)
			}
		}
	})
}

func FuzzMatchTransition(f *testing.F) {
	f.Add("in-progress", "To Do", "In Progress", "Done")
	f.Fuzz(func(t *testing.T, word, current, a, b string) {
		open := []OpenTransition{{ID: "1", Name: a, To: b}, {ID: "2", Name: b, To: a}, {ID: "3", To: a}}
		m, err := MatchTransition(word, current, open)
		if (err == nil) != (m.Already || m.Transition.ID != "") {
			t.Errorf("MatchTransition(%q, %q, %v) = %+v, %v", word, current, open, m, err)
		}
		if n := normaliseName(word); normaliseName(n) != n {
			t.Errorf("%q normalises to %q and that to %q", word, n, normaliseName(n))
		}
	})
}

// hardMessages are made to be slow to read, each of n bytes.
func hardMessages(n int) map[string]string {
	fill := func(s string) string { return strings.Repeat(s, n/len(s)+1)[:n] }
	return map[string]string{
		"letters":       fill("a"),
		"underscores":   fill("a_") + "-1",
		"dashes":        fill("-1"),
		"keys":          fill("ABC-1 "),
		"keys joined":   fill("ABC-1,"),
		"one word":      fill("abc-1-"),
		"URL":           fill("ABC-1/") + "://",
		"different":     fill("A_B-1 AB_C-2 ABC-3 "),
		"hashes":        fill("#"),
		"commands":      fill(" #a"),
		"orphans":       fill("#a ") + "ABC-1",
		"comments":      "ABC-1 " + fill("#comment x "),
		"comment lines": "ABC-1 #comment " + fill("x\n"),
		"groups":        fill("#a ABC-1 x "),
		"lines":         fill("\n"),
		"fences":        fill("```\n#a\n"),
		"trailers":      "#a\n\n" + fill("a: b\n"),
		"digits":        "ABC-1 #time " + fill("1"),
		"durations":     "ABC-1 #time " + fill("1m "),
		"labels":        "ABC-1 #label " + fill("a b c d e f g h i j k l m n o p q r s t u v w x y z "),
		"labels apart":  "ABC-1 #label " + fill("ax by cz d1 e2 f3 "),
		"ligatures":     "ABC-1 #" + fill("\ufdfa"),
		"not UTF-8":     "ABC-1 #a" + fill("\xff"),
		"line ends":     "ABC-1 #comment " + fill("\u2028a"),
	}
}

func BenchmarkRealMessages(b *testing.B) {
	messages := realMessages(b)
	for _, name := range []string{"known", "unknown", "all", "strict"} {
		o := map[string]Options{
			"known": {Projects: map[string]bool{"STORM": true}}, "unknown": {}, "all": {All: true},
			"strict": {Projects: map[string]bool{"STORM": true}, Strict: true},
		}[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, m := range messages {
					Parse(m, o)
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(len(messages))*10_000/float64(time.Millisecond), "ms/10k")
		})
	}
}

// BenchmarkHard shows that no shape of text is slow: ns/op for 1 MiB, of which
// MaxMessage is read, and for the keys of all of it.
func BenchmarkHard(b *testing.B) {
	for name, m := range hardMessages(1 << 20) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(MaxMessage)
			for b.Loop() {
				Parse(m, known)
			}
		})
		b.Run(name+"/uncut keys", func(b *testing.B) {
			b.SetBytes(int64(len(m)))
			for b.Loop() {
				scanKeys(m, &known)
			}
		})
	}
}

func BenchmarkExplain(b *testing.B) {
	var in strings.Builder
	enc := json.NewEncoder(&in)
	for i, m := range realMessages(b) {
		if err := enc.Encode(map[string]any{"id": i, "message": m}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		var out strings.Builder
		if err := Explain(strings.NewReader(in.String()), &out, Options{All: true}); err != nil {
			b.Fatal(err)
		}
	}
}
