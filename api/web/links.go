package web

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"gitferry/internal/ferry"
)

// escapePath escapes a path or ref name for a URL and keeps its slashes.
func escapePath(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// A piece is a part of a text: plain, an issue key or a web address.
type piece struct {
	Text string
	Key  bool
	Href string // set for addresses
}

var linkable = regexp.MustCompile(`(?i)https?://[^\s<>"'\x60]{1,1000}|[a-z][a-z0-9_]{1,60}-[1-9][0-9]{0,9}`)

// maxPieces bounds the links made in one text.
const maxPieces = 2000

// linkText cuts a text into pieces so that keys, in any case, and addresses
// become links. Only keys in the list do.
func linkText(s string, keys []ferry.IssueKey) []piece {
	var out []piece
	last := 0
	for _, m := range linkable.FindAllStringIndex(s, maxPieces) {
		found := s[m[0]:m[1]]
		p := piece{Text: found}
		switch {
		case strings.Contains(found, "://"):
			found = strings.TrimRight(found, ".,;:!?)]}")
			u, err := url.Parse(found)
			if err != nil || u.Host == "" {
				continue
			}
			p = piece{Text: found, Href: u.String()}
		case slices.Contains(keys, ferry.IssueKey(strings.ToUpper(found))) && border(s, m[0]):
			p.Key = true
		default:
			continue
		}
		out = append(out, piece{Text: s[last:m[0]]}, p)
		last = m[0] + len(p.Text)
	}
	return append(out, piece{Text: s[last:]})
}

// border reports whether a key may begin at i.
func border(s string, i int) bool {
	if i == 0 {
		return true
	}
	c := s[i-1]
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9')
}
