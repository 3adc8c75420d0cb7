package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/sandbox/jira"
	"gitferry/internal/smartcommit"
)

// fill puts the repositories into the stand-in CodeCommit that it does not have
// from an earlier run, and returns the Jira projects that a loaded history
// needs.
func (in *standIns) fill(ctx context.Context, o sandboxOptions) ([]jira.Project, error) {
	if !o.empty {
		for _, region := range []string{"us-east-1", "us-west-2"} {
			if in.codecommit.HasRepository(region, "demo") {
				continue
			}
			if _, err := in.codecommit.Load(ctx, region, "demo", bytes.NewReader(sampleHistory())); err != nil {
				return nil, fmt.Errorf("filling %s/demo: %w", region, err)
			}
		}
		if !in.codecommit.HasRepository("us-east-1", "empty") {
			if err := in.codecommit.CreateRepository(ctx, "us-east-1", "empty", "nothing here yet"); err != nil {
				return nil, err
			}
		}
	}
	if o.load == "" {
		return nil, nil
	}
	f, err := os.Open(o.load)
	if err != nil {
		return nil, fmt.Errorf("reading the history: %w", err)
	}
	defer f.Close()
	name, _, _ := strings.Cut(filepath.Base(o.load), ".")
	if name, err = ferry.ParseRepositoryName(name); err != nil {
		return nil, err
	}
	if !in.codecommit.HasRepository("us-east-1", name) {
		if _, err := in.codecommit.Load(ctx, "us-east-1", name, f); err != nil {
			return nil, fmt.Errorf("replaying %s: %w", o.load, err)
		}
	}
	in.loaded = "us-east-1/" + name
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return projectsIn(f)
}

// minMentions is how many different issues of a project a history must name
// before the project is made in the stand-in Jira.
const minMentions = 20

// projectsIn finds the Jira projects that a history speaks of.
func projectsIn(history io.Reader) ([]jira.Project, error) {
	z, err := gzip.NewReader(history)
	if err != nil {
		return nil, fmt.Errorf("reading the history: %w", err)
	}
	seen := make(map[string]map[ferry.IssueKey]bool)
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var c struct {
			Message string `json:"message"`
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return nil, fmt.Errorf("reading the history: %w", err)
		}
		for _, k := range smartcommit.Keys(c.Message, smartcommit.Options{Kind: smartcommit.Branch}) {
			if seen[k.Project()] == nil {
				seen[k.Project()] = make(map[ferry.IssueKey]bool)
			}
			seen[k.Project()][k] = true
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the history: %w", err)
	}
	var projects []jira.Project
	for key, issues := range seen {
		if len(issues) < minMentions || key == "DEMO" || key == "OPS" {
			continue
		}
		highest := 0
		for k := range issues {
			var n int
			_, _ = fmt.Sscanf(string(k)[len(key)+1:], "%d", &n)
			highest = max(highest, min(n, 20_000))
		}
		projects = append(projects, jira.Project{Key: key, Issues: highest})
	}
	slices.SortFunc(projects, func(a, b jira.Project) int { return strings.Compare(a.Key, b.Key) })
	return projects, nil
}

// sampleHistory is a short history in the form that Load reads.
func sampleHistory() []byte {
	type commit struct {
		N       int         `json:"n"`
		Parents []int       `json:"parents"`
		When    int64       `json:"when"`
		TZ      string      `json:"tz"`
		Author  string      `json:"author"`
		Message string      `json:"message"`
		Files   [][2]string `json:"files"`
	}
	now := time.Now().Add(-72 * time.Hour).Unix()
	messages := []struct{ message, status, path string }{
		{"Start of the demo", "A", "README.md"},
		{"DEMO-3 Read the settings from a file", "A", "settings.txt"},
		{"DEMO-3 Say which setting is wrong", "M", "settings.txt"},
		{"OPS-2: restart after a crash", "A", "ops/restart.sh"},
		{"[DEMO-5] First sketch of the report", "A", "report/sketch.txt"},
		{"Tidy up", "M", "README.md"},
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := json.NewEncoder(z)
	for i, m := range messages {
		c := commit{N: i, Parents: []int{}, When: now + int64(i)*7200, TZ: "+0000", Author: "carol", Message: m.message, Files: [][2]string{{m.status, m.path}}}
		if i > 0 {
			c.Parents = append(c.Parents, i-1)
		}
		_ = w.Encode(c) // a buffer takes all
	}
	_ = z.Close()
	return b.Bytes()
}

// printTour prints what can be pasted right away.
func printTour(w io.Writer, info readyInfo, publicURL string) {
	var alice readyUser
	for _, u := range info.Users {
		if u.Name == "alice" {
			alice = u
		}
	}
	repo := "us-east-1/demo"
	if len(info.Repositories) > 0 && !slices.Contains(info.Repositories, repo) {
		repo = info.Repositories[0]
	}
	withToken := strings.Replace(publicURL, "://", "://alice:"+url.QueryEscape(alice.Token)+"@", 1)
	sshCommand := fmt.Sprintf("ssh -i %s -o IdentitiesOnly=yes -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=%s",
		alice.SSHKeyFile, filepath.Join(filepath.Dir(alice.SSHKeyFile), "known_hosts"))
	fmt.Fprintf(w, `gitferry sandbox: everything here is made up, listens on loopback and ends with Ctrl-C

  server              %s
  stand-in CodeCommit %s
  stand-in Jira       %s

Clone over HTTP as alice:
  git clone %s/%s.git demo

or over SSH:
  GIT_SSH_COMMAND='%s' git clone ssh://git@%s/%s demo

Then push a smart commit:
  cd demo
  git -c user.name=Alice -c user.email=alice@example.com commit --allow-empty -m 'DEMO-1 #comment hello #time 1h #in-progress'
  git push

and look at what Jira knows, and at gitferry's own page of the issue:
  %s/browse/DEMO-1
  %s/issues/DEMO-1

Users: alice (write), bob (read), root (admin).
`, publicURL, info.CodeCommit, info.Jira, withToken, repo, sshCommand, info.SSH, repo, info.Jira, publicURL)
	if alice.SSHKeyFile != "" {
		fmt.Fprintf(w, "After an SSH clone: git config core.sshCommand '%s'\n", sshCommand)
	}
	for _, u := range info.Users {
		fmt.Fprintf(w, "  %-6s password %s  token %s\n", u.Name, u.Password, u.Token)
	}
}
