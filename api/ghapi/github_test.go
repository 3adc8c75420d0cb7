package ghapi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v89/github"

	"gitferry/internal/ferry"
	"gitferry/internal/gittest"
	"gitferry/internal/store"
)

// github returns go-github's client as somebody.
func (w *world) github(token string) *github.Client {
	w.t.Helper()
	gh, err := github.NewClient(github.WithHTTPClient(w.client), github.WithAuthToken(token), github.WithEnterpriseURLs(w.url, w.url))
	w.must(err)
	return gh
}

// everything reads all pages of a list.
func everything[T any](t *testing.T, list func(*github.ListOptions) ([]T, *github.Response, error)) []T {
	t.Helper()
	var all []T
	for o := (&github.ListOptions{PerPage: 100}); ; {
		part, resp, err := list(o)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, part...)
		if resp.NextPage == 0 {
			return all
		}
		o.Page = resp.NextPage
	}
}

// go-github reads a repository of a few hundred commits, and each answer fits
// GitHub's description.
func TestGoGithub(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice", ferry.LevelRead, false)
	r, repo := w.demo()
	gh, ctx := w.github(w.token(alice, allScopes)), t.Context()
	o, n := r.Owner, r.Name

	me, _, err := gh.Users.Get(ctx, "")
	w.must(err)
	if me.GetLogin() != "alice" || me.GetEmail() != "alice@example.com" {
		t.Errorf("user is %v", me)
	}
	if org, _, err := gh.Users.Get(ctx, "us-east-1"); err != nil || org.GetType() != "Organization" {
		t.Errorf("owner is %v, %v", org, err)
	}
	repos := everything(t, func(lo *github.ListOptions) ([]*github.Repository, *github.Response, error) {
		return gh.Repositories.ListByOrg(ctx, o, &github.RepositoryListByOrgOptions{ListOptions: *lo})
	})
	if len(repos) != 1 || repos[0].GetFullName() != "us-east-1/demo" || repos[0].GetOwner().GetLogin() != "us-east-1" || !repos[0].GetPermissions().GetPull() {
		t.Errorf("repositories: %v", repos)
	}
	one, _, err := gh.Repositories.Get(ctx, "US-EAST-1", n)
	w.must(err)
	if made := one.GetCreatedAt(); time.Since(made.Time) > time.Hour || made.IsZero() {
		t.Errorf("the repository was made %v, want when it was connected", made)
	}
	if one.GetFullName() != r.Path() || one.GetCloneURL() != w.url+"/us-east-1/demo.git" || one.GetDefaultBranch() != "main" {
		t.Errorf("repository: %v", one)
	}

	branches := everything(t, func(lo *github.ListOptions) ([]*github.Branch, *github.Response, error) {
		return gh.Repositories.ListBranches(ctx, o, n, &github.BranchListOptions{ListOptions: *lo})
	})
	got := map[string]string{}
	for _, b := range branches {
		got[b.GetName()] = b.GetCommit().GetSHA()
	}
	want := map[string]string{}
	for name, oid := range repo.Refs() {
		if name.IsBranch() {
			want[name.Short()] = oid.String()
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("branches (-want +got):\n%s", d)
	}
	if b, _, err := gh.Repositories.GetBranch(ctx, o, n, "feature/DEMO-3-x", 0); err != nil || b.GetCommit().GetSHA() != want["feature/DEMO-3-x"] {
		t.Errorf("branch with slashes: %v, %v", b, err)
	}

	commits := everything(t, func(lo *github.ListOptions) ([]*github.RepositoryCommit, *github.Response, error) {
		return gh.Repositories.ListCommits(ctx, o, n, &github.CommitsListOptions{ListOptions: *lo})
	})
	shas := make([]string, len(commits))
	for i, c := range commits {
		shas[i] = c.GetSHA()
	}
	if d := cmp.Diff(strings.Fields(repo.Output("rev-list", "--topo-order", "main")), shas); d != "" {
		t.Errorf("commits of main (-want +got):\n%s", d)
	}
	some, _, err := gh.Repositories.ListCommits(ctx, o, n, &github.CommitsListOptions{SHA: "feature/DEMO-3-x", Path: "src/counter.txt", Author: "alice",
		Since: gittest.Start.Add(10 * time.Minute), Until: gittest.Start.Add(19 * time.Minute)})
	w.must(err)
	if len(some) != 10 || some[0].GetAuthor().GetLogin() != "alice" || some[0].GetCommit().GetAuthor().GetDate().After(gittest.Start.Add(19*time.Minute)) {
		t.Errorf("filtered commits: %d", len(some))
	}

	for _, rev := range strings.Fields(repo.Output("rev-list", "--max-count=5", "main", "diverged")) {
		w.sameFiles(gh, r, repo, rev)
	}
	root := strings.TrimSpace(repo.Output("rev-list", "--max-parents=0", "main"))
	w.sameFiles(gh, r, repo, root)
	c, resp, err := gh.Repositories.GetCommit(ctx, o, n, "v1.0", nil)
	w.must(err)
	if c.GetSHA() != repo.OID("main").String() || resp.Header.Get("ETag") == "" {
		t.Errorf("commit by an annotated tag: %v", c.GetSHA())
	}
	sha, _, err := gh.Repositories.GetCommitSHA1(ctx, o, n, "main", "")
	w.must(err)
	if sha != repo.OID("main").String() {
		t.Errorf("sha: %s", sha)
	}
	if _, resp, err := gh.Repositories.GetCommitSHA1(ctx, o, n, "main", sha); resp.StatusCode != 304 {
		t.Errorf("sha again: %v, %v", resp.Status, err)
	}
	diff, _, err := gh.Repositories.GetCommitRaw(ctx, o, n, "feature/DEMO-3-x", github.RawOptions{Type: github.Diff})
	w.must(err)
	if !strings.Contains(diff, "rename to src/b.go") {
		t.Errorf("diff: %s", diff)
	}
	mail, _, err := gh.Repositories.GetCommitRaw(ctx, o, n, "feature/DEMO-3-x", github.RawOptions{Type: github.Patch})
	w.must(err)
	if !strings.HasPrefix(mail, "From "+want["feature/DEMO-3-x"]) {
		t.Errorf("patch: %.200s", mail)
	}
	_, resp, err = gh.Repositories.GetCommit(ctx, o, n, strings.Repeat("ab", 20), nil)
	if resp.StatusCode != 422 || !strings.Contains(fmt.Sprint(err), "No commit found for SHA") {
		t.Errorf("unknown commit: %v", err)
	}

	cmpd, _, err := gh.Repositories.CompareCommits(ctx, o, n, "release/1.0", "feature/DEMO-3-x", nil)
	w.must(err)
	if cmpd.GetStatus() != "ahead" || cmpd.GetAheadBy() != 2 || len(cmpd.Commits) != 2 || len(cmpd.Files) != 3 || cmpd.Commits[1].GetSHA() != want["feature/DEMO-3-x"] {
		t.Errorf("compare: %v, ahead %d, %d commits, %d files", cmpd.GetStatus(), cmpd.GetAheadBy(), len(cmpd.Commits), len(cmpd.Files))
	}
	cmpd, _, err = gh.Repositories.CompareCommits(ctx, o, n, "diverged", "us-east-1:main", nil)
	w.must(err)
	if cmpd.GetStatus() != "diverged" || cmpd.GetBehindBy() != 1 || cmpd.GetMergeBaseCommit().GetSHA() != repo.OID("diverged~1").String() {
		t.Errorf("diverged: %v, behind %d, base %v", cmpd.GetStatus(), cmpd.GetBehindBy(), cmpd.GetMergeBaseCommit().GetSHA())
	}
	long := everything(t, func(lo *github.ListOptions) ([]*github.RepositoryCommit, *github.Response, error) {
		c, resp, err := gh.Repositories.CompareCommits(ctx, o, n, root, "main", lo)
		return c.Commits, resp, err
	})
	oldest := strings.Fields(repo.Output("rev-list", "--topo-order", "--reverse", root+"..main"))
	if len(long) != len(oldest) || long[0].GetSHA() != oldest[0] || long[len(long)-1].GetSHA() != oldest[len(oldest)-1] {
		t.Errorf("paged comparison: %d commits, want %d", len(long), len(oldest))
	}

	tags, _, err := gh.Repositories.ListTags(ctx, o, n, nil)
	w.must(err)
	if len(tags) != 2 || tags[0].GetName() != "v1.0" || tags[0].GetCommit().GetSHA() != repo.OID("main").String() {
		t.Errorf("tags: %v", tags)
	}
	ref, _, err := gh.Git.GetRef(ctx, o, n, "tags/v1.0")
	w.must(err)
	if ref.GetObject().GetType() != "tag" {
		t.Errorf("ref: %v", ref)
	}
	tag, _, err := gh.Git.GetTag(ctx, o, n, ref.GetObject().GetSHA())
	w.must(err)
	if tag.GetTag() != "v1.0" || tag.GetMessage() != "one" || tag.GetObject().GetSHA() != repo.OID("main").String() {
		t.Errorf("tag object: %v", tag)
	}
	if refs, _, err := gh.Git.ListMatchingRefs(ctx, o, n, "heads/rel"); err != nil || len(refs) != 1 || refs[0].GetRef() != "refs/heads/release/1.0" {
		t.Errorf("matching refs: %v, %v", refs, err)
	}
	if gc, _, err := gh.Git.GetCommit(ctx, o, n, root); err != nil || gc.GetTree().GetSHA() != repo.OID(root+"^{tree}").String() {
		t.Errorf("git commit: %v, %v", gc, err)
	}
	tree, _, err := gh.Git.GetTree(ctx, o, n, "main", true)
	w.must(err)
	if !slices.ContainsFunc(tree.Entries, func(e *github.TreeEntry) bool { return e.GetPath() == "src/counter.txt" && e.GetSize() == 1250 }) {
		t.Errorf("tree: %v", tree)
	}
	file, _, _, err := gh.Repositories.GetContents(ctx, o, n, "a file's \"name\".txt", &github.RepositoryContentGetOptions{Ref: "release/1.0"})
	w.must(err)
	if text, err := file.GetContent(); err != nil || text != "x\n" {
		t.Errorf("content: %q, %v", text, err)
	}
	_, list, _, err := gh.Repositories.GetContents(ctx, o, n, "src", nil)
	w.must(err)
	if len(list) != 3 {
		t.Errorf("directory: %v", list)
	}
	if b, _, err := gh.Git.GetBlob(ctx, o, n, file.GetSHA()); err != nil || b.GetContent() != "eAo=\n" {
		t.Errorf("blob: %v, %v", b, err)
	}
	readme, _, err := gh.Repositories.GetReadme(ctx, o, n, nil)
	w.must(err)
	if text, _ := readme.GetContent(); readme.GetPath() != "README.md" || text != "# Demo\n" {
		t.Errorf("readme: %v", readme)
	}
	if heads, _, err := gh.Repositories.ListBranchesHeadCommit(ctx, o, n, want["release/1.0"]); err != nil || len(heads) != 1 {
		t.Errorf("branches of a head: %v, %v", heads, err)
	}
	if who, _, err := gh.Repositories.ListContributors(ctx, o, n, nil); err != nil || len(who) != 2 || who[0].GetLogin() != "alice" || who[0].GetContributions() != 250 {
		t.Errorf("contributors: %v, %v", who, err)
	}
	events, _, err := gh.Activity.ListRepositoryEvents(ctx, o, n, nil)
	w.must(err)
	if len(events) != len(repo.Refs()) || events[0].GetType() != "CreateEvent" {
		t.Errorf("events: %v", events)
	}
	found, _, err := gh.Search.Commits(ctx, "DEMO-3", nil)
	w.must(err)
	if found.GetTotal() != 2 { // the feature and the merge that names its branch
		t.Errorf("search by key: %d results", found.GetTotal())
	}
	if found, _, err := gh.Search.Commits(ctx, "aside repo:us-east-1/demo author-email:author@example.invalid", nil); err != nil || found.GetTotal() != 1 {
		t.Errorf("search by words: %v, %v", found.GetTotal(), err)
	}
	if found, _, err := gh.Search.Repositories(ctx, "dem org:us-east-1", nil); err != nil || found.GetTotal() != 1 {
		t.Errorf("search of repositories: %v, %v", found, err)
	}
	if _, resp, err := gh.Search.Commits(ctx, "nonsense:1", nil); err == nil || resp.StatusCode != 422 {
		t.Errorf("unknown qualifier: %v", err)
	}
	var refused *github.ErrorResponse
	if _, _, err := gh.Repositories.ListHooks(ctx, o, n, nil); !errors.As(err, &refused) || refused.Response.StatusCode != 403 {
		t.Errorf("hooks for a reader: %v", err)
	}
	for _, path := range []string{"/api/v3", "/api/v3/meta", "/api/v3/user/orgs", "/api/v3/users/alice/orgs", "/api/v3/orgs/us-east-1", "/api/v3/users/us-east-1/repos",
		"/api/v3/repositories", "/api/v3/repos/us-east-1/demo/languages", "/api/v3/repos/us-east-1/demo/git/refs", "/api/v3/repos/us-east-1/demo/git/refs/heads/main",
		"/api/v3/repos/us-east-1/demo/commits/main/status", "/api/v3/repos/us-east-1/demo/commits/main/check-runs", "/api/v3/repos/us-east-1/demo/commits/main/comments",
		"/api/v3/repos/us-east-1/demo/readme/docs", "/api/v3/user/repos?sort=pushed&direction=asc"} {
		code := http.StatusOK
		if strings.HasSuffix(path, "/docs") {
			code = http.StatusNotFound
		}
		w.want(code, w.token(alice, allScopes), "GET", path, "", nil)
	}
}

// sameFiles holds the files of a commit against git show, cut by itself.
func (w *world) sameFiles(gh *github.Client, r ferry.Repository, repo *gittest.Repo, rev string) {
	w.t.Helper()
	c, _, err := gh.Repositories.GetCommit(w.t.Context(), r.Owner, r.Name, rev, nil)
	w.must(err)
	text := repo.Output("show", "--format=", "-m", "--first-parent", "-M", "--full-index", "--no-color", rev)
	parts := strings.Split("\n"+text, "\ndiff --git ")[1:]
	numbers := strings.Split(strings.Trim(repo.Output("show", "--format=", "-m", "--first-parent", "-M", "--numstat", "--no-renames", rev), "\n"), "\n")
	added, removed := 0, 0
	for _, line := range numbers {
		var a, d int
		if n, _ := fmt.Sscanf(line, "%d\t%d", &a, &d); n == 2 {
			added, removed = added+a, removed+d
		}
	}
	if len(parts) != len(c.Files) {
		w.t.Errorf("%s: %d files, git shows %d", rev, len(c.Files), len(parts))
		return
	}
	sumAdded, sumRemoved := 0, 0
	for i, f := range c.Files {
		patch := ""
		if j := strings.Index(parts[i], "\n@@ "); j >= 0 {
			patch = parts[i][j+1:]
		}
		if f.GetPatch() != strings.TrimSuffix(patch, "\n") {
			w.t.Errorf("%s %s: patch\n%q\nwant\n%q", rev, f.GetFilename(), f.GetPatch(), patch)
		}
		if f.GetStatus() != "removed" && f.GetSHA() != repo.OID(rev+":"+f.GetFilename()).String() {
			w.t.Errorf("%s %s: blob %s", rev, f.GetFilename(), f.GetSHA())
		}
		sumAdded, sumRemoved = sumAdded+f.GetAdditions(), sumRemoved+f.GetDeletions()
	}
	if c.GetStats().GetAdditions() != sumAdded || c.GetStats().GetDeletions() != sumRemoved {
		w.t.Errorf("%s: stats %v, files say +%d -%d", rev, c.GetStats(), sumAdded, sumRemoved)
	}
	if !slices.ContainsFunc(c.Files, func(f *github.CommitFile) bool { return f.GetStatus() == "renamed" }) && (sumAdded != added || sumRemoved != removed) {
		w.t.Errorf("%s: +%d -%d, git counts +%d -%d", rev, sumAdded, sumRemoved, added, removed)
	}
}

// Pull requests as the books hold them.
func TestGoGithubPulls(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice", ferry.LevelRead, false)
	r, repo := w.demo()
	now := time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)
	w.must(w.store.PutPullRequests(t.Context(), r.ID, []store.PullRequest{
		{Number: 7, Title: "DEMO-5 aside", Source: "refs/heads/diverged", Destination: "refs/heads/main", SourceOID: repo.OID("diverged"), DestinationOID: repo.OID("main"),
			Status: "open", Author: "arn:aws:iam::123456789012:user/alice", CreatedAt: now, UpdatedAt: now.Add(time.Hour),
			Reviewers: []store.Reviewer{{Name: "arn:aws:sts::123456789012:assumed-role/dev/bob", Approved: true}}},
		{Number: 5, Title: "feature", Source: "refs/heads/feature/DEMO-3-x", Destination: "refs/heads/main", SourceOID: repo.OID("feature/DEMO-3-x"),
			DestinationOID: repo.OID("main"), MergeOID: repo.OID("main"), MergeBase: repo.OID("release/1.0"), Status: "closed", Merged: true, MergedBy: "arn:aws:iam::123456789012:user/carol",
			Author: "bob", CreatedAt: now.Add(-time.Hour), UpdatedAt: now},
	}, nil))
	gh, ctx := w.github(w.token(alice, allScopes)), t.Context()
	all, _, err := gh.PullRequests.List(ctx, r.Owner, r.Name, &github.PullRequestListOptions{State: "all", Sort: "created", Direction: "asc"})
	w.must(err)
	if len(all) != 2 || all[0].GetNumber() != 5 || all[0].GetMergedBy().GetLogin() != "carol" || all[1].GetUser().GetLogin() != "alice" || all[0].GetHead().GetRepo().GetOwner().GetLogin() != "us-east-1" {
		t.Errorf("pull requests: %v", all)
	}
	open, _, err := gh.PullRequests.List(ctx, r.Owner, r.Name, &github.PullRequestListOptions{Head: "us-east-1:diverged", Base: "main"})
	w.must(err)
	if len(open) != 1 || open[0].GetNumber() != 7 {
		t.Errorf("open pull requests: %v", open)
	}
	one, _, err := gh.PullRequests.Get(ctx, r.Owner, r.Name, 5)
	w.must(err)
	if !one.GetMerged() || one.GetCommits() != 2 || one.GetChangedFiles() != 3 || one.GetMergeCommitSHA() != repo.OID("main").String() {
		t.Errorf("merged pull request: merged %v, %d commits, %d files", one.GetMerged(), one.GetCommits(), one.GetChangedFiles())
	}
	if text, _, err := gh.PullRequests.GetRaw(ctx, r.Owner, r.Name, 7, github.RawOptions{Type: github.Diff}); err != nil || !strings.Contains(text, "aside+plus.txt") {
		t.Errorf("diff: %v %s", err, text)
	}
	commits, _, err := gh.PullRequests.ListCommits(ctx, r.Owner, r.Name, 5, nil)
	w.must(err)
	if len(commits) != 2 || commits[1].GetSHA() != repo.OID("feature/DEMO-3-x").String() {
		t.Errorf("commits: %v", commits)
	}
	files, _, err := gh.PullRequests.ListFiles(ctx, r.Owner, r.Name, 7, nil)
	w.must(err)
	if len(files) != 1 || files[0].GetFilename() != "aside+plus.txt" || files[0].GetPatch() == "" {
		t.Errorf("files: %v", files)
	}
	merged, _, err := gh.PullRequests.IsMerged(ctx, r.Owner, r.Name, 5)
	not, _, err2 := gh.PullRequests.IsMerged(ctx, r.Owner, r.Name, 7)
	if w.must(errors.Join(err, err2)); !merged || not {
		t.Errorf("merged: %v, %v", merged, not)
	}
	if reviews, _, err := gh.PullRequests.ListReviews(ctx, r.Owner, r.Name, 7, nil); err != nil || len(reviews) != 1 || reviews[0].GetState() != "APPROVED" || reviews[0].GetUser().GetLogin() != "bob" {
		t.Errorf("reviews: %v, %v", reviews, err)
	}
	if with, _, err := gh.PullRequests.ListPullRequestsWithCommit(ctx, r.Owner, r.Name, repo.OID("diverged").String(), nil); err != nil || len(with) != 1 || with[0].GetNumber() != 7 {
		t.Errorf("pull requests of a commit: %v, %v", with, err)
	}
	if found, _, err := gh.Search.Issues(ctx, "is:pr is:merged feature", nil); err != nil || found.GetTotal() != 1 || found.Issues[0].GetNumber() != 5 {
		t.Errorf("search: %v, %v", found, err)
	}
	events, _, err := gh.Activity.ListRepositoryEvents(ctx, r.Owner, r.Name, &github.ListOptions{PerPage: 100})
	w.must(err)
	kinds := map[string]int{}
	ids := map[string]bool{}
	for i, e := range events {
		kinds[e.GetType()]++
		ids[e.GetID()] = true
		if i > 0 && e.GetCreatedAt().After(events[i-1].GetCreatedAt().Time) {
			t.Error("events are not newest first")
		}
	}
	if kinds["PullRequestEvent"] != 4 || len(ids) != len(events) {
		t.Errorf("events: %v, %d ids of %d", kinds, len(ids), len(events))
	}
	for _, path := range []string{"/pulls/7/comments", "/issues/7/comments"} {
		w.want(200, w.token(alice, allScopes), "GET", "/api/v3/repos/us-east-1/demo"+path, "", nil)
	}
	w.want(404, w.token(alice, allScopes), "GET", "/api/v3/repos/us-east-1/demo/pulls/6", "", nil)
}

// An empty repository is a conflict where commits are asked for, and an empty
// list elsewhere.
func TestEmptyRepository(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.user("alice", ferry.LevelRead, false), allScopes)
	w.connect("empty", gittest.NewBare(t).Dir)
	for path, code := range map[string]int{"": 200, "/branches": 200, "/tags": 200, "/events": 200, "/pulls": 200, "/commits": 409, "/commits/main": 409,
		"/git/ref/heads/main": 409, "/contents": 404, "/readme": 404, "/git/trees/main": 409} {
		a := w.want(code, token, "GET", "/api/v3/repos/us-east-1/empty"+path, "", nil)
		if code == 409 && !strings.Contains(string(a.body), "Git Repository is empty.") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}
