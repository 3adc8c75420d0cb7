package web

import (
	"fmt"
	"hash/fnv"
	"html/template"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// functions are what templates may call.
func functions(assets map[string]string) template.FuncMap {
	return template.FuncMap{
		"asset":         func(name string) string { return assets[name] },
		"iso":           func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"utc":           func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"ago":           ago, // of the component time only
		"num":           num[int],
		"num64":         num[int64],
		"bytes":         bytesText,
		"sha7":          func(o ferry.OID) string { return o.Short() },
		"plural":        plural,
		"subject":       subjectLine,
		"body":          bodyText,
		"link":          linkText,
		"initials":      initials,
		"tint":          func(s string) int { h := fnv.New32a(); h.Write([]byte(s)); return int(h.Sum32() % 6) },
		"duration":      durationText,
		"path":          escapePath,
		"join":          strings.Join,
		"loz":           func(kind, text string) lozenge { return lozenge{kind, text} },
		"sentence":      sentence,
		"text":          func(v any) string { return fmt.Sprint(v) },
		"list":          func(s ...string) []string { return s },
		"date":          func(t time.Time) string { return t.UTC().Format("2 Jan 2006") },
		"caps":          strings.ToUpper,
		"account":       func(v *connectionView) accountView { return accountView{page: v.page, Form: v.Form, Field: v.Field} },
		"inc":           func(n int) int { return n + 1 },
		"add":           func(a, b int) int { return a + b },
		"reason":        reasonWords,
		"at":            func(at, now time.Time) moment { return moment{at, now} },
		"deliverywords": deliveryWords,
		"person":        func(name, email string) store.Person { return store.Person{Name: name, Email: email} },
		"named":         func(what, name string) named { return named{what, name} },
		"rows":          func(v framed, rows any) rowsView { return rowsView{v.frame(), rows} },
		"row":           func(v framed, row *commitRow) latestView { return latestView{row, v.frame().Now} },
		"roll":          func(v framed, r rollup) rollView { return rollView{v.frame(), r} },
		"refs":          newRefSelect,
	}
}

// The following pair what a component needs with what it shows.
type (
	moment   struct{ At, Now time.Time }
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

// sortBy sorts and keeps equal elements in their order.
func sortBy[T any](list []T, compare func(a, b T) int) { slices.SortStableFunc(list, compare) }
