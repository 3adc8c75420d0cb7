package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
)

// transports are both ways to the fixture, each through a cutter.
type transport struct {
	name   string
	target Target
	cut    *cutter
}

func transports(t *testing.T, f *fixture) []transport {
	srv := serveGitHTTP(t, f)
	sshd := serveGitSSH(t, f)
	hc, sc := newCutter(t, srv.Listener.Addr().String()), newCutter(t, sshd.addr)
	st := sshd.target(t)
	st.URL = "ssh://" + sc.addr + "/v1/repos/demo"
	return []transport{
		{"HTTP", basicTarget("http://" + hc.addr + "/v1/repos/demo"), hc},
		{"SSH", st, sc},
	}
}

const sideBand = "report-status side-band-64k"

func TestPush(t *testing.T) {
	for _, caps := range []string{sideBand, "report-status"} {
		for _, whole := range []bool{false, true} {
			for i := range 2 {
				f := newFixture(t)
				tr := transports(t, f)[i]
				t.Run(fmt.Sprintf("%s/%s/whole=%t", tr.name, caps, whole), func(t *testing.T) {
					p, err := testDialer(t).ReceivePack(t.Context(), tr.target)
					if err != nil {
						t.Fatalf("ReceivePack: %v", err)
					}
					defer p.Abort()
					if !p.Advertisement.Capabilities.Has("report-status") || len(p.Advertisement.Refs) != 2 {
						t.Errorf("advertisement %+v", p.Advertisement)
					}
					body := f.request(t, caps)
					if whole {
						err = p.Send(t.Context(), body)
					} else {
						err = writeInPieces(t.Context(), p, body)
					}
					if err != nil {
						t.Fatalf("sending: %v", err)
					}
					got, err := p.Report(nil)
					want := &pktline.Report{Unpack: "ok", Refs: []pktline.RefStatus{{Name: "refs/heads/main", OK: true}}}
					if diff := cmp.Diff(want, got); err != nil || diff != "" {
						t.Errorf("Report error %v (-want +got):\n%s", err, diff)
					}
					if f.main(t) != f.next {
						t.Errorf("main is %s, want %s", f.main(t), f.next)
					}
				})
			}
		}
	}
}

func writeInPieces(ctx context.Context, p *Push, body []byte) error {
	w, err := p.Start(ctx)
	if err != nil {
		return err
	}
	for len(body) > 0 {
		n := min(len(body), 7001)
		if _, err := w.Write(body[:n]); err != nil {
			return err
		}
		body = body[n:]
	}
	return w.Close()
}

func TestPushRefusedByHookShowsItsWords(t *testing.T) {
	for i := range 2 {
		f := newFixture(t)
		tr := transports(t, f)[i]
		t.Run(tr.name, func(t *testing.T) {
			hook := "#!/bin/sh\necho 'not on fridays' >&2\nexit 1\n"
			if err := os.WriteFile(filepath.Join(f.bare, "hooks", "pre-receive"), []byte(hook), 0o777); err != nil {
				t.Fatal(err)
			}
			p, err := testDialer(t).ReceivePack(t.Context(), tr.target)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Abort()
			if err := p.Send(t.Context(), f.request(t, sideBand)); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			got, err := p.Report(func(b []byte) { said.Write(b) })
			want := &pktline.Report{Unpack: "ok", Refs: []pktline.RefStatus{{Name: "refs/heads/main", Reason: "pre-receive hook declined"}}}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("Report error %v (-want +got):\n%s", err, diff)
			}
			if !strings.Contains(said.String(), "not on fridays") {
				t.Errorf("progress %q lacks the hook's words", said.String())
			}
		})
	}
}

// TestAbortLeavesUpstreamUnchanged cuts pushes after every kind of beginning,
// up to all but the last byte.
func TestAbortLeavesUpstreamUnchanged(t *testing.T) {
	f := newFixture(t)
	body := f.request(t, sideBand)
	commands := bytes.Index(body, []byte("PACK"))
	for _, tr := range transports(t, f) {
		for _, n := range []int{-1, 0, 10, commands, commands + 12, len(body) / 2, len(body) - 20, len(body) - 1} {
			t.Run(fmt.Sprintf("%s after %d of %d", tr.name, n, len(body)), func(t *testing.T) {
				d := testDialer(t)
				p, err := d.ReceivePack(t.Context(), tr.target)
				if err != nil {
					t.Fatal(err)
				}
				if n >= 0 {
					w, err := p.Start(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if _, err := w.Write(body[:n]); err != nil {
						t.Fatalf("writing: %v", err)
					}
				}
				p.Abort()
				p.Abort()
				if n >= 0 {
					if r, err := p.Report(nil); !errors.Is(err, ferry.ErrUnavailable) {
						t.Errorf("Report after Abort = %+v, %v", r, err)
					}
				}
				time.Sleep(30 * time.Millisecond) // receive-pack needs a moment to give up
				if f.main(t) != f.tip {
					t.Fatalf("main moved to %s", f.main(t))
				}
				if _, err := d.Look(t.Context(), tr.target); err != nil {
					t.Errorf("Look after Abort: %v", err)
				}
			})
		}
	}
}

// TestLinkCutAtEveryStage cuts the connection after so many bytes in either
// direction: a push then either reports the truth or says that the outcome is
// not known.
func TestLinkCutAtEveryStage(t *testing.T) {
	f := newFixture(t)
	pushes := 0
	for _, tr := range transports(t, f) {
		reached := map[string]int{}
		for _, up := range []bool{true, false} {
			for _, n := range []int64{0, 20, 300, 700, 1500, 2600, 3400, 4200, 6000, 50_000, 150_000, 205_000, 210_000, 400_000} {
				// Each push has its own branch: an earlier one may still take effect.
				pushes++
				branch := fmt.Sprintf("refs/heads/cut-%d", pushes)
				body := f.requestFor(t, ferry.RefUpdate{Name: ferry.RefName(branch), New: f.next}, sideBand)
				tr.cut.up.Store(-1)
				tr.cut.down.Store(-1)
				if up {
					tr.cut.up.Store(n)
				} else {
					tr.cut.down.Store(n)
				}
				d := testDialer(t)
				stage, report, err := push(t.Context(), d, tr.target, body)
				reached[stage]++
				switch {
				case stage != "reported" && !errors.Is(err, ferry.ErrUnavailable):
					t.Errorf("%s cut after %d (up %t): %s: %v, want ferry.ErrUnavailable", tr.name, n, up, stage, err)
				case stage == "reported" && (!report.Refs[0].OK || git(t, f.bare, "rev-parse", branch) != f.next.String()):
					t.Errorf("%s cut after %d (up %t): report %+v", tr.name, n, up, report)
				}
				d.Close()
			}
		}
		t.Logf("%s: stages reached: %v", tr.name, reached)
		if reached["opening"] == 0 || reached["reporting"] == 0 || reached["reported"] == 0 {
			t.Errorf("%s: not every stage was cut: %v", tr.name, reached)
		}
	}
}

func push(ctx context.Context, d *Dialer, target Target, body []byte) (string, *pktline.Report, error) {
	p, err := d.ReceivePack(ctx, target)
	if err != nil {
		return "opening", nil, err
	}
	defer p.Abort()
	if err := writeInPieces(ctx, p, body); err != nil {
		// What matters is what Report says.
		_, err := p.Report(nil)
		return "reporting", nil, err
	}
	report, err := p.Report(nil)
	if err != nil {
		return "reporting", nil, err
	}
	return "reported", report, nil
}

func TestPushDeniedOrThrottledMidway(t *testing.T) {
	f := newFixture(t)
	inner := serveGitHTTP(t, f)
	for _, c := range []struct {
		code int
		kind error
		text string
	}{
		{403, ferry.ErrDenied, "codecommit:GitPush"},
		{429, ferry.ErrUnavailable, "limiting"},
		{302, ferry.ErrUnavailable, "redirects to elsewhere.example"},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				w.Header().Set("Location", "https://elsewhere.example/")
				w.WriteHeader(c.code)
				return
			}
			inner.Config.Handler.ServeHTTP(w, r)
		}))
		_, _, err := push(t.Context(), testDialer(t), basicTarget(srv.URL+"/v1/repos/demo"), bytes.Repeat(f.request(t, sideBand), 20))
		// A large request may meet the closed connection before the answer.
		if !errors.Is(err, c.kind) && !errors.Is(err, ferry.ErrUnavailable) {
			t.Errorf("large push answered %d = %v", c.code, err)
		}
		p, err := testDialer(t).ReceivePack(t.Context(), basicTarget(srv.URL+"/v1/repos/demo"))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Send(t.Context(), f.request(t, sideBand)[:1000]); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Report(nil); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("small push answered %d = %v, want kind %v and %q", c.code, err, c.kind, c.text)
		}
		p.Abort()
		srv.Close()
	}
	if f.main(t) != f.tip {
		t.Errorf("main moved to %s", f.main(t))
	}
}

// TestContextOfTheRequest checks that the context of ReceivePack no longer
// matters once the session is open, and that the one of Start does.
func TestContextOfTheRequest(t *testing.T) {
	for i := range 2 {
		f := newFixture(t)
		tr := transports(t, f)[i]
		t.Run(tr.name, func(t *testing.T) {
			d := testDialer(t)
			body := f.request(t, sideBand)
			open := func() *Push {
				opening, cancel := context.WithCancel(t.Context())
				p, err := d.ReceivePack(opening, tr.target)
				cancel()
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			p := open()
			ctx, cancel := context.WithCancel(t.Context())
			w, err := p.Start(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(body[:len(body)/2]); err != nil {
				t.Fatal(err)
			}
			cancel()
			if _, err := p.Report(nil); !errors.Is(err, ferry.ErrUnavailable) {
				t.Errorf("Report after the request's context ended = %v", err)
			}
			p.Abort()
			p = open()
			defer p.Abort()
			if err := writeInPieces(t.Context(), p, body); err != nil {
				t.Fatal(err)
			}
			if r, err := p.Report(nil); err != nil || !r.Refs[0].OK {
				t.Errorf("Report = %+v, %v", r, err)
			}
		})
	}
}

// An upstream that stops reading in the middle of a push is cut off, and a
// push that was aborted does not begin afterwards.
func TestUpstreamStopsReading(t *testing.T) {
	f := newFixture(t)
	real := serveGitHTTP(t, f)
	stuck := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			<-stuck
			return
		}
		real.Config.Handler.ServeHTTP(w, r)
	}))
	defer srv.Close()
	defer close(stuck)
	d := testDialer(t)
	d.bounds.stallWindow = 200 * time.Millisecond
	p, err := d.ReceivePack(t.Context(), basicTarget(srv.URL+"/v1/repos/demo"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := p.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for err == nil && time.Since(start) < 10*time.Second {
		_, err = body.Write(make([]byte, 1<<20))
	}
	if err == nil {
		t.Error("Write goes on though nobody reads")
	}
	if _, err := p.Report(nil); !errors.Is(err, ferry.ErrUnavailable) || !strings.Contains(err.Error(), "stopped reading") {
		t.Errorf("Report = %v, want that the upstream stopped reading", err)
	}
	p, err = d.ReceivePack(t.Context(), basicTarget(srv.URL+"/v1/repos/demo"))
	if err != nil {
		t.Fatal(err)
	}
	p.Abort()
	if _, err := p.Start(t.Context()); !errors.Is(err, ferry.ErrUnavailable) {
		t.Errorf("Start after Abort = %v, want ferry.ErrUnavailable", err)
	}
}
