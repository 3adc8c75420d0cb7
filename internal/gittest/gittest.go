// Package gittest makes real git repositories for tests and runs the real git
// in them.
//
// The one idea is that a test's result depends on nothing but the test: git
// sees no configuration of the system or of the person, no variable of the
// surrounding process but PATH and TMPDIR, fixed names, and a clock that
// stands still until a command that may write moves it on by one minute. The
// same calls therefore give the same object names on every machine.
//
// Tests of every package call it; the product never does. A failing git
// command ends the test with git's own words. It never touches the network
// and never a repository that the test did not make.
package gittest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitferry/internal/ferry"
)

// Name and Email stand in every commit as author and committer, unless a test
// says otherwise with Repo.Env or with git's options.
const (
	Name  = "Test Author"
	Email = "author@example.invalid"
)

// Start is the time of the first command, Step the time between two.
var Start = time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)

// Step is how far each call of Run, Input and Commit moves the clock.
const Step = time.Minute

// A Repo is a repository on disk, below the test's temporary directory. Its
// methods may not be called concurrently.
type Repo struct {
	Dir  string    // the work tree, or the bare repository itself
	Now  time.Time // author and committer date of the next command; a test may set it
	Vars []string  // further NAME=value variables for git, the last one wins

	t testing.TB
}

// New makes an empty repository with a work tree and the branch main.
func New(t testing.TB) *Repo {
	t.Helper()
	r := At(t, filepath.Join(t.TempDir(), "work"))
	r.must(nil, "init", "--quiet", "--initial-branch=main", r.Dir)
	return r
}

// NewBare makes an empty bare repository whose HEAD names main.
func NewBare(t testing.TB) *Repo {
	t.Helper()
	r := At(t, filepath.Join(t.TempDir(), "bare.git"))
	r.must(nil, "init", "--quiet", "--bare", "--initial-branch=main", r.Dir)
	return r
}

// At returns a Repo for a directory that exists or that a command, such as a
// clone, is about to make. Until then commands run in its parent.
func At(t testing.TB, dir string) *Repo {
	return &Repo{Dir: dir, Now: Start, t: t}
}

// Clone clones url into a new work tree. Options of git clone may follow.
func Clone(t testing.TB, url string, options ...string) *Repo {
	t.Helper()
	r := At(t, filepath.Join(t.TempDir(), "clone"))
	args := append([]string{"clone", "--quiet"}, options...)
	r.must(nil, append(args, "--", url, r.Dir)...)
	return r
}

// Commit writes files, given as path, content, path, content …, stages them
// and commits; without files the commit is an empty one. Parent directories
// are made. It returns the new commit. The repository needs a work tree.
func (r *Repo) Commit(message string, files ...string) ferry.OID {
	r.t.Helper()
	if len(files)%2 != 0 {
		r.t.Fatalf("Commit(%q): want pairs of path and content, got %d strings", message, len(files))
	}
	for i := 0; i < len(files); i += 2 {
		r.Write(files[i], files[i+1])
	}
	if len(files) > 0 {
		r.must(nil, "add", "--all")
	}
	r.Input(message, "commit", "--quiet", "--allow-empty", "--allow-empty-message", "--cleanup=verbatim", "--file=-")
	return r.OID("HEAD")
}

// Write puts content into the file at path, relative to the work tree.
func (r *Repo) Write(path, content string) {
	r.t.Helper()
	name := filepath.Join(r.Dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// OID returns the object that a revision names.
func (r *Repo) OID(revision string) ferry.OID {
	r.t.Helper()
	oid, err := ferry.ParseOID(r.Output("rev-parse", "--verify", "--end-of-options", revision))
	if err != nil {
		r.t.Fatal(err)
	}
	return oid
}

// Refs returns all refs with the objects they name, HEAD left out.
func (r *Repo) Refs() map[ferry.RefName]ferry.OID {
	r.t.Helper()
	refs := map[ferry.RefName]ferry.OID{}
	for line := range strings.Lines(r.Output("for-each-ref", "--format=%(objectname) %(refname)")) {
		hex, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		oid, err := ferry.ParseOID(hex)
		if err != nil {
			r.t.Fatal(err)
		}
		refs[ferry.RefName(name)] = oid
	}
	return refs
}

// Run runs git with args for its effect and moves the clock.
func (r *Repo) Run(args ...string) {
	r.t.Helper()
	r.Input("", args...)
}

// Input runs git with args and stdin as its standard input, moves the clock
// and returns the standard output without the last newline.
func (r *Repo) Input(stdin string, args ...string) string {
	r.t.Helper()
	out := r.must([]byte(stdin), args...)
	r.Now = r.Now.Add(Step)
	return out
}

// Output runs git with args for what it prints and leaves the clock alone. It
// returns the standard output without the last newline.
func (r *Repo) Output(args ...string) string {
	r.t.Helper()
	return r.must(nil, args...)
}

// Fails runs git with args, which must end with an exit status other than 0
// and not by a signal, and returns the standard error for the test to check.
func (r *Repo) Fails(args ...string) string {
	r.t.Helper()
	_, stderr, err := r.git(nil, args...)
	if err == nil {
		r.t.Fatalf("git %s: succeeded, want a failure", strings.Join(args, " "))
	}
	if exit, ok := err.(*exec.ExitError); !ok || !exit.Exited() {
		r.t.Fatalf("git %s: %v, want an exit status\n%s", strings.Join(args, " "), err, stderr)
	}
	return stderr
}

// Cmd returns a git command that runs in the repository with its clean
// environment, for tests that need its pipes. It ends with ctx.
func (r *Repo) Cmd(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.Dir
	if _, err := os.Stat(r.Dir); err != nil {
		cmd.Dir = filepath.Dir(r.Dir)
	}
	cmd.Env = r.Env()
	return cmd
}

// Env returns the environment in which the repository's git runs: that of
// the package function Env, the date of the clock, then Vars.
func (r *Repo) Env() []string {
	date := fmt.Sprintf("%d +0000", r.Now.Unix())
	env := append(Env(), "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date)
	return append(env, r.Vars...)
}

// Env returns a closed environment for git and for programs that run git. Its
// home is a path that does not exist. Further NAME=value variables may be
// appended; the last one of a name wins.
func Env() []string {
	env := []string{
		"HOME=" + filepath.Join(os.TempDir(), "gittest-no-such-home"),
		"LC_ALL=C",
		"TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ASKPASS=true", // answers every question with an empty line
		"GIT_EDITOR=true",  // takes every proposed message as it is
		"GIT_AUTHOR_NAME=" + Name,
		"GIT_AUTHOR_EMAIL=" + Email,
		"GIT_COMMITTER_NAME=" + Name,
		"GIT_COMMITTER_EMAIL=" + Email,
	}
	for _, name := range []string{"PATH", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func (r *Repo) must(stdin []byte, args ...string) string {
	r.t.Helper()
	stdout, stderr, err := r.git(stdin, args...)
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	return strings.TrimSuffix(stdout, "\n")
}

func (r *Repo) git(stdin []byte, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd := r.Cmd(context.Background(), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}
