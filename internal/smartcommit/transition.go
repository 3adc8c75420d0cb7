package smartcommit

import (
	"fmt"
	"strings"
	"unicode"

	"gitferry/internal/ferry"
)

// An OpenTransition is a step that may be taken from an issue's present
// status, by whoever acts.
type OpenTransition struct {
	ID   string
	Name string // may be empty: then the target status names it
	To   string // name of the target status
}

func (t OpenTransition) title() string {
	if t.Name == "" {
		return t.To
	}
	return t.Name
}

// Match is the answer of MatchTransition.
type Match struct {
	Transition OpenTransition // zero if Already
	Already    bool           // the issue is in that status, nothing is to be done
}

// A NoMatch error says that a command's name does not lead to one transition.
// It is a ferry.ErrInvalid and its text is fit to be shown.
type NoMatch struct {
	Name string
	// Ambiguous: several transitions fit, and Names are theirs. Otherwise
	// none fits, and Names are those of all open ones, the nearest first.
	Ambiguous bool
	Names     []string
}

func (e *NoMatch) Error() string {
	quoted := make([]string, len(e.Names))
	for i, n := range e.Names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	list := strings.Join(quoted, ", ")
	switch {
	case e.Ambiguous:
		return fmt.Sprintf("#%s fits several transitions: %s; write more of the name", e.Name, list)
	case list == "":
		return fmt.Sprintf("#%s: no transition is possible from the present status", e.Name)
	}
	return fmt.Sprintf("#%s: no such transition; possible now: %s", e.Name, list)
}

// Unwrap makes errors.Is see ferry.ErrInvalid.
func (e *NoMatch) Unwrap() error { return ferry.ErrInvalid }

// MatchTransition finds the transition that the command name means, among
// those open from the status named current. Names are compared in lower case,
// with "-" for blanks and without punctuation: first whole names of
// transitions, then whole names of target statuses, then beginnings that end
// at a "-", then any beginnings. The first of these steps that fits anything
// decides; of several with one target status the lowest id is taken.
//
// It fails with a *NoMatch.
func MatchTransition(name, current string, open []OpenTransition) (Match, error) {
	word := normaliseName(name)
	for _, s := range matchSteps {
		var fits []OpenTransition
		for _, t := range open {
			if n := normaliseName(s.of(t)); n != "" && word != "" && s.match(n, word) {
				fits = append(fits, t)
			}
		}
		if len(fits) > 0 {
			return oneTarget(name, fits)
		}
	}
	if word != "" && normaliseName(current) == word {
		return Match{Already: true}, nil
	}
	return Match{}, &NoMatch{Name: name, Names: nearestFirst(word, open)}
}

var matchSteps = func() []matchStep {
	name := func(t OpenTransition) string { return t.Name }
	status := func(t OpenTransition) string { return t.To }
	equal := func(n, word string) bool { return n == word }
	words := func(n, word string) bool { return strings.HasPrefix(n, word+"-") }
	begins := func(n, word string) bool { return strings.HasPrefix(n, word) }
	return []matchStep{{name, equal}, {status, equal}, {name, words}, {name, begins}, {status, words}, {status, begins}}
}()

type matchStep struct {
	of    func(OpenTransition) string
	match func(normalised, word string) bool
}

// oneTarget picks the transition with the lowest id if all lead to one status.
func oneTarget(name string, fits []OpenTransition) (Match, error) {
	best := fits[0]
	for _, t := range fits[1:] {
		if normaliseName(t.To) != normaliseName(best.To) {
			e := &NoMatch{Name: name, Ambiguous: true}
			for _, t := range fits {
				e.Names = append(e.Names, t.title())
			}
			return Match{}, e
		}
		if lowerID(t.ID, best.ID) {
			best = t
		}
	}
	return Match{Transition: best}, nil
}

// lowerID compares ids as the numbers that they are.
func lowerID(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// nearestFirst lists the names of open transitions, those within two typing
// slips of word first.
func nearestFirst(word string, open []OpenTransition) []string {
	near, far := []string{}, []string{}
	for _, t := range open {
		if nearby(word, normaliseName(t.Name)) || nearby(word, normaliseName(t.To)) {
			near = append(near, t.title())
		} else {
			far = append(far, t.title())
		}
	}
	return append(near, far...)
}

// nearby reports whether a and b differ by at most two inserted, left out or
// changed letters (Levenshtein distance).
func nearby(a, b string) bool {
	const limit = 2
	x, y := []rune(a), []rune(b)
	if len(x) == 0 || len(y) == 0 || len(x)-len(y) > limit || len(y)-len(x) > limit {
		return false
	}
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i, r := range x {
		diagonal := row[0]
		row[0] = i + 1
		for j, q := range y {
			cost := diagonal
			if r != q {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(y)] <= limit
}

// normaliseName makes names of transitions, statuses and commands comparable:
// NFKC, lower case, white space and "_" as "-", runs of "-" as one and none at
// the ends, other punctuation dropped.
func normaliseName(s string) string {
	var b strings.Builder
	dash := false
	for _, r := range fold(s) {
		switch {
		case r == '-' || r == '_' || unicode.IsSpace(r):
			dash = b.Len() > 0
		case unicode.In(r, unicode.L, unicode.N, unicode.M) && r != '\ufe0f': // the emoji form selector is a mark
			if dash {
				b.WriteByte('-')
				dash = false
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}
