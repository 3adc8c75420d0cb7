package ghapi

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

// subjects are the columns of the access table.
var subjects = []string{"anonymous", "no grant", "read", "write", "repo admin", "admin", "read scope", "repo:read", "repo:write", "api:read", "api:admin", "wrong repo", "dvcs scope", "dvcs query", "disabled", "nonsense"}

func (w *world) people() {
	root := w.user("root", ferry.LevelAdmin, true)
	w.tokens["admin"] = w.token(root, allScopes)
	w.tokens["read scope"] = w.token(root, []ferry.Scope{ferry.ScopeRepoRead, ferry.ScopeAPIRead})
	for _, scope := range allScopes {
		w.tokens[string(scope)] = w.token(root, []ferry.Scope{scope})
	}
	w.tokens["wrong repo"] = w.token(root, allScopes, "us-west-2/*")
	w.tokens["dvcs scope"] = w.token(root, []ferry.Scope{ferry.ScopeJiraDVCS})
	w.tokens["dvcs query"] = w.tokens["dvcs scope"]
	w.tokens["no grant"] = w.token(w.user("nora", ferry.LevelNone, false), allScopes)
	w.tokens["read"] = w.token(w.user("rita", ferry.LevelRead, false), allScopes)
	w.tokens["write"] = w.token(w.user("will", ferry.LevelWrite, false), allScopes)
	w.tokens["repo admin"] = w.token(w.user("adam", ferry.LevelAdmin, false), allScopes)
	gone := w.user("gone", ferry.LevelAdmin, true)
	w.tokens["disabled"] = w.token(gone, allScopes)
	gone.Disabled = true
	w.must(w.store.UpdateUser(w.t.Context(), gone))
	w.tokens["nonsense"] = "gf_nonsense"
}

// askAs is ask as one of the subjects.
func (w *world) askAs(who, method, path, body string) answer {
	if who == "dvcs query" {
		sign := "?"
		if strings.Contains(path, "?") {
			sign = "&"
		}
		return w.ask("", method, path+sign+"access_token="+w.tokens[who], body)
	}
	return w.ask(w.tokens[who], method, path, body)
}

// TestAccess asks every route of the table as everybody, with the handlers
// taken out, and compares what access decides with the reviewed table
// (security.md, R-1). A route that is missing there fails.
func TestAccess(t *testing.T) {
	bare := make([]route, len(routes))
	copy(bare, routes)
	real := routes
	for i := range bare {
		bare[i].handle = func(*Server, *call) (any, error) { return status{code: 204}, nil }
	}
	routes = bare
	defer func() { routes = real }()
	w := newWorld(t)
	w.client.Transport = nil
	w.people()
	r, _ := w.demo()
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "route\t"+strings.Join(subjects, "\t"))
	for _, rt := range bare {
		path := strings.NewReplacer(":owner/:name", r.Path(), "/*", "/x", ":key", "DEMO-1", ":user", "root", ":org", "us-east-1", ":client", "1",
			":id", "1", ":delivery", "1", ":number", "1", ":sha", strings.Repeat("1", 40)).Replace(rt.path)
		row := []string{rt.method + " " + rt.path}
		for _, who := range subjects {
			row = append(row, fmt.Sprint(w.askAs(who, rt.method, path, "").code))
		}
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	table.Flush()
	const golden = "testdata/access.golden"
	if *update {
		w.must(os.WriteFile(golden, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	w.must(err)
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(b.String(), "\n")); d != "" {
		t.Errorf("access differs from %s (-want +got); review it, then run with -update:\n%s", golden, d)
	}
}

// What may not be read answers as what is not there, to the letter, on every
// route about a repository.
func TestHiddenRepositoryLooksAbsent(t *testing.T) {
	w := newWorld(t)
	w.people()
	r, repo := w.demo()
	sha := repo.OID("main").String()
	for _, rt := range routes {
		if !rt.ofRepository() {
			continue
		}
		path := strings.NewReplacer("/*", "/main", ":id", "1", ":delivery", "1", ":number", "1", ":sha", sha).Replace(rt.path)
		hidden := w.ask(w.tokens["no grant"], rt.method, strings.Replace(path, ":owner/:name", r.Path(), 1), "", "If-None-Match", "*")
		absent := w.ask(w.tokens["no grant"], rt.method, strings.Replace(path, ":owner/:name", "us-east-1/nothing", 1), "", "If-None-Match", "*")
		if hidden.code != 404 || absent.code != 404 || string(hidden.body) != string(absent.body) || hidden.header.Get("ETag") != "" || hidden.header.Get("Link") != "" {
			t.Errorf("%s %s: hidden %d %s, absent %d %s", rt.method, rt.path, hidden.code, hidden.body, absent.code, absent.body)
		}
	}
	for _, path := range []string{"/api/v3/search/commits?q=DEMO-1", "/api/v3/search/commits?q=step", "/api/v3/search/repositories?q=demo", "/api/v3/search/issues?q=x"} {
		var found struct {
			Total int `json:"total_count"`
		}
		w.want(200, w.tokens["no grant"], "GET", path, "", &found)
		if found.Total != 0 {
			t.Errorf("%s: %d results in repositories that may not be read", path, found.Total)
		}
	}
	for _, path := range []string{"/api/v3/orgs/us-east-1", "/api/v3/orgs/us-east-1/repos", "/api/v3/users/us-east-1"} {
		w.want(404, w.tokens["no grant"], "GET", path, "", nil)
	}
	if a := w.want(200, w.tokens["no grant"], "GET", "/rest/gitplugin/1.0/issues/DEMO-1/commits", "", nil); string(a.body) != `{"success":true,"commits":[]}`+"\n" {
		t.Errorf("commits of an issue: %s", a.body)
	}
}
