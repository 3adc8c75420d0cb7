package smartcommit

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

var known = Options{Projects: map[string]bool{"ABC": true, "DEF": true, "XYZ": true, "OPS": true}}

// show writes a result on a few lines, for tables.
func show(r Result) string {
	var b strings.Builder
	b.WriteString(joinKeys(r.Keys))
	for _, a := range r.Actions {
		fmt.Fprintf(&b, "\n%s %s", a.Key, a.Describe())
	}
	for _, w := range r.Warnings {
		b.WriteString("\n! " + w)
	}
	if len(r.Unknown) > 0 {
		b.WriteString("\n? " + joinKeys(r.Unknown))
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// TestRules covers what the worked examples leave open.
func TestRules(t *testing.T) {
	for _, tt := range []struct{ name, message, want string }{
		{"subject key is carried although no line begins with it", "Tidy after ABC-1\n\n#time 1h", "ABC-1\nABC-1 log 1h"},
		{"subject key to the right of a command is for the lines below", "#close ABC-1\n#time 1h", "ABC-1\nABC-1 log 1h\n! orphan-command:close"},
		{"keys carried as a group", "ABC-1, DEF-2: x\n#done", "ABC-1, DEF-2\nABC-1 transition done\nDEF-2 transition done"},
		{"two commas split a group", "ABC-1,, DEF-2 #done", "ABC-1, DEF-2\nDEF-2 transition done"},
		{"bullets", "x\n* ABC-1 #done\n1. DEF-2 #done\n• XYZ-3 a\n#done", "ABC-1, DEF-2, XYZ-3\nABC-1 transition done\nDEF-2 transition done\nXYZ-3 transition done"},
		{"a quote sign is no bullet", "ABC-1\n\n > DEF-2 x\n#done", "ABC-1, DEF-2\nABC-1 transition done"},
		{"cut before the first of two groups", "ABC-1 #comment see DEF-2 and XYZ-3 #time 1h", "ABC-1, DEF-2, XYZ-3\nABC-1 comment \"see\"\nXYZ-3 log 1h\n! argument-cut-by-key"},
		{"a key in a path does not cut", "ABC-1 #comment see browse/DEF-2 now #time 1h", "ABC-1, DEF-2\nABC-1 comment \"see browse/DEF-2 now\"\nABC-1 log 1h"},
		{"a comment stops at a command, its text stays", "ABC-1 #comment a\nb #time 1h\nc", "ABC-1\nABC-1 comment \"a / b\"\nABC-1 log 1h"},
		{"a comment that begins on the next line", "ABC-1 #comment\n  first\nsecond", "ABC-1\nABC-1 comment \"first / second\""},
		{"a comment stops at a fence", "ABC-1 #comment a\n```\nb\n```\nc", "ABC-1\nABC-1 comment \"a\""},
		{"nothing goes on from an orphan", "#comment a\nABC-1 b", "ABC-1\n! orphan-command:comment"},
		{"a fence of tildes", "ABC-1\n~~~\n#done\n```\n~~~\n#time 1h", "ABC-1\nABC-1 log 1h"},
		{"an open fence", "ABC-1\n\n```\n#done\n\n#done", "ABC-1"},
		{"inline backticks are no fence", "ABC-1 ```x```\n#done", "ABC-1\nABC-1 transition done"},
		{"the only paragraph is no trailer", "Fixes: ABC-1 #done", "ABC-1\nABC-1 transition done"},
		{"trailers with a continuation", "ABC-1 x\n\nNote: a\n  #done\n", "ABC-1"},
		{"a paragraph with one line of text is no trailer", "ABC-1 x\n\nNote: a\n#done", "ABC-1\nABC-1 transition done"},
		{"a URL is no trailer", "ABC-1 x\n\nhttps://example.com/\n#done", "ABC-1\nABC-1 transition done"},
		{"squash! passes over", "squash! ABC-1\n\nABC-1 #done", "ABC-1\n! commands-suppressed"},
		{"a generated subject carries nothing", "Merge branch 'x' of y for ABC-1\n\n#done", "ABC-1\n! orphan-command:done"},
		{"a fixup without commands", "fixup! ABC-1 x", "ABC-1"},
		{"blank lines above the subject", "\n\nMerge branch 'ABC-1' #done", "ABC-1\n! commands-suppressed"},
		{"twice the same", "ABC-1 #time 1h\nABC-1 #time 60m #time 1h", "ABC-1\nABC-1 log 1h\nABC-1 log 60m"},
		{"equal comments are two", "ABC-1 #comment a #comment a", "ABC-1\nABC-1 comment \"a\"\nABC-1 comment \"a\""},
		{"a key twice in a group", "ABC-1 abc-1 #comment a", "ABC-1\nABC-1 comment \"a\""},
		{"an unknown project is addressed, nothing is done", "ABC-1 x\nQQQ-5 #close", "ABC-1\n! orphan-command:close\n? QQQ-5"},
		{"beside a known one it is left out", "ABC-1 QQQ-5 #close", "ABC-1\nABC-1 transition close\n? QQQ-5"},
		{"an unknown project in the subject is not carried", "Use PYTHON-3 for ABC-1\n#done", "ABC-1\nABC-1 transition done\n? PYTHON-3"},
		{"unless it starts the subject", "PYTHON-3 for ABC-1\n#done", "ABC-1\n! orphan-command:done\n? PYTHON-3"},
		{"after a URL fragment", "see https://j.example/browse/ABC-1#comment-7", "ABC-1"},
		{"after a path", "x/ABC-1#done", "ABC-1"},
		{"before an e-mail's key", "a@ABC-1 #done b_ABC-2 #done", "ABC-1, ABC-2\n! orphan-command:done"},
		{"assignee with punctuation", "ABC-1 #assign @jo, please", "ABC-1\nABC-1 assign to jo"},
		{"assign nobody", "ABC-1 #assign @", "ABC-1\n! missing-assignee"},
		{"labels of punctuation", "ABC-1 #label: , .", "ABC-1\n! missing-labels"},
		{"labels", "ABC-1 #labels a;b,c  c++", "ABC-1\nABC-1 add label a, b, c, c++"},
		{"versions", "ABC-1 #affects-version \"1.0 beta\" x", "ABC-1\nABC-1 add affected version 1.0 beta"},
		{"no version", "ABC-1 #fixversion \"\"", "ABC-1\n! missing-version"},
		{"upper-case time", "ABC-1 #TIME2H", "ABC-1\nABC-1 log 2h"},
		{"decimal comma", "ABC-1 #time 1,5h", "ABC-1\n! bad-time"},
		{"rest after blanks", "ABC-1 #time 1 h 30 m work", "ABC-1\nABC-1 log 1h 30m as \"work\""},
		{"decomposed letters", "ABC-1 #u\u0308ber", "ABC-1\nABC-1 transition über"},
		{"full-width letters", "ABC-1 #ｄｏｎｅ", "ABC-1\nABC-1 transition done"},
		{"defused", Defuse("ABC-1 #done"), "ABC-1"},
		{"not UTF-8", "ABC-1 #comment caf\xe9", "ABC-1\nABC-1 comment \"caf\uFFFD\""},
		{"a name that is too long", "ABC-1 #" + strings.Repeat("a", maxName+1), "ABC-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, show(Parse(tt.message, known))); diff != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", tt.message, diff)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	list := func(s string) []string { return strings.Fields(s) }
	for _, tt := range []struct{ text, projects, keys, unknown string }{
		// The table of product-behaviour.md 10.3.
		{"PRJ-50 fixed issue", "PRJ", "PRJ-50", ""},
		{"fix prj-50, PRJ-50", "PRJ", "PRJ-50", ""},
		{"[PRJ-50][PRJ-51]: x", "PRJ", "PRJ-50, PRJ-51", ""},
		{"APRJ-50", "PRJ", "", "APRJ-50"},
		{"PRJ-050", "PRJ", "", ""},
		{"PRJ-50a", "PRJ", "", ""},
		{"MY_PROJ-7", "MY_PROJ PROJ", "MY_PROJ-7", ""},
		{"feature/TEST-1-fix-binaries", "TEST", "TEST-1", ""},
		{"DMO-2-feature-1", "DMO FEATURE", "DMO-2", ""},
		{"bugfix-TEST-1-x", "TEST", "TEST-1", ""},
		{"TEST-1-TEST-2-both", "TEST", "TEST-1, TEST-2", ""},
		{"test-1-test-2", "TEST", "TEST-1", ""},
		{"TEST-1-2nd-try", "TEST", "TEST-1", ""},
		{"release-2024-10-03", "RELEASE", "", ""},
		{"release-2024", "RELEASE", "RELEASE-2024", ""},
		{"UTF-8 in PRJ-9", "PRJ", "PRJ-9", ""},
		{"https://jira.example/browse/PRJ-3", "PRJ", "PRJ-3", ""},
		{"TEST-3 a\nTEST-4 resolve TEST-2 #resolve", "TEST", "TEST-3, TEST-4, TEST-2", ""},
		// jira.md 7.2 and borders of its rules.
		{"UTF-8, SHA-256, ISO-8859-1, CVE-2024-1234, COVID-19, F-16, X-1", "ABC", "", ""},
		{"UTF-8, SHA-256, ISO-8859-1, CVE-2024-1234, COVID-19, F-16, X-1", "", "", ""},
		{"ABC-007 2ABC-4 ABC-12b ABC- ABC-0 -1", "ABC", "", ""},
		{"ABC-1234567890 ABC-12345678901", "ABC", "ABC-1234567890", ""},
		{"ABC-1_DEF-2_def-3", "ABC DEF", "ABC-1, DEF-2", ""},
		{"ABC-1-2-3", "ABC", "ABC-1", ""},
		{"a_b_c_DEF-8 _ABC-1 __abc-2", "ABC DEF", "DEF-8, ABC-1, ABC-2", ""},
		{"wip_QQQ-5 MY_APP-6", "ABC", "", "QQQ-5"},
		{"wip_QQQ-5 MY_APP-6 lib-2", "", "QQQ-5", ""},
		{"OPS-2026-13 OPS-2026-00 OPS-2026-123 OPS-1899-11 OPS-2026-09", "OPS", "OPS-2026, OPS-1899", ""},
		{"ΩABC-1 ABC-2Ω ABC-3٣ ٣ABC-4 ABC-5ª", "ABC", "ABC-5", ""},
		{"éABC-1\u00e9 \xffABC-6\xff", "ABC", "ABC-6", ""},
		{"abc-1的abc-2", "ABC", "ABC-1", ""},
		{"ABC-1 abc-2/abc-3.abc-4", "ABC", "ABC-1, ABC-2, ABC-3, ABC-4", ""},
		{"A-1 AB-1 ABCDEFGHIJ-1 ABCDEFGHIJK-1", "X", "", "AB-1, ABCDEFGHIJ-1"},
		// Every project.
		{"utf-8 lib-2 X-1 wip_DEF-8 MY_APP-6 my_app-7", "*", "UTF-8, LIB-2, DEF-8, MY_APP-6, MY_APP-7", ""},
	} {
		var o Options
		if tt.projects != "" {
			o.Projects, o.All = ProjectSet(list(tt.projects))
		}
		r := Parse(tt.text, o)
		if keys, unknown := joinKeys(r.Keys), joinKeys(r.Unknown); keys != tt.keys || unknown != tt.unknown {
			t.Errorf("%q with projects %q: keys %q, unknown %q, want %q, %q", tt.text, tt.projects, keys, unknown, tt.keys, tt.unknown)
		}
		if got := joinKeys(Keys(tt.text, o)); got != tt.keys {
			t.Errorf("Keys(%q) with projects %q = %q, want %q", tt.text, tt.projects, got, tt.keys)
		}
		for _, k := range append(r.Keys, r.Unknown...) {
			if _, err := ferry.ParseIssueKey(string(k)); err != nil {
				t.Errorf("%q gives a key that is none: %v", tt.text, err)
			}
		}
	}
}

func TestBranchHasNoCommands(t *testing.T) {
	o := known
	o.Kind = Branch
	r := Parse("ABC-1 #done", o)
	if show(r) != "ABC-1" {
		t.Errorf("Parse of a branch name: %s", show(r))
	}
}

func TestDurations(t *testing.T) {
	for _, tt := range []struct {
		text        string
		days, hours float64
		want, rest  string
		seconds     int
	}{
		{"1w 2d 4h 30m", 5, 8, "1w 2d 4h 30m", "", (56*60+4*60+30)*60 + 0},
		{"1.5w", 5, 8, "1w 2d 4h", "", 60 * 3600},
		{"1.5w", 0, 0, "1w 2d 4h", "", 60 * 3600},
		{"2.3w", 5, 8, "2w 1d 4h", "", 92 * 3600},
		{"1.5d", 5, 7.5, "1d 3h 45m", "", 11*3600 + 900},
		{"1.1h", 5, 8, "1h 6m", "", 3960},
		{"0.9999h", 5, 8, "1h", "", 3600},
		{"90m", 5, 8, "90m", "", 5400},
		{"10h", 5, 8, "10h", "", 36000},
		{"1h 1h 1.5h", 5, 8, "3h 30m", "", 12600},
		{"1h, then", 5, 8, "1h", ", then", 3600},
		{"1.h", 5, 8, "", "", 0},
		{"0.4m", 5, 8, "", "", 0},
		{"1000000h", 5, 8, "", "", 0},
		{"99999999999999999999999h", 5, 8, "", "", 0},
		{"999999h 1h", 5, 8, "", "", 0},
		{"1H 2hours", 5, 8, "1h", "2hours", 3600},
		{"0.5w", 7, 24, "3d 12h", "", 84 * 3600},
	} {
		d, rest, ok := parseDuration(tt.text, weekOf(tt.days, tt.hours))
		if ok != (tt.want != "") || ok && (d.String() != tt.want || strings.TrimSpace(rest) != tt.rest) {
			t.Errorf("parseDuration(%q) = %q, %q, %v, want %q, %q", tt.text, d, rest, ok, tt.want, tt.rest)
		}
		if !ok {
			continue
		}
		if got := (Action{Command: Worklog, Time: d.String()}).Seconds(tt.days, tt.hours); got != tt.seconds && tt.text != "1w 2d 4h 30m" {
			t.Errorf("%q is %d seconds, want %d", tt.text, got, tt.seconds)
		}
	}
}

func TestCaps(t *testing.T) {
	numbered := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i+1)
		}
		return b.String()
	}
	for _, tt := range []struct {
		name, message          string
		keys, actions, unknown int
		warning                string
	}{
		{"keys at the limit", numbered("ABC-%d ", MaxKeys), MaxKeys, 0, 0, ""},
		{"keys beyond", numbered("ABC-%d ", MaxKeys+1), MaxKeys, 0, 0, warnTooManyKeys},
		{"unknown keys beyond", numbered("QQQ-%d ", MaxKeys+1), 0, 0, MaxKeys, warnTooManyKeys},
		{"commands at the limit", "ABC-1" + numbered(" #time %dh", MaxCommands), 1, MaxCommands, 0, ""},
		{"commands beyond", "ABC-1" + numbered(" #time %dh", MaxCommands+1), 1, MaxCommands, 0, warnTooManyCommands},
		{"commanded keys at the limit", numbered("ABC-%d ", MaxCommandedKeys) + "#done", MaxCommandedKeys, MaxCommandedKeys, 0, ""},
		{"commanded keys beyond", numbered("ABC-%d ", MaxCommandedKeys+1) + "#done", MaxCommandedKeys + 1, MaxCommandedKeys, 0, warnTooManyCommanded},
		{"commands for a key that is not linked", numbered("ABC-%d ", MaxKeys) + "\nDEF-1 #done", MaxKeys, 0, 0, warnTooManyKeys},
		{"message at the limit", "ABC-1 #done " + strings.Repeat("x", MaxMessage-12), 1, 1, 0, ""},
		{"message beyond", strings.Repeat("é ", MaxMessage/3-3) + " ABC-1 " + strings.Repeat("x ", 99), 1, 0, 0, warnMessageCut},
		{"cut within a key", strings.Repeat("é", MaxMessage/2-3) + " ABC-12", 0, 0, 0, warnMessageCut},
		{"cut right behind a key", strings.Repeat("é", MaxMessage/2-3) + " ABC-1 ABC-2", 1, 0, 0, warnMessageCut},
		{"cut within a long word", strings.Repeat("é", MaxMessage), 0, 0, 0, warnMessageCut},
		{"orphans without end", strings.Repeat("#a ", 5000), 0, 0, 0, warnOrphan + "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Parse(tt.message, known)
			got := fmt.Sprint(len(r.Keys), len(r.Actions), len(r.Unknown), r.Warnings)
			want := fmt.Sprint(tt.keys, tt.actions, tt.unknown, strings.Fields(tt.warning))
			if got != want {
				t.Errorf("keys, actions, unknown, warnings: %s, want %s", got, want)
			}
		})
	}
	if r := Parse(numbered("#a%d ", 1000), known); len(r.Warnings) != maxWarnings {
		t.Errorf("%d warnings, want %d", len(r.Warnings), maxWarnings)
	}
}

func TestStrictActsOnLinkedKeysOnly(t *testing.T) {
	o := known
	o.Strict = true
	for message, want := range map[string]string{
		"ABC-007 #done UTF-8 #close ABC-1 #time 1h #time 1h": "ABC-1\nABC-1 log 1h\nABC-1 log 1h",
		"abc-1 #done":     "ABC-1",
		"ABC-1 _ABC-2 #a": "ABC-1, ABC-2\nABC-1 transition a",
		"QQQ-1 #a":        "\n? QQQ-1",
	} {
		if got := show(Parse(message, o)); got != strings.TrimPrefix(want, "\n") {
			t.Errorf("Parse(%q) strictly:\n%s\nwant\n%s", message, got, want)
		}
	}
}

func TestNormalised(t *testing.T) {
	same := [][2]string{
		{"ABC-1 #comment a  b", "abc-1 #Comment: a b"},
		{"ABC-1 #time 1h30m x", "ABC-1 #TIME 30m 1h  x"},
		{"ABC-1 #in_progress", "ABC-1 #In-Progress"},
		{"ABC-1 #label b a", "ABC-1 #labels a,b"},
		{"ABC-1 #fixversion 1.0", "ABC-1 #fix-version \"1.0\""},
	}
	block := func(message string) string {
		r := Parse(message, known)
		if len(r.Actions) != 1 {
			t.Fatalf("Parse(%q) gives %d actions", message, len(r.Actions))
		}
		return r.Actions[0].Normalised()
	}
	seen := map[string]string{}
	for _, s := range same {
		a, b := block(s[0]), block(s[1])
		if a != b {
			t.Errorf("%q and %q: %q and %q, want the same", s[0], s[1], a, b)
		}
		if other, ok := seen[a]; ok {
			t.Errorf("%q and %q: both %q", s[0], other, a)
		}
		seen[a] = s[0]
	}
	for _, pair := range [][2]string{
		{"ABC-1 #done x", "ABC-1 #done"}, {"ABC-1 #assign done", "ABC-1 #done"}, {"ABC-1 #time 1h", "ABC-1 #time 60m"},
	} {
		if a, b := block(pair[0]), block(pair[1]); a == b {
			t.Errorf("%q and %q: both %q", pair[0], pair[1], a)
		}
	}
	r := Parse("ABC-1 #comment a #comment b #comment a", known)
	if got := fmt.Sprint(r.Actions[0].Ordinal, r.Actions[1].Ordinal, r.Actions[2].Ordinal); got != "0 0 1" {
		t.Errorf("ordinals %s, want 0 0 1", got)
	}
}

func TestActionJSON(t *testing.T) {
	for _, x := range loadExamples(t).Examples {
		for _, a := range x.Actions {
			b, err := json.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			var back Action
			if err := json.Unmarshal(b, &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(a, back); diff != "" {
				t.Errorf("%s: %s reads back differently (-want +got):\n%s", x.ID, b, diff)
			}
		}
	}
	var a Action
	for _, bad := range []string{`{"issue":"ABC-1","type":"drop"}`, `{}`, `[]`} {
		if err := json.Unmarshal([]byte(bad), &a); err == nil {
			t.Errorf("%s was read as %+v", bad, a)
		}
	}
}

func TestDefuse(t *testing.T) {
	for in, want := range map[string]string{
		"":                  "",
		"no hash":           "no hash",
		"ABC-1 #done #12 #": "ABC-1 #\u2060done #12 #",
		"##a #é":            "##\u2060a #\u2060é",
	} {
		got := Defuse(in)
		if got != want || Defuse(got) != want {
			t.Errorf("Defuse(%q) = %q, want %q, also for itself", in, got, want)
		}
	}
}
