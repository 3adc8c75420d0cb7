package ghapi

import (
	"slices"
	"strings"

	"gitferry/internal/ferry"
)

const (
	maxFound    = 1000   // results of one search
	maxSearched = 20_000 // commits looked at without an issue key to go by
)

// A search is what a query asks for.
type search struct {
	words      []string // lower case, all must be there
	keys       []ferry.IssueKey
	qualifiers []qualifier
}

type qualifier struct{ name, value string }

// parseSearch splits a query into words, phrases in quotes and qualifiers.
// Only the qualifiers named may be used.
func parseSearch(q string, allowed ...string) (search, error) {
	var out search
	if len(q) > 256 {
		return out, invalid("Search", "q", "is longer than 256 characters")
	}
	for q = strings.TrimSpace(q); q != ""; q = strings.TrimSpace(q) {
		name, value := "", ""
		if i := strings.IndexAny(q, ": \""); i > 0 && q[i] == ':' {
			name, q = strings.ToLower(q[:i]), q[i+1:]
		}
		if strings.HasPrefix(q, `"`) {
			value, q, _ = strings.Cut(q[1:], `"`)
		} else {
			value, q, _ = strings.Cut(q, " ")
		}
		switch {
		case name == "":
			out.words = append(out.words, strings.ToLower(value))
			if key, err := ferry.ParseIssueKey(strings.ToUpper(value)); err == nil {
				out.keys = append(out.keys, key)
			}
		case !slices.Contains(allowed, name):
			return out, invalid("Search", "q", "the qualifier "+name+" is not known here")
		default:
			out.qualifiers = append(out.qualifiers, qualifier{name, value})
		}
	}
	return out, nil
}

// among keeps the repositories that the query names, of those that the
// subject may read.
func (q search) among(all []ferry.Repository) []ferry.Repository {
	return slices.DeleteFunc(all, func(r ferry.Repository) bool {
		for _, f := range q.qualifiers {
			switch f.name {
			case "repo":
				if !strings.EqualFold(f.value, r.Path()) {
					return true
				}
			case "org", "user":
				if !strings.EqualFold(f.value, r.Owner) {
					return true
				}
			}
		}
		return false
	})
}

// results frames what a search found.
func results(total int, incomplete bool, items []object) object {
	return object{"total_count": total, "incomplete_results": incomplete, "items": items}
}
