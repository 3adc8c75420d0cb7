package policy

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"gitferry/internal/smartcommit"
)

const (
	linePrefix = "gitferry: "
	// columns is what a line may take, git's "remote: " not counted.
	columns = 80 - len("remote: ")
)

// A sheet collects lines. All text that it takes is made fit for a terminal.
type sheet struct{ lines []string }

func (s *sheet) add(line string) {
	s.lines = append(s.lines, strings.TrimRight(linePrefix+line, " "))
}

// fact adds one line, cut to fit.
func (s *sheet) fact(text string) { s.factWith(text, "") }

// factWith adds one line of text, cut to fit, and an end that is cut only if
// it leaves no room at all.
func (s *sheet) factWith(text, end string) {
	room := columns - len(linePrefix)
	end = shorten(smartcommit.OneLine(end), room-1)
	s.add(shorten(smartcommit.OneLine(text), room-textWidth(end)) + end)
}

// verbatim adds one line that is never cut: an address, a command.
func (s *sheet) verbatim(text string) { s.add(smartcommit.OneLine(text)) }

// wrap adds text on as many lines as it takes, the later ones indented.
func (s *sheet) wrap(text, indent string) {
	room := columns - len(linePrefix)
	text = smartcommit.OneLine(text)
	for {
		if textWidth(text) <= room {
			s.add(text)
			return
		}
		end := fits(text, room)
		if blank := strings.LastIndexByte(text[:end+1], ' '); strings.TrimLeft(text[:max(blank, 0)], " -") != "" {
			end = blank
		}
		s.add(text[:end])
		text = indent + strings.TrimLeft(text[end:], " ")
	}
}

// cut returns at most n lines; the last says how many are left out, and where
// to see them.
func (s *sheet) cut(n int, where string) []string {
	if len(s.lines) <= n {
		return s.lines
	}
	left := len(s.lines) - (n - 1)
	return append(s.lines[:n-1:n-1], fmt.Sprintf("%s… and %d more%s", linePrefix, left, where))
}

// shorten cuts text to n columns, with "…" at its end if it was longer.
func shorten(text string, n int) string {
	if textWidth(text) <= n {
		return text
	}
	if n < 1 {
		return ""
	}
	return strings.TrimRight(text[:fits(text, n-1)], " ") + "…"
}

// fits returns how many bytes of text take at most n columns, but at least
// those of one character, so that a loop over the rest ends.
func fits(text string, n int) int {
	taken := 0
	for i, r := range text {
		if taken += runeWidth(r); taken > n && i > 0 {
			return i
		}
	}
	return len(text)
}

func textWidth(text string) int {
	n := 0
	for _, r := range text {
		n += runeWidth(r)
	}
	return n
}

// runeWidth returns the columns that a terminal gives a character: two for
// the wide ones of East Asia and emoji (UAX 11), none for combining marks.
func runeWidth(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}
