package ghapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-github/v89/github"

	"gitferry/internal/ferry"
	"gitferry/internal/gittest"
	"gitferry/internal/store"
)

// Paging by one Link header, with the other parameters kept.
func TestPaging(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.user("alice", ferry.LevelRead, false), allScopes)
	w.demo()
	at := w.url + "/api/v3/repos/us-east-1/demo"
	for _, c := range []struct{ path, link string }{
		{"/branches?per_page=2&protected=false", `<` + at + `/branches?page=2&per_page=2&protected=false>; rel="next", <` + at + `/branches?page=2&per_page=2&protected=false>; rel="last"`},
		{"/branches?per_page=2&page=2", `<` + at + `/branches?page=1&per_page=2>; rel="first", <` + at + `/branches?page=1&per_page=2>; rel="prev"`},
		{"/branches?per_page=junk&page=0", ""},
		{"/branches?page=9", `<` + at + `/branches?page=1&per_page=30>; rel="first", <` + at + `/branches?page=8&per_page=30>; rel="prev"`},
		{"/commits?per_page=1000", `<` + at + `/commits?page=2&per_page=100>; rel="next"`},
		{"/commits?per_page=1&path=a,b", ""},
	} {
		a := w.ask(token, "GET", "/api/v3/repos/us-east-1/demo"+c.path, "")
		if a.code != 200 || a.header.Get("Link") != c.link || len(a.header.Values("Link")) > 1 {
			t.Errorf("%s: %d, Link %q, want %q", c.path, a.code, a.header.Get("Link"), c.link)
		}
	}
	if a := w.ask(token, "GET", "/api/v3/repos/us-east-1/demo/branches?page=9", ""); strings.TrimSpace(string(a.body)) != "[]" {
		t.Errorf("past the end: %s", a.body)
	}
}

// ETags, and the headers and errors that every client relies on.
func TestHeadersAndErrors(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.user("alice", ferry.LevelRead, false), allScopes)
	r, repo := w.demo()
	path := "/api/v3/repos/us-east-1/demo/branches"
	a := w.want(200, token, "GET", path, "", nil)
	for name, want := range map[string]string{"Content-Type": "application/json; charset=utf-8", "X-GitHub-Media-Type": "github.v3; format=json",
		"X-OAuth-Scopes": "repo, read:org, admin:repo_hook", "X-GitHub-Enterprise-Version": "3.19.0", "Vary": "Accept, Authorization"} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	tag := a.header.Get("ETag")
	for _, match := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
		if a := w.ask(token, "GET", path, "", "If-None-Match", match); a.code != 304 || len(a.body) != 0 || a.header.Get("ETag") != tag {
			t.Errorf("If-None-Match %s: %d %s", match, a.code, a.body)
		}
	}
	repo.Run("branch", "another")
	w.follow(r, repo.Dir)
	if a := w.ask(token, "GET", path, "", "If-None-Match", tag); a.code != 200 {
		t.Errorf("after a new branch: %d", a.code)
	}
	for _, c := range []struct {
		code                         int
		authorization, path, message string
		headers                      []string
	}{
		{401, "", "/api/v3/user", "Requires authentication", nil},
		{401, "token gf_wrong", "/api/v3/user", "Bad credentials", nil},
		{401, "token gf_wrong", "/api/v3", "Bad credentials", nil},
		{401, "Digest x", "/api/v3/user", "Bad credentials", nil},
		{404, "token " + token, "/api/v3/repos/us-east-1/none", "Not Found", nil},
		{404, "bearer " + token, "/api/v3/nothing/here", "Not Found", nil},
		{404, "", "/api/v3/nothing", "Not Found", nil},
		{404, "token " + token, "/api/v3/repos/us-east-1/demo/branches/none", "Branch not found", nil},
		{404, "token " + token, "/api/v3/repos/us-east-1/demo/commits?sha=none", "Not Found", nil},
		{422, "token " + token, "/api/v3/repos/us-east-1/demo/commits/none", "No commit found for SHA: none", nil},
		{422, "token " + token, "/api/v3/repos/us-east-1/demo/commits/HEAD~1", "No commit found for SHA: HEAD~1", nil},
		{404, "token " + token, "/api/v3/repos/us-east-1/demo/compare/main", "Not Found", nil},
		{404, "token " + token, "/api/v3/rate_limit", "Rate limiting is not enabled.", nil},
		{400, "", "/api/v3/repos/us-east-1/demo?access_token=" + token, "Tokens travel in the Authorization header only.", nil},
		{400, "", "/api/v3/repos/us-east-1/demo?token=" + token, "Tokens travel in the Authorization header only.", nil},
		{400, "token " + token, "/api/v3/user", "This API version is not supported; send 2022-11-28 or leave the header out.", []string{"X-GitHub-Api-Version", "1999-01-01"}},
	} {
		headers := c.headers
		if c.authorization != "" {
			headers = append(headers, "Authorization", c.authorization)
		}
		a := w.ask("", "GET", c.path, "", headers...)
		var body struct{ Message, Status string }
		a.json(t, &body)
		if a.code != c.code || body.Message != c.message || strings.Contains(string(a.body), token) {
			t.Errorf("%s with %.12q: %d %s, want %d %q", c.path, c.authorization, a.code, a.body, c.code, c.message)
		}
	}
	for _, u := range []*url.Userinfo{url.UserPassword("anybody", token), url.UserPassword(token, "x-oauth-basic"), url.User(token)} {
		password, _ := u.Password()
		req, _ := http.NewRequestWithContext(t.Context(), "GET", w.url+"/api/v3/user", nil)
		req.SetBasicAuth(u.Username(), password)
		resp, err := w.client.Do(req)
		if w.must(err); resp.StatusCode != 200 {
			t.Errorf("basic: %s", resp.Status)
		}
		resp.Body.Close()
	}
	if a := w.ask(token, "POST", path, "{}"); a.code != 404 && a.code != 405 {
		t.Errorf("a method that is not there: %d %s", a.code, a.body)
	}
	if a := w.ask(token, "GET", "/api/v3/repos/us-east-1/demo/contents/README.md", "", "Accept", "application/vnd.github.v3.raw+json"); string(a.body) != "# Demo\n" {
		t.Errorf("raw: %s", a.body)
	}
	for name, want := range map[string]string{"alice": ">A</text>", "%3Cscript%3E": ">S</text>", "%3C%3E": ">?</text>"} {
		if a := w.ask("", "GET", "/avatars/u/"+name, ""); a.code != 200 || !strings.Contains(string(a.body), want) || a.header.Get("Content-Type") != "image/svg+xml" {
			t.Errorf("avatar of %s: %d %s", name, a.code, a.body)
		}
	}
	w.server.TrustClearText = func(string) bool { return false }
	if a := w.ask(token, "GET", path, ""); a.code != 403 || strings.Contains(string(a.body), "counter") {
		t.Errorf("credentials over clear text: %d %s", a.code, a.body)
	}
}

// Names that only just are names.
func TestOddNames(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.user("alice", ferry.LevelRead, false), allScopes)
	repo := gittest.New(t)
	repo.Commit("root", "a", "1\n")
	names := []string{"a/b", "a%2Fb", "ü", "x+y", "feature/comments", "100%", "tree/main/status", "v1.0"}
	for _, name := range names {
		repo.Run("checkout", "--quiet", "-b", name, "main")
		repo.Commit("on "+name, "dir "+"ü/\"quoted\" "+strings.ReplaceAll(name, "/", "_")+".txt", name+"\n")
	}
	w.connect("v1.0", repo.Dir)
	at := "/api/v3/repos/us-east-1/v1.0"
	escape := func(s string) string { return strings.ReplaceAll(url.PathEscape(s), "+", "%2B") }
	for _, name := range names {
		want := repo.OID(name).String()
		for _, form := range []string{escape(name), strings.ReplaceAll(escape(name), "%2F", "/")} {
			var b struct{ Commit struct{ SHA string } }
			w.want(200, token, "GET", at+"/branches/"+form, "", &b)
			var c struct {
				SHA   string
				Files []struct{ Filename string }
			}
			w.want(200, token, "GET", at+"/commits/"+form, "", &c)
			var d struct {
				Ahead int `json:"ahead_by"`
			}
			w.want(200, token, "GET", at+"/compare/main..."+form, "", &d)
			if b.Commit.SHA != want || c.SHA != want || d.Ahead != 1 || len(c.Files) != 1 || !strings.HasPrefix(c.Files[0].Filename, "dir ü/\"quoted\" ") {
				t.Errorf("%s as %s: branch %v, commit %+v, ahead %d", name, form, b, c, d.Ahead)
			}
			var content struct{ Content string }
			w.want(200, token, "GET", at+"/contents/"+strings.ReplaceAll(escape(c.Files[0].Filename), "%2F", "/")+"?ref="+url.QueryEscape(name), "", &content)
			if content.Content == "" {
				t.Errorf("%s: no content", name)
			}
		}
	}
	var short struct{ SHA string }
	w.want(200, token, "GET", at+"/commits/"+repo.OID("main").String()[:8], "", &short)
	if short.SHA != repo.OID("main").String() {
		t.Errorf("short id: %v", short)
	}
	var comments []any
	w.want(200, token, "GET", at+"/commits/main/comments", "", &comments)
}

// Webhooks by those who administer the repository, with a log that can be
// sent again.
func TestWebhooks(t *testing.T) {
	w := newWorld(t)
	r, _ := w.demo()
	gh := w.github(w.token(w.user("adam", ferry.LevelAdmin, false), allScopes))
	ctx := t.Context()
	h, _, err := gh.Repositories.CreateHook(ctx, r.Owner, r.Name, &github.Hook{Events: []string{"push"}, Active: github.Ptr(true),
		Config: &github.HookConfig{URL: github.Ptr("http://127.0.0.1:1/x?key=hidden"), ContentType: github.Ptr("json"), Secret: github.Ptr("s3cret")}})
	w.must(err)
	if h.GetConfig().GetSecret() != "********" {
		t.Errorf("hook: %v", h)
	}
	if _, resp, err := gh.Repositories.CreateHook(ctx, r.Owner, r.Name, &github.Hook{Events: []string{"push"},
		Config: &github.HookConfig{URL: github.Ptr("http://127.0.0.1:1/x?key=hidden"), ContentType: github.Ptr("json")}}); err == nil || resp.StatusCode != 422 {
		t.Errorf("the same hook again: %v", err)
	}
	run, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.hooks.Run(run) }()
	var log []*github.HookDelivery
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		log, _, err = gh.Repositories.ListHookDeliveries(ctx, r.Owner, r.Name, h.GetID(), nil)
		w.must(err)
		if len(log) == 1 && log[0].GetStatus() != "pending" || time.Now().After(end) {
			break
		}
	}
	cancel()
	w.must(<-done)
	if len(log) != 1 || log[0].GetEvent() != "ping" || log[0].GetStatusCode() != 0 || log[0].GetStatus() == "OK" {
		t.Fatalf("log: %v", log)
	}
	d, _, err := gh.Repositories.GetHookDelivery(ctx, r.Owner, r.Name, h.GetID(), log[0].GetID())
	w.must(err)
	if d.GetRequest().GetHeaders()["X-GitHub-Event"] != "ping" || !json.Valid(d.GetRequest().GetRawPayload()) || strings.Contains(d.String(), "s3cret") || strings.Contains(d.String(), "hidden") && !strings.Contains(string(d.GetRequest().GetRawPayload()), "hidden") {
		t.Errorf("delivery: %v", d)
	}
	_, _, err = gh.Repositories.RedeliverHookDelivery(ctx, r.Owner, r.Name, h.GetID(), d.GetID())
	w.must(err)
	log, _, err = gh.Repositories.ListHookDeliveries(ctx, r.Owner, r.Name, h.GetID(), nil)
	if w.must(err); len(log) != 2 || !log[0].GetRedelivery() || log[0].GetGUID() != log[1].GetGUID() {
		t.Errorf("log after the redelivery: %v", log)
	}
	_, err = gh.Repositories.DeleteHook(ctx, r.Owner, r.Name, h.GetID())
	w.must(err)
	if all, _, err := gh.Repositories.ListHooks(ctx, r.Owner, r.Name, nil); err != nil || len(all) != 0 {
		t.Errorf("hooks: %v, %v", all, err)
	}
	events, err := w.store.AuditEvents(ctx, store.AuditFilter{})
	w.must(err)
	for _, e := range events {
		if strings.Contains(e.Object, "hidden") {
			t.Errorf("the audit shows %q", e.Object)
		}
	}
}

// The consent page gives codes only to whom it may.
func TestConsentRefusals(t *testing.T) {
	w := newWorld(t)
	root := w.user("root", ferry.LevelAdmin, true)
	admin := w.token(root, allScopes)
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	w.want(201, admin, "POST", "/login/oauth/clients", `{"name":"Jira","redirect_uri":"https://jira.example.com/jira"}`, &client)
	for _, back := range []string{"https://evil.example/jira", "https://jira.example.com.evil.example/jira", "http://jira.example.com/jira", "https://jira.example.com/other",
		"https://jira.example.com/jira/../other", "https://jira.example.com/jiraffe", "https://u@jira.example.com/jira", "https://jira.example.com:444/jira", "//jira.example.com/jira", "javascript:alert(1)", "https://jira.example.com/jira#f"} {
		a := w.ask("", "GET", "/login/oauth/authorize?client_id="+client.ID+"&redirect_uri="+url.QueryEscape(back), "")
		if a.code != 400 || a.header.Get("Location") != "" {
			t.Errorf("redirect to %s: %d %s", back, a.code, a.header.Get("Location"))
		}
	}
	if a := w.ask("", "GET", "/login/oauth/authorize?client_id=unknown", ""); a.code != 400 {
		t.Errorf("unknown client: %d", a.code)
	}
	send := func(fields url.Values, headers ...string) answer {
		fields.Set("client_id", client.ID)
		return w.ask("", "POST", "/login/oauth/authorize", fields.Encode(), append(headers, "Content-Type", "application/x-www-form-urlencoded")...)
	}
	for name, fields := range map[string]url.Values{
		"no token":                 {"answer": {"allow"}},
		"wrong token":              {"answer": {"allow"}, "token": {"gf_wrong"}},
		"token of too small scope": {"answer": {"allow"}, "token": {w.token(root, []ferry.Scope{ferry.ScopeRepoRead})}},
		"token for some":           {"answer": {"allow"}, "token": {w.token(root, allScopes, "us-east-1/*")}},
	} {
		if a := send(fields); a.code != 401 && a.code != 403 || a.header.Get("Location") != "" || !strings.Contains(string(a.body), "<form") {
			t.Errorf("%s: %d %s", name, a.code, a.header.Get("Location"))
		}
	}
	if a := send(url.Values{"answer": {"allow"}, "token": {admin}}, "Sec-Fetch-Site", "cross-site"); a.code != 403 {
		t.Errorf("a form of another site: %d", a.code)
	}
	if a := send(url.Values{"answer": {"refuse"}, "token": {admin}}); a.header.Get("Location") != "https://jira.example.com/jira?error=access_denied" {
		t.Errorf("refused: %s", a.header.Get("Location"))
	}

	// With a session the page carries a form token, which must come back.
	cookie, err := w.store.NewSession(t.Context(), root.ID, "", "")
	w.must(err)
	page := w.ask("", "GET", "/login/oauth/authorize?client_id="+client.ID, "", "Cookie", "gf="+cookie.Reveal())
	token := regexp.MustCompile(`name="form_token" value="([0-9a-f]+)"`).FindStringSubmatch(string(page.body))
	if token == nil {
		t.Fatalf("no form token: %s", page.body)
	}
	if a := send(url.Values{"answer": {"allow"}, "redirect_uri": {"https://jira.example.com/jira"}}, "Cookie", "gf="+cookie.Reveal()); a.code != 401 {
		t.Errorf("without the form token: %d", a.code)
	}
	a := send(url.Values{"answer": {"allow"}, "redirect_uri": {"https://jira.example.com/jira"}, "form_token": {token[1]}}, "Cookie", "gf="+cookie.Reveal())
	to, err := url.Parse(a.header.Get("Location"))
	if w.must(err); a.code != 303 || to.Query().Get("code") == "" {
		t.Fatalf("with a session: %d %s", a.code, a.body)
	}
	exchange := func(id, secret, code, redirect string) string {
		v := url.Values{"client_id": {id}, "client_secret": {secret}, "code": {code}}
		if redirect != "" {
			v.Set("redirect_uri", redirect)
		}
		a := w.ask("", "POST", "/login/oauth/access_token", v.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Accept", "application/json")
		var e struct{ Error string }
		a.json(t, &e)
		return e.Error
	}
	if e := exchange(client.ID, "wrong", to.Query().Get("code"), ""); e != "incorrect_client_credentials" {
		t.Errorf("wrong secret: %q", e)
	}
	w.ahead = store.OAuthCodeLife + time.Second
	if e := exchange(client.ID, client.Secret, to.Query().Get("code"), ""); e != "bad_verification_code" {
		t.Errorf("an old code: %q", e)
	}
}

// The reference product's read paths.
func TestGitPlugin(t *testing.T) {
	w := newWorld(t)
	alice, root := w.user("alice", ferry.LevelRead, false), w.user("root", ferry.LevelAdmin, true)
	r, repo := w.demo()
	token := w.token(alice, []ferry.Scope{ferry.ScopeAPIRead})
	admin := w.token(root, allScopes)
	const gp = "/rest/gitplugin/1.0"
	var commits struct {
		Success bool
		Commits []struct {
			Author, CommitID, Date string
			IsMergeCommit          bool
			Repository             struct{ Name string }
			Branches               []string
			Files                  []struct{ Path, ChangeType string }
		}
	}
	a := w.want(200, token, "GET", gp+"/issues/DEMO-5/commits?showFiles=true", "", &commits)
	if !strings.HasPrefix(string(a.body), `{"success":true,`) || len(commits.Commits) != 1 || commits.Commits[0].CommitID != repo.OID("diverged").String() ||
		commits.Commits[0].Author != "Test Author <author@example.invalid>" || commits.Commits[0].Branches[0] != "diverged" || commits.Commits[0].Files[0].ChangeType != "ADDED" {
		t.Errorf("commits: %s", a.body)
	}
	// The branches of many commits take a few runs of git.
	before := w.runs.count()
	w.want(200, token, "GET", gp+"/issues/DEMO-2/commits", "", &commits)
	if ran := w.runs.count() - before; len(commits.Commits) != 250 || ran > 10 {
		t.Errorf("%d commits in %d runs of git", len(commits.Commits), ran)
	}
	for _, i := range []int{0, 100, 249} {
		if got, want := strings.Join(commits.Commits[i].Branches, "\n"), repo.Output("for-each-ref", "--format=%(refname:short)", "--contains="+commits.Commits[i].CommitID, "refs/heads"); got != want {
			t.Errorf("branches of %s: %q, want %q", commits.Commits[i].CommitID, got, want)
		}
	}
	var branches struct{ Branches []string }
	w.want(200, token, "GET", gp+"/issues/branches?key=DEMO-3", "", &branches)
	if strings.Join(branches.Branches, " ") != "diverged feature/DEMO-3-x main" && strings.Join(branches.Branches, " ") != "feature/DEMO-3-x main" {
		t.Errorf("branches: %v", branches)
	}
	w.want(200, token, "GET", gp+"/issues/branches", "", &branches)
	if len(branches.Branches) != 4 {
		t.Errorf("all branches: %v", branches)
	}
	var details struct {
		CommitCount  int
		Repositories []struct {
			RepoName string
			Branches []struct {
				Name          string
				Ahead, Behind int
			}
		}
	}
	if w.want(200, token, "GET", gp+"/issuegitdetails/issue/DEMO-5", "", &details); details.CommitCount != 1 || len(details.Repositories) != 1 || details.Repositories[0].Branches[0].Ahead != 1 {
		t.Errorf("details: %+v", details)
	}
	var tags struct {
		Tags    []struct{ Name, CommitID, CommitterEmail string }
		HasMore bool
	}
	if w.want(200, token, "GET", gp+"/issuegitdetails/issue/DEMO-4/tag?tagsPerRepository=1", "", &tags); len(tags.Tags) != 1 || tags.Tags[0].Name != "v1.0" || tags.Tags[0].CommitterEmail == "" {
		t.Errorf("tags: %+v", tags)
	}
	var keys struct{ IssueKeys []string }
	if w.want(200, token, "GET", gp+"/repository/"+itoa(int64(r.ID))+"/commits/"+repo.OID("diverged").String()+"/issues", "", &keys); len(keys.IssueKeys) != 1 || keys.IssueKeys[0] != "DEMO-5" {
		t.Errorf("issues of a commit: %v", keys)
	}
	change := gp + "/repository/" + itoa(int64(r.ID)) + "/commits/" + repo.OID("diverged").String() + "/issues"
	if w.want(200, admin, "POST", change, `{"changeStrs":["a:demo-7","d:DEMO-5"]}`, &keys); len(keys.IssueKeys) != 1 || keys.IssueKeys[0] != "DEMO-7" {
		t.Errorf("issues of a commit, changed: %v", keys)
	}
	w.want(422, admin, "POST", change, `{"changeStrs":["x:DEMO-7"]}`, nil)
	w.want(403, token, "POST", change, `{"changeStrs":["a:DEMO-8"]}`, nil)
	for path, want := range map[string]string{"/repository": `"name":"us-east-1/demo"`, "/integration": `"awsRegion":"us-east-1"`} {
		if a := w.want(200, token, "GET", gp+path, "", nil); !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	if a := w.want(404, token, "GET", gp+"/issues/nonsense/commits", "", nil); !strings.HasPrefix(string(a.body), `{"success":false,`) {
		t.Errorf("error: %s", a.body)
	}
	w.want(403, token, "POST", "/rest/gitplugin/2.0/reindex", `{"repoId":1}`, nil)
	w.want(403, w.token(w.user("adam", ferry.LevelAdmin, false), allScopes), "POST", "/rest/gitplugin/2.0/reindex", `{}`, nil)
	var started struct {
		Success  bool
		ThreadID int64
	}
	w.want(200, w.token(root, allScopes), "POST", "/rest/gitplugin/2.0/reindex", `{"priority":30}`, &started)
	jobs, err := w.store.Jobs(t.Context(), store.JobFilter{Repository: r.ID, Op: store.OpReindex})
	if w.must(err); !started.Success || len(jobs) != 1 || jobs[0].ID != started.ThreadID || jobs[0].Priority != 30 {
		t.Errorf("reindex: %+v, jobs %v", started, jobs)
	}
}

// What gh asks by GraphQL before it goes on.
func TestGraphQL(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.user("alice", ferry.LevelRead, false), allScopes)
	w.demo()
	ask := func(query, variables string) string {
		b, err := json.Marshal(query)
		w.must(err)
		return string(w.want(200, token, "POST", "/api/graphql", `{"query":`+string(b)+`,"variables":`+variables+`}`, nil).body)
	}
	for _, c := range []struct{ query, variables, want string }{
		{"query UserCurrent{viewer{login}}", `{}`, `"login":"alice"`},
		{"{ viewer { login } }", `{}`, `"login":"alice"`},
		{"query RepositoryInfo($owner: String!, $name: String!) { repository(owner: $owner, name: $name) { id } }", `{"owner":"us-east-1","name":"demo"}`, `"viewerPermission":"READ"`},
		{"query RepositoryInfo($owner: String!, $name: String!) { repository(owner: $owner, name: $name) { id } }", `{"owner":"us-east-1","name":"none"}`, `"type":"NOT_FOUND"`},
		{"query Everything { viewer { repositories { nodes { id } } } }", `{}`, `"type":"NOT_IMPLEMENTED"`},
	} {
		if got := ask(c.query, c.variables); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.query, got, c.want)
		}
	}
}
