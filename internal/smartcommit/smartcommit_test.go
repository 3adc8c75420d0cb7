package smartcommit

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gitferry/internal/ferry"
)

// An example is one worked message of testdata/smart-commit-examples.json.
type example struct {
	ID         string           `json:"id"`
	Message    string           `json:"message"`
	Projects   json.RawMessage  `json:"projects"`
	Keys       []ferry.IssueKey `json:"keys"`
	Actions    []Action         `json:"actions"`
	Warnings   []string         `json:"warnings"`
	Unknown    []ferry.IssueKey `json:"unknown"`
	JiraNative *[]Action        `json:"jiraNative"`
	Note       string           `json:"note"`
}

type examples struct {
	Context struct {
		Projects                 []string
		DaysPerWeek, HoursPerDay float64
	}
	Examples           []example
	TransitionExamples []struct {
		ID, Command, Current string
		Transitions          []OpenTransition
		Result               struct {
			Transition string
			Ambiguous  []string
			Already    bool
			Unknown    []string
		}
	}
}

func loadExamples(t testing.TB) examples {
	t.Helper()
	b, err := os.ReadFile("testdata/smart-commit-examples.json")
	if err != nil {
		t.Fatal(err)
	}
	var e examples
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// options returns the options that an example is to be read with.
func (e examples) options(t testing.TB, x example) Options {
	t.Helper()
	o := Options{DaysPerWeek: e.Context.DaysPerWeek, HoursPerDay: e.Context.HoursPerDay}
	o.Projects, _ = ProjectSet(e.Context.Projects)
	if err := o.setProjects(x.Projects); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestExamples(t *testing.T) {
	all := loadExamples(t)
	if len(all.Examples) != 120 {
		t.Fatalf("%d examples, want 120", len(all.Examples))
	}
	native := 0
	for _, x := range all.Examples {
		t.Run(x.ID, func(t *testing.T) {
			o := all.options(t, x)
			got := Parse(x.Message, o)
			want := Result{Keys: x.Keys, Actions: x.Actions, Warnings: x.Warnings, Unknown: x.Unknown}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), ignoreOrdinal); diff != "" {
				t.Errorf("Parse(%q), %s (-want +got):\n%s", x.Message, x.Note, diff)
			}
			o.Strict = true
			strict := x.Actions
			if x.JiraNative != nil {
				strict = *x.JiraNative
				native++
			}
			if diff := cmp.Diff(strict, Parse(x.Message, o).Actions, cmpopts.EquateEmpty(), ignoreOrdinal); diff != "" {
				t.Errorf("Parse(%q) strictly (-want +got):\n%s", x.Message, diff)
			}
		})
	}
	if native != 41 {
		t.Errorf("%d examples with jiraNative, want 41", native)
	}
}

var ignoreOrdinal = cmpopts.IgnoreFields(Action{}, "Ordinal")

func TestTransitionExamples(t *testing.T) {
	all := loadExamples(t)
	if len(all.TransitionExamples) != 26 {
		t.Fatalf("%d examples, want 26", len(all.TransitionExamples))
	}
	for _, x := range all.TransitionExamples {
		t.Run(x.ID, func(t *testing.T) {
			m, err := MatchTransition(x.Command, x.Current, x.Transitions)
			got := x.Result
			got.Transition, got.Already, got.Ambiguous, got.Unknown = m.Transition.ID, m.Already, nil, nil
			var no *NoMatch
			switch {
			case errors.As(err, &no) && no.Ambiguous:
				got.Ambiguous = no.Names
			case errors.As(err, &no):
				got.Unknown = no.Names
			case err != nil:
				t.Fatal(err)
			}
			if no != nil && !errors.Is(err, ferry.ErrInvalid) {
				t.Errorf("%v is not ferry.ErrInvalid", err)
			}
			if diff := cmp.Diff(x.Result, got); diff != "" {
				t.Errorf("MatchTransition(%q, %q) (-want +got):\n%s", x.Command, x.Current, diff)
			}
		})
	}
}
