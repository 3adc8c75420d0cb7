// Package git runs the real git: it is the only door to subprocesses.
//
// A Runner starts git with an environment built from nothing, configuration
// that overrides whatever a repository's file says, a process group of its
// own, resource limits and a bounded standard error. The limits hold before
// git's first instruction: the child is started stopped, as a debugger does it,
// which costs nothing that can be measured (1.1 ms for git version either way).
// Setting them in a re-executed gitferry before git is executed would take 30
// ms of processor time a child, more than a small push has altogether.
//
// On top of it stand the few commands that gitferry needs: making a bare repository, reading and
// moving refs, listing commits, indexing and packing objects, upload-pack,
// fetch and upkeep.
//
// mirror, index and the pages call it, and the sandbox, whose stand-in
// CodeCommit keeps its repositories with it. It never opens a network
// connection with a credential: whoever needs an upstream gives a loopback
// URL made by internal/upstream.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"gitferry/internal/ferry"
)

// MinVersion is the oldest git that has what the Runner relies on: core.fsync
// (2.36), GIT_CONFIG_GLOBAL (2.32) and safe.bareRepository (2.38).
var MinVersion = [2]int{2, 38}

// A Runner starts git subprocesses. It may be used concurrently.
type Runner struct {
	// Log gets one debug line a command; nil is silent.
	Log *slog.Logger

	path    string
	home    string // empty private directory
	version string
	spawn   chan spawnRequest
	lock    *os.File // inherited by every child, see ChildLock

	mu     sync.RWMutex
	closed bool // guarded by mu, which also keeps lock open while a child starts

	killDelay time.Duration // killDelay but in tests
	untraced  bool          // children cannot be started stopped; set by New
}

// New finds git on the PATH and checks its version. dir is a private directory
// in which an empty home for git is made. It fails with ferry.ErrUnavailable
// if git is missing or too old.
func New(ctx context.Context, dir string) (*Runner, error) {
	path, err := exec.LookPath("git")
	if err != nil {
		return nil, &ferry.Message{Kind: ferry.ErrUnavailable, Cause: err,
			Text: "git is not on the PATH: install git 2.38 or newer"}
	}
	home := filepath.Join(dir, "git-home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, fmt.Errorf("making a home for git: %w", err)
	}
	lock, err := openChildLock(filepath.Join(dir, "children.lock"))
	if err != nil {
		return nil, err
	}
	r := &Runner{path: path, home: home, spawn: make(chan spawnRequest), lock: lock, killDelay: killDelay}
	go spawner(r.spawn)
	out, err := r.Output(ctx, Command{Args: []string{"version"}})
	if exit := (*ExitError)(nil); errors.As(err, &exit) && exit.Signal == syscall.SIGSYS.String() {
		r.untraced = true // a filter of system calls ends who wants to be traced
		out, err = r.Output(ctx, Command{Args: []string{"version"}})
	}
	if err != nil {
		return nil, fmt.Errorf("asking git for its version: %w", err)
	}
	r.version = strings.TrimPrefix(strings.TrimSpace(string(out)), "git version ")
	m := versionPattern.FindStringSubmatch(r.version)
	if m == nil {
		return nil, &ferry.Message{Kind: ferry.ErrUnavailable, Text: "git version not understood: " + r.version}
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	if major < MinVersion[0] || major == MinVersion[0] && minor < MinVersion[1] {
		return nil, &ferry.Message{Kind: ferry.ErrUnavailable,
			Text: fmt.Sprintf("git %s is too old: install git %d.%d or newer", r.version, MinVersion[0], MinVersion[1])}
	}
	return r, nil
}

var versionPattern = regexp.MustCompile(`^(\d+)\.(\d+)`)

// Close lets go of the child lock, so that a server may start on the directory
// once all children have ended. Nothing can be run afterwards.
func (r *Runner) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.lock.Close()
}

// Version returns git's version, for example "2.39.5".
func (r *Runner) Version() string { return r.version }

// A Command is one run of git.
type Command struct {
	Dir    string   // the bare repository; empty for none
	Args   []string // subcommand and arguments; variable ones after --end-of-options
	Stdin  io.Reader
	Stdout io.Writer // nil: discarded
	Stderr io.Writer // nil: kept for the error, at most 64 KiB
	// Protocol is the validated GIT_PROTOCOL value, usually "version=2".
	Protocol string
	// Objects is the directory that new objects go to instead of the
	// repository's own, which is then read as an alternate (a quarantine).
	Objects string
	// AllowProtocol lists the transports git may use ("http", "git"); none
	// if empty.
	AllowProtocol string
	// Config holds settings of this run, in addition to the Runner's.
	Config [][2]string
	// Env holds further variables as NAME=VALUE.
	Env []string
	// Background lowers the priority, for upkeep and first copies.
	Background bool
	// MaxFile bounds the size of any file written, in bytes; 0: no bound.
	MaxFile int64
	// Large widens the bounds of memory and time, for what works on a whole
	// repository and not for a client.
	Large bool
}

// An ExitError says that git ended with a failure.
type ExitError struct {
	Subcommand string
	Code       int    // exit status, -1 if ended by a signal
	Signal     string // name of the signal, if any
	Stderr     string // what git said, at most 64 KiB
}

// ErrLimit is what an *ExitError is if git ended at a limit of memory or
// processor time (security reference, GIT-3).
var ErrLimit = errors.New("git ended at a limit of memory or time")

// Is makes errors.Is find ErrLimit.
func (e *ExitError) Is(target error) bool {
	return target == ErrLimit && (e.Signal == syscall.SIGXCPU.String() || strings.Contains(strings.ToLower(e.Stderr), "out of memory"))
}

func (e *ExitError) Error() string {
	how := fmt.Sprintf("exit status %d", e.Code)
	if e.Signal != "" {
		how = "ended by signal " + e.Signal
	}
	said := strings.TrimSpace(e.Stderr)
	if len(said) > 2000 {
		said = said[:2000] + "…"
	}
	if said == "" {
		return fmt.Sprintf("git %s: %s", e.Subcommand, how)
	}
	return fmt.Sprintf("git %s: %s: %s", e.Subcommand, how, said)
}

// Run runs git to its end. A failure of git is an *ExitError.
func (r *Runner) Run(ctx context.Context, c Command) error {
	p, err := r.Start(ctx, c)
	if err != nil {
		return err
	}
	return p.Wait()
}

// Output runs git and returns its standard output, at most 64 MiB.
func (r *Runner) Output(ctx context.Context, c Command) ([]byte, error) {
	var b bytes.Buffer
	c.Stdout = &limitedWriter{w: &b, left: 64 << 20}
	if err := r.Run(ctx, c); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// errTooMuch is what a limitedWriter answers once it is full.
var errTooMuch = errors.New("output is larger than allowed")

type limitedWriter struct {
	w    io.Writer
	left int64
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		return 0, errTooMuch
	}
	l.left -= int64(len(p))
	return l.w.Write(p)
}

// config is what every run is told, whatever the repository's file says
// (security reference, part 12).
func (c Command) config() [][2]string {
	all := [][2]string{
		{"core.hooksPath", "/dev/null"},
		{"core.fsmonitor", "false"},
		{"core.useReplaceRefs", "false"},
		{"core.fsync", "objects,derived-metadata,reference"},
		{"core.fsyncMethod", "fsync"},
		{"core.bigFileThreshold", "20m"},
		{"core.packedRefsTimeout", "10000"},
		{"core.filesRefLockTimeout", "1000"},
		{"core.packedGitWindowSize", "64m"},
		{"core.packedGitLimit", "512m"},
		{"pack.windowMemory", "100m"},
		{"pack.threads", "1"},
		{"gc.auto", "0"},
		{"maintenance.auto", "false"},
		{"receive.unpackLimit", "1"},
		{"transfer.bundleURI", "false"},
		{"fetch.recurseSubmodules", "no"},
		{"submodule.recurse", "false"},
		{"http.followRedirects", "false"},
		{"credential.helper", ""},
		{"uploadpack.allowFilter", "true"},
		{"uploadpack.hideRefs", "refs/gitferry"},
		{"receive.hideRefs", "refs/gitferry"},
		{"uploadpackfilter.allow", "false"},
		{"uploadpackfilter.blob:none.allow", "true"},
		{"uploadpackfilter.blob:limit.allow", "true"},
		{"uploadpackfilter.tree.allow", "true"},
		{"uploadpackfilter.tree.maxDepth", "1"},
		{"uploadpackfilter.object:type.allow", "true"},
		{"uploadpackfilter.combine.allow", "true"},
		{"safe.directory", "*"},
	}
	// fsck of what comes from outside; these three are common in old
	// histories and harmless (Gitaly's list).
	for _, section := range []string{"receive", "fetch"} {
		for _, id := range []string{"badTimezone", "missingSpaceBeforeDate", "zeroPaddedFilemode"} {
			all = append(all, [2]string{section + ".fsck." + id, "ignore"})
		}
	}
	return append(all, c.Config...)
}

// environment builds the child's whole environment.
func (r *Runner) environment(c Command) []string {
	env := []string{
		"PATH=" + filepath.Dir(r.path) + ":/usr/local/bin:/usr/bin:/bin",
		"HOME=" + r.home,
		"LC_ALL=C",
		"TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_NO_REPLACE_OBJECTS=1",
		"GIT_OPTIONAL_LOCKS=0",
		"GIT_PROTOCOL_FROM_USER=0",
		"GIT_ALLOW_PROTOCOL=" + c.AllowProtocol,
	}
	if c.Dir != "" {
		env = append(env, "GIT_DIR="+c.Dir)
	}
	if c.Protocol != "" {
		env = append(env, "GIT_PROTOCOL="+c.Protocol)
	}
	if c.Objects != "" {
		env = append(env,
			"GIT_OBJECT_DIRECTORY="+c.Objects,
			"GIT_ALTERNATE_OBJECT_DIRECTORIES="+filepath.Join(c.Dir, "objects"),
			"GIT_QUARANTINE_PATH="+c.Objects)
	}
	settings := c.config()
	env = append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(settings)))
	for i, kv := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, kv[1]))
	}
	return append(env, c.Env...)
}
