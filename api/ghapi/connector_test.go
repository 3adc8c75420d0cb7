package ghapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v89/github"

	"gitferry/internal/ferry"
	"gitferry/internal/gittest"
	"gitferry/internal/sandbox/codecommit"
	"gitferry/internal/store"
)

// connector plays Jira's DVCS connector: it knows commits by what it fetched,
// and links them to issues by the keys in their messages.
type connector struct {
	w     *world
	token string
	links map[string][]string // commit to keys
	fetch *http.Client
	t     testing.TB
}

// agent is how the connector names itself.
const agent = "JIRA DVCS Connector/4.1.2"

// get reads JSON as the connector does and returns the next page's address.
func (k *connector) get(address string, into any) (next string) {
	k.t.Helper()
	req, err := http.NewRequestWithContext(k.t.Context(), "GET", address, nil)
	k.w.must(err)
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Authorization", "token "+k.token)
	resp, err := k.fetch.Do(req)
	k.w.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	k.w.must(err)
	if resp.StatusCode != 200 {
		k.t.Fatalf("GET %s: %s %s", address, resp.Status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		k.t.Fatalf("GET %s: %v", address, err)
	}
	if m := nextLink.FindStringSubmatch(resp.Header.Get("Link")); m != nil {
		next = m[1]
	}
	return next
}

var (
	nextLink = regexp.MustCompile(`<([^>]*)>; rel="next"`)
	keyForm  = regexp.MustCompile(`\b(?:DEMO|STORM)-[1-9][0-9]*\b`)
)

// api is the address of a path of the repository in the API.
func (k *connector) api(r ferry.Repository, path string) string {
	return k.w.url + "/api/v3/repos/" + r.Path() + path
}

// sync reads the branches and walks from every head to what it knows, one
// call for each commit, and returns how many it fetched.
func (k *connector) sync(r ferry.Repository) int {
	k.t.Helper()
	var todo []string
	for next := k.api(r, "/branches?per_page=100"); next != ""; {
		var branches []struct {
			Name   string
			Commit struct{ SHA string }
		}
		next = k.get(next, &branches)
		for _, b := range branches {
			todo = append(todo, b.Commit.SHA)
		}
	}
	n := 0
	for len(todo) > 0 {
		sha := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if _, known := k.links[sha]; known {
			continue
		}
		var c struct {
			SHA    string
			Commit struct {
				Message string
				Author  struct{ Name, Email, Date string }
			}
			Parents []struct{ SHA string }
			Files   []struct {
				Filename, Status     string
				Additions, Deletions int
			}
		}
		k.get(k.api(r, "/commits/"+sha), &c)
		if c.SHA != sha || c.Files == nil || c.Commit.Author.Name == "" || !strings.HasSuffix(c.Commit.Author.Date, "Z") || strings.Contains(c.Commit.Message, "#comment") {
			k.t.Fatalf("commit %s: %+v", sha, c)
		}
		keys := keyForm.FindAllString(c.Commit.Message, -1)
		slices.Sort(keys)
		k.links[sha] = slices.Compact(keys)
		for _, p := range c.Parents {
			todo = append(todo, p.SHA)
		}
		n++
	}
	return n
}

// ourLinks are the links of our own index, for the commits that are reachable.
func (w *world) ourLinks(r ferry.Repository, shas []string) map[string][]string {
	w.t.Helper()
	oids := make([]ferry.OID, len(shas))
	for i, sha := range shas {
		var err error
		oids[i], err = ferry.ParseOID(sha)
		w.must(err)
	}
	keys, err := w.store.KeysOf(w.t.Context(), r.ID, oids)
	w.must(err)
	links := make(map[string][]string)
	for _, oid := range oids {
		links[oid.String()] = nil
		for _, key := range keys[oid] {
			links[oid.String()] = append(links[oid.String()], string(key))
		}
	}
	return links
}

// grant goes through the consent page as an administrator who has a token,
// and returns the connector's own.
func (w *world) grant(adminToken, jira string) string {
	w.t.Helper()
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	w.want(201, adminToken, "POST", "/login/oauth/clients", `{"name":"Jira"}`, &client)
	back := jira + "/secure/admin/AddOrganizationProgressAction!default.jspa?url=" + url.QueryEscape(w.url) + "&t=3&organization=us-east-1"
	query := url.Values{"scope": {"repo"}, "client_id": {client.ID}, "redirect_uri": {back}, "state": {"s p&ce"}}
	page := w.want(200, "", "GET", "/login/oauth/authorize?"+query.Encode(), "", nil)
	if !strings.Contains(string(page.body), `name="token"`) || strings.Contains(page.header.Get("Content-Security-Policy"), "unsafe") {
		w.t.Errorf("consent page: %s", page.body)
	}
	form := url.Values{"client_id": {client.ID}, "redirect_uri": {back}, "state": {"s p&ce"}, "token": {adminToken}, "answer": {"allow"}}
	const kind = "application/x-www-form-urlencoded"
	sent := w.ask("", "POST", "/login/oauth/authorize", form.Encode(), "Content-Type", kind)
	to, err := url.Parse(sent.header.Get("Location"))
	w.must(err)
	if sent.code != 303 || !strings.HasPrefix(to.String(), back+"&") || to.Query().Get("state") != "s p&ce" || to.Query().Get("code") == "" {
		w.t.Fatalf("consent: %d %s %s", sent.code, to, sent.body)
	}
	exchange := url.Values{"client_id": {client.ID}, "client_secret": {client.Secret}, "code": {to.Query().Get("code")}}
	got := w.ask("", "POST", "/login/oauth/access_token", exchange.Encode(), "Content-Type", kind)
	answer, err := url.ParseQuery(string(got.body))
	w.must(err)
	if !strings.HasPrefix(string(got.body), "access_token=") || answer.Get("token_type") != "bearer" || answer.Get("scope") != "repo" {
		w.t.Fatalf("exchange: %s", got.body)
	}
	if again := w.ask("", "POST", "/login/oauth/access_token", exchange.Encode(), "Content-Type", kind); !strings.HasPrefix(string(again.body), "error=bad_verification_code") {
		w.t.Errorf("a code used twice: %s", again.body)
	}
	return answer.Get("access_token")
}

// The connector's whole conversation ends with the links of our own index.
func TestConnector(t *testing.T) {
	w := newWorld(t)
	calls := make(chan *http.Request, 100)
	jira := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		calls <- r
	}))
	defer jira.Close()
	w.must(w.store.SetJiraSite(t.Context(), store.JiraSite{Kind: "datacenter", URL: jira.URL, Processor: "gitferry"}))
	root := w.user("root", ferry.LevelAdmin, true)
	r, repo := w.demo()
	rootToken := w.token(root, allScopes)
	now := time.Now()
	w.must(w.store.PutPullRequests(t.Context(), r.ID, []store.PullRequest{{Number: 7, Title: "DEMO-5", Source: "refs/heads/diverged", Destination: "refs/heads/main",
		SourceOID: repo.OID("diverged"), DestinationOID: repo.OID("main"), Status: "open", Author: "root", CreatedAt: now, UpdatedAt: now}}, nil))
	k := &connector{w: w, t: t, token: w.grant(rootToken, jira.URL), links: map[string][]string{}, fetch: w.client}

	// The account: without signing in it learns nothing but that.
	if a := w.ask("", "GET", "/api/v3/users/us-east-1", "", "User-Agent", agent); a.code != 403 {
		t.Errorf("anonymous look at the account: %d", a.code)
	}
	var who struct{ Login, Type string }
	k.get(w.url+"/api/v3/user", &who)
	var repos []struct {
		Name  string
		Owner struct{ Login string }
	}
	for _, path := range []string{"/orgs/us-east-1/repos", "/users/us-east-1/repos", "/user/repos"} {
		if k.get(w.url+"/api/v3"+path+"?page=1&per_page=100", &repos); len(repos) != 1 || repos[0].Owner.Login != "us-east-1" || repos[0].Name != "demo" {
			t.Errorf("%s: %v", path, repos)
		}
	}

	// Hooks, with the token in the query.
	inHook := "/api/v3/repos/" + r.Path() + "/hooks?access_token=" + k.token
	sync := jira.URL + "/rest/bitbucket/1.0/repository/17/sync"
	var none []any
	w.want(200, "", "GET", inHook, "", &none)
	var hooks [2]struct{ ID int64 }
	w.want(201, "", "POST", inHook, fmt.Sprintf(`{"name":"web","active":true,"events":["push"],"config":{"url":%q}}`, sync), &hooks[0])
	w.want(201, "", "POST", inHook, fmt.Sprintf(`{"name":"web","active":true,"events":["push","pull_request","pull_request_review_comment","issue_comment"],"config":{"url":%q,"content_type":"json"}}`, sync), &hooks[1])
	w.want(422, "", "POST", inHook, `{"name":"web","events":["push"],"config":{"url":"https://elsewhere.example/rest/bitbucket/1.0/repository/17/sync"}}`, nil)
	w.want(400, "", "GET", "/api/v3/user?access_token="+k.token, "", nil)
	w.want(400, "", "GET", "/api/v3/repos/"+r.Path()+"/hooks?access_token="+rootToken, "", nil)

	// First sync. Lists of files that the background step has written are
	// answered without git.
	_, err := w.lists.Fill(t.Context(), 0)
	w.must(err)
	before := w.runs.count()
	n := k.sync(r)
	if ran := w.runs.count() - before; ran != 0 {
		t.Errorf("the first sync of %d commits started git %d times", n, ran)
	}
	var events []struct{ ID, Type string }
	k.get(k.api(r, "/events"), &events)
	var pulls []struct {
		Number   int
		Comments *int
		Head     struct {
			Ref  string
			Repo struct {
				Name  string
				Owner struct{ Login string }
			}
		}
	}
	k.get(k.api(r, "/pulls?state=all&sort=created&direction=asc&page=1&per_page=30"), &pulls)
	if len(pulls) != 1 || pulls[0].Head.Ref != "diverged" || pulls[0].Head.Repo.Owner.Login != "us-east-1" || pulls[0].Comments == nil {
		t.Errorf("pull requests: %+v", pulls)
	}
	var commits []struct{ SHA string }
	if k.get(k.api(r, "/pulls/7/commits"), &commits); len(commits) != 1 || commits[0].SHA != repo.OID("diverged").String() {
		t.Errorf("commits of the pull request: %v", commits)
	}
	k.get(k.api(r, "/issues/7/comments"), &none)
	k.get(k.api(r, "/pulls/7/comments"), &none)

	// Something moves, the hooks call, and a soft sync fetches what is new.
	repo.Commit("DEMO-9 later")
	repo.Commit("no key")
	w.follow(r, repo.Dir)
	w.must(w.hooks.Tell(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.hooks.Run(ctx) }()
	kinds := map[string]bool{}
	for len(kinds) < 2 {
		select {
		case call := <-calls:
			if call.URL.Path != "/rest/bitbucket/1.0/repository/17/sync" || call.Header.Get("X-GitHub-Event") != "push" {
				t.Errorf("call of Jira: %s %v", call.URL, call.Header)
			}
			kinds[call.Header.Get("Content-Type")] = true
		case <-time.After(20 * time.Second):
			t.Fatal("Jira was not called")
		}
	}
	cancel()
	w.must(<-done)
	if n := k.sync(r); n != 2 {
		t.Errorf("the soft sync fetched %d commits, want 2", n)
	}
	if d := cmp.Diff(w.ourLinks(r, strings.Fields(repo.Output("rev-list", "--branches"))), k.links); d != "" {
		t.Errorf("links differ (-ours +connector's):\n%s", d)
	}
	for _, h := range hooks {
		w.want(204, "", "DELETE", fmt.Sprintf("/api/v3/repos/%s/hooks/%d?access_token=%s", r.Path(), h.ID, k.token), "", nil)
	}
}

// Whoever else asks gets the message as it is, and so does the connector
// where Jira carries out the commands.
func TestDefusedMessages(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice", ferry.LevelRead, false)
	r, repo := w.demo()
	token := w.token(alice, allScopes)
	for _, c := range []struct {
		agent, processor string
		defused          bool
	}{
		{"go-github", "gitferry", false}, {agent, "gitferry", true}, {"Jira DVCS Connector/9", "off", true}, {agent, "jira", false}, {"Mozilla JIRA DVCS Connector", "gitferry", false},
	} {
		w.must(w.store.SetJiraSite(t.Context(), store.JiraSite{Kind: "datacenter", URL: "http://jira.example", Processor: c.processor}))
		a := w.ask(token, "GET", "/api/v3/repos/"+r.Path()+"/commits/"+repo.OID("feature/DEMO-3-x~1").String(), "", "User-Agent", c.agent)
		if got := !strings.Contains(string(a.body), "#comment"); a.code != 200 || got != c.defused || !strings.Contains(string(a.body), "DEMO-3") {
			t.Errorf("%s with processor %s: defused %v, want %v", c.agent, c.processor, got, c.defused)
		}
	}
}

// The history of 9,907 commits: the connector's first sync starts no git and
// finds the links of our own index; go-github's lists and comparisons work.
func TestWholeHistory(t *testing.T) {
	if testing.Short() {
		t.Skip("left out: fetches 9,907 commits one by one, in short mode")
	}
	w := newWorld(t)
	root := w.user("root", ferry.LevelAdmin, true)
	history, err := os.Open(filepath.Join("..", "..", "internal", "e2e", "testdata", "commits-apache.jsonl.gz"))
	w.must(err)
	defer history.Close()
	dir := t.TempDir()
	cc, err := codecommit.New(codecommit.Config{Dir: dir, Git: w.git, Log: slog.New(slog.DiscardHandler), URL: "http://127.0.0.1"})
	w.must(err)
	n, err := cc.Load(t.Context(), "us-east-1", "storm", history)
	w.must(err)
	var from string
	w.must(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == "packed-refs" || err == nil && d.Name() == "HEAD" {
			from = filepath.Dir(path)
		}
		return err
	}))
	r := w.connect("storm", from)
	began := time.Now()
	_, err = w.lists.Fill(t.Context(), 0)
	w.must(err)
	t.Logf("files of %d commits read in %v", n, time.Since(began))

	k := &connector{w: w, t: t, token: w.token(root, []ferry.Scope{ferry.ScopeJiraDVCS}), links: map[string][]string{},
		fetch: &http.Client{Transport: &http.Transport{}}}
	before := w.runs.count()
	began = time.Now()
	if fetched := k.sync(r); fetched != n {
		t.Errorf("fetched %d commits, want %d", fetched, n)
	}
	t.Logf("%v for each of %d commits", time.Since(began)/time.Duration(n), n)
	if ran := w.runs.count() - before; ran != 0 {
		t.Errorf("the first sync started git %d times", ran)
	}
	shas := make([]string, 0, len(k.links))
	for sha := range k.links {
		shas = append(shas, sha)
	}
	// Our grammar takes keys in other letter cases and next to underscores,
	// which the connector passes over: what it finds must be among ours.
	ours, more := w.ourLinks(r, shas), 0
	for sha, keys := range k.links {
		for _, key := range keys {
			if !slices.Contains(ours[sha], key) {
				t.Errorf("%s: the connector finds %s, our index does not", sha, key)
			}
		}
		more += len(ours[sha]) - len(keys)
	}
	t.Logf("our index has %d links more", more)

	repo := gittest.At(t, from)
	tips := strings.Fields(repo.Output("rev-list", "--topo-order", "main"))
	first, last, middle := tips[0], strings.Fields(repo.Output("rev-list", "--max-parents=0", "main"))[0], tips[len(tips)/2]
	now := time.Now()
	w.must(w.store.PutPullRequests(t.Context(), r.ID, []store.PullRequest{{Number: 7, Title: "STORM-1", Source: "refs/heads/topic", Destination: "refs/heads/main",
		SourceOID: repo.OID("main"), DestinationOID: repo.OID("main~5"), MergeBase: repo.OID("main~5"), Status: "open", Author: "root", CreatedAt: now, UpdatedAt: now}}, nil))
	names := strings.Fields(repo.Output("diff-tree", "--no-commit-id", "--name-only", "--root", "-r", "-m", "--first-parent", middle))
	token := w.token(root, allScopes)
	w.wholeByGoGithub(r, token, tips, names)
	if cli := w.gh(t, token, r.Path(), w.mirror.Path(r.ID)); cli != nil {
		wholeByGH(cli, r, tips, names)
	}
	gh := w.github(token)
	cmpd, _, err := gh.Repositories.CompareCommits(t.Context(), r.Owner, r.Name, last, first, nil)
	w.must(err)
	if len(cmpd.Commits) != 250 || len(cmpd.Files) != 300 || cmpd.Commits[249].GetSHA() != first {
		t.Errorf("comparison of everything: %d commits, %d files", len(cmpd.Commits), len(cmpd.Files))
	}
	found, _, err := gh.Search.Commits(t.Context(), "STORM-1", nil)
	w.must(err)
	for _, c := range found.Commits {
		if !regexp.MustCompile(`(?i)storm-1\b`).MatchString(c.GetCommit().GetMessage()) {
			t.Errorf("STORM-1 finds %q", c.GetCommit().GetMessage())
		}
	}
}

// wholeByGoGithub reads the whole history with go-github; tips are the commits
// of main in order, files those of the one in the middle.
func (w *world) wholeByGoGithub(r ferry.Repository, token string, tips, files []string) {
	t := w.t.(*testing.T)
	t.Helper()
	gh, ctx := w.github(token), t.Context()
	repos := everything(t, func(lo *github.ListOptions) ([]*github.Repository, *github.Response, error) {
		return gh.Repositories.ListByOrg(ctx, r.Owner, &github.RepositoryListByOrgOptions{ListOptions: *lo})
	})
	branches := everything(t, func(lo *github.ListOptions) ([]*github.Branch, *github.Response, error) {
		return gh.Repositories.ListBranches(ctx, r.Owner, r.Name, &github.BranchListOptions{ListOptions: *lo})
	})
	if len(repos) != 1 || len(branches) == 0 {
		t.Errorf("%d repositories, %d branches", len(repos), len(branches))
	}
	commits := everything(t, func(lo *github.ListOptions) ([]*github.RepositoryCommit, *github.Response, error) {
		return gh.Repositories.ListCommits(ctx, r.Owner, r.Name, &github.CommitsListOptions{ListOptions: *lo})
	})
	shas := make([]string, len(commits))
	for i, c := range commits {
		shas[i] = c.GetSHA()
	}
	if d := cmp.Diff(tips, shas); d != "" {
		t.Errorf("commits by pages (-want +got):\n%s", d)
	}
	middle, _, err := gh.Repositories.GetCommit(ctx, r.Owner, r.Name, tips[len(tips)/2], nil)
	w.must(err)
	var names []string
	for _, f := range middle.Files {
		names = append(names, f.GetFilename())
	}
	if d := cmp.Diff(files, names); d != "" {
		t.Errorf("files of a commit (-want +got):\n%s", d)
	}
	cmpd, _, err := gh.Repositories.CompareCommits(ctx, r.Owner, r.Name, tips[100], "main", nil)
	w.must(err)
	if cmpd.GetStatus() != "ahead" || cmpd.GetAheadBy() < 1 {
		t.Errorf("comparison: %s by %d", cmpd.GetStatus(), cmpd.GetAheadBy())
	}
	pulls, _, err := gh.PullRequests.List(ctx, r.Owner, r.Name, nil)
	w.must(err)
	if len(pulls) != 1 || pulls[0].GetNumber() != 7 {
		t.Errorf("pull requests: %v", pulls)
	}
}

// wholeByGH is wholeByGoGithub with Debian's gh.
func wholeByGH(gh *ghClient, r ferry.Repository, tips, files []string) {
	gh.t.Helper()
	path := "repos/" + r.Path()
	for _, c := range []struct {
		want string
		args []string
	}{
		{r.Path(), []string{"api", "--paginate", "user/repos", "--jq", ".[].full_name"}},
		{"main", []string{"api", "--paginate", path + "/branches", "--jq", `.[].name | select(. == "main")`}},
		{strings.Join(tips, "\n"), []string{"api", "--paginate", path + "/commits", "--jq", ".[].sha"}},
		{strings.Join(files, "\n"), []string{"api", path + "/commits/" + tips[len(tips)/2], "--jq", ".files[].filename"}},
		{"ahead", []string{"api", path + "/compare/" + tips[100] + "...main", "--jq", ".status"}},
		{"7", []string{"api", path + "/pulls", "--jq", ".[].number"}},
	} {
		if got := gh.run(c.args...); got != c.want {
			gh.t.Errorf("gh %s printed\n%.300s\nwant\n%.300s", strings.Join(c.args, " "), got, c.want)
		}
	}
}
