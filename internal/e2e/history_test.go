package e2e

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"gitferry/internal/sandbox/codecommit"
	"gitferry/internal/sandbox/jira"
)

// history is a real project's history as data; see the README beside it.
const history = "testdata/commits-apache.jsonl.gz"

// TestHistory indexes 9,907 commits of a real project: all are there, none
// runs a command, and the counts of linked commits and of issues equal those
// of a short count of its own. Then four clients push at once, about 200
// pushes with about 500 commands, and Jira holds exactly what was meant.
func TestHistory(t *testing.T) {
	t.Parallel()
	want := countHistory(t)
	w := newWorld(t, options{
		projects: []jira.Project{{Key: "STORM", Issues: 40_000}},
		fill: func(s *codecommit.Server) {
			must(t, s.CreateRepository(context.Background(), "us-east-1", "demo", ""))
			f, err := os.Open(history)
			must(t, err)
			defer f.Close()
			_, err = s.Load(context.Background(), "us-east-1", "storm", f)
			must(t, err)
		},
	})
	w.waitIdle()
	got := w.repository("us-east-1/storm")
	if got.Commits != want.commits || got.IssueKeys != want.keys {
		t.Errorf("index holds %d commits and %d issues, want %d and %d", got.Commits, got.IssueKeys, want.commits, want.keys)
	}
	delivered := make(map[string]bool)
	for _, e := range w.jira.Book().Entries(0) {
		for effect := range strings.SplitSeq(e.Effect, "; ") {
			if part := strings.Fields(effect); len(part) > 3 && part[0] == "devinfo" && part[1] == "commit" {
				delivered[part[3]] = true
			}
		}
	}
	if len(delivered) != want.linked {
		t.Errorf("Jira has %d commits, want %d", len(delivered), want.linked)
	}
	w.wantEffects("first index", map[string]int{"^comment ": 0, "^worklog ": 0, "^transition ": 0, "^native ": 0})
	w.consistent()
	t.Run("four clients", func(t *testing.T) { pushALot(t, w) })
}

// TestFirstIndexResumes: a first index that is killed after each of its chunks
// goes on where it was, and ends with every commit once and no command run.
func TestFirstIndexResumes(t *testing.T) {
	t.Parallel()
	const commits = 9000
	w := newWorld(t, options{
		projects:   []jira.Project{{Key: "STORM", Issues: 1000}},
		failpoints: "index.after_chunk=crash",
		fill: func(s *codecommit.Server) {
			_, err := s.Load(context.Background(), "us-east-1", "storm", firstLines(t, commits))
			must(t, err)
		},
		mayCrash: true,
	})
	for range 3 { // two full chunks and the rest; then there is nothing left to meet
		w.waitExit()
		w.start()
	}
	w.newToken("root")
	w.waitIdle()
	if got := w.repository("us-east-1/storm"); got.Commits != commits || !got.Indexed {
		t.Errorf("after kills the index holds %d commits (complete: %v), want %d", got.Commits, got.Indexed, commits)
	}
	w.wantEffects("first index", map[string]int{"^comment ": 0, "^worklog ": 0, "^transition ": 0})
	w.consistent()
}

// firstLines returns the beginning of the history as a history of its own.
func firstLines(t *testing.T, n int) io.Reader {
	t.Helper()
	f, err := os.Open(history)
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for ; n > 0 && lines.Scan(); n-- {
		fmt.Fprintf(w, "%s\n", lines.Bytes())
	}
	must(t, lines.Err())
	must(t, w.Close())
	return &out
}

type historyCount struct{ commits, linked, keys int }

// countHistory counts in its own way, without the parser under test: keys of
// the known project in any case with no letter or digit around them; behind a
// first key in the same word, upper case only.
func countHistory(t *testing.T) historyCount {
	t.Helper()
	f, err := os.Open(history)
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	var n historyCount
	distinct := make(map[string]bool)
	word := regexp.MustCompile(`[\pL\pN_-]+`)
	key := regexp.MustCompile(`(?i)(?:^|[^\pL\pN])((?:storm|demo|ops)-[1-9][0-9]*)(?:$|[^\pL\pN])`)
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var c struct {
			Message string `json:"message"`
		}
		must(t, json.Unmarshal(lines.Bytes(), &c))
		n.commits++
		linked := false
		for _, one := range word.FindAllString(c.Message, -1) {
			first := true
			for rest := one; ; {
				m := key.FindStringSubmatchIndex(rest)
				if m == nil {
					break
				}
				found := rest[m[2]:m[3]]
				if first || found == strings.ToUpper(found) {
					distinct[strings.ToUpper(found)] = true
					linked = true
				}
				first = false
				rest = rest[m[3]:]
			}
		}
		if linked {
			n.linked++
		}
	}
	must(t, lines.Err())
	n.keys = len(distinct)
	return n
}

// repositoryState is what the server tells of a repository.
type repositoryState struct {
	Path      string `json:"path"`
	Commits   int    `json:"commits"`
	IssueKeys int    `json:"issue_keys"`
	Indexed   bool   `json:"indexed"`
}

func (w *world) repository(path string) repositoryState {
	w.t.Helper()
	var state struct {
		Repositories []repositoryState `json:"repositories"`
	}
	must(w.t, w.api("GET", "/api/v1/admin/state", &state))
	for _, r := range state.Repositories {
		if r.Path == path {
			return r
		}
	}
	w.t.Fatalf("no repository %s", path)
	return repositoryState{}
}

// pushALot lets four clients push at once, over both doors.
func pushALot(t *testing.T, w *world) {
	seed := filepath.Join(t.TempDir(), "seed")
	w.git("alice", w.dir, "clone", "-q", w.url("us-east-1/demo"), seed)
	w.git("alice", seed, "commit", "-q", "--allow-empty", "-m", "base")
	w.git("alice", seed, "push", "-q", "origin", "HEAD:main")
	clients := make([]*client, 4)
	var running sync.WaitGroup
	for i := range clients {
		url := w.url("us-east-1/demo")
		if i%2 == 1 {
			url = w.sshURL("us-east-1/demo")
		}
		c := &client{w: w, id: i, dir: filepath.Join(t.TempDir(), "work"), want: make(map[string]int)}
		clients[i] = c
		w.git("alice", w.dir, "clone", "-q", url, c.dir)
		running.Go(c.run)
	}
	running.Wait()
	want := make(map[string]int)
	pushes, commands := 0, 0
	for _, c := range clients {
		for pattern, n := range c.want {
			want[pattern] += n
		}
		pushes += c.pushes
		commands += c.commands
		for _, problem := range c.problems {
			t.Error(problem)
		}
	}
	t.Logf("%d pushes with %d commands", pushes, commands)
	if pushes < 200 || commands < 450 {
		t.Errorf("%d pushes with %d commands, want about 200 and 500", pushes, commands)
	}
	w.waitIdle()
	w.waitEffects(want)
	total := map[string]int{}
	for pattern, n := range want {
		kind, _, _ := strings.Cut(pattern, " ")
		total["^"+strings.TrimPrefix(kind, "^")+" "] += n
	}
	w.wantEffects("in all", total)
	w.wantEffects("native", map[string]int{"^native ": 0})
	w.consistentButDead(t)
}

// consistentButDead is consistent for a run that holds commands which Jira
// refuses for good on purpose.
func (w *world) consistentButDead(t *testing.T) {
	t.Helper()
	var report struct {
		Repositories []struct {
			Path   string   `json:"path"`
			Faults []string `json:"faults"`
		} `json:"repositories"`
	}
	must(t, w.api("GET", "/api/v1/admin/consistency", &report))
	for _, r := range report.Repositories {
		if len(r.Faults) > 0 {
			t.Errorf("%s: %v", r.Path, r.Faults)
		}
	}
}

// client is one developer who pushes to branches of his own.
type client struct {
	w        *world
	id       int
	dir      string
	issue    int
	pushes   int
	commands int
	want     map[string]int // effects at Jira by pattern
	problems []string
}

// git runs git and notes a failure.
func (c *client) git(args ...string) {
	if out, err := c.w.try("alice", c.dir, args...); err != nil {
		c.problems = append(c.problems, fmt.Sprintf("client %d: git %s: %v\n%s", c.id, strings.Join(args, " "), err, out))
	}
}

func (c *client) push(args ...string) {
	c.pushes++
	c.git(append([]string{"push", "-q", "origin"}, args...)...)
}

// key returns an issue that nobody else uses.
func (c *client) key() string {
	c.issue++
	return fmt.Sprintf("STORM-%d", c.id*1000+c.issue)
}

// commit makes a commit with commands and notes what they shall do.
func (c *client) commit(message string, commands int, want map[string]int) {
	c.commands += commands
	for pattern, n := range want {
		c.want[pattern] += n
	}
	c.git("commit", "-q", "--allow-empty", "-m", message)
}

// round is ten pushes; five rounds make fifty.
func (c *client) round(n int) {
	branch := fmt.Sprintf("client-%d-%d", c.id, n)
	c.git("checkout", "-q", "-B", branch, "origin/main")
	a, b := c.key(), c.key()
	c.commit(a+" #comment first words #time 1h 30m #in-progress", 3, map[string]int{"^comment " + a + " ": 1, "^worklog " + a + " .* 5400s": 1, "^transition " + a + " ": 1})
	c.commit(b+" text #label red blue", 1, map[string]int{"^labels " + b + " ": 2})
	c.push(branch) // 1
	// the same commit amended, forced
	d := c.key()
	c.commit(d+" #comment amended later #time 2h", 2, map[string]int{"^comment " + d + " ": 1, "^worklog " + d + " .* 7200s": 1})
	c.push(branch) // 2
	c.git("commit", "-q", "--amend", "--allow-empty", "--no-edit")
	c.push("-f", branch) // 3
	// two issues at once, and wrong commands
	e, f := c.key(), c.key()
	c.commit(e+", "+f+" #comment both", 2, map[string]int{"^comment " + e + " ": 1, "^comment " + f + " ": 1})
	c.commit(c.key()+" #time soon", 1, nil)                // no duration
	c.commit(c.key()+" #fly-away", 1, nil)                 // no such transition
	c.commit("STORM-999999 #comment nobody there", 1, nil) // no such issue
	c.commit("#comment for nobody", 1, nil)                // no key
	c.push(branch)                                         // 4
	// cherry-picked to another branch
	g := c.key()
	c.commit(g+" #comment picked once #time 45m", 2, map[string]int{"^comment " + g + " ": 1, "^worklog " + g + " .* 2700s": 1})
	c.push(branch) // 5
	c.git("checkout", "-q", "-B", branch+"-picked", "origin/main")
	c.git("cherry-pick", "--allow-empty", branch)
	c.push(branch + "-picked") // 6
	// rebased on something new
	h := c.key()
	c.commit(h+" #comment on the picked branch", 1, map[string]int{"^comment " + h + " ": 1})
	c.git("checkout", "-q", branch)
	c.git("rebase", "-q", "--empty=keep", branch+"-picked")
	c.push("-f", branch, branch+"-picked") // 7
	// merged
	c.git("checkout", "-q", branch+"-picked")
	c.git("merge", "-q", "--no-ff", "-m", "Merge branch "+branch, branch)
	c.push(branch + "-picked") // 8
	// several lines, several commands
	i, j := c.key(), c.key()
	c.commit(i+" long\n\n"+i+" #comment several\nlines of it\n"+j+" #time 10m #assign bob", 3,
		map[string]int{"^comment " + i + " ": 1, "^worklog " + j + " .* 600s": 1, "^assign " + j + " bob": 1})
	k, l := c.key(), c.key()
	c.commit(k+" "+l+" #in-progress #time 20m #comment working on both", 6, map[string]int{"^transition " + k + " ": 1, "^transition " + l + " ": 1,
		"^worklog " + k + " .* 1200s": 1, "^worklog " + l + " .* 1200s": 1, "^comment " + k + " ": 1, "^comment " + l + " ": 1})
	c.push(branch + "-picked") // 9
	c.push(":" + branch)       // 10
}

func (c *client) run() {
	for n := range 5 {
		c.round(n)
	}
}
