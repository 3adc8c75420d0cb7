package jira

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func adfSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	f, err := os.Open("testdata/jira-adf.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4)
	if err := c.AddResource("adf.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("adf.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func checkADF(t *testing.T, s *jsonschema.Schema, text Text) {
	t.Helper()
	b, err := json.Marshal(text.ADF())
	if err != nil {
		t.Fatalf("ADF of %q: %v", text, err)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(v); err != nil {
		t.Fatalf("ADF of %q is not valid: %v\n%s", text, err, b)
	}
}

func TestADF(t *testing.T) {
	s := adfSchema(t)
	for _, text := range []Text{nil, {{Text: ""}}, {{Text: "\n\n"}}, {{Text: "x", Link: "javascript:alert(1)"}}, {{Text: "a\x00\x1b[31mb\u202e"}},
		{{Text: strings.Repeat("é\n", 40000)}}} {
		checkADF(t, s, text)
	}
	got, err := json.Marshal(Text{{Text: "Jane", Link: "https://x.example/c/1"}, {Text: " did\n<b>it</b>"}}.ADF())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"doc","version":1,"content":[{"type":"paragraph","content":[` +
		`{"type":"text","text":"Jane","marks":[{"type":"link","attrs":{"href":"https://x.example/c/1"}}]},` +
		`{"type":"text","text":" did"},{"type":"hardBreak"},{"type":"text","text":"\u003cb\u003eit\u003c/b\u003e"}]}]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("ADF (-want +got):\n%s", diff)
	}
}

func FuzzADF(f *testing.F) {
	s := adfSchema(f)
	f.Add("DEMO-1 #comment corrected the indent\r\n\tand more", "https://git.example/us-east-1/demo/commit/1a2b3c4")
	f.Add("\xff\x00\u202e\ufffe", "ftp://x")
	f.Add("", " https://%zz")
	f.Fuzz(func(t *testing.T, text, link string) {
		checkADF(t, s, Text{{Text: text}, {Text: text, Link: link}, {Text: text}})
	})
}

func TestWiki(t *testing.T) {
	for _, c := range []struct {
		text Text
		want string
	}{
		{Text{{Text: "plain text, well-known (ok)"}}, "plain text, well-known (ok)"},
		{Text{{Text: "[~admin] look {color:red}x{color} !img.png! *b* _i_ |c|"}},
			`\[\~admin\] look \{color:red\}x\{color\} \!img.png\! \*b\* \_i\_ \|c\|`},
		{Text{{Text: "# one\n- two\n  # three\nh1. head\nbq. quote\n----"}},
			"\\# one\n\\- two\n  \\# three\n\u2060h1. head\n\u2060bq. quote\n\\----"},
		{Text{{Text: `C:\dir &#123;x} a -b- ??c??`}}, `C:&#92;dir &amp;#123;x\} a \-b- \?\?c\?\?`},
		{Text{{Text: "1a2b|3c]", Link: "https://git.example/a|b/commit/1]"}, {Text: "\ntext"}},
			"[1a2b\\|3c\\]|https://git.example/a%7Cb/commit/1%5D]\ntext"},
	} {
		if got := c.text.Wiki(); got != c.want {
			t.Errorf("Wiki(%q) =\n%q, want\n%q", c.text, got, c.want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"😀😀", 4, "😀😀"}, {"😀😀", 3, "😀…"}, {"é", 0, ""}} {
		if got := cut(c.text, c.n); got != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.text, c.n, got, c.want)
		}
	}
}
