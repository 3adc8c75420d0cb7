package ghapi

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"gitferry/internal/ferry"
	"gitferry/internal/gittest"
	"gitferry/internal/store"
)

// A ghClient runs Debian's gh against the world's server over TLS.
type ghClient struct {
	t    *testing.T
	path string // of the program
	env  []string
	host string // with port
	url  string
}

// gh puts the world's server behind TLS, with the repository at mirror to be
// cloned, and returns the client as the owner of a token. It returns nil,
// and says so, where gh is not installed.
func (w *world) gh(t *testing.T, token, path, mirror string) *ghClient {
	t.Helper()
	program, err := exec.LookPath("gh")
	if err != nil {
		t.Log("left out: what Debian's gh reads, since gh is not installed (apt-get install gh)")
		return nil
	}
	ts := httptest.NewUnstartedServer(nil)
	ts.StartTLS()
	t.Cleanup(ts.Close)
	config := w.server.Config
	config.PublicURL = ts.URL
	e := echo.New()
	New(config).Routes(e)
	// The simplest of git's protocols stands in for the doors of package proxy.
	update := exec.Command("git", "--git-dir", mirror, "update-server-info")
	update.Env = gittest.Env()
	if out, err := update.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files := http.StripPrefix("/"+path+".git", http.FileServer(http.Dir(mirror)))
	ts.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/"+path+".git/") {
			files.ServeHTTP(rw, r)
			return
		}
		e.ServeHTTP(rw, r)
	})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	w.must(os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ts.Certificate().Raw}), 0o600))
	at, err := url.Parse(ts.URL)
	w.must(err)
	return &ghClient{t: t, path: program, host: at.Host, url: ts.URL, env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "SSL_CERT_FILE=" + ca,
		"GIT_SSL_CAINFO=" + ca, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GH_HOST=" + at.Host, "GH_ENTERPRISE_TOKEN=" + token, "GH_CONFIG_DIR=" + t.TempDir(),
		"GH_PROMPT_DISABLED=1", "NO_COLOR=1", "GH_NO_UPDATE_NOTIFIER=1"}}
}

func (g *ghClient) try(args ...string) (string, error) {
	cmd := exec.CommandContext(g.t.Context(), g.path, args...)
	cmd.Dir, cmd.Env = g.t.TempDir(), g.env
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (g *ghClient) run(args ...string) string {
	g.t.Helper()
	out, err := g.try(args...)
	if err != nil {
		g.t.Errorf("gh %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Debian's gh reads a repository over TLS on loopback.
func TestGH(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.user("alice", ferry.LevelRead, false), allScopes)
	r, repo := w.demo()
	now := time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)
	w.must(w.store.PutPullRequests(t.Context(), r.ID, []store.PullRequest{
		{Number: 7, Title: "DEMO-5 aside", Source: "refs/heads/diverged", Destination: "refs/heads/main", SourceOID: repo.OID("diverged"), DestinationOID: repo.OID("main"),
			Status: "open", Author: "arn:aws:iam::123456789012:user/alice", CreatedAt: now, UpdatedAt: now},
		{Number: 5, Title: "feature", Source: "refs/heads/feature/DEMO-3-x", Destination: "refs/heads/main", SourceOID: repo.OID("feature/DEMO-3-x"),
			DestinationOID: repo.OID("main"), Status: "closed", Merged: true, Author: "bob", CreatedAt: now, UpdatedAt: now},
	}, nil))
	gh := w.gh(t, token, r.Path(), w.mirror.Path(r.ID))
	if gh == nil {
		t.Skip("gh is not installed (apt-get install gh)")
	}
	run, try, at := gh.run, gh.try, gh
	path := "repos/" + r.Path()
	for _, c := range []struct {
		want string
		args []string
	}{
		{"alice", []string{"api", "user", "--jq", ".login"}},
		{"us-east-1/demo", []string{"api", "--paginate", "user/repos", "--jq", ".[].full_name"}},
		{"diverged\nfeature/DEMO-3-x\nmain\nrelease/1.0", []string{"api", "--paginate", path + "/branches?per_page=1", "--jq", ".[].name"}},
		{repo.Output("rev-list", "--topo-order", "main"), []string{"api", "--paginate", path + "/commits", "--jq", ".[].sha"}},
		{"src/feature.go", []string{"api", path + "/commits/" + repo.OID("feature/DEMO-3-x~1").String(), "--jq", ".files[].filename"}},
		{"ahead 2", []string{"api", path + "/compare/release/1.0...feature/DEMO-3-x", "--jq", `.status + " " + (.ahead_by|tostring)`}},
		{"7", []string{"api", path + "/pulls", "--jq", ".[].number"}},
		{repo.OID("diverged").String(), []string{"search", "commits", "DEMO-5", "--json", "sha", "--jq", ".[].sha"}},
		{"us-east-1/demo", []string{"search", "repos", "demo", "--json", "fullName", "--jq", ".[].fullName"}},
		{gh.url + "/us-east-1/demo", []string{"browse", "--no-browser", "-R", at.host + "/" + r.Path()}},
	} {
		if got := run(c.args...); got != c.want {
			t.Errorf("gh %s printed\n%s\nwant\n%s", strings.Join(c.args, " "), got, c.want)
		}
	}
	if out := run("auth", "status"); !strings.Contains(out, "Logged in to "+at.host+" as alice") {
		t.Errorf("auth status: %s", out)
	}
	if out, err := try("api", "repos/us-east-1/none"); err == nil || !strings.Contains(out, "Not Found") {
		t.Errorf("a repository that is not there: %v %s", err, out)
	}
	if out := run("repo", "view", at.host+"/"+r.Path(), "--json", "name,owner,defaultBranchRef", "--jq", `.owner.login + "/" + .name + " " + .defaultBranchRef.name`); out != "us-east-1/demo main" {
		t.Errorf("repo view: %s", out)
	}
	if out := run("repo", "view", at.host+"/"+r.Path()); !strings.Contains(out, "# Demo") {
		t.Errorf("repo view: %s", out)
	}
	clone := filepath.Join(t.TempDir(), "clone")
	run("repo", "clone", r.Path(), clone)
	if got := gittest.At(t, clone).OID("HEAD"); got != repo.OID("main") {
		t.Errorf("repo clone checked out %s, want %s", got, repo.OID("main"))
	}
	if out := run("pr", "list", "-R", at.host+"/"+r.Path()); !strings.HasPrefix(out, "7\tDEMO-5 aside\tdiverged\tOPEN\t2026-03-05") || strings.Contains(out, "\n") {
		t.Errorf("pr list: %q", out)
	}
	if out := run("pr", "list", "--state", "merged", "--json", "number,author", "--jq", `.[] | .author.login`, "-R", at.host+"/"+r.Path()); out != "bob" {
		t.Errorf("pr list of merged ones: %q", out)
	}
}
