package jira_test

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	sandbox "gitferry/internal/sandbox/jira"
	"gitferry/internal/sandbox/jira/contract"

	"github.com/google/go-cmp/cmp"
)

// editions runs a test against the stand-in's faces, each request checked
// against the published descriptions.
func editions(t *testing.T, run func(t *testing.T, c *jira.Client, s *sandbox.Server)) {
	t.Helper()
	for _, name := range []string{"cloud", "cloud with a scoped token", "data center"} {
		t.Run(name, func(t *testing.T) {
			s := sandbox.New(sandbox.Config{})
			srv := httptest.NewServer(s.Handler())
			t.Cleanup(srv.Close)
			cr := s.Credentials()
			site := jira.Site{Kind: jira.Cloud, BaseURL: srv.URL, CloudID: cr.CloudID, DevinfoBase: srv.URL, Email: cr.Email,
				APIToken: ferry.NewSecret(cr.APIToken), ClientID: cr.ClientID, ClientSecret: ferry.NewSecret(cr.ClientSecret)}
			switch name {
			case "cloud with a scoped token":
				site.APIToken, site.Scoped = ferry.NewSecret(cr.ScopedAPIToken), true
			case "data center":
				site = jira.Site{Kind: jira.DataCenter, BaseURL: srv.URL + "/dc", PersonalAccessToken: ferry.NewSecret(cr.PersonalAccessToken)}
			}
			c, err := jira.New(site, jira.Options{Transport: contract.Transport(t, nil)})
			if err != nil {
				t.Fatal(err)
			}
			run(t, c, s)
		})
	}
}

type issueState struct {
	Status     string
	Resolution string
	Assignee   string
	Labels     []string
	Comments   []json.RawMessage
	Worklogs   []json.RawMessage
	Links      []json.RawMessage `json:"remote_links"`
}

func stateOf(t *testing.T, s *sandbox.Server, key string) issueState {
	t.Helper()
	var st struct{ Issues map[string]issueState }
	if err := json.Unmarshal(s.State(), &st); err != nil {
		t.Fatalf("%v in %.2000s", err, s.State())
	}
	return st.Issues[key]
}

func TestConnect(t *testing.T) {
	editions(t, func(t *testing.T, c *jira.Client, s *sandbox.Server) {
		p, err := c.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if p.Server.Kind != c.Kind() || p.HoursPerDay != 8 || p.DaysPerWeek != 5 || !p.TimeTracking || len(p.Missing) > 0 || p.Devinfo != nil {
			t.Errorf("Probe() = %+v", p)
		}
		if c.Kind() == jira.Cloud && p.CloudID != s.Credentials().CloudID {
			t.Errorf("cloud id = %q, want %q", p.CloudID, s.Credentials().CloudID)
		}
		projects, err := c.Projects(t.Context())
		if diff := cmp.Diff([]string{"DEMO", "OPS"}, projects); err != nil || diff != "" {
			t.Errorf("Projects: %v, (-want +got):\n%s", err, diff)
		}
		found, err := c.Issues(t.Context(), []ferry.IssueKey{"DEMO-1", "NOPE-1", "OPS-20", "OPS-21", "DEMO-1"})
		if err != nil || len(found) != 2 || found["OPS-20"].Status.Name != "To Do" || found["DEMO-1"].Project != "DEMO" {
			t.Errorf("Issues = %+v, %v", found, err)
		}
		bad := c.As("gitferry@example.com", ferry.NewSecret("wrong"))
		_, err = bad.Myself(t.Context())
		var e *jira.Error
		if !errors.As(err, &e) || e.Class != jira.Credentials {
			t.Errorf("Myself with a wrong token: %v, want class credentials", err)
		}
	})
}

func TestCommands(t *testing.T) {
	editions(t, func(t *testing.T, c *jira.Client, s *sandbox.Server) {
		ctx, key := t.Context(), ferry.IssueKey("DEMO-3")
		sent := time.Now()
		text := jira.Text{{Text: "Jane Roe in commit "}, {Text: "1a2b3c4", Link: "https://git.example/us-east-1/demo/commit/1a2b3c4"}, {Text: "\n*bold* [~admin] \"x\""}}
		m := jira.Marker{ID: "sc1-abc", Commit: "1a2b3c4"}
		none, err := c.FindComment(ctx, key, text, m, sent)
		if err != nil || none != "" {
			t.Fatalf("FindComment before = %q, %v", none, err)
		}
		id, err := c.AddComment(ctx, key, text, m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.AddComment(ctx, key, jira.Text{{Text: "other"}}, jira.Marker{ID: "sc1-other"}); err != nil {
			t.Fatal(err)
		}
		if got, err := c.FindComment(ctx, key, text, m, sent); got != id || err != nil {
			t.Errorf("FindComment = %q, %v, want %q", got, err, id)
		}

		w := jira.Worklog{Seconds: 5400, Started: sent.Add(-time.Hour).Truncate(time.Millisecond), Text: jira.Text{{Text: "work_1"}}, Marker: m}
		if got, err := c.FindWorklog(ctx, key, w); got != "" || err != nil {
			t.Errorf("FindWorklog before = %q, %v", got, err)
		}
		if id, err = c.AddWorklog(ctx, key, w); err != nil {
			t.Fatal(err)
		}
		if got, err := c.FindWorklog(ctx, key, w); got != id || err != nil {
			t.Errorf("FindWorklog = %q, %v, want %q", got, err, id)
		}

		open, err := c.Transitions(ctx, key)
		if err != nil || len(open) != 1 || open[0].Name != "Start Progress" || open[0].To.Name != "In Progress" {
			t.Fatalf("Transitions = %+v, %v", open, err)
		}
		cause := jira.Cause{Commit: "1a2b3c4", URL: "https://git.example/c", Person: "Jane Roe", Email: "jane@example.com", Activity: "Jane Roe in commit 1a2b3c4"}
		for _, step := range []string{"11", "31"} {
			if err := c.DoTransition(ctx, key, step, "", m, cause); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := c.IssueMarker(ctx, key); got != m || err != nil {
			t.Errorf("IssueMarker = %+v, %v, want %+v", got, err, m)
		}
		if open, err = c.Transitions(ctx, key); err != nil {
			t.Fatal(err)
		}
		for _, o := range open {
			if want := o.Name == "Decline"; want != (len(o.Required) == 1 && len(o.Resolutions) == 3) {
				t.Errorf("%s demands %v of %v", o.Name, o.Required, o.Resolutions)
			}
		}
		var e *jira.Error
		if err := c.DoTransition(ctx, key, "61", "", m, cause); !errors.As(err, &e) || e.Class != jira.Permanent {
			t.Errorf("declining without resolution: %v, want class permanent", err)
		}
		if err := c.DoTransition(ctx, key, "61", "Duplicate", m, cause); err != nil {
			t.Error(err)
		}

		alice, err := c.FindUser(ctx, "alice@example.com", key.Project())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Assign(ctx, key, alice); err != nil {
			t.Error(err)
		}
		if _, err := c.FindUser(ctx, "nobody@example.com", key.Project()); !errors.Is(err, ferry.ErrNotFound) {
			t.Errorf("FindUser of nobody: %v", err)
		}
		for range 2 {
			if err := c.Edit(ctx, key, jira.Edit{Labels: []string{"a", "b"}, Fix: []string{"1.1"}, Affected: []string{"1.0"}}, cause); err != nil {
				t.Error(err)
			}
			if err := c.PutRemoteLink(ctx, key, jira.RemoteLink{GlobalID: "gitferry:1", URL: "https://git.example/c", Title: "1a2b3c4 fix", Relationship: "commits"}); err != nil {
				t.Error(err)
			}
		}
		if vs, err := c.Versions(ctx, "DEMO"); err != nil || len(vs) != 3 {
			t.Errorf("Versions = %v, %v", vs, err)
		}
		st := stateOf(t, s, "DEMO-3")
		if len(st.Comments) != 2 || len(st.Worklogs) != 1 || len(st.Links) != 1 || st.Status != "Done" || st.Assignee != "alice" || len(st.Labels) != 2 {
			t.Errorf("DEMO-3 is %+v", st)
		}
		for range 2 {
			if err := c.DeleteRemoteLink(ctx, key, "gitferry:1"); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestDevelopmentInformation(t *testing.T) {
	editions(t, func(t *testing.T, c *jira.Client, s *sandbox.Server) {
		ctx := t.Context()
		commit := jira.DevCommit{ID: "1a2b3c4d5e1a2b3c4d5e1a2b3c4d5e1a2b3c4d5e", DisplayID: "1a2b3c4", Sequence: 7, Keys: []ferry.IssueKey{"DEMO-1"},
			Message: "DEMO-1 x", Author: jira.DevAuthor{Name: "Jane", Email: "jane@example.com"}, URL: "https://git.example/c", FileCount: 1,
			Files:    []jira.DevFile{{Path: "a b.go", URL: "https://git.example/c#a", Change: "ADDED", Added: 1}},
			Authored: jira.DevTime{Time: time.Now()}, Flags: []string{jira.MergeCommit}}
		branch := jira.DevBranch{ID: jira.EntityID("feature/DEMO-1"), Name: "feature/DEMO-1", Sequence: 8, Keys: []ferry.IssueKey{"NOPE-1"}, URL: "https://git.example/b", Tip: commit}
		pull := jira.DevPullRequest{ID: "7", DisplayID: "#7", Sequence: 9, Keys: []ferry.IssueKey{"DEMO-2"}, Status: "OPEN", Title: "t", Source: "feature/DEMO-1",
			Updated: jira.DevTime{Time: time.Now()}, URL: "https://git.example/p"}
		sub := jira.Submission{Repositories: []jira.DevRepository{{ID: "r-1", Name: "us-east-1/demo", URL: "https://git.example", Sequence: 9,
			Commits: []jira.DevCommit{commit}, Branches: []jira.DevBranch{branch}, PullRequests: []jira.DevPullRequest{pull}}},
			Properties: map[string]string{"instance": "x"}}
		got, err := c.Submit(ctx, sub)
		if c.Kind() == jira.DataCenter {
			if err == nil {
				t.Error("Submit to Data Center succeeded")
			}
			return
		}
		if err != nil || len(got.Failed) > 0 || !got.Unknown["NOPE-1"] {
			t.Fatalf("Submit = %+v, %v", got, err)
		}
		stored, err := c.ReadRepository(ctx, "r-1")
		if err != nil || len(stored.Commits) != 1 || len(stored.PullRequests) != 1 {
			t.Errorf("ReadRepository = %+v, %v", stored, err)
		}
		if err := c.DeleteEntity(ctx, jira.EntityRef{Repository: "r-1", Kind: jira.PullRequestEntity, ID: "7"}, 9); err != nil {
			t.Error(err)
		}
		if stored, err = c.ReadRepository(ctx, "r-1"); err != nil || len(stored.PullRequests) != 0 {
			t.Errorf("ReadRepository after DeleteEntity = %+v, %v", stored, err)
		}
		if err := c.DeleteRepository(ctx, "r-1", 100); err != nil {
			t.Error(err)
		}
		var e *jira.Error
		if stored, err = c.ReadRepository(ctx, "r-1"); !errors.As(err, &e) || e.Class != jira.NotFound {
			t.Errorf("ReadRepository after DeleteRepository = %+v, %v", stored, err)
		}
	})
}

func TestSearchIssues(t *testing.T) {
	editions(t, func(t *testing.T, c *jira.Client, s *sandbox.Server) {
		issue, err := c.Issue(t.Context(), "DEMO-3")
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(issue.Summary)
		for _, tt := range []struct {
			text string
			max  int
			want ferry.IssueKey // among the hits; none: no hit at all
		}{
			{"demo-3", 5, "DEMO-3"},
			{"DEMO-999", 5, ""},
			{strings.ToUpper(words[0]), 20, "DEMO-3"},
			{words[0][:2] + " " + words[len(words)-1], 20, "DEMO-3"},
			{"demo", 20, "DEMO-3"},
			{`x" OR key = DEMO-3 OR summary ~ "`, 20, ""},
			{"  ", 5, ""},
			{"NOSUCHPROJECT", 5, ""},
		} {
			found, err := c.SearchIssues(t.Context(), tt.text, tt.max)
			if err != nil {
				t.Errorf("SearchIssues(%q): %v", tt.text, err)
			}
			has := slices.ContainsFunc(found, func(i jira.Issue) bool { return i.Key == tt.want && i.Summary == issue.Summary })
			if has != (tt.want != "") || tt.want == "" && len(found) > 0 || len(found) > tt.max {
				t.Errorf("SearchIssues(%q, %d) = %v, want %q in it", tt.text, tt.max, found, tt.want)
			}
		}
	})
}

func TestPermissions(t *testing.T) {
	editions(t, func(t *testing.T, c *jira.Client, s *sandbox.Server) {
		got, err := c.Permissions(t.Context(), "DEMO-1")
		want := map[string]bool{jira.PermissionBrowse: true, jira.PermissionDevTools: true, jira.PermissionAdminister: false}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Permissions: %v (-want +got):\n%s", err, diff)
		}
		var e *jira.Error
		if _, err := c.Permissions(t.Context(), "DEMO-999"); !errors.As(err, &e) || e.Class != jira.NotFound {
			t.Errorf("Permissions of no issue: %v, want class not found", err)
		}
	})
}
