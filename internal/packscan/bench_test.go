package packscan

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
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
	work := filepath.Join(runtime.GOROOT(), "src")
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
// bytes in the same run: MB/s is of pack bytes, git-MB/s and ratio (time of
// Scan to time of index-pack) from one run of index-pack on either side.
func BenchmarkScan(b *testing.B) {
	p, err := sourcePack()
	if err != nil {
		b.Skip("no source tree to pack: ", err)
	}
	j := newJudge(b)
	index := func() time.Duration {
		start := time.Now()
		if v := j.ask(b, p); !v.accepted {
			b.Fatal(v.stderr)
		}
		return time.Since(start)
	}
	git := index()
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if _, err := Scan(bytes.NewReader(p), func([]byte) error { return nil }, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	scan := b.Elapsed() / time.Duration(b.N)
	git = (git + index()) / 2
	b.ReportMetric(float64(len(p))/git.Seconds()/1e6, "git-MB/s")
	b.ReportMetric(float64(scan)/float64(git), "ratio")
	b.ReportMetric(float64(len(p))/1e6, "pack-MB")
}
