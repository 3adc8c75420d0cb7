package smartcommit

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"gitferry/internal/ferry"
)

// A hash is a place where a command begins: s[at] is "#", the name ends at
// s[end].
type hash struct {
	at, end int
	name    string // normalised
}

// maxName bounds the name of a command in bytes. Jira's names of transitions
// and statuses are shorter.
const maxName = 255

// findHashes returns the places in s where commands stand: at a line start,
// after white space, or directly after a key that may be commanded. A hash
// before a key (#ABC-4) is text.
func findHashes(s string, spans []keySpan) []hash {
	var hashes []hash
	k := 0 // the first key that ends behind the hash
	for from := 0; ; {
		i := strings.IndexByte(s[from:], '#')
		if i < 0 {
			return hashes
		}
		at := from + i
		from = at + 1
		if r, _ := utf8.DecodeRuneInString(s[from:]); !unicode.IsLetter(r) {
			continue
		}
		for k < len(spans) && spans[k].end <= at {
			k++
		}
		if k < len(spans) && spans[k].start == at+1 {
			continue
		}
		if at > 0 && !(k > 0 && spans[k-1].end == at && spans[k-1].target) {
			if r, _ := utf8.DecodeLastRuneInString(s[:at]); !unicode.IsSpace(r) {
				continue
			}
		}
		end := nameEnd(s, at+1)
		if name := normaliseCommand(s[at+1 : end]); name != "" {
			hashes = append(hashes, hash{at: at, end: end, name: name})
		}
		from = end
	}
}

// nameEnd returns where the command name that begins at s[i] ends. A digit
// behind "time" ends it: #time2h.
func nameEnd(s string, i int) int {
	end := i
	for end < len(s) {
		c := s[end]
		if c < utf8.RuneSelf {
			if !isRunByte(c) && c != '-' || isDigit(c) && end == i+4 && strings.EqualFold(s[i:end], "time") {
				return end
			}
			end++
			continue
		}
		// Marks are the accents of letters that are written in two parts.
		r, n := utf8.DecodeRuneInString(s[end:])
		if !unicode.In(r, unicode.L, unicode.Nd, unicode.M) {
			return end
		}
		end += n
	}
	return end
}

// normaliseCommand makes names of commands comparable: compatibility forms
// folded (NFKC), lower case, "_" as "-", no "-" at the end. It returns "" for
// what is too long to be a name.
func normaliseCommand(name string) string {
	if len(name) > maxName {
		return ""
	}
	name = strings.ReplaceAll(fold(name), "_", "-")
	return strings.TrimRight(name, "-")
}

// fold returns s in NFKC and lower case.
func fold(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return strings.ToLower(norm.NFKC.String(s))
		}
	}
	return strings.ToLower(s)
}

// A group is one or more keys with nothing but blanks and one comma between
// them, at s[start:end].
type group struct {
	start, end int
	keys       []ferry.IssueKey // known ones, each once; none: a foreign group
}

// groupKeys returns the groups among the spans that may be commanded.
func groupKeys(s string, spans []keySpan) []group {
	var groups []group
	for _, k := range spans {
		if !k.target {
			continue
		}
		if n := len(groups); n == 0 || !joins(s[groups[n-1].end:k.start]) {
			groups = append(groups, group{start: k.start})
		}
		g := &groups[len(groups)-1]
		g.end = k.end
		if !k.foreign {
			if key := k.key(s); !contains(g.keys, key) {
				g.keys = append(g.keys, key)
			}
		}
	}
	return groups
}

// contains looks for key in the first keys only: no more are ever commanded.
func contains(keys []ferry.IssueKey, key ferry.IssueKey) bool {
	for _, k := range keys[:min(len(keys), MaxCommandedKeys+1)] {
		if k == key {
			return true
		}
	}
	return false
}

// joins reports whether text between two keys makes them one group.
func joins(between string) bool {
	between = strings.TrimSpace(between)
	return between == "" || between == ","
}

// A command is one "#name argument" of a message, not yet understood.
type command struct {
	name string
	keys []ferry.IssueKey // none: nobody is addressed
	// argument is the text behind the name, trimmed. more holds the following
	// lines of a comment.
	argument string
	more     []string
	cut      bool // a key ended the argument and text was left of it
	// suppressed stands for commands that were passed over.
	suppressed bool
	strict     bool // to be understood as Atlassian's parser does
}

// text returns a comment with all its lines.
func (c command) text() string {
	if len(c.more) == 0 {
		return c.argument
	}
	if c.argument == "" {
		return strings.Join(c.more, "\n")
	}
	return c.argument + "\n" + strings.Join(c.more, "\n")
}
