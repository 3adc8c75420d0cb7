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

// The links of a single repository come from templates: a provider fills them
// in, what it leaves to replace is asked for, and pages use them at once.
func TestWebLinks(t *testing.T) {
	w := newWorld(t)
	w.user("root", ferry.LevelAdmin, true)
	b := w.as("root")
	i, err := w.store.AddIntegration(t.Context(), ferry.Integration{Slug: "tools", Kind: ferry.KindGit, GitEndpoint: "http://127.0.0.1:1/tools.git", PrivateNetwork: true}, ferry.Credentials{})
	w.must(err)
	repo, err := w.store.AddRepository(t.Context(), ferry.Repository{IntegrationID: i.ID, Name: "tools", HostID: "t", CloneURL: "http://127.0.0.1:1/tools.git"})
	w.must(err)
	path := repositoryAdminPath(repo.ID)
	b.page(path, "Web links", "Changeset Format", ">gitweb<")
	status, body, _ := b.post(path, "enabled", "1", "fill", "1", "web_provider", "gitea")
	if status != http.StatusOK || !strings.Contains(body, `value="https://&lt;host&gt;/&lt;owner&gt;/&lt;repository&gt;/commit/${rev}"`) {
		t.Errorf("filling in: %d\n%s", status, body)
	}
	status, body, _ = b.post(path, "enabled", "1", "web_branch", "https://git.example.com/<owner>/x/${branch}")
	if status != http.StatusUnprocessableEntity || !strings.Contains(body, "Branch Format: replace what stands between") {
		t.Errorf("with a mark left: %d", status)
	}
	if status, _, _ = b.post(path, "enabled", "1", "web_changeset", "https://git.example.com/me/x/commit/${rev}", "web_branch", "https://git.example.com/me/x/src/branch/${branch}"); status != http.StatusSeeOther {
		t.Fatalf("saving: %d", status)
	}
	repo, err = w.store.Repository(t.Context(), repo.ID)
	w.must(err)
	if got := console(repo).Branch("a/b c"); got != "https://git.example.com/me/x/src/branch/a/b%20c" {
		t.Errorf("branch at the host: %q", got)
	}
	if got := console(repo).Commit("abc") + console(repo).Tag("v1") + console(repo).Repository(); got != "https://git.example.com/me/x/commit/abc" {
		t.Errorf("commit, tag and repository at the host: %q", got)
	}
	b.page(path, `value="https://git.example.com/me/x/commit/${rev}"`)
}
