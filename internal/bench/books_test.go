package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/index"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
	"gitferry/mirror"
)

// indexTask is what the process that makes a first index is told.
type indexTask struct {
	Root string // of the mirrors
	ID   ferry.RepositoryID
	Work string // directory for the books
}

// firstIndex indexes one mirror from nothing, in a process of its own, so
// that its processor time is known exactly, and prints what it took as JSON:
// a server makes a first index long after its own start.
func firstIndex(arg string) error {
	var task indexTask
	if err := json.Unmarshal([]byte(arg), &task); err != nil {
		return err
	}
	ctx := context.Background()
	log := slog.New(slog.DiscardHandler)
	st, err := store.Open(ctx, filepath.Join(task.Work, "books.db"), store.Options{MasterKey: make([]byte, 32), Log: log})
	if err != nil {
		return err
	}
	defer st.Close()
	g, err := git.New(ctx, task.Work)
	if err != nil {
		return err
	}
	i, err := st.AddIntegration(ctx, ferry.Integration{Slug: "bench", Name: "bench", Kind: ferry.KindGit, GitEndpoint: "https://git.example.invalid/storm"}, ferry.Credentials{})
	if err != nil {
		return err
	}
	repo, err := st.AddRepository(ctx, ferry.Repository{IntegrationID: i.ID, Owner: "bench", Name: "storm", CloneURL: "https://git.example.invalid/storm", State: ferry.RepositoryEnabled, SmartCommits: true})
	if err != nil {
		return err
	}
	// The mirror is where its own id says; a link stands there.
	dir := &mirror.Dir{Root: task.Work, Git: g, Log: log}
	from := (&mirror.Dir{Root: task.Root}).Path(task.ID)
	if err := os.MkdirAll(filepath.Dir(dir.Path(repo.ID)), 0o700); err != nil {
		return err
	}
	if err := os.Symlink(from, dir.Path(repo.ID)); err != nil {
		return err
	}
	x := &index.Index{Store: st, Git: g, Mirror: dir, Log: log, Settings: func(context.Context) (index.Settings, error) {
		return index.Settings{RunCommands: true, MaxAge: time.Hour, Parse: smartcommit.Options{Projects: map[string]bool{"STORM": true}}}, nil
	}}
	before, start := spent(), time.Now()
	if err := x.Repository(ctx, repo); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(indexSample{Wall: time.Since(start), CPU: spent() - before})
}

// indexSample is what firstIndex prints.
type indexSample struct{ Wall, CPU time.Duration }

// spent is the processor time of this process and of its children that ended.
func spent() (d time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		_ = syscall.Getrusage(who, &r) // fails for no valid argument
		d += time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return d
}

// usage runs a command and returns its time and processor time, children
// included.
func usage(b *bench, cmd *exec.Cmd) sample {
	b.t.Helper()
	cmd.Stderr = os.Stderr
	start := time.Now()
	must(b.t, cmd.Run())
	s := sample{wall: time.Since(start), cpu: cmd.ProcessState.SystemTime() + cmd.ProcessState.UserTime()}
	if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.peak = r.Maxrss << 10
	}
	return s
}

func books(b *bench) {
	b.tune("storm")
	exe, err := os.Executable()
	must(b.t, err)
	var id int64
	_, err = fmt.Sscanf(filepath.Base(b.mirrors["storm"]), "%d.git", &id)
	must(b.t, err)
	r := &row{what: "first index of 9,907 commits, books written", against: "git log --all --format=%H%x00%B", mark: "≤ 2.0 CPU"}
	for round := range 8 {
		task, err := json.Marshal(indexTask{Root: b.path("data"), ID: ferry.RepositoryID(id), Work: b.mkdir(fmt.Sprintf("first-%d", round))})
		must(b.t, err)
		ours := exec.Command(exe)
		ours.Env = append(os.Environ(), roleVariable+"=index "+string(task))
		theirs := exec.Command("git", "log", "--all", "--format=%H%x00%B")
		theirs.Dir = b.path(b.mirrors["storm"])
		var out bytes.Buffer
		ours.Stdout = &out
		a, c := usage(b, ours), usage(b, theirs)
		var took indexSample
		must(b.t, json.Unmarshal(out.Bytes(), &took))
		a.wall, a.cpu = took.Wall, took.CPU
		if round > 0 {
			r.ours, r.theirs = append(r.ours, a), append(r.theirs, c)
			r.wall, r.cpu = append(r.wall, float64(a.wall)/float64(c.wall)), append(r.cpu, float64(a.cpu)/float64(c.cpu))
		}
	}
	b.add(r)
}
