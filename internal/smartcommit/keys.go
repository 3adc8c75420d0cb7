package smartcommit

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"gitferry/internal/ferry"
)

const (
	maxProject = 255 // bytes of a project key, as ferry.ParseIssueKey has it
	maxNumber  = 10  // digits of an issue number
)

// A keySpan is one key in a text: s[start:end], with the dash at s[dash].
type keySpan struct {
	start, dash, end int
	foreign          bool // well formed, but of a project that is not known
	target           bool // commands may act on it; set by markTargets
}

// key returns the issue key in upper case, as a string of its own.
func (k keySpan) key(s string) ferry.IssueKey {
	return ferry.IssueKey(strings.Clone(strings.ToUpper(s[k.start:k.end])))
}

// Keys returns the keys in a branch name or a title, each once, in order of
// first appearance.
func Keys(text string, o Options) []ferry.IssueKey {
	o.Kind = Branch
	return Parse(text, o).Keys
}

// scanKeys returns the keys of s in order. They do not overlap.
//
// A candidate is [A-Za-z][A-Za-z0-9_]*-[1-9][0-9]{0,9} whose neighbours are
// neither cased letters of any script nor decimal digits; an underscore is a
// border too, so that wip_DEF-8 has DEF-8.
func scanKeys(s string, o *Options) []keySpan {
	var spans []keySpan
	// Up to cursor the text after the last key is one unbroken word; -1: not.
	cursor := -1
	for from := 0; ; {
		i := strings.IndexByte(s[from:], '-')
		if i < 0 {
			return spans
		}
		dash := from + i
		from = dash + 1
		end := numberEnd(s, dash+1)
		if end == 0 || dash == 0 || !isRunByte(s[dash-1]) {
			continue
		}
		run := dash - 1
		for run > 0 && isRunByte(s[run-1]) {
			run--
		}
		if n := len(spans); n > 0 && run < spans[n-1].end {
			// The run reaches back into a key: ABC-1-2, ABC-1_DEF-2.
			if run = spans[n-1].end; run >= dash {
				continue
			}
		}
		off, found := o.project(s[run:dash], isLetter(s[run]) && borderBefore(s, run))
		if found == noProject || isDate(s, dash+1, end) {
			continue
		}
		start := run + off
		if cursor >= 0 {
			cursor = wordEnd(s, cursor, start)
			if cursor < start {
				cursor = -1
			} else if hasLower(s[start:dash]) {
				continue // a second key in one word must be in upper case
			}
		}
		spans = append(spans, keySpan{start: start, dash: dash, end: end, foreign: found == foreignProject})
		cursor, from = end, end
	}
}

// numberEnd returns where the issue number that begins at s[i] ends, 0 if
// there is none or something touches it.
func numberEnd(s string, i int) int {
	if i >= len(s) || s[i] < '1' || s[i] > '9' {
		return 0
	}
	end := i + 1
	for end < len(s) && isDigit(s[end]) {
		if end++; end-i > maxNumber {
			return 0
		}
	}
	if end == len(s) {
		return end
	}
	if c := s[end]; c < utf8.RuneSelf {
		if isLetter(c) {
			return 0
		}
		return end
	}
	if r, _ := utf8.DecodeRuneInString(s[end:]); touches(r) {
		return 0
	}
	return end
}

// borderBefore reports whether a key may begin at s[i], going by what stands
// before it; ASCII letters and digits do not, the caller saw to that.
func borderBefore(s string, i int) bool {
	if i == 0 || s[i-1] < utf8.RuneSelf {
		return true
	}
	r, _ := utf8.DecodeLastRuneInString(s[:i])
	return !touches(r)
}

// touches reports whether r beside a key makes it none. Letters without case
// (Chinese, Hebrew, Arabic) do not: those scripts write keys without blanks.
func touches(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Nd)
}

// isDate reports whether the number s[i:end] is a year followed by a month:
// release-2026-10-03.
func isDate(s string, i, end int) bool {
	if end-i != 4 || (s[i:i+2] != "19" && s[i:i+2] != "20") || len(s) < end+3 || s[end] != '-' {
		return false
	}
	month := s[end+1 : end+3]
	return (month >= "01" && month <= "09" && isDigit(month[1]) || month >= "10" && month <= "12") &&
		(len(s) == end+3 || !isDigit(s[end+3]))
}

// wordEnd walks from s[i] over letters, digits, "_" and "-" and returns where
// it stopped, at most limit.
func wordEnd(s string, i, limit int) int {
	for i < limit {
		if c := s[i]; c < utf8.RuneSelf {
			if !isRunByte(c) && c != '-' {
				return i
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return i
		}
		i += n
	}
	return i
}

// markTargets sets target on the spans that commands may act on: not those
// right after one of & = ? > ^ ! ~ / - \ @ _ and not those in a word with
// "://".
func markTargets(s string, spans []keySpan) {
	wordEnd, isURL := 0, false
	for i := range spans {
		k := &spans[i]
		if k.start > 0 && strings.IndexByte(`&=?>^!~/-\@_`, s[k.start-1]) >= 0 {
			continue
		}
		if k.start >= wordEnd {
			start := wordEnd
			if b := strings.LastIndexFunc(s[wordEnd:k.start], unicode.IsSpace); b >= 0 {
				start += b
			}
			wordEnd = len(s)
			if b := strings.IndexFunc(s[k.end:], unicode.IsSpace); b >= 0 {
				wordEnd = k.end + b
			}
			isURL = strings.Contains(s[start:wordEnd], "://")
		}
		k.target = !isURL
	}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// isRunByte reports whether c may stand in a project key.
func isRunByte(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' }

func hasLower(s string) bool {
	for i := range len(s) {
		if s[i] >= 'a' && s[i] <= 'z' {
			return true
		}
	}
	return false
}
