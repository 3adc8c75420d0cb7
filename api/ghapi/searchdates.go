package ghapi

import (
	"fmt"
	"strings"
	"time"
)

// span reads >T, >=T, <T, <=T, A..B or a day.
func span(v string) (func(time.Time) bool, error) {
	moment := func(v string) (from, to time.Time, err error) {
		if from, err = time.Parse(time.DateOnly, v); err == nil {
			return from, from.AddDate(0, 0, 1), nil
		}
		from, err = time.Parse(time.RFC3339, strings.ToUpper(v))
		return from, from.Add(time.Second), err
	}
	bad := invalid("Search", "q", fmt.Sprintf("%.40q is no time such as 2026-01-02, >2026-01-02 or 2026-01-02..2026-02-03", v))
	if a, b, ok := strings.Cut(v, ".."); ok {
		from, _, err := moment(a)
		if a == "*" {
			from, err = time.Time{}, nil
		}
		if err != nil {
			return nil, bad
		}
		_, to, err := moment(b)
		if b == "*" {
			to, err = time.Unix(1<<40, 0), nil
		}
		if err != nil {
			return nil, bad
		}
		return func(t time.Time) bool { return !t.Before(from) && t.Before(to) }, nil
	}
	for _, op := range []string{">=", "<=", ">", "<", ""} {
		rest, ok := strings.CutPrefix(v, op)
		if !ok {
			continue
		}
		from, to, err := moment(rest)
		if err != nil {
			return nil, bad
		}
		switch op {
		case ">=":
			return func(t time.Time) bool { return !t.Before(from) }, nil
		case "<=":
			return func(t time.Time) bool { return t.Before(to) }, nil
		case ">":
			return func(t time.Time) bool { return !t.Before(to) }, nil
		case "<":
			return func(t time.Time) bool { return t.Before(from) }, nil
		}
		return func(t time.Time) bool { return !t.Before(from) && t.Before(to) }, nil
	}
	return nil, bad
}
