package packscan

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// sourcePack is a pack of Go's own source tree, with deltas as git makes them
// for a push: a thousand and more trees, ten thousand blobs.
var sourcePack = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "packscan")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	work := filepath.Join(strings.TrimSpace(string(root)), "src")
	for _, args := range [][]string{
		{"init", "-q", dir},
		{"--git-dir", filepath.Join(dir, ".git"), "--work-tree", work, "add", "-f", "."},
		{"--git-dir", filepath.Join(dir, ".git"), "commit", "-q", "-m", "source"},
	} {
		if err := runGit(dir, args...); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command("git", "pack-objects", "--revs", "--stdout", "-q")
	cmd.Dir, cmd.Env, cmd.Stdin = dir, cleanEnv(), bytes.NewReader([]byte("HEAD\n"))
	return cmd.Output()
})

// BenchmarkScan compares the scan of one pack with git index-pack on the same
// bytes in the same run: MB/s is of pack bytes; ratio and cpu-ratio are the
// time and the processor time of Scan to those of index-pack, which is run
// before and after.
func BenchmarkScan(b *testing.B) {
	p, err := sourcePack()
	if err != nil {
		b.Skip("no source tree to pack: ", err)
	}
	j := newJudge(b)
	var wall, cpu time.Duration
	index := func() {
		start := time.Now()
		v := j.ask(b, p)
		if !v.accepted {
			b.Fatal(v.stderr)
		}
		wall += time.Since(start) / 2
		cpu += v.cpu / 2
	}
	index()
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	b.ResetTimer()
	used := processorTime(b)
	for b.Loop() {
		if _, err := Scan(bytes.NewReader(p), func([]byte) error { return nil }, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
	used = (processorTime(b) - used) / time.Duration(b.N)
	b.StopTimer()
	index()
	b.ReportMetric(float64(len(p))/wall.Seconds()/1e6, "git-MB/s")
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(wall), "ratio")
	b.ReportMetric(float64(used)/float64(cpu), "cpu-ratio")
	b.ReportMetric(float64(len(p))/used.Seconds()/1e6, "MB/cpu-s")
	b.ReportMetric(float64(len(p))/1e6, "pack-MB")
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
