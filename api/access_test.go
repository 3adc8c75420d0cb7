package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"
)

// subjects are the columns of the access table.
var subjects = []string{"anonymous", "no grant", "read", "write", "repo admin", "admin", "read scope", "repo:read", "repo:write", "api:read", "api:admin", "wrong repo", "dvcs scope", "expired", "disabled"}

// TestAccess asks every route of the table as everybody, with the handlers
// taken out, and compares what access decides with the reviewed table
// (security.md, R-1). A route that is missing there fails.
func TestAccess(t *testing.T) {
	w := newWorld(t)
	e := echo.New()
	e.HTTPErrorHandler = w.server.fail
	bare := make([]route, len(v1))
	for i, r := range v1 {
		r.out, r.status = nil, http.StatusNoContent
		r.handle, r.stream = func(*Server, *call) (any, error) { return nothing{}, nil }, nil
		bare[i] = r
		e.Add(r.method, "/api/v1"+echoPath(r.path), w.server.serve(&bare[i]))
	}
	ts := httptest.NewServer(e)
	defer ts.Close()
	w.url = ts.URL

	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "route\t"+strings.Join(subjects, "\t"))
	for _, r := range v1 {
		path := strings.NewReplacer("{owner}", w.repo.Owner, "{name}", w.repo.Name, "{slug}", "us-east-1", "{user}", "root", "{id}", "1",
			"{key}", "DEMO-1", "{project}", "DEMO", "{sha}", strings.Repeat("1", 40)).Replace(r.path)
		row := []string{r.method + " " + r.path}
		for _, who := range subjects {
			status, _, _ := w.ask(who, r.method, path, nil)
			row = append(row, fmt.Sprint(status))
		}
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	table.Flush()
	const golden = "testdata/access.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(b.String(), "\n")); d != "" {
		t.Errorf("access differs from %s (-want +got); review it, then run with -update:\n%s", golden, d)
	}
}

// What may not be read answers as what is not there, to the letter.
func TestHiddenRepositoryLooksAbsent(t *testing.T) {
	w := newWorld(t)
	normal := func(b []byte) string {
		text, _, _ := strings.Cut(string(b), `"request_id"`)
		return text
	}
	_, tag, body := w.ask("admin", "GET", "/repositories/us-east-1/demo", nil)
	if tag.Get("ETag") == "" {
		t.Fatalf("no ETag: %s", body)
	}
	for _, suffix := range []string{"", "/commits", "/refs", "/movements"} {
		status, _, hidden := w.ask("read", "GET", "/repositories/us-west-2/hidden"+suffix, nil)
		absent, _, none := w.ask("read", "GET", "/repositories/us-west-2/nothing"+suffix, nil)
		if status != 404 || absent != 404 || normal(hidden) != normal(none) {
			t.Errorf("%q: hidden %d %s, absent %d %s", suffix, status, hidden, absent, none)
		}
	}
	// An ETag that somebody else was given proves nothing.
	status, _, _ := w.ask("no grant", "GET", "/repositories/us-east-1/demo", nil, "If-None-Match", tag.Get("ETag"))
	if status != 404 {
		t.Errorf("with a foreign ETag: %d, want 404", status)
	}
	if status, _, body := w.ask("admin", "GET", "/repositories/us-east-1/demo", nil, "If-None-Match", tag.Get("ETag")); status != 304 || len(body) > 0 {
		t.Errorf("with the ETag: %d %s, want 304", status, body)
	}
	for who, want := range map[string]int{"admin": 1, "no grant": 0, "wrong repo": 0, "read": 1} {
		var list page[Repository]
		w.want(200, who, "GET", "/repositories", nil, &list)
		if len(list.Items) != want {
			t.Errorf("list as %s: %+v, want %d", who, list.Items, want)
		}
	}
	var found hits
	w.want(200, "read", "GET", "/search?q=hid", nil, &found)
	if len(found.Repositories) != 0 {
		t.Errorf("search shows %+v", found.Repositories)
	}
}

func TestNobodyMakesAWiderCredential(t *testing.T) {
	w := newWorld(t)
	w.tokens["narrow"] = w.token(3, allScopes[2:], nil, 0) // rita's, api only
	w.want(403, "narrow", "POST", "/user/tokens", tokenIn{Name: "x", Scopes: allScopes}, nil)
	w.want(403, "narrow", "POST", "/user/keys", keyIn{Public: "ssh-ed25519 AAAA"}, nil)
	var made NewToken
	w.want(201, "narrow", "POST", "/user/tokens", tokenIn{Name: "x", Scopes: allScopes[2:3]}, &made)
	w.tokens["made"] = made.Text
	var me self
	w.want(200, "made", "GET", "/user", nil, &me)
	if len(me.Scopes) != 1 || me.Scopes[0] != "api:read" {
		t.Errorf("self = %+v", me)
	}
	w.want(403, "made", "POST", "/user/tokens", tokenIn{Name: "y", Scopes: allScopes[2:3]}, nil)
	// The rows of others are not there.
	w.want(404, "read", "DELETE", "/user/tokens/1", nil, nil)
	w.want(404, "admin", "DELETE", "/users/rita/tokens/1", nil, nil)
	w.want(404, "admin", "DELETE", "/users/rita/grants/1", nil, nil)
	w.want(204, "admin", "DELETE", fmt.Sprintf("/user/tokens/%d", 2), nil, nil)
	w.want(401, "read scope", "GET", "/user", nil, nil)
}
