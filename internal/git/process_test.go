package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/gittest"
)

func newRunner(t *testing.T) *Runner {
	t.Helper()
	r, err := New(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// shell makes git run a shell command, as only a test does.
func shell(command string) []string { return []string{"-c", "alias.sh=!" + command, "sh"} }

// A child's environment is built from nothing (security reference, part 12).
func TestEnvironment(t *testing.T) {
	for _, name := range []string{"GIT_DIR", "GIT_TRACE", "GIT_SSH_COMMAND", "SSH_AUTH_SOCK", "HTTPS_PROXY", "GIT_EXTERNAL_DIFF", "XDG_CONFIG_HOME", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, "leaked")
	}
	r := newRunner(t)
	out, err := r.Output(t.Context(), Command{Args: shell("env")})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "leaked") {
		t.Errorf("the environment of a child holds what it must not:\n%s", out)
	}
	for _, want := range []string{"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "GIT_NO_REPLACE_OBJECTS=1", "GIT_ALLOW_PROTOCOL=\n", "HOME=" + r.home} {
		if !strings.Contains(string(out)+"\n", want) {
			t.Errorf("the environment of a child lacks %q", want)
		}
	}
}

// What a repository's own file says about programs is overruled.
func TestRepositoryConfigIsOverruled(t *testing.T) {
	r := newRunner(t)
	repo := gittest.New(t)
	repo.Commit("one", "a", "1")
	mark := filepath.Join(t.TempDir(), "ran")
	hook := filepath.Join(repo.Dir, ".git", "hooks", "reference-transaction")
	if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte("#!/bin/sh\ntouch "+mark+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	repo.Run("config", "core.hooksPath", filepath.Dir(hook))
	repo.Run("config", "core.fsmonitor", "touch "+mark)
	os.Remove(mark)
	u := []ferry.RefUpdate{{Name: "refs/heads/new", New: repo.OID("HEAD")}}
	if err := r.UpdateRefs(t.Context(), filepath.Join(repo.Dir, ".git"), u); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a program from the repository's configuration ran")
	}
}

// Children are bounded in memory, files, time and core dumps (GIT-3) before
// they do anything, and so is what they start.
func TestLimits(t *testing.T) {
	r := newRunner(t)
	for _, c := range []struct {
		command     Command
		memory, cpu string
	}{
		{Command{MaxFile: 12345}, fmt.Sprint(childAddressSpace), "600"},
		{Command{MaxFile: 12345, Large: true}, fmt.Sprint(largeAddressSpace), "3600"},
	} {
		c.command.Args = shell("cat /proc/self/limits")
		for range 20 {
			out, err := r.Output(t.Context(), c.command)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{"Max core file size": "0", "Max address space": c.memory, "Max open files": "1024",
				"Max cpu time": c.cpu, "Max file size": "12345"} {
				found := false
				for line := range strings.Lines(string(out)) {
					if rest, ok := strings.CutPrefix(line, name); ok {
						found = strings.Fields(rest)[1] == want
					}
				}
				if !found {
					t.Fatalf("%s: want %s in\n%s", name, want, out)
				}
			}
		}
	}
	// Not traced: as where a debugger watches, or where it is known to fail.
	for _, untraced := range []bool{false, true} {
		q := spawnRequest{untraced: untraced, command: func(traced bool) *exec.Cmd {
			cmd := exec.Command("sleep", "0.2")
			if traced {
				cmd.Path = "/does/not/exist" // fails as a refused trace does
			}
			return cmd
		}}
		cmd, err := q.start()
		if err != nil {
			t.Fatal(err)
		}
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", cmd.Process.Pid))
		if err != nil || !strings.Contains(string(limits), fmt.Sprint(childAddressSpace)) {
			t.Errorf("a child that is not traced is not bounded: %v\n%s", err, limits)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// The end of the context ends git and all that it started, also what does not
// listen.
func TestKill(t *testing.T) {
	r := newRunner(t)
	r.killDelay = 200 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	pids := filepath.Join(t.TempDir(), "pids")
	p, err := r.Start(ctx, Command{Args: shell(`trap "" TERM; sleep 600 & echo $$ $! >` + pids + `; wait; wait`)})
	if err != nil {
		t.Fatal(err)
	}
	var written []byte
	for end := time.Now().Add(10 * time.Second); len(bytes.Fields(written)) < 2 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		written, _ = os.ReadFile(pids)
	}
	cancel()
	start := time.Now()
	if err := p.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait = %v, want the context's end", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	for _, field := range strings.Fields(string(written)) {
		pid, _ := strconv.Atoi(field)
		for end := time.Now().Add(5 * time.Second); syscall.Kill(pid, 0) == nil && !zombie(pid); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("process %d lives on", pid)
				break
			}
		}
	}
}

// zombie reports whether a process ended and waits for its parent to notice.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(b, []byte(") Z "))
}

// A failure keeps its words, bounded, and a signal is told apart.
func TestFailures(t *testing.T) {
	r := newRunner(t)
	var e *ExitError
	err := r.Run(t.Context(), Command{Args: shell("head -c 200000 /dev/zero | tr '\\000' x >&2; exit 3")})
	if !errors.As(err, &e) || e.Code != 3 || len(e.Stderr) != maxStderr || len(e.Error()) > 3000 {
		t.Errorf("Run = %.100v (%d bytes of stderr), want status 3 and 64 KiB", err, len(e.Stderr))
	}
	if _, err := r.Output(t.Context(), Command{Args: shell("head -c 70000000 /dev/zero")}); err == nil {
		t.Error("Output of more than 64 MiB succeeded")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx, Command{Args: []string{"version"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Run with an ended context = %v", err)
	}
}

// A git that ends at a limit says so to errors.Is, another failure does not;
// after Close nothing starts any more.
func TestErrLimit(t *testing.T) {
	r := newRunner(t)
	for script, want := range map[string]bool{
		"echo 'fatal: Out of memory, malloc failed' >&2; exit 128": true,
		"kill -XCPU $PPID; sleep 5":                                true,
		"echo 'fatal: bad object' >&2; exit 128":                   false,
	} {
		if err := r.Run(t.Context(), Command{Args: shell(script)}); err == nil || errors.Is(err, ErrLimit) != want {
			t.Errorf("%s: %v is ErrLimit: %t, want %t", script, err, errors.Is(err, ErrLimit), want)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Run(t.Context(), Command{Args: []string{"version"}}); err == nil {
		t.Error("git ran after Close")
	}
}
