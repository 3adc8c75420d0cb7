package policy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gitferry/internal/ferry"
	"gitferry/internal/gittest"
	"gitferry/internal/smartcommit"
)

// A repo is a real repository in which an editor puts a key before subjects.
type repo struct {
	*gittest.Repo
	t       *testing.T
	commits int
}

func newRepo(t *testing.T) *repo {
	t.Helper()
	r := &repo{Repo: gittest.New(t), t: t}
	editor := filepath.Join(t.TempDir(), "editor")
	// It changes the lines that are no comment and not git's "amend!" line.
	script := "#!/bin/sh\nsed -i -e '/^amend! /!{/^#/!{/^$/!s/^\\(DEMO-1 \\)*/DEMO-1 /}}' \"$1\"\n"
	if err := os.WriteFile(editor, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	r.Vars = []string{"GIT_EDITOR=" + editor}
	return r
}

// sh runs a shell command in the repository and returns its output.
func (r *repo) sh(command string) string {
	r.t.Helper()
	c := exec.Command("sh", "-ec", command)
	c.Dir, c.Env = r.Dir, r.Env()
	out, err := c.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit makes a commit with a file of its own.
func (r *repo) commit(message string) {
	r.t.Helper()
	r.commits++
	r.Commit(message, fmt.Sprintf("file-%d", r.commits), "x")
}

// push returns what a push of ref with the commits of revisions is judged on.
func (r *repo) push(ref ferry.RefName, revisions string) Push {
	r.t.Helper()
	p := Push{Repository: ferry.Repository{Owner: "o", Name: "n", DefaultBranch: "main"}}
	for _, l := range strings.Split(r.sh("git rev-list --topo-order --reverse --parents "+revisions), "\n") {
		f := strings.Fields(l)
		id, err := ferry.ParseOID(f[0])
		if err != nil {
			r.t.Fatal(err)
		}
		p.Commits = append(p.Commits, Commit{
			OID: id, Parents: len(f) - 1, Message: r.sh("git log -1 --format=%B " + f[0]), Refs: []ferry.RefName{ref},
		})
	}
	tip, err := ferry.ParseOID(r.sh("git rev-parse " + shellQuote(string(ref)) + "^0"))
	if err != nil {
		r.t.Fatal(err)
	}
	p.Updates = []Update{{RefUpdate: ferry.RefUpdate{Name: ref, New: tip}}}
	return p
}

// TestRepair pastes the commands of a refusal into a shell and judges again.
func TestRepair(t *testing.T) {
	for _, tt := range []struct {
		name      string
		make      func(r *repo)
		ref       ferry.RefName
		revisions string
		want      string // one of the commands
	}{
		{"the tip", func(r *repo) {
			r.commit("DEMO-1 base")
			r.commit("tip")
		}, "refs/heads/main", "HEAD~1..HEAD", "git commit --amend"},
		{"some below the tip", func(r *repo) {
			r.commit("DEMO-1 base")
			r.commit("first")
			r.commit("DEMO-1 good")
			r.commit("third\n\nwith a body")
			r.commit("DEMO-1 tip")
		}, "refs/heads/main", "HEAD~4..HEAD", "rebase -i --autosquash"},
		{"equal subjects", func(r *repo) {
			r.commit("DEMO-1 base")
			r.commit("same")
			r.commit("same")
			r.commit("same")
		}, "refs/heads/main", "HEAD~3..HEAD", "reword() {"},
		{"the root", func(r *repo) {
			r.commit("root")
			r.commit("DEMO-1 second")
		}, "refs/heads/main", "HEAD", "--root"},
		{"beside a merge", func(r *repo) {
			r.commit("DEMO-1 base")
			r.sh("git switch -q -c side")
			r.commit("on the side")
			r.sh("git switch -q main")
			r.commit("on main")
			r.sh("git merge -q --no-ff -m 'DEMO-1 merge' side")
			r.commit("DEMO-1 tip")
		}, "refs/heads/main", "HEAD~2~1..HEAD", "rebase -ir --autosquash"},
		{"a merge itself", func(r *repo) {
			r.commit("DEMO-1 base")
			r.sh("git switch -q -c side")
			r.commit("DEMO-1 on the side")
			r.sh("git switch -q main")
			r.commit("DEMO-1 on main")
			r.sh("git merge -q --no-ff -m 'the merge' side")
			r.commit("DEMO-1 tip")
		}, "refs/heads/main", "HEAD~2~1..HEAD", "rebase -ir --autosquash"},
		{"a tag", func(r *repo) {
			r.commit("DEMO-1 base")
			r.sh("git switch -q --detach")
			r.commit("only tagged")
			r.sh("git tag 'v1;x' && git switch -q main")
		}, "refs/tags/v1;x", "main..'v1;x'", "git tag -f 'v1;x'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRepo(t)
			tt.make(r)
			o := smartcommit.Options{Projects: map[string]bool{"DEMO": true}}
			rules := Rules{RequireKey: true}
			p := r.push(tt.ref, tt.revisions)
			commits, tree := len(p.Commits), r.sh("git rev-parse "+shellQuote(string(tt.ref))+"^{tree}")
			v := Judge(t.Context(), p, rules, nil, o)
			if !v.Refused {
				t.Fatal("not refused")
			}
			repair := v.Repair()
			script := strings.Join(repair, "\n")
			if !strings.Contains(script, tt.want) || repair[len(repair)-1] != "git push" {
				t.Fatalf("repair:\n%s\nwant %q and git push in it", script, tt.want)
			}
			for _, l := range repair {
				if len("remote: gitferry: "+l) > 80 {
					t.Errorf("%q is longer than a terminal's line", l)
				}
			}
			r.sh(strings.TrimSuffix(script, "git push"))
			revisions := tt.revisions
			if tt.ref.IsBranch() && revisions != "HEAD" {
				revisions = string(p.Commits[0].OID.String()) + "~1..HEAD"
			}
			p = r.push(tt.ref, revisions)
			if v := Judge(t.Context(), p, rules, nil, o); v.Refused {
				t.Errorf("after\n%s\nstill refused: %v\n%s", script, v.Faults(), r.sh("git log --graph --format='%h %p %s'"))
			}
			if got := r.sh("git rev-parse " + shellQuote(string(tt.ref)) + "^{tree}"); got != tree || len(p.Commits) != commits {
				t.Errorf("tree %s with %d commits, want %s with %d\n%s", got, len(p.Commits), tree, commits, r.sh("git log --graph --format='%h %p %s'"))
			}
		})
	}
}

func TestRepairOfFixups(t *testing.T) {
	got := strings.Join(Judge(t.Context(), push("topic", "x", "fixup! x"), Rules{RequireKey: true}, nil, known).Repair(), "; ")
	if want := "# write reword before each commit named above; git rebase -i c000010000~1; git push"; got != want {
		t.Errorf("a push with a fixup commit: %q, want %q", got, want)
	}
}

func TestRepairOfRefs(t *testing.T) {
	p := push("main")
	p.Updates[0].Forced = true
	got := strings.Join(Judge(t.Context(), p, DefaultRules(), nil, known).Repair(), "; ")
	if want := "git pull --rebase origin main; git push"; got != want {
		t.Errorf("forced push of the default branch: %q, want %q", got, want)
	}
	p = push("main")
	p.Updates[0].New = ferry.OID{}
	if got := Judge(t.Context(), p, DefaultRules(), nil, known).Repair(); got != nil {
		t.Errorf("deletion of the default branch: %q, want nothing", got)
	}
	p = push("topic", "x")
	p.Updates[0].Forced = true
	got = strings.Join(Judge(t.Context(), p, Rules{RequireKey: true}, nil, known).Repair(), "; ")
	if want := "git commit --amend; git push --force-with-lease"; got != want {
		t.Errorf("forced push of a branch: %q, want %q", got, want)
	}
	// A commit on two branches is repaired on the first.
	p = push("a", "x", "y")
	p.Commits[0].Refs = []ferry.RefName{"refs/heads/a", "refs/heads/b;reboot"}
	p.Commits[1].Refs = []ferry.RefName{"refs/heads/b;reboot"}
	p.Updates = []Update{
		{RefUpdate: ferry.RefUpdate{Name: "refs/heads/a", New: oid(1)}},
		{RefUpdate: ferry.RefUpdate{Name: "refs/heads/b;reboot", New: oid(2)}},
	}
	got = strings.Join(Judge(t.Context(), p, Rules{RequireKey: true}, nil, known).Repair(), "; ")
	if want := "git switch a; git commit --amend; git switch 'b;reboot'; git commit --amend; git push"; got != want {
		t.Errorf("two branches: %q, want %q", got, want)
	}
	if v := Judge(t.Context(), push("a", "x"), Rules{}, nil, known); v.Repair() != nil {
		t.Errorf("an accepted push has repairs %q", v.Repair())
	}
}

func TestShellQuote(t *testing.T) {
	for _, s := range []string{"a", "", "a b", "$(x)", "'", "a'b", "`x`", "-x", "&&", "~root", "#x", "é"} {
		out, err := exec.Command("sh", "-c", "printf %s "+shellQuote(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("shellQuote(%q) = %s, which the shell reads as %q (%v)", s, shellQuote(s), out, err)
		}
	}
}
