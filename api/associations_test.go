package api

import (
	"testing"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

func TestAssociations(t *testing.T) {
	w := newWorld(t)
	oid := ferry.OID{7}
	_, err := w.store.Apply(t.Context(), store.Change{Repository: w.repo.ID, Updates: []ferry.RefUpdate{{Name: "refs/heads/topic/x", New: oid}},
		Commits: []store.Commit{{OID: oid, Message: "no key", CommittedAt: time.Now()}}})
	w.must(err)
	const path = "/repositories/us-east-1/demo/associations"
	var got associations
	one := associationsIn{Kind: store.EntityCommit, ID: oid.String(), Add: []ferry.IssueKey{"demo-5"}}
	w.want(403, "read", "POST", path, one, nil)
	w.want(403, "write", "POST", path, one, nil)
	w.want(403, "read scope", "POST", path, one, nil)
	w.want(404, "no grant", "POST", path, one, nil)
	w.want(200, "repo admin", "POST", path, one, &got)
	if len(got.Items) != 1 || got.Items[0].Issue != "DEMO-5" || got.Items[0].By != "adam" || !got.Items[0].Linked {
		t.Errorf("after adding: %+v", got)
	}
	branch := associationsIn{Kind: store.EntityBranch, ID: "topic/x", Add: []ferry.IssueKey{"OPS-1"}, Remove: []ferry.IssueKey{"DEMO-5"}}
	w.want(200, "write", "POST", path, branch, &got)
	w.want(200, "read", "GET", path+"?kind=branch&id=topic/x", nil, &got)
	if len(got.Items) != 2 || got.Items[0].Issue != "DEMO-5" || got.Items[0].Linked || got.Items[1].Issue != "OPS-1" || !got.Items[1].Linked {
		t.Errorf("of the branch: %+v", got)
	}
	var list page[commit]
	w.want(200, "read", "GET", "/issues/DEMO-5/commits", nil, &list)
	if len(list.Items) != 1 || list.Items[0].OID != oid {
		t.Errorf("commits of the issue: %+v", list)
	}
	for what, in := range map[string]associationsIn{
		"no kind": {ID: "x"}, "a tag": {Kind: "tag", ID: "v1"},
	} {
		if status, _, body := w.ask("admin", "POST", path, in); status != 400 {
			t.Errorf("%s: %d %s, want 400", what, status, body)
		}
	}
	w.want(422, "admin", "POST", path, associationsIn{Kind: store.EntityCommit, ID: oid.String(), Add: []ferry.IssueKey{"x"}}, nil)
	w.want(404, "admin", "POST", path, associationsIn{Kind: store.EntityPullRequest, ID: "9", Add: []ferry.IssueKey{"DEMO-1"}}, nil)
}
