package smartcommit

import (
	"strings"
	"unicode"
)

// lineKind says what a line of a message is for.
type lineKind int

const (
	plainLine lineKind = iota
	blankLine
	quietLine // quoted, fenced or a trailer: its keys link, nothing commands
)

// A line is s[start:end] of a message, without its line end.
type line struct {
	start, end int
	kind       lineKind
}

// splitLines splits s at CRLF, LF, CR, VT, FF, U+0085, U+2028 and U+2029 and
// says what each line is for.
func splitLines(s string) []line {
	lines := make([]line, 0, 8)
	start := 0
	for i := 0; i < len(s); {
		n := lineEnd(s, i)
		if n == 0 {
			i++
			continue
		}
		lines = append(lines, line{start: start, end: i})
		i += n
		start = i
	}
	lines = append(lines, line{start: start, end: len(s)})
	markQuiet(s, lines)
	markTrailers(s, lines)
	return lines
}

// lineEnd returns the length of the line end at s[i], 0 if there is none.
func lineEnd(s string, i int) int {
	switch s[i] {
	case '\n', '\v', '\f':
		return 1
	case '\r':
		if i+1 < len(s) && s[i+1] == '\n' {
			return 2
		}
		return 1
	case 0xc2:
		if strings.HasPrefix(s[i:], "\u0085") {
			return len("\u0085")
		}
	case 0xe2:
		if strings.HasPrefix(s[i:], "\u2028") || strings.HasPrefix(s[i:], "\u2029") {
			return len("\u2028")
		}
	}
	return 0
}

// markQuiet finds blank lines, quoted lines and fenced blocks. A block that
// is not closed goes to the end of the message.
func markQuiet(s string, lines []line) {
	fence := ""
	for i := range lines {
		l := &lines[i]
		text := strings.TrimSpace(s[l.start:l.end])
		switch mark := fenceMark(text); {
		case fence != "":
			l.kind = quietLine
			if mark != "" && mark[0] == fence[0] && len(mark) >= len(fence) && mark == text {
				fence = ""
			}
		case mark != "":
			l.kind = quietLine
			fence = mark
		case text == "":
			l.kind = blankLine
		case text[0] == '>':
			l.kind = quietLine
		}
	}
}

// fenceMark returns the run of three or more backticks or tildes at the
// beginning of text, if it can open or close a fenced block (CommonMark,
// "Fenced code blocks": no backtick behind opening backticks).
func fenceMark(text string) string {
	if text == "" || text[0] != '`' && text[0] != '~' {
		return ""
	}
	n := 1
	for n < len(text) && text[n] == text[0] {
		n++
	}
	if n < 3 || text[0] == '`' && strings.IndexByte(text[n:], '`') >= 0 {
		return ""
	}
	return text[:n]
}

// markTrailers makes the last paragraph quiet if it is not the only one and
// all of its lines are trailers, as "Signed-off-by: …" is.
func markTrailers(s string, lines []line) {
	last := len(lines)
	for last > 0 && lines[last-1].kind == blankLine {
		last--
	}
	first := last
	for first > 0 && lines[first-1].kind != blankLine {
		first--
	}
	above := first
	for above > 0 && lines[above-1].kind == blankLine {
		above--
	}
	if above == 0 {
		return // nothing but blank lines above: it is the only paragraph
	}
	for i, l := range lines[first:last] {
		text := s[l.start:l.end]
		indented := strings.TrimLeftFunc(text, unicode.IsSpace) != text
		if !(indented && i > 0) && !isTrailer(text) {
			return
		}
	}
	for i := range lines[first:last] {
		lines[first+i].kind = quietLine
	}
}

// isTrailer reports whether text is "Token: value" with a token that is no
// issue key, or git's note about a cherry-pick.
func isTrailer(text string) bool {
	if strings.HasPrefix(text, "(cherry picked from commit ") {
		return true
	}
	token, value, ok := strings.Cut(text, ":")
	if !ok || token == "" || value != "" && strings.TrimLeftFunc(value, unicode.IsSpace) == value {
		return false
	}
	for i := range len(token) {
		if c := token[i]; !isLetter(c) && !isDigit(c) && c != '-' {
			return false
		}
	}
	return !looksLikeKey(token)
}

// looksLikeKey reports whether the whole of s has the shape of an issue key
// in any case. Whether the project exists does not matter here.
func looksLikeKey(s string) bool {
	dash := strings.IndexByte(s, '-')
	return dash >= 2 && isLetter(s[0]) && numberEnd(s, dash+1) == len(s)
}

// startsLine reports whether a key group behind prefix starts its line: only
// blanks, one bullet, opening brackets and quotes may stand before it.
func startsLine(prefix string) bool {
	p := strings.TrimSpace(prefix)
	blankBehind := len(strings.TrimRightFunc(prefix, unicode.IsSpace)) < len(prefix)
	for _, bullet := range []string{"-", "*", "+", "•", "–", "—", "·", "◦", "▪"} {
		if rest, ok := strings.CutPrefix(p, bullet); ok {
			if rest == "" {
				return blankBehind
			}
			if strings.TrimLeftFunc(rest, unicode.IsSpace) == rest {
				return false
			}
			p = rest
			break
		}
	}
	if n := len(digits(p)); n > 0 && n < len(p) && (p[n] == '.' || p[n] == ')') {
		p = p[n+1:]
	}
	return strings.Trim(p, " \t\u00a0\u3000([{<\"'`“”‘’«»‹›„‚「『【〈《（［") == ""
}
