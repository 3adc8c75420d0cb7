package web

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"gitferry/internal/ferry"
)

var hidden = regexp.MustCompile(`<input type="hidden" name="(token|tip|repo|name)" value="([^"]*)"`)

// hiddenFields returns the hidden fields of a dialog, to be sent back.
func hiddenFields(body string) (fields []string) {
	for _, m := range hidden.FindAllStringSubmatch(body, -1) {
		fields = append(fields, m[1], m[2])
	}
	return fields
}

// A branch and a pull request are made from an issue, and the branch deleted.
func TestDialogs(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	work := w.history()
	w.connect()
	w.user("alice", ferry.LevelWrite, false)
	w.user("bob", ferry.LevelRead, false)
	b := w.as("alice")

	b.page("/issues/DEMO-4", "Create branch", "Create pull request")
	body := b.page("/issues/DEMO-4/branches/new", "Create branch", `name="name" value="DEMO-4-`)
	fields := append(hiddenFields(body), "repo", "1", "source", "main")
	status, body, _ := b.post("/issues/DEMO-4/branches/new", append(fields, "do", "create", "name", "bad..name")...)
	checkHTML(t, "a bad name", body)
	if status != http.StatusUnprocessableEntity || !strings.Contains(body, "bad..name") || !strings.Contains(body, `role="alert"`) {
		t.Errorf("a bad name: %d, want 422 with the name kept", status)
	}
	status, body, _ = b.post("/issues/DEMO-4/branches/new", append(fields, "do", "default-repo", "name", "DEMO-4-x")...)
	checkHTML(t, "make default", body)
	if status != http.StatusOK || !strings.Contains(body, "default for DEMO") {
		t.Errorf("make default: %d", status)
	}
	for range 2 { // a double submit makes one
		status, body, h := b.post("/issues/DEMO-4/branches/new", append(fields, "do", "create", "name", "DEMO-4-fresh")...)
		if status != http.StatusSeeOther || h.Get("Location") != "/issues/DEMO-4" {
			t.Fatalf("creating a branch: %d\n%.400s", status, body)
		}
		b.page("/issues/DEMO-4", "The branch DEMO-4-fresh is made", "git switch DEMO-4-fresh", "key in the name")
	}
	status, body, _ = b.post("/issues/DEMO-4/pulls/new", "repo", "1", "do", "reload", "source", "DEMO-4-fresh", "target", "main")
	checkHTML(t, "nothing to merge", body)
	if status != http.StatusOK || !strings.Contains(body, "Nothing to merge") {
		t.Errorf("nothing to merge: %d", status)
	}
	body = b.page("/issues/DEMO-1/pulls/new?repo=1&source=DEMO-1-letterbox&target=main", "2 commits, 2 files", "DEMO-1: Merge DEMO-1-letterbox to main")
	fields = append(hiddenFields(body), "repo", "1", "source", "DEMO-1-letterbox", "target", "main", "title", "DEMO-1: letters", "do", "create")
	status, body, h := b.post("/issues/DEMO-1/pulls/new", fields...)
	if status != http.StatusSeeOther || h.Get("Location") != "/issues/DEMO-1" {
		t.Fatalf("creating a pull request: %d\n%.400s", status, body)
	}
	body = b.page("/issues/DEMO-1", "is open", "DEMO-1: letters", ">OPEN<")
	number := regexp.MustCompile(`/us-east-1/demo/pull/(\d+)`).FindString(body)
	b.page(number, "DEMO-1: letters", "more of it", "Compare the branches")
	b.page("/us-east-1/demo/pulls", "DEMO-1: letters")

	body = b.page("/us-east-1/demo/branches/delete?name=DEMO-1-letterbox", "2 commits are on no other branch", "will be closed", "Delete branch DEMO-1-letterbox")
	fields = hiddenFields(body)
	if status, _, _ := w.as("bob").post("/us-east-1/demo/branches/delete", fields...); status != http.StatusForbidden {
		t.Errorf("deleting as a reader: %d, want 403", status)
	}
	status, body, _ = b.post("/us-east-1/demo/branches/delete", fields...)
	if status != http.StatusSeeOther {
		t.Fatalf("deleting a branch: %d\n%.400s", status, body)
	}
	b.page("/us-east-1/demo/branches", "The branch DEMO-1-letterbox is deleted")
	if refs, err := w.mirror.Refs(t.Context(), w.repo); err != nil || !refs["refs/heads/DEMO-1-letterbox"].IsZero() || refs["refs/heads/DEMO-4-fresh"] != work.OID("main") {
		t.Errorf("refs of the mirror are %v, error %v", refs, err)
	}
	if status, _, _ := b.get("/us-east-1/demo/branches/delete?name=main"); status != http.StatusConflict {
		t.Errorf("deleting the main branch: %d, want 409", status)
	}

	if body := w.as("bob").page("/issues/DEMO-4"); strings.Contains(body, "Create branch") {
		t.Error("a reader is offered to create branches")
	}
	status, _, _ = b.post("/settings", "do", "default-branch", "project", "demo", "repo", "1", "source", "main", "target", "side")
	if status != http.StatusSeeOther {
		t.Errorf("setting default branches: %d", status)
	}
	b.page("/settings", "default repository", "target branch side")
	status, body, _ = b.post("/settings", "do", "aws", "integration", "1", "access_key_id", "AKIAWRONGWRONGWRONG1", "secret_access_key", "nothing")
	checkHTML(t, "a wrong key", body)
	if status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong AWS key: %d, want 422", status)
	}
	c := w.aws.Credentials()
	if status, body, _ := b.post("/settings", "do", "aws", "integration", "1", "access_key_id", c.AccessKeyID, "secret_access_key", c.SecretAccessKey); status != http.StatusSeeOther {
		t.Errorf("a good AWS key: %d\n%.600s", status, body)
	}
	b.page("/settings", c.ARN)
}
