package pulls

import (
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

func TestCreatePull(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	check(t, w.store.SetJiraSite(ctx, store.JiraSite{Kind: "cloud", URL: "https://jira.example", Processor: "off"}))
	w.commit("DEMO-1-topic", "x", "a")
	n := NewPull{Repository: w.repo, Source: "DEMO-1-topic", Target: "main", Issue: "DEMO-1", Description: "why\n", Token: "t1"}
	got, err := w.host.CreatePull(ctx, w.alice, n)
	check(t, err)
	want := Pull{Number: 1, Title: "DEMO-1: Merge DEMO-1-topic to main", Source: "DEMO-1-topic", Target: "main", Warnings: []string{},
		URL: "https://us-east-1.console.aws.amazon.com/codesuite/codecommit/repositories/demo/pull-requests/1/details?region=us-east-1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("CreatePull (-want +got):\n%s", diff)
	}
	p := w.pulls()
	if len(p) != 1 || p[0].Description != "why\n\nMade from DEMO-1: https://jira.example/browse/DEMO-1" || p[0].Status != "open" {
		t.Errorf("the books have %+v", p)
	}
	if again, err := w.host.CreatePull(ctx, w.alice, n); err != nil || cmp.Diff(got, again) != "" {
		t.Errorf("a repeat of the dialog = %v, %v; want the same", again, err)
	}
	n.Token, n.Title = "t2", "no key"
	if other, err := w.host.CreatePull(ctx, w.alice, n); err != nil || !other.Existing || other.Number != 1 {
		t.Errorf("another of the same branches = %+v, %v; want the open one", other, err)
	}
	for about, c := range map[string]struct {
		change func(*NewPull)
		kind   error
		text   string
	}{
		"one branch":          {func(n *NewPull) { n.Target = n.Source }, ferry.ErrInvalid, "choose two"},
		"nothing to merge":    {func(n *NewPull) { n.Source, n.Target = "main", "DEMO-1-topic" }, ferry.ErrInvalid, "nothing to merge"},
		"a branch that is no": {func(n *NewPull) { n.Source = "gone" }, ferry.ErrNotFound, "gone"},
		"a long title":        {func(n *NewPull) { n.Title = strings.Repeat("ä", 151) }, ferry.ErrInvalid, "150"},
		"a long description":  {func(n *NewPull) { n.Description = strings.Repeat("x", 10_200) }, ferry.ErrInvalid, "10240"},
	} {
		n := NewPull{Repository: w.repo, Source: "DEMO-1-topic", Target: "main", Issue: "DEMO-1"}
		c.change(&n)
		_, err := w.host.CreatePull(ctx, w.alice, n)
		wantError(t, about, err, c.kind, c.text)
	}
	w.commit("plain", "y", "b")
	p2, err := w.host.CreatePull(ctx, w.alice, NewPull{Repository: w.repo, Source: "plain", Target: "main", Issue: "DEMO-1", Title: "no key"})
	if err != nil || len(p2.Warnings) != 1 {
		t.Errorf("without a key = %+v, %v; want a warning", p2, err)
	}
}

// An answer that is lost, and a dialog sent again, make one pull request.
func TestCreatePullLostAnswer(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.commit("topic", "x", "a")
	n := NewPull{Repository: w.repo, Source: "topic", Target: "main", Token: "t1"}
	w.control("PUT", "faults", `[{"operation":"CreatePullRequest","drop":"after"}]`)
	if _, err := w.host.CreatePull(ctx, w.alice, n); !errors.Is(err, ferry.ErrUnavailable) {
		t.Fatalf("CreatePull = %v, want unavailable", err)
	}
	w.control("PUT", "faults", `[]`)
	p, err := w.host.CreatePull(ctx, w.alice, n)
	if err != nil || p.Number != 1 || p.Existing {
		t.Errorf("again = %+v, %v; want number 1", p, err)
	}
	if n := len(w.pulls()); n != 1 {
		t.Errorf("%d pull requests, want 1", n)
	}
}

func TestPullTitle(t *testing.T) {
	if got, want := PullTitle("TEST-1", "TEST-1-improve-letterbox-and-rendering", "master"), "TEST-1: Merge TEST-1-improve-letterbox-and-rendering to master"; got != want {
		t.Errorf("PullTitle = %q, want %q", got, want)
	}
	long := strings.Repeat("ü", 200)
	for _, c := range [][2]string{{long, "main"}, {"main", long}, {long, long}} {
		got := PullTitle("TEST-1", c[0], c[1])
		if n := utf8.RuneCountInString(got); n > MaxTitle || n < MaxTitle-1 || !strings.HasPrefix(got, "TEST-1: Merge ") || !strings.Contains(got, "…") {
			t.Errorf("PullTitle(%.5s, %.5s) = %q of %d characters", c[0], c[1], got, n)
		}
	}
}

func TestPreview(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	base := w.work.OID("main")
	tip := w.commit("topic", "DEMO-1 on topic", "README")
	main := w.commit("main", "on main", "README")
	w.work.Run("checkout", "--quiet", "-b", "clean", base.String())
	w.work.Commit("clean", "other", "x")
	w.work.Run("push", "--quiet", "origin", "clean")
	_, err := w.host.Mirror.Refresh(ctx, w.repo, 0)
	check(t, err)
	p, err := w.host.Preview(ctx, w.repo, "topic", "main")
	check(t, err)
	if p.Ahead != 1 || p.Behind != 1 || p.MergeBase != base || p.SourceOID != tip || p.TargetOID != main || p.Mergeable() {
		t.Errorf("Preview = %+v", p)
	}
	if len(p.Commits) != 1 || p.Commits[0].OID != tip || len(p.Files) != 1 || p.Files[0].Path != "README" || p.FileCount != 1 {
		t.Errorf("commits %v, files %v", p.Commits, p.Files)
	}
	if diff := cmp.Diff([]string{"README"}, p.Conflicts); diff != "" {
		t.Errorf("conflicts (-want +got):\n%s", diff)
	}
	if p, err := w.host.Preview(ctx, w.repo, "clean", "main"); err != nil || !p.Mergeable() {
		t.Errorf("a clean merge = %+v, %v", p, err)
	}
	_, err = w.host.Preview(ctx, w.repo, "nope", "main")
	wantError(t, "no such branch", err, ferry.ErrNotFound, "nope")
}

func TestForms(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	f, err := w.host.BranchForm(ctx, w.alice, "DEMO-1", 0, "")
	check(t, err)
	if f.Repository.ID != w.repo.ID || f.Source != "main" || f.Name != "DEMO-1-improve-letterbox-and-rendering" || f.Credential != CredentialOptional || f.Token == "" {
		t.Errorf("BranchForm = %+v", f)
	}
	if f, err := w.host.PullForm(ctx, w.alice, "DEMO-1", 0, "", ""); err != nil || f.Repository.ID != 0 || f.Repositories[0].Why == "" {
		t.Errorf("PullForm with one branch = %+v, %v; want a reason", f, err)
	}
	w.commit("DEMO-1-a", "x", "a")
	w.commit("dev", "y", "b")
	_, err = w.host.Mirror.Refresh(ctx, w.repo, 0)
	check(t, err)
	check(t, w.index(ctx, w.repo))
	check(t, w.host.SetDefaultRepository(ctx, w.alice.Subject.User.ID, "DEMO", w.repo.ID))
	check(t, w.host.SetDefaultBranches(ctx, w.alice.Subject.User.ID, w.repo.ID, "DEMO", "dev", "dev"))
	check(t, w.store.SetSetting(ctx, SettingTemplate, Template{Text: "${issuetype}/${issuekey}"}))
	f, err = w.host.BranchForm(ctx, w.alice, "DEMO-1", 0, "")
	check(t, err)
	if !f.Repositories[0].Default || f.Source != "dev" || !f.DefaultSource || f.Name != "newfeature/DEMO-1" {
		t.Errorf("BranchForm with defaults = %+v", f)
	}
	if diff := cmp.Diff([]string{"main", "DEMO-1-a", "dev"}, f.Branches); diff != "" {
		t.Errorf("branches (-want +got):\n%s", diff)
	}
	f, err = w.host.PullForm(ctx, w.alice, "DEMO-1", 0, "", "")
	check(t, err)
	if f.Source != "DEMO-1-a" || f.Target != "dev" || f.Title != "DEMO-1: Merge DEMO-1-a to dev" {
		t.Errorf("PullForm = %+v", f)
	}
	w.host.Issue = func(context.Context, ferry.IssueKey) (string, string, error) { return "", "", ferry.ErrUnavailable }
	check(t, w.store.SetSetting(ctx, SettingTemplate, Template{}))
	if f, err := w.host.BranchForm(ctx, w.alice, "DEMO-1", 0, "main"); err != nil || f.Name != "DEMO-1" {
		t.Errorf("BranchForm without Jira = %+v, %v", f, err)
	}
}
