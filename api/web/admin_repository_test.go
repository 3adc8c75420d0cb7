package web

import (
	"net/http"
	"strings"
	"testing"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// What is set on the page of a repository is kept, and its projects decide
// where it is shown.
func TestRepositorySettings(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	w.history()
	w.connect()
	w.user("root", ferry.LevelAdmin, true)
	b := w.as("root")
	const path = "/admin/repositories/1"
	post := func(want int, path string, fields ...string) string {
		t.Helper()
		status, body, _ := b.post(path, fields...)
		if status != want {
			t.Errorf("%v: %d, want %d\n%.600s", fields, status, want, body)
		}
		return body
	}
	for problem, fields := range map[string][]string{
		"not a regular expression":       {"tag_filter", "("},
		"is not the key of a project":    {"restrict", "1", "projects", "DEMO, 5x"},
		"Enter the keys of the projects": {"restrict", "1"},
	} {
		if body := post(http.StatusUnprocessableEntity, path, append(fields, "enabled", "1")...); !strings.Contains(body, problem) {
			t.Errorf("%v: the page does not say %q", fields, problem)
		}
	}
	b.page("/issues/OPS-2", "OPS-2</a> on main")
	of, err := w.store.CommitsByKey(t.Context(), "OPS-2", store.Page{})
	w.must(err)
	post(http.StatusSeeOther, path, "enabled", "1", "smart_commits", "1", "read_only", "1", "tag_filter", "^v", "restrict", "1", "projects", "demo storm")
	r, err := w.store.Repository(t.Context(), w.repo.ID)
	w.must(err)
	if !r.ReadOnly || r.TagFilter != "^v" || r.Projects != "DEMO STORM" || r.State != ferry.RepositoryEnabled || r.DefaultBranch != "main" {
		t.Errorf("repository = %+v", r)
	}
	b.page(path, "Jira is told", `value="DEMO STORM"`, `value="^v"`)
	if body := b.page("/issues/OPS-2"); strings.Contains(body, "on main") {
		t.Error("an issue of another project still shows the commit")
	}
	body := b.page("/issues/DEMO-1", "v1.0")
	if strings.Contains(body, ">light</a>") {
		t.Error("the tag filter lets everything through")
	}
	if body := b.page("/issues/OPS-2/branches/new"); strings.Contains(body, ">demo<") || !strings.Contains(body, ">empty") {
		t.Error("the dialog of another project offers the repository")
	}
	b.page("/admin/doctor?commit="+of[0].OID.String()+"&issue=OPS-2", "is associated with DEMO STORM only")
	// The integration's are for what comes later, and for all if that is ticked.
	const features = "/admin/integrations/1/features"
	b.page(features, "1 of which differ now")
	post(http.StatusSeeOther, features, "restrict", "1", "projects", "OPS", "overwrite", "1")
	if r, err = w.store.Repository(t.Context(), w.repo.ID); err != nil || r.Projects != "OPS" {
		t.Errorf("after overwriting: %q, %v", r.Projects, err)
	}
	b.page("/issues/OPS-2", "OPS-2</a> on main")
	post(http.StatusUnprocessableEntity, features, "restrict", "1", "projects", "-")
}
