package web

import (
	"fmt"
	"hash/fnv"
	"html/template"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// functions are what templates may call.
func functions(assets map[string]string) template.FuncMap {
	return template.FuncMap{
		"asset":    func(name string) string { return assets[name] },
		"iso":      func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"utc":      func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"ago":      ago,
		"num":      num[int],
		"num64":    num[int64],
		"bytes":    bytesText,
		"sha7":     func(o ferry.OID) string { return o.Short() },
		"plural":   plural,
		"subject":  subjectLine,
		"body":     bodyText,
		"link":     linkText,
		"initials": initials,
		"tint":     func(s string) int { h := fnv.New32a(); h.Write([]byte(s)); return int(h.Sum32() % 6) },
		"duration": durationText,
		"path":     escapePath,
		"join":     strings.Join,
		"loz":      func(kind, text string) lozenge { return lozenge{kind, text} },
		"text":     func(v any) string { return fmt.Sprint(v) },
		"list":     func(s ...string) []string { return s },
		"date":     func(t time.Time) string { return t.UTC().Format("2 Jan 2006") },
		"caps":     strings.ToUpper,
		"account":  func(v *connectionView) accountView { return accountView{page: v.page, Form: v.Form, Field: v.Field} },
		"inc":      func(n int) int { return n + 1 },
		"add":      func(a, b int) int { return a + b },
		"reason":   reasonWords,
		"person":   func(name, email string) store.Person { return store.Person{Name: name, Email: email} },
		"named":    func(what, name string) named { return named{what, name} },
		"rows":     func(v framed, rows any) rowsView { return rowsView{v.frame(), rows} },
		"row":      func(v framed, row *commitRow) latestView { return latestView{row, v.frame().Now} },
		"roll":     func(v framed, r rollup) rollView { return rollView{v.frame(), r} },
		"refs":     newRefSelect,
	}
}

// The following pair what a component needs with what it shows.
type (
	named    struct{ What, Name string }
	rowsView struct {
		*page
		Rows any
	}
	latestView struct {
		Row *commitRow
		Now time.Time
	}
	rollView struct {
		*page
		R rollup
	}
)

// A refSelect is the field that chooses a branch or tag.
type refSelect struct {
	Field          string
	Branches, Tags []string
	Current        string
	Any, AllChosen bool
	Other          string // a commit that is neither
}

type headed interface{ head() *repoHead }

func (h *repoHead) head() *repoHead { return h }

// newRefSelect makes the field called name; withAll offers all branches.
func newRefSelect(v headed, name string, withAll, all bool) refSelect {
	h := v.head()
	f := refSelect{Field: name, Branches: h.Branches, Tags: h.Tags, Current: h.At.Name, Any: withAll, AllChosen: all}
	if f.Current == "" && !all {
		f.Current = h.Default
	}
	if h.At.Ref == "" && h.At.Name != "" {
		f.Other = h.At.Short()
	}
	return f
}

// A lozenge is a state in a fixed word; Kind is the class of its colour.
type lozenge struct{ Kind, Text string }

// ago says how long ago a time is: words below a week, then the date.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := now.Sub(t)
	switch {
	case d < -time.Minute:
		return t.UTC().Format("2 Jan 2006 15:04")
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return plural(int(d/time.Minute), "minute", "minutes") + " ago"
	case d < 24*time.Hour:
		return plural(int(d/time.Hour), "hour", "hours") + " ago"
	case d < 7*24*time.Hour:
		return plural(int(d/(24*time.Hour)), "day", "days") + " ago"
	}
	return t.UTC().Format("2 Jan 2006")
}

// num writes a number with thousands separators.
func num[T int | int64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return num(n) + " " + many
}

// bytesText writes a size in powers of 1,000.
func bytesText(n int64) string {
	switch {
	case n < 0:
		return "–"
	case n < 1000:
		return plural(int(n), "byte", "bytes")
	case n < 1_000_000:
		return strconv.FormatFloat(float64(n)/1e3, 'f', 1, 64) + " kB"
	case n < 1_000_000_000:
		return strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) + " MB"
	}
	return strconv.FormatFloat(float64(n)/1e9, 'f', 1, 64) + " GB"
}

// durationText writes a duration in its two largest units.
func durationText(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.Itoa(int(d.Milliseconds())) + " ms"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return plural(int(d.Hours()/24), "day", "days")
}

// subjectLine is the first line of a commit message, at most 200 characters.
func subjectLine(message string) string {
	line, _, _ := strings.Cut(strings.TrimLeft(message, "\n"), "\n")
	return cut(strings.TrimSpace(line), 200)
}

// bodyText is what follows the first line.
func bodyText(message string) string {
	_, rest, _ := strings.Cut(strings.TrimLeft(message, "\n"), "\n")
	return strings.Trim(rest, "\n")
}

// cut shortens text to n characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i] + "…"
		}
		n--
	}
	return s
}

func initials(name string) string {
	var out []rune
	for word := range strings.FieldsSeq(name) {
		for _, c := range word {
			if unicode.IsLetter(c) || unicode.IsDigit(c) {
				out = append(out, unicode.ToUpper(c))
				break
			}
		}
	}
	switch {
	case len(out) == 0:
		return "?"
	case len(out) > 2:
		return string(out[0]) + string(out[len(out)-1])
	}
	return string(out)
}

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

// sortBy sorts and keeps equal elements in their order.
func sortBy[T any](list []T, compare func(a, b T) int) { slices.SortStableFunc(list, compare) }

// trimFloat writes a number without needless digits.
func trimFloat(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
