package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

func TestJiraSite(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	_, err := s.JiraSite(ctx)
	wantErr(t, "no site", err, ferry.ErrNotFound)
	wantErr(t, "no site to check", s.SetJiraProblem(ctx, "x"), ferry.ErrNotFound)
	j := JiraSite{
		Kind: "cloud", URL: "https://x.atlassian.net", Email: "a@x.org", ClientID: "id", DevinfoURL: "https://api.atlassian.com",
		TokenURL: "https://api.atlassian.com/oauth/token", CloudID: "cid", APIToken: ferry.NewSecret("at"), ClientSecret: ferry.NewSecret("cs"),
		HoursPerDay: 7.5, DaysPerWeek: 5, Processor: "gitferry",
	}
	check(t, s.SetJiraSite(ctx, j))
	equal := cmp.Comparer(func(a, b ferry.Secret) bool { return a.Reveal() == b.Reveal() })
	if diff := cmp.Diff(j, must(s.JiraSite(ctx))(t), equal); diff != "" {
		t.Errorf("stored: %s", diff)
	}
	kept := j
	kept.APIToken, kept.ClientSecret, kept.Email = ferry.NewSecret("new"), ferry.Secret{}, "b@x.org"
	check(t, s.SetJiraSite(ctx, kept))
	if got := must(s.JiraSite(ctx))(t); got.APIToken.Reveal() != "new" || got.ClientSecret.Reveal() != "cs" || got.Email != "b@x.org" {
		t.Errorf("after a change without the secret: %q %q", got.APIToken.Reveal(), got.ClientSecret.Reveal())
	}
	for name, change := range map[string]func(*JiraSite){
		"site":          func(j *JiraSite) { j.URL = "https://y.atlassian.net" },
		"token address": func(j *JiraSite) { j.TokenURL = "https://evil.example.com/oauth/token" },
		"API address":   func(j *JiraSite) { j.DevinfoURL = "http://api.atlassian.com" },
	} {
		check(t, s.SetJiraSite(ctx, j))
		moved := j
		moved.APIToken, moved.ClientSecret = ferry.Secret{}, ferry.Secret{}
		change(&moved)
		check(t, s.SetJiraSite(ctx, moved))
		if got := must(s.JiraSite(ctx))(t); !got.APIToken.IsZero() || !got.ClientSecret.IsZero() {
			t.Errorf("%s moved: the secrets went along", name)
		}
	}
	check(t, s.SetJiraProblem(ctx, "401"))
	if got := must(s.JiraSite(ctx))(t); got.Problem != "401" || !got.CheckedAt.Equal(c.t) {
		t.Errorf("problem %q at %v", got.Problem, got.CheckedAt)
	}
	j.Processor = "both"
	wantErr(t, "two processors", s.SetJiraSite(ctx, j), ferry.ErrInvalid)
	check(t, s.RemoveJiraSite(ctx))
	_, err = s.JiraSite(ctx)
	wantErr(t, "removed", err, ferry.ErrNotFound)
}

func TestIssueCache(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	issues := []Issue{{Key: "A-1", Exists: true, Summary: "s", Status: "Done"}, {Key: "A-2"}, {Key: "A-3", Exists: true, MovedTo: "B-1"}}
	check(t, s.PutIssues(ctx, issues))
	c.advance(time.Minute)
	check(t, s.PutIssues(ctx, []Issue{{Key: "A-2", Exists: true}}))
	got := must(s.IssuesCached(ctx, []ferry.IssueKey{"A-1", "A-2", "A-9"}, time.Hour))(t)
	want := map[ferry.IssueKey]Issue{
		"A-1": {Key: "A-1", Exists: true, Summary: "s", Status: "Done", CheckedAt: c.t.Add(-time.Minute)},
		"A-2": {Key: "A-2", Exists: true, CheckedAt: c.t},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cached: %s", diff)
	}
	if got := must(s.IssuesCached(ctx, []ferry.IssueKey{"A-1", "A-2"}, time.Second))(t); len(got) != 1 {
		t.Errorf("%d issues of the last second, want 1", len(got))
	}
	c.advance(-time.Hour)
	if got := must(s.IssuesCached(ctx, []ferry.IssueKey{"A-1", "A-2"}, time.Hour))(t); len(got) != 0 {
		t.Errorf("%d issues from the future", len(got))
	}
}

func TestProjects(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	if _, known, _, err := s.Projects(ctx); known || err != nil {
		t.Errorf("projects known at first: %v, %v", known, err)
	}
	check(t, s.PutProjects(ctx, []string{"OPS", "DEMO", "OPS"}))
	check(t, s.PutProjects(ctx, []string{"DEMO", "A"}))
	keys, known, listed, err := s.Projects(ctx)
	if err != nil || !known || !listed.Equal(c.t) || !cmp.Equal(keys, []string{"A", "DEMO"}) {
		t.Errorf("Projects() = %v, %v, %v, %v", keys, known, listed, err)
	}
}
