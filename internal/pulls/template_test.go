package pulls

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/gittest"
)

func TestTemplateName(t *testing.T) {
	for _, c := range []struct {
		about string
		t     Template
		v     Values
		want  string
	}{
		{"the default", Template{}, Values{Key: "TEST-1", Summary: "Improve letterbox and rendering"}, "TEST-1-improve-letterbox-and-rendering"},
		{"a type in front", Template{Text: "${issuetype}/${issuekey}-${summary}"},
			Values{Key: "PRJ-123", Summary: "Add more logging", Type: "New Feature"}, "newfeature/PRJ-123-add-more-logging"},
		{"a map of types", Template{Text: "${issuetype:New Feature,feature,Bug Fix,bug}/${issuekey}"},
			Values{Key: "PRJ-123", Type: "New Feature"}, "feature/PRJ-123"},
		{"a map with a default", Template{Text: "${issuetype:Old Issue,old,Bug Fix,bug,branch}/${issuekey}"},
			Values{Key: "PRJ-123", Type: "New Feature"}, "branch/PRJ-123"},
		{"a map without the type", Template{Text: "${issuetype:Bug,bug}/${issuekey}"}, Values{Key: "PRJ-1", Type: "New Feature"}, "newfeature/PRJ-1"},
		{"lower-case key", Template{}, Values{Key: "test-1", Summary: "x"}, "TEST-1-x"},
		{"project", Template{Text: "${projectkey}/${issuekey}"}, Values{Key: "TEST-1"}, "TEST/TEST-1"},
		{"source branch", Template{Text: "${issuekey}_${sourcebranch}"}, Values{Key: "TEST-1", Source: "Release/1.2 Beta"}, "TEST-1_release-1.2-beta"},
		{"the other name of it", Template{Text: "${basebranch}-${issuekey}"}, Values{Key: "TEST-1", Source: "main"}, "main-TEST-1"},
		{"display name", Template{Text: "${displayname}/${issuekey}"}, Values{Key: "TEST-1", Display: "Alice  B. O'Neil"}, "Alice-B.-O-Neil/TEST-1"},
		{"another separator", Template{Separator: "_"}, Values{Key: "TEST-1", Summary: "a b"}, "TEST-1-a_b"},
		{"an unknown variable", Template{Text: "${nope}${issuekey}"}, Values{Key: "TEST-1"}, "TEST-1"},
		{"forbidden characters", Template{}, Values{Key: "TEST-1", Summary: `a ~^:?*[\ "b" (c) {d}; e@{f`}, "TEST-1-a-b-c-d-e-f"},
		{"dots", Template{}, Values{Key: "TEST-1", Summary: "... wait... what"}, "TEST-1-wait.-what"},
		{"lock at the end", Template{}, Values{Key: "TEST-1", Summary: "poetry.lock"}, "TEST-1-poetry"},
		{"a slash in a value", Template{}, Values{Key: "TEST-1", Summary: "and/or"}, "TEST-1-and-or"},
		{"other alphabets", Template{}, Values{Key: "TEST-1", Summary: "Ünïcode ошибка 修复"}, "TEST-1-ünïcode-ошибка-修复"},
		{"reduced to ASCII", Template{ASCII: true}, Values{Key: "TEST-1", Summary: "Größe ändern: ошибка"}, "TEST-1-groesse-aendern"},
		{"nothing of the summary left", Template{}, Values{Key: "TEST-1", Summary: "!!!"}, "TEST-1"},
		{"cut at a separator", Template{Max: 20}, Values{Key: "TEST-1", Summary: "improve the letterbox"}, "TEST-1-improve-the"},
		{"cut in a word", Template{Max: 40}, Values{Key: "TEST-1", Summary: strings.Repeat("x", 60)}, "TEST-1-" + strings.Repeat("x", 33)},
		{"the key stays", Template{Text: "${summary}-${issuekey}", Max: 10}, Values{Key: "TEST-1", Summary: "abcdefgh ijk"}, "abcdefgh-ijk-TEST-1"},
		{"nothing at all", Template{Text: "${summary}"}, Values{}, ""},
		{"an open brace", Template{Text: "a${issuekey"}, Values{Key: "TEST-1"}, "a"},
		{"a component that begins with a dot", Template{Text: "x/.${issuekey}"}, Values{Key: "TEST-1"}, "x/TEST-1"},
	} {
		if got := c.t.Name(c.v); got != c.want {
			t.Errorf("%s: Name = %q, want %q", c.about, got, c.want)
		}
	}
}

func TestTemplateUnknown(t *testing.T) {
	got := Template{Text: "${IssueKey}-${nope}-${issuetype:a,b}-${nope}-${more:x}"}.Unknown()
	if diff := cmp.Diff([]string{"nope", "more"}, got); diff != "" {
		t.Errorf("unknown variables (-want +got):\n%s", diff)
	}
}

func TestCheckBranchName(t *testing.T) {
	for name, want := range map[string]string{
		"feature/TEST-1":             "",
		"":                           "is empty",
		"@":                          "word of git's own",
		"a..b":                       `holds ".."`,
		"a//b":                       "empty component",
		"a@{b":                       `holds "@{"`,
		"a b":                        `holds ' '`,
		"a\tb":                       "control character",
		"a~b":                        "holds '~'",
		"/a":                         "begins or ends",
		"a.":                         "begins or ends",
		"-a":                         "begins with a dash",
		"a.lock":                     `ends with ".lock"`,
		strings.Repeat("a", 40):      "looks like a commit id",
		strings.Repeat("g", 40):      "",
		strings.Repeat("a", 257):     "longer than 256",
		strings.Repeat("0", 39):      "",
		"0123456789abcdef/" + "main": "",
	} {
		err := CheckBranchName(name)
		if err == nil {
			gittest.New(t).Run("check-ref-format", "--branch", name) // git agrees
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("CheckBranchName(%.50q) = %v, want %q", name, err, want)
		}
	}
}

// FuzzTemplate fills templates with anything: the name is empty or valid, not
// longer than allowed unless the key needs it, and holds the key whole.
func FuzzTemplate(f *testing.F) {
	f.Add("${issuetype}/${issuekey}-${summary}", "Add more logging", "New Feature", "main", 250, false)
	f.Add("${issuetype:a,.lock,..}/${summary}.lock/${issuekey}", "a/../b@{", "a", "x", 10, true)
	f.Add("@${displayname}{", ".lock.lock", "", "..", 3, false)
	f.Fuzz(func(t *testing.T, text, summary, issueType, source string, most int, ascii bool) {
		tpl := Template{Text: text, Max: most, ASCII: ascii}
		name := tpl.Name(Values{Key: "TEST-1", Summary: summary, Type: issueType, Source: source, Display: summary})
		if name == "" {
			return
		}
		if err := CheckBranchName(name); err != nil {
			t.Errorf("%q with %q: %q: %v", text, summary, name, err)
		}
		if !strings.Contains(name, "TEST-1") && most > 0 && most <= MaxBranchName && utf8.RuneCountInString(name) > most {
			t.Errorf("%q has %d characters, want at most %d", name, utf8.RuneCountInString(name), most)
		}
	})
}
