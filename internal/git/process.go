package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Limits of one child (security reference, GIT-3).
const (
	childAddressSpace = 2 << 30 // bytes
	largeAddressSpace = 4 << 30 // bytes, for Command.Large
	childCPU          = 600     // seconds
	largeCPU          = 3600    // seconds, for Command.Large
	childFiles        = 1024    // open files
	maxStderr         = 64 << 10
)

// killDelay is the time between TERM and KILL.
const killDelay = 5 * time.Second

// A Process is a running git.
type Process struct {
	cmd    *exec.Cmd
	sub    string
	stderr *tail
	stop   func() bool
	ended  chan struct{} // closed when git itself ended: its process id may go to another then
	ctx    context.Context
}

// Start starts git. The caller must call Wait. When ctx ends the whole
// process group gets SIGTERM and, after five seconds, SIGKILL.
func (r *Runner) Start(ctx context.Context, c Command) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return nil, fmt.Errorf("starting git %s: the server has ended", c.Args[0])
	}
	p := &Process{sub: c.Args[0], ctx: ctx, stderr: &tail{max: maxStderr}, ended: make(chan struct{})}
	command := func(traced bool) *exec.Cmd {
		cmd := exec.Command(r.path, c.Args...)
		cmd.Env = r.environment(c)
		cmd.Dir = r.home
		cmd.Stdin = c.Stdin
		cmd.Stdout = c.Stdout
		cmd.WaitDelay = 10 * time.Second
		if c.Stderr != nil {
			cmd.Stderr = c.Stderr
		} else {
			cmd.Stderr = p.stderr
		}
		if r.lock != nil {
			cmd.ExtraFiles = []*os.File{r.lock}
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Ptrace: traced}
		return cmd
	}
	started := make(chan started, 1)
	select {
	case r.spawn <- spawnRequest{command, c, r.untraced, started}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s := <-started
	if s.err != nil {
		return nil, fmt.Errorf("starting git %s: %w", p.sub, s.err)
	}
	p.cmd = s.cmd
	pid := p.cmd.Process.Pid
	p.stop = context.AfterFunc(ctx, func() {
		_ = syscall.Kill(-pid, syscall.SIGTERM)
		select {
		case <-p.ended: // what is left of the group ends at once
		case <-time.After(r.killDelay):
		}
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	})
	if r.Log != nil {
		r.Log.Debug("git started", "args", c.Args, "dir", c.Dir, "pid", pid)
	}
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Wait waits for git to end. A failure of git is an *ExitError; if the
// context ended, its error is returned instead.
func (p *Process) Wait() error {
	err := p.cmd.Wait()
	close(p.ended)
	p.stop()
	if err == nil {
		return nil
	}
	if ctxErr := p.ctx.Err(); ctxErr != nil {
		return fmt.Errorf("git %s: %w", p.sub, context.Cause(p.ctx))
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("git %s: %w", p.sub, err)
	}
	e := &ExitError{Subcommand: p.sub, Code: exit.ExitCode(), Stderr: p.stderr.String()}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.Signal = ws.Signal().String()
	}
	return e
}

// limit bounds a child's resources.
func limit(pid int, c Command) {
	set := func(resource int, v uint64) {
		_ = unix.Prlimit(pid, resource, &unix.Rlimit{Cur: v, Max: v}, nil)
	}
	set(unix.RLIMIT_CORE, 0)
	set(unix.RLIMIT_NOFILE, childFiles)
	if c.Large {
		set(unix.RLIMIT_CPU, largeCPU)
		set(unix.RLIMIT_AS, largeAddressSpace)
	} else {
		set(unix.RLIMIT_CPU, childCPU)
		set(unix.RLIMIT_AS, childAddressSpace)
	}
	if c.MaxFile > 0 {
		set(unix.RLIMIT_FSIZE, uint64(c.MaxFile))
	}
	if c.Background {
		_ = unix.Setpriority(unix.PRIO_PROCESS, pid, 5)
	}
}

type spawnRequest struct {
	// command makes the command, to be started under the eyes of its parent or
	// not: a command cannot be started twice.
	command  func(traced bool) *exec.Cmd
	c        Command
	untraced bool
	started  chan<- started
}

type started struct {
	cmd *exec.Cmd
	err error
}

// spawner starts children from one OS thread that lives as long as the
// process: the parent-death signal follows the thread that forked, and only
// the thread that forked may let a stopped child go on.
func spawner(requests <-chan spawnRequest) {
	runtime.LockOSThread()
	for q := range requests {
		cmd, err := q.start()
		q.started <- started{cmd, err}
	}
}

// start starts a child that stops before its first instruction, bounds it and
// lets it go on. Where children may not be traced, as under a debugger or in
// some containers, it is bounded right after its start.
func (q spawnRequest) start() (*exec.Cmd, error) {
	cmd := q.command(true)
	if q.untraced || cmd.Start() != nil {
		cmd = q.command(false)
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		limit(cmd.Process.Pid, q.c)
		return cmd, nil
	}
	pid := cmd.Process.Pid
	for unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	limit(pid, q.c)
	_ = syscall.PtraceDetach(pid) // fails if somebody killed it meanwhile; Wait tells
	return cmd, nil
}

// openChildLock opens the file whose shared lock every child inherits. As
// long as one of them lives, WaitForChildren of the next process waits.
func openChildLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the child lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
		f.Close()
		return nil, fmt.Errorf("taking the child lock: %w", err)
	}
	return f, nil
}

// WaitForChildren waits until no git started by an earlier process on the
// same directory is alive, at most timeout. Call it at start, before the
// first command.
func WaitForChildren(path string, timeout time.Duration) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening the child lock: %w", err)
	}
	defer f.Close()
	for end := time.Now().Add(timeout); ; time.Sleep(20 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("taking the child lock: %w", err)
		}
		if time.Now().After(end) {
			return fmt.Errorf("a git process of an earlier run still works on this data directory; end it and start again")
		}
	}
}

// tail keeps the first max bytes written to it and drops the rest.
type tail struct {
	mu  sync.Mutex
	b   bytes.Buffer
	max int
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.max - t.b.Len(); n > 0 {
		t.b.Write(p[:min(n, len(p))])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}
