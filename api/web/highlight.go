package web

import (
	"path"
	"strings"
	"time"

	"github.com/alecthomas/chroma/v2"
	"github.com/alecthomas/chroma/v2/lexers"
	lru "github.com/hashicorp/golang-lru/v2"
)

// A span is a run of text of one colour; Class is empty for plain text. Mark
// is set on words that a replaced line changed.
type span struct {
	Class string
	Text  string
	Mark  bool
}

// Bounds of colouring.
const (
	maxColoured   = 512 << 10 // bytes
	colouringTime = 2 * time.Second
)

// lexersOf remembers the language of file names, nil for none: finding it
// compares the name with a thousand patterns, some milliseconds each time.
var lexersOf, _ = lru.New[string, chroma.Lexer](4000) // fails for a size of zero only

func lexerOf(base string) chroma.Lexer {
	if l, ok := lexersOf.Get(base); ok {
		return l
	}
	l := lexers.Match(base)
	if l != nil {
		l = chroma.Coalesce(l)
	}
	lexersOf.Add(base, l)
	return l
}

// colour cuts text into lines of coloured spans; name chooses the language.
// Too much text, or an unknown language, stays plain. deadline stops it.
func colour(name, text string, deadline time.Time) [][]span {
	lexer := lexerOf(path.Base(name))
	if lexer == nil || len(text) > maxColoured || time.Now().After(deadline) {
		return plainLines(text)
	}
	it, err := lexer.Tokenise(nil, text)
	if err != nil {
		return plainLines(text)
	}
	lines := [][]span{nil}
	for t := it(); t != chroma.EOF; t = it() {
		class := classOf(t.Type)
		for i, part := range strings.Split(t.Value, "\n") {
			if i > 0 {
				lines = append(lines, nil)
			}
			if part != "" {
				lines[len(lines)-1] = append(lines[len(lines)-1], span{Class: class, Text: part})
			}
		}
		if time.Now().After(deadline) {
			return plainLines(text)
		}
	}
	return trimEnd(lines, text)
}

func plainLines(text string) [][]span {
	var lines [][]span
	for line := range strings.SplitSeq(text, "\n") {
		var l []span
		if line != "" {
			l = []span{{Text: line}}
		}
		lines = append(lines, l)
	}
	return trimEnd(lines, text)
}

// trimEnd takes away the empty line after a final newline, which lexers may
// add as well, so that the number of lines is that of the text.
func trimEnd(lines [][]span, text string) [][]span {
	n := strings.Count(text, "\n")
	if !strings.HasSuffix(text, "\n") {
		n++
	}
	if text == "" {
		n = 0
	}
	return lines[:min(len(lines), n)]
}

// classOf maps chroma's many token types to the few colours of the stylesheet.
func classOf(t chroma.TokenType) string {
	switch {
	case t.InCategory(chroma.Comment):
		return "tc"
	case t.InCategory(chroma.Keyword):
		return "tk"
	case t.InSubCategory(chroma.LiteralString):
		return "ts"
	case t.InSubCategory(chroma.LiteralNumber):
		return "tn"
	case t == chroma.NameFunction, t == chroma.NameFunctionMagic, t == chroma.NameClass:
		return "tf"
	case t == chroma.NameTag, t == chroma.NameAttribute, t == chroma.NameDecorator:
		return "tt"
	case t == chroma.NameBuiltin, t == chroma.NameConstant, t == chroma.NameNamespace, t == chroma.LiteralDate:
		return "to"
	}
	return ""
}
