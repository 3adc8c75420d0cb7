package jira

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
)

// A Span is a run of plain text, or a link with its text. Line feeds break
// the line; nothing in it is markup.
type Span struct {
	Text string
	Link string // http or https address; anything else is ignored
}

// Text is what a comment or worklog says.
type Text []Span

// maxRich is how much text one comment or worklog gets, in UTF-16 units:
// below Jira's 32,767 with room for escapes and links (jira.md 3.4).
const maxRich = 30000

// rich returns text in the form of the site: an ADF document, or wiki text.
func (c *Client) rich(t Text) any {
	if c.site.Kind == Cloud {
		return t.ADF()
	}
	return t.Wiki()
}

// fit cleans the spans and cuts the text to maxRich.
func (t Text) fit() Text {
	out := make(Text, 0, len(t))
	left := maxRich
	for _, s := range t {
		s.Text = cut(clean(s.Text), left)
		if !webLink(s.Link) {
			s.Link = ""
		}
		if s.Text != "" {
			out = append(out, s)
		}
		left -= units(s.Text)
		if left <= 0 {
			break
		}
	}
	return out
}

// Node is a node of an Atlassian Document Format document.
type Node struct {
	Type    string `json:"type"`
	Version int    `json:"version,omitempty"`
	Text    string `json:"text,omitempty"`
	Marks   []Mark `json:"marks,omitempty"`
	Content []Node `json:"content,omitempty"`
}

// A Mark on a text node; the only one made here is a link.
type Mark struct {
	Type  string            `json:"type"`
	Attrs map[string]string `json:"attrs"`
}

// ADF returns the text as a document of one paragraph of text nodes, line
// breaks and links. Any text gives a valid document
// (@atlaskit/adf-schema, json-schema/v1/full.json).
func (t Text) ADF() Node {
	paragraph := Node{Type: "paragraph"}
	for _, s := range t.fit() {
		for i, line := range strings.Split(s.Text, "\n") {
			if i > 0 {
				paragraph.Content = append(paragraph.Content, Node{Type: "hardBreak"})
			}
			if line == "" {
				continue // text nodes must not be empty
			}
			n := Node{Type: "text", Text: line}
			if s.Link != "" {
				n.Marks = []Mark{{Type: "link", Attrs: map[string]string{"href": s.Link}}}
			}
			paragraph.Content = append(paragraph.Content, n)
		}
	}
	return Node{Type: "doc", Version: 1, Content: []Node{paragraph}}
}

// Wiki returns the text as wiki markup that shows it as it is: nothing in it
// formats, mentions or embeds (security.md JIRA-5).
func (t Text) Wiki() string {
	var b strings.Builder
	for _, s := range t.fit() {
		if s.Link != "" {
			// | and ] would end the link.
			b.WriteString("[" + neutral(strings.ReplaceAll(s.Text, "\n", " ")) + "|" + linkEscapes.Replace(s.Link) + "]")
			continue
		}
		b.WriteString(neutral(s.Text))
	}
	return b.String()
}

var linkEscapes = strings.NewReplacer("|", "%7C", "[", "%5B", "]", "%5D", "{", "%7B", "}", "%7D", " ", "%20", "!", "%21", "^", "%5E", "\\", "%5C")

// wikiEscapes: a backslash takes the meaning from a sign. The backslash itself
// is written as an entity, since two of them break the line.
var wikiEscapes = strings.NewReplacer(
	`\`, "&#92;", "{", `\{`, "}", `\}`, "[", `\[`, "]", `\]`, "!", `\!`, "*", `\*`, "_", `\_`,
	"|", `\|`, "~", `\~`, "^", `\^`, "+", `\+`, "??", `\?\?`)

var (
	entity = regexp.MustCompile(`&(#?[0-9A-Za-z]+;)`)
	// Signs and words with a meaning at the start of a line.
	lineSign = regexp.MustCompile(`(?m)^([ \t]*)([#\-])`)
	lineWord = regexp.MustCompile(`(?m)^([ \t]*)(h[1-6]\.|bq\.)`)
	// A dash beside a blank or a word's border strikes text through.
	dash = regexp.MustCompile(`(^|[\s(])-(\S)`)
)

// neutral escapes plain text for wiki markup.
func neutral(s string) string {
	s = entity.ReplaceAllString(s, "&amp;$1")
	s = wikiEscapes.Replace(s)
	s = lineSign.ReplaceAllString(s, `$1\$2`)
	s = dash.ReplaceAllString(s, `$1\-$2`)
	return lineWord.ReplaceAllString(s, "$1\u2060$2")
}

// clean takes out what no text field may hold: control characters but line
// feeds, signs that turn the direction of writing, bytes that are not UTF-8.
func clean(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case r == '\r' || r == '\u2028' || r == '\u2029' || r == '\u0085' || r == '\v' || r == '\f':
			return '\n'
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0xfffe, r == 0xffff:
			return -1
		}
		return r
	}, s)
}

// units counts UTF-16 units, which is how Jira counts characters.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// cut shortens s to at most n UTF-16 units, the last being an ellipsis.
func cut(s string, n int) string {
	if len(s) <= n || units(s) <= n {
		return s
	}
	left := n - 1
	for i, r := range s {
		if left -= utf16.RuneLen(r); left < 0 {
			if n < 1 {
				return ""
			}
			return s[:i] + "…"
		}
	}
	return s
}

func webLink(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}
