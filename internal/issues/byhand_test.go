package issues

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// What Jira says to a person's own token decides, for a minute; what was said
// counts on while Jira is away; without a token the repositories decide.
func TestRights(t *testing.T) {
	var asked atomic.Int32
	var away atomic.Bool
	l, credentials := lookupVia(t, func(site http.Handler, w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/mypermissions") {
			asked.Add(1)
			switch key := r.URL.Query().Get("issueKey"); {
			case away.Load():
				http.Error(w, "{}", http.StatusBadGateway)
				return
			case key == "OPS-2":
				http.Error(w, "{}", http.StatusNotFound)
				return
			case key == "OPS-3":
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"permissions":{"BROWSE_PROJECTS":{"havePermission":true},"VIEW_DEV_TOOLS":{"havePermission":false}}}`))
				return
			}
		}
		site.ServeHTTP(w, r)
	}, func() {})
	ctx := t.Context()
	bob, err := l.Store.AddUser(ctx, ferry.User{Name: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	subject := ferry.Subject{User: bob}
	sees := func(key ferry.IssueKey) [2]bool {
		a, b := l.Hides(ctx, subject, key)
		return [2]bool{!a, !b}
	}
	yes, no := [2]bool{true, true}, [2]bool{}
	if got := sees("OPS-2"); got != yes || asked.Load() != 0 {
		t.Errorf("without a token: %v, Jira was asked %d times", got, asked.Load())
	}
	if err := l.Store.SetJiraToken(ctx, bob.ID, ferry.NewSecret(credentials.People["bob"].PersonalAccessToken), ""); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[ferry.IssueKey][2]bool{"DEMO-1": yes, "OPS-2": no, "OPS-3": {true, false}, "DEMO": yes, "NOPE": no} {
		if got := sees(key); got != want {
			t.Errorf("%s with a token: %v, want %v", key, got, want)
		}
	}
	before := asked.Load()
	away.Store(true)
	if got := sees("OPS-2"); got != no || asked.Load() != before {
		t.Errorf("within a minute: %v, asked %d times more", got, asked.Load()-before)
	}
	l.mu.Lock()
	for k, h := range l.rights {
		h.at = h.at.Add(-2 * rightFor)
		l.rights[k] = h
	}
	l.mu.Unlock()
	if got := sees("OPS-2"); got != no || asked.Load() == before {
		t.Errorf("while Jira is away: %v, asked %d times more", got, asked.Load()-before)
	}
	if got := l.Right(ctx, bob.ID, "DEMO-7"); got != (Right{}) {
		t.Errorf("never asked, and Jira is away: %+v", got)
	}
	if l.Knows(ctx, subject, "OPS-2") || !l.Knows(ctx, subject, "DEMO-1") {
		t.Error("Knows differs from what Jira said to the token")
	}
	stranger, err := l.Store.AddUser(ctx, ferry.User{Name: "stranger", Email: "s@elsewhere.example"})
	if err != nil {
		t.Fatal(err)
	}
	alice := ferry.User{ID: 77, Name: "alice", Aliases: []string{"alice@example.com"}}
	for _, tt := range []struct {
		user ferry.User
		want bool
	}{{stranger, false}, {alice, true}} {
		if got := l.Knows(ctx, ferry.Subject{User: tt.user}, "DEMO-9"); got != tt.want {
			t.Errorf("%s, without a token, knows of DEMO-9: %v, want %v", tt.user.Name, got, tt.want)
		}
		hits, err := l.Search(ctx, ferry.Subject{User: tt.user}, "demo-9", 5)
		if err != nil || (len(hits) == 1) != tt.want {
			t.Errorf("%s finds %v, %v", tt.user.Name, hits, err)
		}
	}
	subject.User.Admin = true
	if got := sees("OPS-2"); got != yes {
		t.Errorf("an administrator: %v", got)
	}
}

func TestAssociate(t *testing.T) {
	l, credentials := lookupVia(t, func(site http.Handler, w http.ResponseWriter, r *http.Request) { site.ServeHTTP(w, r) }, func() {})
	ctx := t.Context()
	queued := 0
	l.Queued = func() { queued++ }
	st := l.Store
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	i, err := st.AddIntegration(ctx, ferry.Integration{Slug: "us-east-1", Kind: ferry.KindCodeCommit, Region: "us-east-1"}, ferry.Credentials{})
	must(err)
	repo, err := st.AddRepository(ctx, ferry.Repository{IntegrationID: i.ID, Name: "demo", CloneURL: "https://upstream.example/demo"})
	must(err)
	oid := ferry.OID{1}
	_, err = st.Apply(ctx, store.Change{Repository: repo.ID, Updates: []ferry.RefUpdate{{Name: "refs/heads/main", New: oid}},
		Commits: []store.Commit{{OID: oid, Author: store.Person{Name: "Ann", Email: "Ann@Example.com"}, CommittedAt: time.Now(), Message: "x"}}})
	must(err)
	people := make(map[string]ferry.Subject)
	for name, level := range map[string]ferry.Level{"ann": ferry.LevelRead, "reader": ferry.LevelRead, "writer": ferry.LevelWrite, "owner": ferry.LevelAdmin, "none": ferry.LevelNone, "chief": ferry.LevelRead} {
		u, err := st.AddUser(ctx, ferry.User{Name: name, Email: name + "@example.com"})
		must(err)
		people[name] = ferry.Subject{User: u, Grants: []ferry.Grant{{User: u.ID, Glob: "**", Level: level}}}
	}
	narrow := people["ann"]
	narrow.Scopes = []ferry.Scope{ferry.ScopeRepoRead, ferry.ScopeAPIRead}
	people["ann reading"] = narrow
	must(st.SetJiraToken(ctx, people["chief"].User.ID, ferry.NewSecret(credentials.People["root"].PersonalAccessToken), ""))
	commit, branch := store.Object{Kind: store.EntityCommit, ID: oid.String()}, store.Object{Kind: store.EntityBranch, ID: "refs/heads/main"}
	for _, tt := range []struct {
		who    string
		object store.Object
		key    ferry.IssueKey
		want   error // nil: allowed
	}{
		{"ann", commit, "DEMO-1", nil},
		{"ann", branch, "DEMO-1", ferry.ErrDenied},
		{"ann reading", commit, "DEMO-2", ferry.ErrDenied},
		{"reader", commit, "DEMO-2", ferry.ErrDenied},
		{"reader", branch, "DEMO-2", ferry.ErrDenied},
		{"writer", commit, "DEMO-2", ferry.ErrDenied},
		{"writer", branch, "DEMO-2", nil},
		{"owner", commit, "DEMO-2", nil},
		{"chief", commit, "DEMO-3", nil},
		{"none", commit, "DEMO-2", ferry.ErrNotFound},
		{"owner", commit, "DEMO-999", ferry.ErrInvalid},
		{"owner", store.Object{Kind: store.EntityBranch, ID: "refs/heads/none"}, "DEMO-1", ferry.ErrNotFound},
	} {
		before := queued
		changed, err := l.Associate(ctx, people[tt.who], repo, tt.object, []ferry.IssueKey{tt.key}, nil)
		if !errors.Is(err, tt.want) || changed != (tt.want == nil) || (queued > before) != changed {
			t.Errorf("%s adds %s to a %s: changed %v, %v; want %v", tt.who, tt.key, tt.object.Kind, changed, err, tt.want)
		}
	}
	for who, want := range map[string]bool{"ann": true, "reader": false, "owner": true, "chief": true, "none": false} {
		if got := l.MayAssociate(ctx, people[who], repo, commit); got != want {
			t.Errorf("MayAssociate as %s = %v, want %v", who, got, want)
		}
	}
	if _, err := l.Associate(ctx, people["ann"], repo, commit, nil, []ferry.IssueKey{"DEMO-3"}); err != nil {
		t.Error(err)
	}
	got, err := st.CommitByOID(ctx, repo.ID, oid)
	must(err)
	want := []store.Link{{Key: "DEMO-1", Reason: store.ReasonManual}, {Key: "DEMO-2", Reason: store.ReasonManual}}
	if diff := cmp.Diff(want, got.Links); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	if hits, err := l.Search(ctx, people["chief"], "demo-3", 5); err != nil || len(hits) != 1 || hits[0].Summary == "" {
		t.Errorf("Search: %+v, %v", hits, err)
	}
}
