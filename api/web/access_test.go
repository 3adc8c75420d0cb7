package web

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

var update = flag.Bool("update", false, "rewrite golden files")

// Every route for every kind of person, against a table that is read in
// review. A route that is not in the table fails.
func TestAccess(t *testing.T) {
	w := newWorld(t)
	i, err := w.store.AddIntegration(t.Context(), ferry.Integration{Slug: "us-east-1", Kind: ferry.KindCodeCommit, Region: "us-east-1", GitAuth: ferry.GitAuthSigV4, AccessKeyID: "AKIAEXAMPLEEXAMPLE12"}, ferry.Credentials{})
	w.must(err)
	_, err = w.store.AddRepository(t.Context(), ferry.Repository{IntegrationID: i.ID, Name: "demo", Region: "us-east-1", HostID: "1", CloneURL: "https://upstream.example/demo"})
	w.must(err)
	w.user("none", ferry.LevelNone, false)
	w.user("reader", ferry.LevelRead, false)
	w.user("writer", ferry.LevelWrite, false)
	w.user("owner", ferry.LevelAdmin, false)
	w.user("root", ferry.LevelNone, true) // administrators see no repository without a grant
	gone := w.user("gone", ferry.LevelAdmin, true)
	sessions := make(map[string]string)
	for _, name := range []string{"none", "reader", "writer", "owner", "root", "gone"} {
		u, err := w.store.UserByName(t.Context(), name)
		w.must(err)
		cookie, err := w.store.NewSession(t.Context(), u.ID, "127.0.0.1", "test")
		w.must(err)
		sessions[name] = cookie.Reveal()
	}
	gone.Disabled = true
	w.must(w.store.UpdateUser(t.Context(), gone))

	people := []string{"nobody", "gone", "none", "reader", "writer", "owner", "root"}
	var b strings.Builder
	fmt.Fprintf(&b, "%-6s %-46s %s\n", "", "", strings.Join(people, " "))
	for _, rt := range routes {
		fmt.Fprintf(&b, "%-6s %-46s", rt.method, rt.path)
		for _, who := range people {
			fmt.Fprintf(&b, " %-*s", len(who), w.gate(rt, sessions[who]))
		}
		b.WriteString("\n")
	}
	got := strings.ReplaceAll(b.String(), " \n", "\n")
	const golden = "testdata/access.txt"
	if *update {
		w.must(os.MkdirAll("testdata", 0o755))
		w.must(os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	w.must(err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("who may do what has changed (-want +got):\n%s", diff)
	}
}

// gate asks whether a session may use a route, without doing what it does:
// "yes", "in" for log in first, "404" or "no".
func (w *world) gate(rt route, session string, header ...string) string {
	w.t.Helper()
	rec := httptest.NewRecorder()
	req := httptest.NewRequestWithContext(w.t.Context(), rt.method, "/", nil)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	if session != "" {
		req.AddCookie(&http.Cookie{Name: "gf", Value: session})
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	c := echo.New().NewContext(req, rec)
	c.SetParamNames("owner", "name")
	c.SetParamValues("us-east-1", "demo")
	r := &request{Context: c, now: w.server.Now()}
	err := w.server.admit(r, rt)
	switch {
	case errors.Is(err, ferry.ErrNotFound):
		return "404"
	case errors.Is(err, ferry.ErrDenied):
		return "no"
	case err != nil:
		w.t.Fatalf("%s %s: %v", rt.method, rt.path, err)
	case rec.Code == http.StatusSeeOther:
		return "in"
	}
	return "yes"
}

// A token opens no page, whatever its scopes: pages know sessions only.
func TestTokensOpenNoPage(t *testing.T) {
	w := newWorld(t)
	root := w.user("root", ferry.LevelAdmin, true)
	for _, scope := range []ferry.Scope{ferry.ScopeRepoRead, ferry.ScopeAPIRead, ferry.ScopeAPIAdmin, ferry.ScopeJiraDVCS} {
		token, _, err := w.store.NewToken(t.Context(), store.Token{User: root.ID, Name: "t", Scopes: []ferry.Scope{scope}})
		w.must(err)
		for _, rt := range routes {
			got, want := w.gate(rt, "", "Authorization", "Bearer "+token.Reveal()), w.gate(rt, "")
			if as := w.gate(rt, token.Reveal()); got != want || as != want {
				t.Errorf("%s %s with a token of the scope %s: %s, as a cookie %s; want %s as for nobody", rt.method, rt.path, scope, got, as, want)
			}
		}
	}
}

// A repository that may not be read leaves no trace on pages that are not its
// own.
func TestHiddenRepositories(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	w.history()
	w.connect()
	w.user("none", ferry.LevelNone, false)
	b := w.as("none")
	for _, path := range []string{"/", "/repos", "/issues/DEMO-1", "/issues/DEMO-1?tab=rollup", "/issues/DEMO-1?tab=delivery", "/projects/DEMO", "/settings"} {
		body := b.page(path)
		for _, secret := range []string{"letters", "letterbox", "Test Author", ">demo<", "/us-east-1/demo"} {
			if strings.Contains(body, secret) {
				t.Errorf("GET %s shows %q to somebody without access", path, secret)
			}
		}
	}
	one, body, _ := b.get("/us-east-1/demo")
	two, other, _ := b.get("/us-east-1/nothing")
	strip := func(s string) string { return strings.NewReplacer("demo", "X", "nothing", "X").Replace(s) }
	if one != two || len(strip(body)) != len(strip(other)) {
		t.Errorf("a hidden repository answers %d, one that is not there %d", one, two)
	}
}
