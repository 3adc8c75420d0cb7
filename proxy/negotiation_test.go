package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	byhalves "testing/iotest"
	"testing/synctest"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
)

// packets makes a packet of each line, and n of the last one; "" is a flush.
func packets(n int, lines ...string) string {
	var b bytes.Buffer
	w := pktline.NewWriter(&b)
	for i, l := range lines {
		if l == "" {
			_ = w.Flush()
			continue
		}
		for j := 0; j == 0 || i == len(lines)-1 && j < n; j++ {
			_ = w.Printf("%s\n", l)
		}
	}
	return b.String()
}

// TestNegotiationCounts: as many wants, haves and boundaries as may be, and
// one more (security reference, GIT-9). However the bytes arrive, they pass
// unchanged.
func TestNegotiationCounts(t *testing.T) {
	oid := strings.Repeat("a", 40)
	for word, limit := range map[string]int{"want ": maxWants, "have ": maxHaves, "shallow ": maxShallow, "want-ref ": maxWants, "deepen-not ": maxShallow} {
		in := packets(limit, "command=fetch", "shallower", "wa", "", word+oid)
		for name, r := range map[string]io.Reader{"in one": strings.NewReader(in), "in halves": byhalves.HalfReader(strings.NewReader(in)), "with the end": byhalves.DataErrReader(strings.NewReader(in))} {
			got, err := io.ReadAll(newNegotiation(r))
			if err != nil || string(got) != in {
				t.Errorf("%d × %q %s: %v, %d of %d bytes", limit, word, name, err, len(got), len(in))
			}
		}
		n := newNegotiation(byhalves.OneByteReader(strings.NewReader(in + packets(1, word+oid))))
		if _, err := io.ReadAll(n); !errors.Is(err, ferry.ErrInvalid) || n.failure() != err {
			t.Errorf("%d × %q: %v", limit+1, word, err)
		}
	}
	// Requests of one session are counted on their own, and what is not
	// packets is not ours to judge.
	n := newNegotiation(strings.NewReader(packets(maxWants, "want "+oid) + packets(maxWants, "want "+oid)))
	if _, err := io.CopyN(io.Discard, n, int64(len(packets(maxWants, "want "+oid)))); err != nil {
		t.Fatal(err)
	}
	n.again()
	if _, err := io.Copy(io.Discard, n); err != nil {
		t.Error(err)
	}
	foreign := "GET / HTTP/1.0 " + packets(maxWants+1, "want "+oid)
	if got, err := io.ReadAll(newNegotiation(strings.NewReader(foreign))); err != nil || string(got) != foreign {
		t.Errorf("what is not packets: %v", err)
	}
}

// dripping gives a packet every nine minutes.
type dripping struct{ lines []string }

func (d *dripping) Read(p []byte) (int, error) {
	time.Sleep(9 * time.Minute)
	n := copy(p, packets(1, d.lines[0]))
	d.lines = d.lines[1:]
	return n, nil
}

// TestNegotiationTime: what is waited for the client counts, until it is done.
func TestNegotiationTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNegotiation(&dripping{[]string{"done", "have x", "have y", "done"}})
		b := make([]byte, 100)
		for _, want := range []bool{true, true, false, false} {
			if _, err := n.Read(b); (err == nil) != want {
				t.Errorf("Read = %v", err)
			}
		}
		if err := n.failure(); !errors.Is(err, ferry.ErrInvalid) {
			t.Errorf("failure = %v", err)
		}
	})
}

// TestTooManyWants asks at both doors, in both protocols, for as much as may
// be asked for and for one more.
func TestTooManyWants(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	work := w.work()
	work.Commit("DEMO-1 one", "f", "1")
	work.Run("push", "--quiet", w.url, "HEAD:main")
	w.settled()
	want := "want " + work.OID("HEAD").String()
	refusal := fmt.Sprintf("the request names more than %d wanted objects; fetch fewer refs at a time", maxWants)
	client := w.door.dial(t, w.door.alice)
	for _, version := range []string{"0", "2"} {
		for _, wants := range []int{maxWants, maxWants + 1} {
			request := packets(wants-1, want+" side-band-64k", want) + packets(1, "", "done")
			if version == "2" {
				request = strings.TrimSuffix(fetch2(), "0000") + packets(wants, want) + packets(1, "done", "")
			}
			resp, body := w.ask("POST", "/us-east-1/demo/git-upload-pack", "x:"+w.token,
				map[string]string{"Content-Type": "application/x-git-upload-pack-request", "Git-Protocol": "version=" + version}, strings.NewReader(request))
			session, err := client.NewSession()
			w.must(err)
			w.must(session.Setenv("GIT_PROTOCOL", "version="+version))
			session.Stdin = strings.NewReader(request)
			stdout, stderr, _ := sessionOutput(t, session, "git-upload-pack 'us-east-1/demo'")
			if wants > maxWants {
				if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, refusal) {
					t.Errorf("HTTP, version %s, %d wants: %d %.300q", version, wants, resp.StatusCode, body)
				}
				if !strings.Contains(stderr, refusal) || strings.Contains(stdout, "PACK") {
					t.Errorf("SSH, version %s, %d wants: %.300q", version, wants, stderr)
				}
				continue
			}
			if resp.StatusCode != http.StatusOK || !strings.Contains(body, "PACK") {
				t.Errorf("HTTP, version %s, %d wants: %d %.300q", version, wants, resp.StatusCode, body)
			}
			if !strings.Contains(stdout, "PACK") {
				t.Errorf("SSH, version %s, %d wants: %.300q", version, wants, stderr)
			}
		}
	}
}
