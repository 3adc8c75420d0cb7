package ghapi

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscodecommit "github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"

	"gitferry/internal/ferry"
	"gitferry/internal/gittest"
	"gitferry/internal/store"
)

// A sample is a request on a route and the status that it must have.
type sample struct {
	path   string // below /api/v3; REPO stands for the repository
	code   int
	body   string
	beyond bool // GitHub's description, as reduced, does not have the route or this answer
}

// TestEveryAnswerFits asks every route of GitHub's shape and holds every
// answer against GitHub's description. A route without a sample fails, and so
// does an operation of the description that no answer was held against.
func TestEveryAnswerFits(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	repo := gittest.New(t)
	repo.Commit("DEMO-1 first", "README.md", "# Demo\n", "dir/README", "text\n")
	repo.Run("tag", "--annotate", "--message=one", "v1.0")
	repo.Run("checkout", "--quiet", "-b", "topic")
	repo.Commit("DEMO-1 second", "dir/b", "b\n")
	repo.Run("checkout", "--quiet", "main")
	h := w.host(repo)
	r, tip := h.repo, repo.OID("topic").String()
	alice := h.sdk("alice")
	made, err := alice.CreatePullRequest(ctx, &awscodecommit.CreatePullRequestInput{Title: aws.String("DEMO-1"), Targets: []types.Target{{
		RepositoryName: aws.String("demo"), SourceReference: aws.String("topic"), DestinationReference: aws.String("main")}}})
	w.must(err)
	number := *made.PullRequest.PullRequestId
	for _, place := range []*types.Location{nil, {FilePath: aws.String("dir/b"), FilePosition: aws.Int64(1), RelativeFileVersion: types.RelativeFileVersionEnumAfter}} {
		_, err := alice.PostCommentForPullRequest(ctx, &awscodecommit.PostCommentForPullRequestInput{PullRequestId: made.PullRequest.PullRequestId, RepositoryName: aws.String("demo"),
			BeforeCommitId: aws.String(repo.OID("main").String()), AfterCommitId: aws.String(tip), Content: aws.String("why?"), Location: place})
		w.must(err)
	}
	_, err = h.sdk("gitferry").UpdatePullRequestApprovalState(ctx, &awscodecommit.UpdatePullRequestApprovalStateInput{PullRequestId: made.PullRequest.PullRequestId,
		RevisionId: made.PullRequest.RevisionId, ApprovalState: types.ApprovalStateApprove})
	w.must(err)
	_, err = alice.PostCommentForComparedCommit(ctx, &awscodecommit.PostCommentForComparedCommitInput{RepositoryName: aws.String("demo"), AfterCommitId: aws.String(tip), Content: aws.String("nice")})
	w.must(err)
	w.must(w.server.Pulls.Sync(ctx, r))
	token := w.token(w.user("root", ferry.LevelAdmin, true), allScopes)
	hook, err := w.store.AddWebhook(ctx, store.Webhook{Repository: r.ID, URL: w.url + "/nowhere", Events: []string{"push"}, Active: true, ContentType: "json", User: 1})
	w.must(err)
	w.must(w.store.AddWebhookDelivery(ctx, store.WebhookDelivery{Hook: hook.ID, GUID: "g", Event: "push", Payload: []byte(`{}`)}))
	sent, err := w.store.WebhookDeliveries(ctx, hook.ID, 0, 1)
	w.must(err)
	merged := w.mergedPull(r, repo)

	blob, tag := repo.OID("main:README.md").String(), repo.OID("v1.0").String()
	hooks := fmt.Sprintf("/REPO/hooks/%d", hook.ID)
	deliveries := fmt.Sprintf("%s/deliveries/%d", hooks, sent[0].ID)
	samples := map[string][]sample{
		"GET /api/v3":                               {{path: "", code: 200, beyond: true}},
		"GET /api/v3/":                              {{path: "/", code: 200}},
		"GET /api/v3/meta":                          {{path: "/meta", code: 200}},
		"GET /api/v3/rate_limit":                    {{path: "/rate_limit", code: 404}},
		"GET /api/v3/user":                          {{path: "/user", code: 200}},
		"GET /api/v3/user/repos":                    {{path: "/user/repos", code: 200}},
		"GET /api/v3/user/orgs":                     {{path: "/user/orgs", code: 200}},
		"GET /api/v3/users/:user":                   {{path: "/users/root", code: 200}, {path: "/users/us-east-1", code: 200}},
		"GET /api/v3/users/:user/repos":             {{path: "/users/us-east-1/repos", code: 200}},
		"GET /api/v3/users/:user/orgs":              {{path: "/users/root/orgs", code: 200}},
		"GET /api/v3/orgs/:org":                     {{path: "/orgs/us-east-1", code: 200}},
		"GET /api/v3/orgs/:org/repos":               {{path: "/orgs/us-east-1/repos", code: 200}},
		"GET /api/v3/repositories":                  {{path: "/repositories", code: 200}},
		"GET /api/v3/search/commits":                {{path: "/search/commits?q=DEMO-1", code: 200}},
		"GET /api/v3/search/repositories":           {{path: "/search/repositories?q=demo", code: 200}},
		"GET /api/v3/search/issues":                 {{path: "/search/issues?q=is:pr", code: 200}},
		"GET /api/v3/repos/:owner/:name":            {{path: "/REPO", code: 200}},
		"GET /api/v3/repos/:owner/:name/branches":   {{path: "/REPO/branches", code: 200}},
		"GET /api/v3/repos/:owner/:name/branches/*": {{path: "/REPO/branches/topic", code: 200}},
		"GET /api/v3/repos/:owner/:name/tags":       {{path: "/REPO/tags", code: 200}},
		"GET /api/v3/repos/:owner/:name/commits":    {{path: "/REPO/commits", code: 200}},
		"GET /api/v3/repos/:owner/:name/commits/*": {{path: "/REPO/commits/topic", code: 200}, {path: "/REPO/commits/" + tip + "/branches-where-head", code: 200},
			{path: "/REPO/commits/" + tip + "/pulls", code: 200}, {path: "/REPO/commits/" + tip + "/comments", code: 200},
			{path: "/REPO/commits/topic/status", code: 200}, {path: "/REPO/commits/topic/check-runs", code: 200}},
		"GET /api/v3/repos/:owner/:name/compare/*":             {{path: "/REPO/compare/main...topic", code: 200}},
		"GET /api/v3/repos/:owner/:name/contents":              {{path: "/REPO/contents", code: 200, beyond: true}},
		"GET /api/v3/repos/:owner/:name/contents/*":            {{path: "/REPO/contents/README.md", code: 200}, {path: "/REPO/contents/dir", code: 200}},
		"GET /api/v3/repos/:owner/:name/readme":                {{path: "/REPO/readme", code: 200}},
		"GET /api/v3/repos/:owner/:name/readme/*":              {{path: "/REPO/readme/dir", code: 200}},
		"GET /api/v3/repos/:owner/:name/tarball":               {{path: "/REPO/tarball", code: 501}},
		"GET /api/v3/repos/:owner/:name/tarball/*":             {{path: "/REPO/tarball/main", code: 501}},
		"GET /api/v3/repos/:owner/:name/zipball":               {{path: "/REPO/zipball", code: 501}},
		"GET /api/v3/repos/:owner/:name/zipball/*":             {{path: "/REPO/zipball/main", code: 501}},
		"GET /api/v3/repos/:owner/:name/languages":             {{path: "/REPO/languages", code: 200}},
		"GET /api/v3/repos/:owner/:name/contributors":          {{path: "/REPO/contributors", code: 200}},
		"GET /api/v3/repos/:owner/:name/events":                {{path: "/REPO/events", code: 200}},
		"GET /api/v3/repos/:owner/:name/git/ref/*":             {{path: "/REPO/git/ref/heads/topic", code: 200}},
		"GET /api/v3/repos/:owner/:name/git/matching-refs/*":   {{path: "/REPO/git/matching-refs/heads", code: 200}},
		"GET /api/v3/repos/:owner/:name/git/refs":              {{path: "/REPO/git/refs", code: 200, beyond: true}},
		"POST /api/v3/repos/:owner/:name/git/refs":             {{path: "/REPO/git/refs", code: 201, body: `{"ref":"refs/heads/made","sha":"` + tip + `"}`}},
		"GET /api/v3/repos/:owner/:name/git/refs/*":            {{path: "/REPO/git/refs/heads/topic", code: 200, beyond: true}},
		"GET /api/v3/repos/:owner/:name/git/commits/:sha":      {{path: "/REPO/git/commits/" + tip, code: 200}},
		"GET /api/v3/repos/:owner/:name/git/trees/*":           {{path: "/REPO/git/trees/topic?recursive=1", code: 200}},
		"GET /api/v3/repos/:owner/:name/git/blobs/:sha":        {{path: "/REPO/git/blobs/" + blob, code: 200}},
		"GET /api/v3/repos/:owner/:name/git/tags/:sha":         {{path: "/REPO/git/tags/" + tag, code: 200}},
		"GET /api/v3/repos/:owner/:name/pulls":                 {{path: "/REPO/pulls?state=all", code: 200}},
		"POST /api/v3/repos/:owner/:name/pulls":                {{path: "/REPO/pulls", code: 201, body: `{"title":"DEMO-1 made","head":"made","base":"main"}`}},
		"GET /api/v3/repos/:owner/:name/pulls/:number":         {{path: "/REPO/pulls/" + number, code: 200}},
		"GET /api/v3/repos/:owner/:name/pulls/:number/commits": {{path: "/REPO/pulls/" + number + "/commits", code: 200}},
		"GET /api/v3/repos/:owner/:name/pulls/:number/files":   {{path: "/REPO/pulls/" + number + "/files", code: 200}},
		"GET /api/v3/repos/:owner/:name/pulls/:number/merge": {{path: "/REPO/pulls/" + merged + "/merge", code: 204},
			{path: "/REPO/pulls/" + number + "/merge", code: 404}},
		"GET /api/v3/repos/:owner/:name/pulls/:number/comments":                   {{path: "/REPO/pulls/" + number + "/comments", code: 200}},
		"GET /api/v3/repos/:owner/:name/pulls/:number/reviews":                    {{path: "/REPO/pulls/" + number + "/reviews", code: 200}},
		"GET /api/v3/repos/:owner/:name/issues/:number/comments":                  {{path: "/REPO/issues/" + number + "/comments", code: 200}},
		"GET /api/v3/repos/:owner/:name/hooks":                                    {{path: "/REPO/hooks", code: 200}},
		"POST /api/v3/repos/:owner/:name/hooks":                                   {{path: "/REPO/hooks", code: 201, body: `{"name":"web","events":["push"],"config":{"url":"` + w.url + `/here"}}`}},
		"GET /api/v3/repos/:owner/:name/hooks/:id":                                {{path: hooks, code: 200}},
		"PATCH /api/v3/repos/:owner/:name/hooks/:id":                              {{path: hooks, code: 200, body: `{"active":true}`, beyond: true}},
		"POST /api/v3/repos/:owner/:name/hooks/:id/pings":                         {{path: hooks + "/pings", code: 204, beyond: true}},
		"GET /api/v3/repos/:owner/:name/hooks/:id/deliveries":                     {{path: hooks + "/deliveries", code: 200, beyond: true}},
		"GET /api/v3/repos/:owner/:name/hooks/:id/deliveries/:delivery":           {{path: deliveries, code: 200, beyond: true}},
		"POST /api/v3/repos/:owner/:name/hooks/:id/deliveries/:delivery/attempts": {{path: deliveries + "/attempts", code: 200, beyond: true}},
		"DELETE /api/v3/repos/:owner/:name/hooks/:id":                             {{path: hooks, code: 204}},
	}
	transport := w.client.Transport.(*checked)
	inOrder := slices.Clone(routes)
	slices.SortStableFunc(inOrder, func(a, b route) int {
		return cmp.Compare(strings.Count(a.method, "DEL"), strings.Count(b.method, "DEL"))
	}) // at the end
	for _, rt := range inOrder {
		if !strings.HasPrefix(rt.path, v3) {
			continue
		}
		name := rt.method + " " + rt.path
		if len(samples[name]) == 0 {
			t.Errorf("%s has no sample", name)
		}
		for _, s := range samples[name] {
			path := v3 + strings.Replace(s.path, "/REPO", "/repos/"+r.Path(), 1)
			a := w.ask(token, rt.method, path, s.body)
			if a.code != s.code {
				t.Errorf("%s: %d, want %d\n%.300s", path, a.code, s.code, a.body)
			}
			if strings.HasPrefix(string(a.body), "[]") && s.code == 200 {
				t.Errorf("%s is empty, so that nothing was held against the description", path)
			}
			plain, _, _ := strings.Cut(path, "?")
			if _, fits := transport.fitted.Load(rt.method + " " + plain); fits == s.beyond && s.code < 300 {
				t.Errorf("%s %s was held against GitHub's description: %v, want %v", rt.method, path, fits, !s.beyond)
			}
		}
		delete(samples, name)
	}
	for name := range samples {
		t.Errorf("there is no route %s any more", name)
	}
	held := make(map[string]bool)
	transport.fitted.Range(func(request, operation any) bool {
		method, _, _ := strings.Cut(request.(string), " ")
		held[method+" "+operation.(string)] = true
		return true
	})
	// Rate limits are off, and archives are not offered.
	refused := regexp.MustCompile(`/rate_limit$|/(tar|zip)ball/`)
	for _, o := range contract(t) {
		for method := range o.item.Operations() {
			if name := method + " " + o.name; !held[name] && !refused.MatchString(o.name) {
				t.Errorf("no answer was held against %s", name)
			}
		}
	}
}

// mergedPull puts a merged pull request into the books and returns its number.
func (w *world) mergedPull(r ferry.Repository, repo *gittest.Repo) string {
	w.t.Helper()
	all, err := w.store.PullRequests(w.t.Context(), store.PullRequestFilter{Repository: r.ID})
	w.must(err)
	p := all[0]
	p.Number, p.Merged, p.Status, p.MergeOID = 900, true, "closed", repo.OID("main")
	w.must(w.store.PutPullRequests(w.t.Context(), r.ID, []store.PullRequest{p}, nil))
	return "900"
}
