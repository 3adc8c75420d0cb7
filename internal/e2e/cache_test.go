package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// twin is a client of gitferry and a client of plain git that do the same.
// Plain git reads the stand-in's own repository, over the same protocol.
type twin struct {
	w            *world
	name         string // of the person
	ferry, plain string // work trees
	url, file    string
}

// run runs git in both work trees; %URL% is where each one fetches from.
func (c *twin) run(args ...string) {
	c.w.t.Helper()
	for dir, url := range map[string]string{c.ferry: c.url, c.plain: c.file} {
		var own []string
		for _, a := range args {
			own = append(own, strings.ReplaceAll(a, "%URL%", url))
		}
		if out, err := c.w.try(c.name, dir, own...); err != nil {
			c.w.t.Errorf("git %s: %v\n%s", strings.Join(own, " "), err, out)
		}
	}
}

// state is all that a client got: refs, objects, where history is cut off.
func (c *twin) state(dir string) string {
	c.w.t.Helper()
	refs := c.w.git(c.name, dir, "for-each-ref", "--format=%(objectname) %(refname)")
	objects := c.w.git(c.name, dir, "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)", "--unordered")
	lines := strings.Split(objects, "\n")
	shallow, _ := os.ReadFile(filepath.Join(dir, ".git", "shallow"))
	return refs + "\nshallow " + string(shallow) + "\n" + strings.Join(sorted(lines), "\n")
}

func sorted(lines []string) []string {
	cmd := exec.Command("sort")
	cmd.Env = []string{"LC_ALL=C"}
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n"))
	out, _ := cmd.Output()
	return strings.Split(string(out), "\n")
}

func (c *twin) compare(step string) {
	c.w.t.Helper()
	if got, want := c.state(c.ferry), c.state(c.plain); got != want {
		c.w.t.Errorf("%s: through gitferry\n%.1500s\nfrom plain git\n%.1500s", step, got, want)
	}
	if out, err := c.w.try(c.name, c.ferry, "fsck", "--connectivity-only"); err != nil {
		c.w.t.Errorf("%s: fsck: %v\n%s", step, err, out)
	}
}

// TestAnswersAgreeWithGit tells a story of pushes, forced pushes and deletions
// with clients that fetch everything, a part, or the latest only, at the same
// time and again, so that most answers come from those kept for others. After
// each step every client has exactly what plain git would have given it.
func TestAnswersAgreeWithGit(t *testing.T) {
	w := newWorld(t, options{config: "upstream:\n  freshness: 0s\n"})
	// Plain git serves what CodeCommit's own git would not, such as filters.
	dirs, err := filepath.Glob(w.path("standin/repositories/repositories/*/HEAD"))
	must(t, err)
	if len(dirs) != 1 {
		t.Fatalf("the stand-in has %d repositories, want 1", len(dirs))
	}
	origin := filepath.Dir(dirs[0])
	for _, kv := range [][2]string{{"uploadpack.allowFilter", "true"}, {"uploadpack.allowAnySHA1InWant", "true"}} {
		w.git("alice", origin, "--git-dir", origin, "config", kv[0], kv[1])
	}
	work := filepath.Join(t.TempDir(), "work")
	w.git("alice", w.dir, "clone", "--quiet", w.url("us-east-1/demo"), work)
	n := 0
	commit := func() {
		n++
		must(t, os.WriteFile(filepath.Join(work, fmt.Sprintf("file-%d", n%7)), []byte(strings.Repeat(fmt.Sprintf("line %d\n", n), 50+n)), 0o600))
		w.git("alice", work, "add", ".")
		w.git("alice", work, "commit", "--quiet", "-m", fmt.Sprintf("DEMO-1 step %d", n))
	}
	for range 5 {
		commit()
	}
	w.git("alice", work, "push", "--quiet", "origin", "HEAD:main")

	kinds := map[string][]string{
		"everything": nil, "everything again": nil, "shallow": {"--depth=2"}, "shallow again": {"--depth=2"},
		"no blobs": {"--filter=blob:none"}, "no trees": {"--filter=tree:0"}, "no tags": {"--no-tags"},
	}
	var clients []*twin
	var all sync.WaitGroup
	for name, args := range kinds {
		dir := t.TempDir()
		c := &twin{w: w, name: "bob", ferry: filepath.Join(dir, "ferry"), plain: filepath.Join(dir, "plain"),
			url: w.url("us-east-1/demo"), file: "file://" + origin}
		clients = append(clients, c)
		all.Go(func() {
			for to, url := range map[string]string{c.ferry: c.url, c.plain: c.file} {
				args := append([]string{"clone", "--quiet", "--no-checkout"}, args...)
				if out, err := w.try("bob", dir, append(args, url, to)...); err != nil {
					t.Errorf("%s: clone: %v\n%s", name, err, out)
				}
				w.git("bob", to, "config", "gc.auto", "0")
				w.git("bob", to, "config", "fetch.unpackLimit", "1")
			}
		})
	}
	all.Wait()
	fetch := func(step string, args ...string) {
		t.Helper()
		var all sync.WaitGroup
		for _, c := range clients {
			all.Go(func() {
				c.run(append([]string{"fetch", "--quiet", "--prune"}, args...)...)
				c.compare(step)
			})
		}
		all.Wait()
	}
	fetch("clone")
	push := func(args ...string) { w.git("alice", work, append([]string{"push", "--quiet", "origin"}, args...)...) }
	commit()
	push("HEAD:main", "HEAD:refs/heads/DEMO-2-side")
	fetch("a push to two branches")
	w.git("alice", work, "tag", "-a", "-m", "one", "v1")
	push("v1")
	fetch("a tag on what everybody has")
	commit()
	w.git("alice", work, "tag", "-a", "-m", "two", "v2")
	push("HEAD:refs/heads/DEMO-2-side", "v2")
	fetch("a branch moves with a tag")
	w.git("alice", work, "commit", "--quiet", "--amend", "-m", "DEMO-1 amended")
	push("--force", "HEAD:refs/heads/DEMO-2-side")
	fetch("a forced push")
	push(":DEMO-2-side")
	fetch("a deletion")
	commit()
	push("HEAD:refs/heads/DEMO-2-side")
	fetch("the same name again")
	fetch("deeper", "--deepen=1")
	push(":refs/tags/v1")
	fetch("a tag is deleted")
	fetch("nothing new")

	// Objects go: what was kept of them is not given any more.
	w.git("alice", work, "reset", "--quiet", "--hard", "HEAD~1")
	secret := w.oid(work, "ORIG_HEAD")
	push("--force", "HEAD:refs/heads/DEMO-2-side")
	for _, dir := range []string{"a", "b"} {
		w.git("bob", w.dir, "init", "--quiet", "old-"+dir)
	}
	w.git("bob", w.path("old-a"), "fetch", "--quiet", w.url("us-east-1/demo"), secret)
	w.gitferry("repo", "purge", "us-east-1/demo")
	w.waitIdle()
	if out, err := w.try("bob", w.path("old-b"), "fetch", "--quiet", w.url("us-east-1/demo"), secret); err == nil {
		t.Errorf("a purged commit was served: %s", out)
	}
	fetch("after a purge")
}
