package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

func TestSimilarNames(t *testing.T) {
	create := func(name string) Update {
		return Update{RefUpdate: ferry.RefUpdate{Name: ferry.RefName(name), New: oid(1)}}
	}
	remove := func(name string) Update {
		return Update{RefUpdate: ferry.RefUpdate{Name: ferry.RefName(name), Old: oid(1)}}
	}
	for _, tt := range []struct {
		name     string
		existing []ferry.RefName
		updates  []Update
		want     []ferry.RefName // those that are similar to others
	}{
		{"case", []ferry.RefName{"refs/heads/Feature"}, []Update{create("refs/heads/feature")}, []ferry.RefName{"refs/heads/feature"}},
		{"unicode form", []ferry.RefName{"refs/heads/caf\u00e9"}, []Update{create("refs/heads/cafe\u0301")}, []ferry.RefName{"refs/heads/cafe\u0301"}},
		{"case beyond ASCII", []ferry.RefName{"refs/tags/STRASSE"}, []Update{create("refs/tags/straße")}, []ferry.RefName{"refs/tags/straße"}},
		{"two of one push", nil, []Update{create("refs/heads/x"), create("refs/heads/X")}, []ferry.RefName{"refs/heads/X"}},
		{"a tag is no branch", []ferry.RefName{"refs/tags/v1"}, []Update{create("refs/heads/V1")}, nil},
		{"the other one goes", []ferry.RefName{"refs/heads/Feature"}, []Update{remove("refs/heads/Feature"), create("refs/heads/feature")}, nil},
		{"an update of an old pair", []ferry.RefName{"refs/heads/a", "refs/heads/A"}, []Update{{RefUpdate: ferry.RefUpdate{Name: "refs/heads/a", Old: oid(1), New: oid(2)}}}, nil},
		{"different names", []ferry.RefName{"refs/heads/feature-1"}, []Update{create("refs/heads/feature")}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Push{Updates: tt.updates, Existing: tt.existing}
			v := Judge(t.Context(), p, Rules{RefuseSimilarNames: true}, nil, known)
			var got []ferry.RefName
			for _, f := range v.Refs {
				got = append(got, f.Name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || v.Refused != (len(tt.want) > 0) {
				t.Errorf("Judge refuses (-want +got), Refused = %t:\n%s", v.Refused, diff)
			}
			v = Judge(t.Context(), p, Rules{}, nil, known)
			if v.Refused || len(v.Notes) != len(tt.want) {
				t.Errorf("without the rule: Refused = %t, notes %q, want %d notes", v.Refused, v.Notes, len(tt.want))
			}
		})
	}
}

func TestNotes(t *testing.T) {
	p := push("main", "Notes added by 'git notes add'")
	p.Updates[0].Name, p.Commits[0].Refs[0] = "refs/notes/commits", "refs/notes/commits"
	if v := Judge(t.Context(), p, Rules{}, nil, known); !v.Refused || len(v.Refs) != 1 {
		t.Errorf("notes that are not allowed: %+v", v)
	}
	if v := Judge(t.Context(), p, Rules{AllowNotes: true, RequireKey: true}, nil, known); v.Refused || !v.Commits[0].Exempt {
		t.Errorf("notes that are allowed: %+v", v)
	}
}

// A commit on a tag is judged, but what goes to Jira are the commits of
// branches: the pusher must not be told otherwise.
func TestTagOnly(t *testing.T) {
	p := push("main", "DEMO-1 #comment hello", "tidy")
	p.Updates[0].Name = "refs/tags/v1"
	for i := range p.Commits {
		p.Commits[i].Refs[0] = "refs/tags/v1"
	}
	v := Judge(t.Context(), p, Rules{}, nil, known)
	if len(v.Keys) > 0 || len(v.Commits[0].Actions) > 0 {
		t.Errorf("keys %v, actions %v; want none of a commit on a tag only", v.Keys, v.Commits[0].Actions)
	}
	if lines := strings.Join(Feedback(v, FeedbackOptions{}), "\n"); !strings.Contains(lines, "on a tag only") || strings.Contains(lines, "will run") {
		t.Errorf("feedback:\n%s", lines)
	}
	if v := Judge(t.Context(), p, Rules{RequireKey: true}, nil, known); len(v.Faults()) != 1 || v.Faults()[0].OID != p.Commits[1].OID {
		t.Errorf("faults with a key required: %+v, want the second commit", v.Faults())
	}
	p.Commits[0].Refs = append(p.Commits[0].Refs, "refs/heads/main")
	if v := Judge(t.Context(), p, Rules{}, nil, known); len(v.Keys) != 1 || len(v.Commits[0].Actions) != 1 {
		t.Errorf("on a tag and a branch: keys %v, actions %v", v.Keys, v.Commits[0].Actions)
	}
}

// What the pusher may not know is neither called missing nor existing.
func TestUntold(t *testing.T) {
	p := push("main", "DEMO-1 one", "DEMO-404 two", "QQQ-9 three")
	v := Judge(t.Context(), p, Rules{}, states(map[ferry.IssueKey]IssueState{"DEMO-1": Untold, "DEMO-404": Untold, "QQQ-9": Missing}), known)
	if diff := cmp.Diff([]ferry.IssueKey{"DEMO-1", "DEMO-404"}, v.Keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]ferry.IssueKey{"QQQ-9"}, v.Missing); diff != "" || len(v.Unchecked) > 0 {
		t.Errorf("unchecked %v, missing (-want +got):\n%s", v.Unchecked, diff)
	}
	if len(v.Notes) != 1 || !strings.Contains(v.Notes[0], "issues of DEMO:") {
		t.Errorf("notes %q", v.Notes)
	}
}
