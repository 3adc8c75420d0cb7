package proxy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Each git that works for a push is killed once: the push fails in words or
// succeeds, upstream agrees with what was said, and the next push works.
func TestGitKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	work := w.work()
	work.Commit("base", "file", "base")
	work.Run("push", w.url, "HEAD:refs/heads/main")
	home := w.Scratch // children of this world work on mirrors below it
	for _, kind := range []string{"index-pack", "rev-list", "update-ref"} {
		var armed atomic.Bool
		armed.Store(true)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for end := time.Now().Add(10 * time.Second); armed.Load() && time.Now().Before(end); {
				if pid := childOf(kind, home); pid > 0 {
					t.Logf("killed %s: %v", kind, syscall.Kill(pid, syscall.SIGKILL))
					return
				}
			}
		}()
		noise(t, work, 3<<20)
		oid := work.Commit("killed "+kind, "file", kind)
		cmd := work.Cmd(t.Context(), "push", w.url, "HEAD:refs/heads/main")
		out, err := cmd.CombinedOutput()
		armed.Store(false)
		<-ended
		if has := w.upstreamRefs()["refs/heads/main"] == oid.String(); err == nil != has {
			t.Errorf("%s: git said %v, and upstream has the push: %t\n%s", kind, err, has, out)
		}
		if err != nil && !strings.Contains(string(out), "gitferry:") {
			t.Errorf("%s: the push failed without a word of ours:\n%s", kind, out)
		}
		work.Run("push", w.url, "HEAD:refs/heads/main")
		work.Commit("after "+kind, "file", "after "+kind)
		work.Run("push", w.url, "HEAD:refs/heads/main")
	}
	w.settled()
}

// childOf finds a git of this process with the subcommand that works below dir.
func childOf(sub, dir string) int {
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs {
		line, err := os.ReadFile(p)
		if err != nil || !strings.Contains(string(line), "git\x00"+sub+"\x00") {
			continue
		}
		env, err := os.ReadFile(filepath.Join(filepath.Dir(p), "environ"))
		if err != nil || !strings.Contains(string(env), "GIT_DIR="+dir) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(filepath.Dir(p)), "%d", &pid); err == nil {
			return pid
		}
	}
	return 0
}
