package bench

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

func packet(line string) string { return fmt.Sprintf("%04x%s", len(line)+4, line) }

const lsRefs = "0014command=ls-refs\n0001" + "0009peel\n" + "000csymrefs\n" + "0000"

// post sends one upload-pack request of protocol 2 and returns how many bytes
// came back and after what time the first.
func (b *bench) post(url, password string, body string, keep io.Writer) (n int64, first time.Duration) {
	b.t.Helper()
	req, err := http.NewRequest("POST", url+"/git-upload-pack", strings.NewReader(body))
	must(b.t, err)
	req.SetBasicAuth("alice", password)
	req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	req.Header.Set("Git-Protocol", "version=2")
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	must(b.t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		b.t.Fatalf("%s: %s: %s", url, resp.Status, text)
	}
	one := make([]byte, 1)
	if _, err := io.ReadFull(resp.Body, one); err != nil {
		b.t.Fatal(err)
	}
	first = time.Since(start)
	if keep == nil {
		keep = io.Discard
	}
	rest, err := io.CopyBuffer(struct{ io.Writer }{keep}, struct{ io.Reader }{resp.Body}, make([]byte, 256<<10))
	must(b.t, err)
	return rest + 1, first
}

// cloneRequest is what git sends to clone everything.
func (b *bench) cloneRequest(url, password string) string {
	var refs bytes.Buffer
	b.post(url, password, lsRefs, &refs)
	var q strings.Builder
	q.WriteString(packet("command=fetch") + packet("agent=git/bench") + packet("object-format=sha1") + "0001" + packet("thin-pack") + packet("no-progress") + packet("include-tag") + packet("ofs-delta"))
	seen := make(map[string]bool)
	for line := range strings.Lines(refs.String()) {
		if i := strings.Index(line, " refs/heads/"); i >= 40 {
			if oid := line[i-40 : i]; !seen[oid] {
				seen[oid] = true
				q.WriteString(packet("want " + oid + "\n"))
			}
		}
	}
	return q.String() + packet("done\n") + "0000"
}

// tune does to a mirror what upkeep does.
func (b *bench) tune(name string) {
	dir := b.path(b.mirrors[name])
	b.git(b.directClient(), dir, "repack", "-a", "-d", "--quiet", "--write-bitmap-index")
	b.git(b.directClient(), dir, "commit-graph", "write", "--reachable", "--changed-paths", "--no-progress")
	b.git(b.directClient(), dir, "pack-refs", "--all")
}

func reads(b *bench) {
	b.tune("storm")
	pid := b.server.Process.Pid
	ferry, plain := b.ferryURL("storm"), b.backendURL(b.mirrors["storm"])
	var firsts []float64
	const many = 40
	refs := func(pid int, url string, ours bool) side {
		return side{pid: pid, run: func(int) {
			for range many {
				_, first := b.post(url, b.token, lsRefs, nil)
				if ours {
					firsts = append(firsts, float64(first)/1e6)
				}
			}
		}}
	}
	r := b.compare(fmt.Sprintf("ls-refs of fresh refs, %d times", many), "http-backend", "≤ 0.06 wall and CPU, first byte ≤ 2 ms", 7, refs(pid, ferry, true), refs(b.backendPID, plain, false))
	_, first, _ := spread(firsts)
	r.note = fmt.Sprintf("first byte %.2g ms", first)
	b.t.Log(r.note)

	b.clones("full clone, cold cache, HTTP", ferry, plain)
	b.clones("full clone, cold cache, SSH", b.ferrySSH("storm"), plain)

	b.tune("storm")
	request := b.cloneRequest(ferry, b.token)
	bytesOf := func(pid int, url string, times, at int) side {
		return side{pid: pid, rss: true, run: func(int) {
			for range times {
				var all sync.WaitGroup
				for range at {
					all.Go(func() { b.post(url, b.token, request, nil) })
				}
				all.Wait()
			}
		}}
	}
	b.compare("repeated clone, warm cache, bytes, 8 times", "http-backend", "≤ 0.06 CPU, ≤ 0.10 wall", 5, bytesOf(pid, ferry, 8, 1), bytesOf(b.backendPID, plain, 8, 1))
	b.compare("8 identical clones at once, warm cache, bytes, twice", "http-backend", "≤ 0.05 CPU, ≤ 0.12 wall", 5, bytesOf(pid, ferry, 2, 8), bytesOf(b.backendPID, plain, 2, 8))
	// Each round asks for something nobody asked for before.
	cold := func(pid int, url string) side {
		inner := bytesOf(pid, url, 1, 8)
		return side{pid: pid, rss: true, run: inner.run, end: func(int) {
			if pid == b.server.Process.Pid {
				b.touch("storm")
				request = b.cloneRequest(ferry, b.token)
			}
		}}
	}
	b.compare("8 identical clones at once that nobody asked for before, bytes", "http-backend", "–", 5, cold(pid, ferry), cold(b.backendPID, plain))
}

// touch pushes an empty commit through gitferry, so that the next clone asks
// for something new.
func (b *bench) touch(name string) {
	dir := b.path("work-touch")
	env := b.ferryClient()
	if _, err := os.Stat(dir); err != nil {
		b.git(env, b.dir, "clone", "--quiet", "--single-branch", "--branch", "main", b.ferryURL(name), dir)
	}
	b.git(env, dir, "commit", "--quiet", "--allow-empty", "-m", "touch")
	b.git(env, dir, "push", "--quiet", b.ferryURL(name), "HEAD:main")
}

// clones compares whole clones by the real git.
func (b *bench) clones(what, ferry, plain string) {
	clone := func(pid int, url, name string) side {
		dir := b.path("clone-" + name)
		return side{pid: pid, rss: true, run: func(int) {
			b.git(b.ferryClient(), b.dir, "clone", "--quiet", "--bare", url, dir)
		}, end: func(int) {
			must(b.t, os.RemoveAll(dir))
			if name == "ferry" {
				b.touch("storm")
			}
		}}
	}
	b.compare(what, "http-backend, the same repository", "≤ 1.05 wall", 7, clone(b.server.Process.Pid, ferry, "ferry"), clone(b.backendPID, plain, "plain"))
}
