package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

const (
	smallRounds = 21
	bigRounds   = 3
	bigRows     = 3       // rows of large pushes to the stand-in; each push goes to a fresh repository
	plainRow    = bigRows // the row whose upstream is git http-backend
)

func bigName(row, round int, side string) string {
	return fmt.Sprintf("big-%d-%d-%s", row, round, side)
}

// fill makes the repositories at the stand-in and the plain ones.
func (b *bench) fill() {
	ctx := context.Background()
	create := func(region, name string) {
		must(b.t, b.codecommit.CreateRepository(ctx, region, name, ""))
		if !strings.HasSuffix(name, "direct") { // those that are pushed to directly are no business of gitferry's
			b.connected[region] = append(b.connected[region], name)
		}
	}
	create(region, "small-direct")
	create(region, "small-ferry")
	create(slowRegion, "slow-direct")
	create(slowRegion, "slow-ferry")
	create(region, "storm")
	for row := range bigRows {
		if !measured("big") {
			break
		}
		for round := range bigRounds + 1 {
			create(region, bigName(row, round, "direct"))
			create(region, bigName(row, round, "ferry"))
		}
	}
	for round := range bigRounds + 1 {
		if !measured("big") {
			break
		}
		b.git(b.directClient(), b.dir, "init", "--quiet", "--bare", bigName(plainRow, round, "direct")+".git")
		b.git(b.directClient(), b.dir, "init", "--quiet", "--bare", bigName(plainRow, round, "ferry")+".git")
		b.plain = append(b.plain, bigName(plainRow, round, "ferry"))
	}
	history, err := os.Open("../e2e/testdata/commits-apache.jsonl.gz")
	must(b.t, err)
	defer history.Close()
	_, err = b.codecommit.Load(ctx, region, "storm", history)
	must(b.t, err)
	env := b.directClient()
	b.git(env, b.dir, "clone", "--quiet", "--single-branch", "--branch", "main", b.directURL("storm"), "work-direct")
	b.plain = append(b.plain, "plain-ferry")
	for _, name := range []string{"plain-direct", "plain-ferry"} {
		b.git(env, b.dir, "clone", "--quiet", "--bare", "work-direct", name+".git")
	}
	work := b.path("work-direct")
	b.git(env, work, "push", "--quiet", b.directURL("small-direct"), "main")
	b.git(env, work, "push", "--quiet", b.directURL("small-ferry"), "main")
	slow := b.awsURL + "/" + slowRegion + "/v1/repos/"
	b.git(env, work, "push", "--quiet", slow+"slow-direct", "main")
	b.git(env, work, "push", "--quiet", slow+"slow-ferry", "main")
	b.git(env, b.dir, "clone", "--quiet", "work-direct", "work-ferry")
}

// small is a side that pushes one small commit a round.
func (b *bench) small(pid int, env []string, work, url string) side {
	dir := b.path(work)
	n := 0
	next := func() {
		n++
		must(b.t, os.WriteFile(filepath.Join(dir, "bench.txt"), fmt.Appendf(nil, "%s %d\n", url, n), 0o600))
		b.git(env, dir, "add", "bench.txt")
		b.git(env, dir, "commit", "--quiet", "-m", fmt.Sprintf("DEMO-1 change %d", n))
	}
	next()
	return side{pid: pid,
		run: func(int) { b.git(env, dir, "push", "--quiet", url, "HEAD:main") },
		end: func(int) { next() }}
}

func pushes(b *bench) {
	ferry, direct := b.ferryClient(), b.directClient()
	self := os.Getpid()
	b.git(direct, b.path("work-ferry"), "fetch", "--quiet", b.directURL("small-ferry"), "main")
	b.compare("push of one small commit, HTTP", "direct push to the same upstream", "≤ 1.12 wall", smallRounds,
		b.small(b.server.Process.Pid, ferry, "work-ferry", b.ferryURL("small-ferry")),
		b.small(self, direct, "work-direct", b.directURL("small-direct")))
	for _, w := range []string{"work-ferry", "work-direct"} {
		b.git(direct, b.path(w), "reset", "--quiet", "--hard", "origin/main")
	}
	b.compare("the same, the upstream is git http-backend", "direct", "≤ 1.12 wall", smallRounds,
		b.small(b.server.Process.Pid, ferry, "work-ferry", b.ferryURL("plain-ferry")),
		b.small(b.backendPID, direct, "work-direct", b.backendURL("plain-direct.git")))
	for _, w := range []string{"work-ferry", "work-direct"} {
		b.git(direct, b.path(w), "reset", "--quiet", "--hard", "origin/main")
	}
	b.compare("the same, 20 ms added to each upstream round trip", "direct", "≤ 1.05 wall", 11,
		b.small(b.server.Process.Pid, ferry, "work-ferry", b.ferryURL("slow-ferry")),
		b.small(self, direct, "work-direct", b.slowDirectURL("slow-direct")))
}

// bigWork makes a repository with one commit of 50 files of 1 MiB that do not
// compress, in one pack.
func (b *bench) bigWork() string {
	dir := b.mkdir("work-big")
	env := b.directClient()
	b.git(env, dir, "init", "--quiet")
	random := rand.NewChaCha8([32]byte{1})
	for i := range 50 {
		p := make([]byte, 1<<20)
		_, _ = random.Read(p)
		must(b.t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%d", i)), p, 0o600))
	}
	b.git(env, dir, "add", ".")
	b.git(env, dir, "commit", "--quiet", "-m", "DEMO-1 large files")
	b.git(env, dir, "repack", "-a", "-d", "--quiet")
	return dir
}

func bigPushes(b *bench) {
	work := b.bigWork()
	ferry, direct := b.ferryClient(), b.directClient()
	push := func(row int, pid int, env []string, name string, url func(string) string) side {
		return side{pid: pid, rss: true, run: func(round int) {
			b.git(env, work, "push", "--quiet", url(bigName(row, round, name)), "HEAD:main")
		}}
	}
	both := func(row int, what, mark string, pid int, ferryURL, directURL func(string) string) {
		idle := resident(b.server.Process.Pid)
		ours := push(row, b.server.Process.Pid, ferry, "ferry", ferryURL)
		ours.settle = func(round int) { // a listing waits until the mirror has the push
			b.git(ferry, work, "ls-remote", "--quiet", b.ferryURL(bigName(row, round, "ferry")))
		}
		b.compare(what, "direct", mark, bigRounds, ours, push(row, pid, direct, "direct", directURL)).idle = idle
	}
	self := os.Getpid()
	both(0, "push of a 50 MB pack, HTTP", "≤ 1.10 wall", self, b.ferryURL, b.directURL)
	both(1, "push of a 50 MB pack, SSH", "≤ 1.10 wall", self, b.ferrySSH, b.directSSH)
	both(plainRow, "push of a 50 MB pack, HTTP, the upstream is git http-backend", "≤ 1.10 wall", b.backendPID, b.ferryURL,
		func(name string) string { return b.backendURL(name + ".git") })
	b.stop()
	b.env = []string{"GITFERRY_GATE_INDEX=after"}
	b.restart()
	b.awaitIdle()
	both(2, "push of a 50 MB pack, HTTP, gate.index: after", "≤ 1.03 wall, itself ≤ 32 MiB above idle", self, b.ferryURL, b.directURL)
	b.stop()
	b.env = nil
	b.restart()
	b.awaitIdle()
}
