package web

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/gittest"
	"gitferry/internal/store"
)

// A view is a page as somebody meets it: an address, or the answer to a form.
// Its number is that of the list of pages to be looked at (web-ui.md, 15.1);
// from 30 on stands what is not in that list.
type view struct {
	name, path string
	form       []string // sent to path instead of asking for it
	as         string   // who looks, empty: root
	before     func()   // changes the world first
}

// pageless are the routes that answer with no page of their own.
var pageless = map[string]string{
	"/admin":                          "leads to the integrations",
	"/search":                         "leads to what was searched for",
	"/:owner/:name/raw/*":             "a file as it is",
	"/admin/repositories/:id/log.txt": "text",
	"/search/issues":                  "suggestions while somebody types",
	"/login/oidc":                     "leads to the identity provider",
	"/login/oidc/callback":            "leads back from it",
	"/admin/audit.csv":                "a table for programs",
}

// views are all pages in the world that busy makes.
func (w *world) views(work *gittest.Repo) []view {
	commit := func(rev string) string { return "/us-east-1/demo/commit/" + work.OID(rev).String() }
	changed := work.OID("DEMO-1-letterbox~1").String()
	aws := []string{"step", "2", "region", "us-east-1", "access_key_id", w.aws.Credentials().AccessKeyID, "secret_access_key", "wrong", "git_auth", "sigv4",
		"api_endpoint", w.awsURL, "sns_endpoint", w.awsURL, "git_endpoint", w.awsURL, "private_network", "1"}
	return []view{
		{name: "03-home", path: "/"},
		{name: "03-home-reader", path: "/", as: "alice"},
		{name: "04-integrations", path: "/admin/integrations"},
		{name: "05-wizard1", path: "/admin/integrations/new"},
		{name: "05-wizard2", path: "/admin/integrations/new/codecommit"},
		{name: "05-wizard2-error", path: "/admin/integrations/new/codecommit", form: aws},
		{name: "05-wizard3", path: "/admin/integrations/1/select"},
		{name: "05-repositories", path: "/admin/integrations/1/repositories"},
		{name: "06-permissions", path: "/admin/integrations/1/connection"},
		{name: "06-permissions-git", path: "/admin/integrations/2/connection"},
		{name: "06-features", path: "/admin/integrations/1/features"},
		{name: "07-log", path: "/admin/integrations/1/log"},
		{name: "07-log-repository", path: "/admin/repositories/1/log"},
		{name: "08-repositories", path: "/admin/repositories"},
		{name: "08-repositories-filter", path: "/admin/repositories?status=ERROR&q=x"},
		{name: "08-repository", path: "/admin/repositories/1"},
		{name: "09-repos", path: "/repos"},
		{name: "09-repo", path: "/us-east-1/demo"},
		{name: "09-repo-directory", path: "/us-east-1/demo/tree/main/docs"},
		{name: "09-empty", path: "/us-east-1/empty"},
		{name: "09-file", path: "/us-east-1/demo/blob/main/main.go"},
		{name: "10-commits", path: "/us-east-1/demo/commits"},
		{name: "10-commits-unlinked", path: "/us-east-1/demo/commits?branch=main&filter=unlinked"},
		{name: "10-commits-file", path: "/us-east-1/demo/commits/main/main.go"},
		{name: "11-compare", path: "/us-east-1/demo/compare"},
		{name: "11-compare-summary", path: "/us-east-1/demo/compare/main...DEMO-1-letterbox"},
		{name: "11-compare-issues", path: "/us-east-1/demo/compare/main...DEMO-1-letterbox?view=issues"},
		{name: "11-compare-commits", path: "/us-east-1/demo/compare/main...DEMO-1-letterbox?view=commits"},
		{name: "11-compare-diff", path: "/us-east-1/demo/compare/main...DEMO-1-letterbox?view=diff"},
		{name: "11-compare-nothing", path: "/us-east-1/demo/compare/main...side"},
		{name: "12-commit", path: commit("DEMO-1-letterbox~1")},
		{name: "12-commit-rename", path: commit("main~1")},
		{name: "12-commit-merge", path: commit("main~3")},
		{name: "12-commit-large", path: commit("large")},
		{name: "13-issue", path: "/issues/DEMO-1"},
		{name: "13-issue-none", path: "/issues/DEMO-19"},
		{name: "13-issue-unknown", path: "/issues/DEMO-999"},
		{name: "13-issue-rollup", path: "/issues/DEMO-1?tab=rollup"},
		{name: "13-issue-delivery", path: "/issues/DEMO-1?tab=delivery"},
		{name: "14-create-branch", path: "/issues/DEMO-4/branches/new"},
		{name: "14-create-branch-invalid", path: "/issues/DEMO-4/branches/new", form: []string{"repo", "1", "source", "main", "name", "DEMO-4..x", "token", "t", "do", "create"}},
		{name: "15-create-pull", path: "/issues/DEMO-1/pulls/new?repo=1&source=DEMO-1-letterbox&target=main"},
		{name: "15-create-pull-nothing", path: "/issues/DEMO-1/pulls/new?repo=1&source=side&target=main"},
		{name: "15-create-pull-existing", path: "/issues/DEMO-1/pulls/new?repo=1&source=second&target=main"},
		{name: "16-delete-branch", path: "/us-east-1/demo/branches/delete?name=DEMO-1-letterbox"},
		{name: "16-delete-branch-issue", path: "/issues/DEMO-1/branches/delete?repo=1&name=DEMO-1-letterbox"},
		{name: "17-settings", path: "/settings"},
		{name: "17-settings-token", path: "/settings", form: []string{"do", "token", "name", "laptop", "scope", "repo:read", "days", "30"}},
		{name: "18-general", path: "/admin/settings"},
		{name: "19-smart", path: "/admin/smart-commits"},
		{name: "20-delivery", path: "/admin/delivery"},
		{name: "20-delivery-dead", path: "/admin/delivery?state=dead"},
		{name: "21-doctor", path: "/admin/doctor?commit=" + changed + "&issue=DEMO-1"},
		{name: "22-403", path: "/admin/users", as: "alice"},
		{name: "22-404", path: "/nothing/here"},
		{name: "22-500", path: "/_fail"},
		{name: "23-components", path: "/_components"},
		{name: "30-policy", path: "/admin/policy"},
		{name: "30-policy-dry", path: "/admin/policy", form: []string{"require_key", "1", "protect_default", "1", "repo", "1", "do", "try"}},
		{name: "31-users", path: "/admin/users"},
		{name: "32-user", path: "/admin/users/2"},
		{name: "33-audit", path: "/admin/audit"},
		{name: "34-activity", path: "/admin/activity"},
		{name: "35-jira", path: "/admin/jira"},
		{name: "36-queue", path: "/admin/queue"},
		{name: "37-triggers", path: "/admin/triggers"},
		{name: "38-disconnect", path: "/admin/integrations/1/disconnect"},
		{name: "39-help", path: "/help"},
		{name: "40-branches", path: "/us-east-1/demo/branches"},
		{name: "41-tags", path: "/us-east-1/demo/tags"},
		{name: "42-pulls", path: "/us-east-1/demo/pulls"},
		{name: "43-pull", path: "/us-east-1/demo/pull/1"},
		{name: "44-project", path: "/projects/DEMO"},
		{name: "45-link-commit", path: commit("main") + "/issues"},
		{name: "45-link-branch", path: "/us-east-1/demo/branches/issues?name=side"},
		{name: "45-link-pull", path: "/us-east-1/demo/pull/1/issues"},
		{name: "37-triggers-address", path: "/admin/triggers", form: []string{"do", "show", "level", "install"}},
		{name: "46-webhooks", path: "/admin/webhooks"},
		{name: "46-webhook", path: "/admin/repositories/1/webhooks/1"},
		{name: "46-webhook-delivery", path: "/admin/repositories/1/webhooks/1/deliveries/1"},
		{name: "47-oauth", path: "/admin/oauth"},
		{name: "47-oauth-new", path: "/admin/oauth", form: []string{"name", "Build", "redirect", "https://ci.example.com"}},
		{name: "14-create-branch-credentials", path: "/issues/DEMO-4/branches/new", before: func() {
			i, err := w.store.IntegrationBySlug(w.t.Context(), "us-east-1")
			w.must(err)
			i.PersonalRequired = true
			w.must(w.store.UpdateIntegration(w.t.Context(), i, nil))
		}},
	}
}

// firstRun are the pages of a server that nobody or nothing is in yet.
var firstRun = []view{
	{name: "02-setup", path: "/setup", as: "nobody"},
	{name: "01-login", path: "/login", as: "nobody", before: nil},
}

// routeOf returns the pattern of the route that answers a path, "" for none.
func routeOf(method, path string) string {
	path, _, _ = strings.Cut(path, "?")
	have := strings.Split(path, "/")
	for _, rt := range routes {
		want := strings.Split(rt.path, "/")
		if rt.method != method || len(have) < len(want) {
			continue
		}
		fits := len(have) == len(want) || want[len(want)-1] == "*"
		for i, part := range want {
			if part != "*" && !strings.HasPrefix(part, ":") && part != have[i] {
				fits = false
			}
		}
		if fits {
			return rt.path
		}
	}
	return ""
}

// A page cannot be forgotten: each route that shows one is looked at in the
// browser and shown hostile text.
func TestEveryPageIsLookedAt(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	work := w.history()
	w.more(work)
	looked := make(map[string]bool)
	for _, v := range append(slices.Clone(firstRun), w.views(work)...) {
		looked[routeOf(get, v.path)] = true
	}
	for _, rt := range routes {
		if rt.method == get && !looked[rt.path] && pageless[rt.path] == "" {
			t.Errorf("no view shows %s: add one to views", rt.path)
		}
	}
}

// more adds to history what only the pages of busy show.
func (w *world) more(work *gittest.Repo) {
	work.Run("checkout", "-q", "main")
	at := time.Now().Add(-30 * time.Hour).Format(time.RFC3339) // of this week: commands of old commits are not run
	work.Vars = append(work.Vars, "GIT_AUTHOR_DATE="+at, "GIT_COMMITTER_DATE="+at)
	work.Commit("DEMO-1 #comment a command #time 1h fits", "later.txt", "x\n")
	work.Run("mv", "docs/manual.txt", "docs/handbook.txt")
	work.Run("update-index", "--chmod=+x", "main.go")
	work.Commit("DEMO-2 #resolve one commit with everything\n\nA file is renamed, one changes its mode, one is binary\nand one goes.", "docs/handbook.txt", "one\n2\nthree\nfour\n", "image.png", pngText+"more\x00\x01", "ops.sh", "#!/bin/sh\necho operations\n")
	work.Commit("OPS-3 the last one on main", "ops.sh", "#!/bin/sh\nset -e\necho operations\n")
	work.Run("checkout", "-q", "-b", "second", "main~2")
	work.Commit("DEMO-1 a second way", "second.txt", "2\n")
	work.Run("checkout", "-q", "-b", "large", "main~2")
	var many []string
	for i := range 305 {
		many = append(many, fmt.Sprintf("many/%03d.txt", i), fmt.Sprintf("file %d\n", i))
	}
	work.Commit("DEMO-5 many files", many...)
	work.Run("checkout", "-q", "main")
	work.Run("push", "-q", w.cloneURL("demo"), "main")
	work.Run("push", "-q", w.cloneURL("demo"), "--all")
}

// busy makes a world in which every page has something to show, good and bad.
func busy(t *testing.T) (*world, *gittest.Repo) {
	w := newWorld(t)
	w.standIns()
	work := w.history()
	w.connect()
	ctx := t.Context()
	root := w.user("root", ferry.LevelAdmin, true)
	alice := w.user("alice", ferry.LevelWrite, false)
	w.more(work)
	w.sync()

	// Integrations and repositories in every state.
	_, err := w.store.AddIntegration(ctx, ferry.Integration{Slug: "legacy", Name: "Build tools", Kind: ferry.KindGit, GitEndpoint: "http://127.0.0.1:1/tools.git", PrivateNetwork: true}, ferry.Credentials{})
	w.must(err)
	bad, err := w.store.AddRepository(ctx, ferry.Repository{IntegrationID: 2, Name: "tools", HostID: "t", CloneURL: "http://127.0.0.1:1/tools.git"})
	w.must(err)
	if err := w.mirror.Copy(ctx, bad, nil); err == nil {
		t.Error("a repository at a closed port was copied")
	}
	_, err = w.store.AddIntegration(ctx, ferry.Integration{Slug: "eu-west-1", Name: "Archive of the old account", Kind: ferry.KindCodeCommit, Region: "eu-west-1", GitAuth: ferry.GitAuthSigV4, AccessKeyID: "AKIAEXAMPLEEXAMPLE12", Disabled: true}, ferry.Credentials{})
	w.must(err)
	_, err = w.store.AddIntegration(ctx, ferry.Integration{Slug: "us-west-2", Name: "Production", Kind: ferry.KindCodeCommit, Region: "us-west-2", GitAuth: ferry.GitAuthSigV4, AccessKeyID: "AKIAEXAMPLEEXAMPLE13",
		Problem: "AWS refused: the security token included in the request is invalid (UnrecognizedClientException). Make a new access key in IAM and enter it under Connection."}, ferry.Credentials{})
	w.must(err)
	_, err = w.store.AddRepository(ctx, ferry.Repository{IntegrationID: 4, Name: "demo", Region: "us-west-2", HostID: "2", CloneURL: "https://git-codecommit.us-west-2.amazonaws.com/v1/repos/demo", State: ferry.RepositoryDisabled})
	w.must(err)

	// Pull requests, keys and tokens, people.
	at := time.Now().Add(-50 * time.Hour)
	w.must(w.store.PutPullRequests(ctx, w.repo.ID, []store.PullRequest{
		{Number: 1, Title: "DEMO-1: Merge second to main", Description: "See DEMO-1.", Source: "refs/heads/second", Destination: "refs/heads/main", Status: "open", SourceOID: work.OID("second"), DestinationOID: work.OID("main"), Author: "arn:aws:iam::123456789012:user/alice", CreatedAt: at, UpdatedAt: at, Keys: []ferry.IssueKey{"DEMO-1"}},
		{Number: 2, Title: "DEMO-3: Merge side to main", Source: "refs/heads/side", Destination: "refs/heads/main", Status: "closed", Merged: true, Author: "alice", CreatedAt: at, UpdatedAt: at, Keys: []ferry.IssueKey{"DEMO-1", "DEMO-3"}},
		{Number: 3, Title: "DEMO-1: an idea that was dropped", Source: "refs/heads/gone", Destination: "refs/heads/main", Status: "closed", Author: "bob", CreatedAt: at, UpdatedAt: at, Keys: []ferry.IssueKey{"DEMO-1"}},
	}, nil))
	_, err = w.store.AddSSHKey(ctx, store.SSHKey{User: root.ID, Name: "laptop", Type: "ssh-ed25519", Fingerprint: "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", Public: "ssh-ed25519 AAAA"})
	w.must(err)
	_, _, err = w.store.NewToken(ctx, store.Token{User: root.ID, Name: "build server", Scopes: []ferry.Scope{ferry.ScopeRepoRead}})
	w.must(err)
	_, err = w.store.RecordRefusedPush(ctx, store.Push{Repository: w.repo.ID, User: alice.ID, Credential: "token laptop", Address: "10.0.0.7", Reason: "the message of 84d16e1 names no issue"})
	w.must(err)
	w.must(w.store.Audit(ctx, store.AuditEvent{Actor: "root", Credential: "password", Address: "10.0.0.7", Action: "session.create", Object: "user root", Result: "ok"}))
	w.must(w.store.Audit(ctx, store.AuditEvent{Actor: "mallory", Credential: "password", Address: "203.0.113.9", Action: "session.create", Object: "user mallory", Result: "refused", Reason: "too many tries"}))
	w.must(w.store.AddTriggerCall(ctx, store.TriggerCall{Route: "integration", Integration: 1, Address: "198.51.100.4", MessageID: "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", Result: "accepted"}))
	w.must(w.store.AddTriggerCall(ctx, store.TriggerCall{Route: "integration", Integration: 1, Address: "203.0.113.9", MessageID: "x", Result: "refused", Detail: "the signature does not fit the message"}))

	// Deliveries that went well, that wait and that failed.
	entities, err := w.store.ClaimEntities(ctx, "test", time.Minute, 100)
	w.must(err)
	var results []store.EntityResult
	for n, e := range entities {
		res := store.EntityResult{ID: e.ID, Version: e.Version, State: store.EntityDone}
		switch n % 4 {
		case 1:
			res.State, res.Problem = store.EntityDead, "Jira answered 400: the field displayId is longer than 255 characters"
		case 2:
			continue
		}
		results = append(results, res)
	}
	w.must(w.store.SaveEntities(ctx, results))
	actions, err := w.store.ClaimActions(ctx, "test", time.Minute, 100)
	w.must(err)
	if len(entities) < 5 || len(actions) < 2 {
		t.Fatalf("only %d entities and %d actions are queued", len(entities), len(actions))
	}
	for n, a := range actions {
		res := store.ActionResult{State: store.ActionDone}
		if n == 0 {
			res = store.ActionResult{State: store.ActionDead, Problem: "Jira answered 403: alice may not comment on DEMO-2"}
		}
		w.must(w.store.SaveAction(ctx, a.ID, res))
	}
	hook, err := w.store.AddWebhook(ctx, store.Webhook{Repository: w.repo.ID, URL: "https://ci.example.com/hook?key=x", ContentType: "json", Events: []string{"push", "pull_request"}, Active: true})
	w.must(err)
	w.must(w.hooks.Ping(ctx, hook))
	_, _, err = w.store.AddOAuthClient(ctx, store.OAuthClient{Name: "Jira", Redirect: "https://jira.example.com"})
	w.must(err)
	w.must(w.store.RequestEmail(ctx, alice.ID, "alice.archer@elsewhere.example"))
	w.must(w.store.RequestEmail(ctx, root.ID, "root@elsewhere.example"))
	_, err = w.store.Enqueue(ctx, store.Job{Repository: w.repo.ID, Op: store.OpReindex, Source: "manual", Priority: 24})
	w.must(err)
	return w, work
}

// errFails is what the page for faults of ours is shown with.
var errFails = errors.New("test: this page always fails")
