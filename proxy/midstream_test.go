package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gitferry/internal/ferry"
)

// TestReadersInMidStream: while one client takes its time over an answer,
// another leaves in the middle and objects are purged and packed anew, all who
// stay get the same whole pack: with room for the answer on disk, with too
// little, and without a cache.
func TestReadersInMidStream(t *testing.T) {
	t.Parallel()
	for name, cache := range map[string]int64{"cache": 256 << 20, "small cache": 64 << 10, "no cache": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) { w.Mirror.CacheBytes = cache })
			work := w.work()
			noise(t, work, 8<<20)
			work.Commit("DEMO-1 kept")
			kept := work.OID("HEAD")
			work.Commit("DEMO-1 a secret", "secret", "hunter2")
			work.Run("push", "--quiet", w.url, "HEAD:refs/heads/secret", "HEAD~1:refs/heads/main")
			w.settled()
			work.Run("push", "--quiet", w.url, ":refs/heads/secret")
			w.settled()
			fetch := func() io.ReadCloser {
				req, err := http.NewRequest("POST", w.front+"/us-east-1/demo/git-upload-pack", strings.NewReader(fetch2("want "+kept.String(), "done")))
				w.must(err)
				req.SetBasicAuth("alice", w.token)
				req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
				req.Header.Set("Git-Protocol", "version=2")
				resp, err := http.DefaultClient.Do(req)
				w.must(err)
				if resp.StatusCode != http.StatusOK {
					t.Fatalf("status %d", resp.StatusCode)
				}
				return resp.Body
			}
			begin := make([]byte, 32<<10)
			var all sync.WaitGroup
			whole := func(who string, body io.ReadCloser, head []byte, pause time.Duration) {
				all.Go(func() {
					defer body.Close()
					answer := append([]byte(nil), head...)
					part := make([]byte, 256<<10)
					for {
						n, err := body.Read(part)
						answer = append(answer, part[:n]...)
						if err == io.EOF {
							break
						}
						if err != nil {
							t.Errorf("%s: %v after %d bytes", who, err, len(answer))
							return
						}
						time.Sleep(pause)
					}
					if err := wholePack(answer); err != nil {
						t.Errorf("%s: %v", who, err)
					}
				})
			}
			slow, leaving, quick := fetch(), fetch(), fetch()
			_, err := io.ReadFull(slow, begin)
			w.must(err)
			head := append([]byte(nil), begin...)
			_, err = io.ReadFull(leaving, begin)
			w.must(err)
			w.must(leaving.Close())
			w.must(w.Mirror.Purge(t.Context(), w.repo))
			whole("the slow one", slow, head, 10*time.Millisecond)
			whole("the quick one", quick, nil, 0)
			whole("one that comes later", fetch(), nil, 0)
			all.Wait()
			// Nothing is left running, and what was purged is gone.
			w.eventually("no read runs", func() (bool, string) {
				w.reads.mu.Lock()
				defer w.reads.mu.Unlock()
				return w.reads.running == 0, fmt.Sprint(w.reads.running)
			})
			gone := work.OID("HEAD")
			have, err := w.Git.Exists(t.Context(), w.Mirror.Path(w.repo.ID), []ferry.OID{gone, kept})
			w.must(err)
			if have[gone] || !have[kept] {
				t.Errorf("after the purge the mirror has %v", have)
			}
		})
	}
}
