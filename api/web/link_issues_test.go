package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// Issues of a commit, a branch and a pull request are changed by hand: by
// key, by words that Jira is asked for, and away again; the issue's page says
// who did it, and a new reading of the repository keeps it.
func TestLinkIssues(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	work := w.history()
	w.connect()
	w.user("root", ferry.LevelAdmin, true)
	w.user("alice", ferry.LevelWrite, false)
	w.user("bob", ferry.LevelRead, false)
	plain := work.OID("DEMO-1-letterbox") // "more of it", by Test Author
	commit := "/us-east-1/demo/commit/" + plain.String()
	b := w.as("root")
	b.page(commit, "Link commit", commit+"/issues")
	b.page("/us-east-1/demo/commits?branch=DEMO-1-letterbox", "Link commit", commit+"/issues")
	b.page(commit+"/issues", "Associated issues", "more of it", `data-complete="/search/issues"`)

	post := func(b *browser, path string, want int, fields ...string) string {
		t.Helper()
		status, body, header := b.post(path, fields...)
		if status != want {
			t.Errorf("POST %s %v: %d, want %d\n%.800s", path, fields, status, want, body)
		}
		if want == http.StatusSeeOther {
			return header.Get("Location")
		}
		checkHTML(t, path, body)
		return body
	}
	summary := w.summary("DEMO-7")
	body := post(b, commit+"/issues", http.StatusOK, "q", summary, "do", "save")
	if !strings.Contains(body, `value="DEMO-7"`) {
		t.Errorf("the search for %q does not find DEMO-7:\n%s", summary, body)
	}
	if body := post(b, commit+"/issues", http.StatusOK, "q", "zebra", "add", "DEMO-7", "do", "find"); !strings.Contains(body, "no further issue") || !strings.Contains(body, "to be added") {
		t.Errorf("a search without hits: %s", body)
	}
	if body := post(b, commit+"/issues", http.StatusUnprocessableEntity, "q", "DEMO-999", "do", "save"); !strings.Contains(body, "Jira has no issue DEMO-999") {
		t.Errorf("an issue that is not there: %s", body)
	}
	if at := post(b, commit+"/issues", http.StatusSeeOther, "add", "DEMO-7", "q", "ops-3", "do", "save"); at != commit {
		t.Errorf("after saving: %s", at)
	}
	b.page(commit, "The issues of commit "+plain.Short()+" are changed", "linked by hand", "by root", "Change issues")
	b.page("/issues/DEMO-7", "more of it", "linked by hand by root")

	branch := "/us-east-1/demo/branches/issues?name=side"
	b.page("/us-east-1/demo/branches", "branches/issues?name=side")
	a := w.as("alice") // may push, so branches are hers to change, foreign commits are not
	a.page(branch, "branch side", "in its latest commit")
	if status, _, _ := a.get(commit + "/issues"); status != http.StatusForbidden {
		t.Errorf("alice and a foreign commit: %d, want 403", status)
	}
	if strings.Contains(a.page(commit), "Change issues") {
		t.Error("alice is offered to change a foreign commit")
	}
	post(a, branch, http.StatusSeeOther, "q", "DEMO-8", "had", "DEMO-3", "do", "save") // DEMO-3 is of its tip
	b.page("/issues/DEMO-8", "side", "linked by hand by alice")
	if strings.Contains(strings.Split(b.page("/issues/DEMO-3"), `<aside`)[1], "name=side") {
		t.Error("the branch is still shown for the issue that it was taken from")
	}
	a.page(branch, "Taken away: DEMO-3 by alice")

	w.must(w.store.PutPullRequests(t.Context(), w.repo.ID, []store.PullRequest{{Repository: w.repo.ID, Number: 5, Title: "Of side", Status: "open", Source: "refs/heads/side", Destination: "refs/heads/main", Keys: []ferry.IssueKey{"DEMO-3"}}}, nil))
	a.page("/us-east-1/demo/pull/5", "Change issues")
	post(a, "/us-east-1/demo/pull/5/issues", http.StatusSeeOther, "q", "DEMO-8", "had", "DEMO-3", "keep", "DEMO-3", "do", "save")
	a.page("/us-east-1/demo/pull/5", "linked by hand by alice", "DEMO-3")
	b.page("/issues/DEMO-8", "Of side")

	for _, path := range []string{commit + "/issues", branch, "/us-east-1/demo/pull/5/issues"} {
		if status, _, _ := w.as("bob").get(path); status != http.StatusForbidden {
			t.Errorf("bob gets %s: %d, want 403", path, status)
		}
		if status, _, _ := w.as("bob").post(path, "q", "DEMO-9", "do", "save"); status != http.StatusForbidden {
			t.Errorf("bob posts %s: %d, want 403", path, status)
		}
	}

	r, err := w.store.Repository(t.Context(), w.repo.ID)
	w.must(err)
	work.Run("checkout", "-q", "side")
	work.Commit("side goes on", "side.txt", "more\n")
	work.Run("push", "-q", w.cloneURL("demo"), "side")
	w.sync()
	w.must(w.index.Repository(t.Context(), r))
	b.page("/issues/DEMO-7", "more of it")
	b.page("/issues/DEMO-8", "side", "linked by hand by alice")

	post(b, commit+"/issues", http.StatusSeeOther, "had", "DEMO-7", "had", "OPS-3", "keep", "OPS-3", "do", "save")
	if strings.Contains(b.page("/issues/DEMO-7"), "more of it") {
		t.Error("DEMO-7 still has the commit")
	}
	b.page("/admin/audit", "issues.change", "&#43;DEMO-7 &#43;OPS-3", "-DEMO-7")
}

// The field that completes keys tells those nothing who may know nothing.
func TestSuggestIssues(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	w.history()
	w.connect()
	w.user("alice", ferry.LevelRead, false)
	w.user("stranger", ferry.LevelRead, false) // has no account at Jira
	for who, want := range map[string]int{"alice": 1, "stranger": 0} {
		status, body, header := w.as(who).get("/search/issues?q=demo-7")
		var list []suggestion
		if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK || header.Get("Content-Type") != "application/json" {
			t.Fatalf("%s: %d %v %s", who, status, err, body)
		}
		if len(list) != want || want == 1 && list[0].Value != "DEMO-7" {
			t.Errorf("%s is told %v", who, list)
		}
	}
}
