package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
)

// wantRefs is what both transports must show of the fixture.
func wantRefs(t *testing.T, f *fixture) []pktline.Ref {
	return []pktline.Ref{
		{Name: "HEAD", OID: f.tip},
		{Name: "refs/heads/main", OID: f.tip},
		{Name: "refs/tags/v1", OID: oid(t, git(t, f.bare, "rev-parse", "v1")), Peeled: f.tip},
	}
}

func TestLook(t *testing.T) {
	f := newFixture(t)
	srv := serveGitHTTP(t, f)
	sshd := serveGitSSH(t, f)
	old := serveGitSSH(t, f)
	old.noEnv.Store(true)
	for _, c := range []struct {
		name    string
		target  Target
		version int
	}{
		{"HTTP", basicTarget(srv.URL + "/v1/repos/demo"), 2},
		{"SSH", sshd.target(t), 2},
		{"SSH in version 0", old.target(t), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := testDialer(t)
			for range 2 { // the second look uses a warm connection
				adv, err := d.Look(t.Context(), c.target)
				if err != nil {
					t.Fatalf("Look: %v", err)
				}
				if diff := cmp.Diff(wantRefs(t, f), adv.Refs); diff != "" {
					t.Errorf("refs (-want +got):\n%s", diff)
				}
				if got := adv.Capabilities.Values("symref"); !cmp.Equal(got, []string{"HEAD:refs/heads/main"}) || adv.Version != c.version {
					t.Errorf("version %d, symref %q", adv.Version, got)
				}
			}
			empty := c.target
			empty.URL = strings.Replace(c.target.URL, "demo", "empty", 1)
			adv, err := d.Look(t.Context(), empty)
			if err != nil || len(adv.Refs) != 0 {
				t.Errorf("Look at an empty repository = %+v, %v", adv, err)
			}
			missing := c.target
			missing.URL = strings.Replace(c.target.URL, "demo", "nothing", 1)
			if _, err := d.Look(t.Context(), missing); !errors.Is(err, ferry.ErrNotFound) {
				t.Errorf("Look at a missing repository = %v, want ferry.ErrNotFound", err)
			}
		})
	}
	if n := sshd.conns.Load(); n > 2 {
		t.Errorf("%d SSH connections for four looks one after the other", n)
	}
}

func TestLookVersion0OverHTTP(t *testing.T) {
	f := newFixture(t)
	srv := serveGitHTTP(t, f)
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Git-Protocol")
		srv.Config.Handler.ServeHTTP(w, r)
	}))
	defer old.Close()
	adv, err := testDialer(t).Look(t.Context(), basicTarget(old.URL+"/v1/repos/demo"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantRefs(t, f), adv.Refs); diff != "" || adv.Version != 0 {
		t.Errorf("version %d, refs (-want +got):\n%s", adv.Version, diff)
	}
}

func TestLookErrors(t *testing.T) {
	answer := func(code int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(code)
			io.WriteString(w, body)
		}
	}
	const advertisement = "application/x-git-upload-pack-advertisement"
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		auth    ferry.GitAuth
		kind    error
		text    string
	}{
		{"no credentials stored", answer(401, "text/plain", ""), ferry.GitAuthNone, ferry.ErrDenied, "none are stored"},
		{"wrong password", answer(401, "text/plain", ""), ferry.GitAuthBasic, ferry.ErrDenied, "user name or the password"},
		{"refused", answer(403, "text/plain", ""), ferry.GitAuthBasic, ferry.ErrDenied, "codecommit:GitPull"},
		{"missing", answer(404, "text/plain", ""), ferry.GitAuthBasic, ferry.ErrNotFound, "no repository /v1/repos/demo"},
		{"throttled", answer(429, "text/plain", "Rate Exceeded"), ferry.GitAuthBasic, ferry.ErrUnavailable, "limiting requests"},
		{"broken", answer(500, "text/plain", "oh\x1b[2J"), ferry.GitAuthBasic, ferry.ErrUnavailable, "HTTP 500 (oh[2J)"},
		{"log-in page", answer(200, "text/html", "<html>"), ferry.GitAuthBasic, ferry.ErrUnavailable, "network device"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/x?secret=1", http.StatusFound)
		}, ferry.GitAuthBasic, ferry.ErrUnavailable, "redirects to evil.example"},
		{"ERR line", answer(200, advertisement, "0015ERR access denied"), ferry.GitAuthBasic, ferry.ErrDenied, "access denied"},
		{"garbage", answer(200, advertisement, "hello world"), ferry.GitAuthBasic, ferry.ErrUnavailable, "git server"},
		{"cut short", answer(200, advertisement, "001e# service=git-upload-pack\n0000"), ferry.GitAuthBasic, ferry.ErrUnavailable, "middle of its answer"},
		{"sha256", answer(200, advertisement, "000eversion 2\n0019object-format=sha256\n0000"), ferry.GitAuthBasic, ferry.ErrInvalid, "sha256"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(c.handler)
			defer srv.Close()
			target := basicTarget(srv.URL + "/v1/repos/demo")
			target.Auth = c.auth
			_, err := testDialer(t).Look(t.Context(), target)
			var message *ferry.Message
			if !errors.Is(err, c.kind) || !errors.As(err, &message) || !strings.Contains(message.Text, c.text) {
				t.Errorf("Look = %v, want kind %v and %q", err, c.kind, c.text)
			}
			if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), "pa/ss") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		_, err = testDialer(t).Look(t.Context(), basicTarget("http://"+ln.Addr().String()+"/v1/repos/demo"))
		if !errors.Is(err, ferry.ErrUnavailable) || !strings.Contains(err.Error(), "port "+port+": connection refused") {
			t.Errorf("Look = %v", err)
		}
	})
	t.Run("untrusted certificate", func(t *testing.T) {
		srv := httptest.NewTLSServer(answer(200, advertisement, ""))
		srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		defer srv.Close()
		_, err := testDialer(t).Look(t.Context(), basicTarget(srv.URL+"/v1/repos/demo"))
		if !errors.Is(err, ferry.ErrUnavailable) || !strings.Contains(err.Error(), "certificate problem") {
			t.Errorf("Look = %v", err)
		}
	})
}

func TestBusyServerIsAskedAgain(t *testing.T) {
	f := newFixture(t)
	srv := serveGitHTTP(t, f)
	var asked atomic.Int64
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			http.Error(w, "Rate Exceeded", http.StatusTooManyRequests)
			return
		}
		srv.Config.Handler.ServeHTTP(w, r)
	}))
	defer busy.Close()
	if _, err := testDialer(t).Look(t.Context(), basicTarget(busy.URL+"/v1/repos/demo")); err != nil {
		t.Errorf("Look after one answer 429: %v", err)
	}
}

func TestSlowServers(t *testing.T) {
	advertisement := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		w.WriteHeader(200)
		http.NewResponseController(w).Flush()
	}
	for _, c := range []struct {
		name string
		text string
		h    http.HandlerFunc
	}{
		{"never answers", "does not answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"stops in the middle", "too slowly", func(w http.ResponseWriter, r *http.Request) {
			advertisement(w)
			<-r.Context().Done()
		}},
		{"drips", "too slowly", func(w http.ResponseWriter, r *http.Request) {
			advertisement(w)
			for r.Context().Err() == nil {
				io.WriteString(w, "000eversion 2\n")
				http.NewResponseController(w).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(c.h)
			defer srv.Close()
			d := testDialer(t)
			d.bounds.firstByte, d.bounds.stallWindow = 200*time.Millisecond, 200*time.Millisecond
			start := time.Now()
			_, err := d.Look(t.Context(), basicTarget(srv.URL+"/v1/repos/demo"))
			if !errors.Is(err, ferry.ErrUnavailable) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("Look = %v, want %q", err, c.text)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
	t.Run("SSH server without a greeting", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		d := testDialer(t)
		d.bounds.connect = 200 * time.Millisecond
		target := (&sshServer{addr: ln.Addr().String()}).target(t)
		if _, err := d.Look(t.Context(), target); !errors.Is(err, ferry.ErrUnavailable) {
			t.Errorf("Look = %v, want ferry.ErrUnavailable", err)
		}
	})
	t.Run("the caller stops", func(t *testing.T) {
		srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		defer srv.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := testDialer(t).Look(ctx, basicTarget(srv.URL+"/v1/repos/demo"))
		if !errors.Is(err, ferry.ErrUnavailable) || !strings.Contains(err.Error(), "time allowed") {
			t.Errorf("Look = %v", err)
		}
	})
}

func TestSSHSignIn(t *testing.T) {
	f := newFixture(t)
	sshd := serveGitSSH(t, f)
	good := sshd.target(t)
	for _, c := range []struct {
		name   string
		change func(*Target)
		kind   error
		text   string
	}{
		{"user in the URL wins", func(x *Target) {
			x.URL = strings.Replace(x.URL, "ssh://", "ssh://APKATEST@", 1)
			x.SSHKeyID = "other"
		}, nil, ""},
		{"wrong key ID", func(x *Target) { x.SSHKeyID = "APKAOTHER" }, ferry.ErrDenied, "SSH key ID that IAM shows"},
		{"host key not pinned", func(x *Target) { x.HostKey = "" }, ferry.ErrDenied, "no key is pinned"},
		{"host key changed", func(x *Target) { x.HostKey = serveGitSSH(t, f).hostKey }, ferry.ErrDenied, "changed"},
		{"no key", func(x *Target) { x.Credentials.SSHPrivateKey = ferry.Secret{} }, ferry.ErrInvalid, "no private key"},
		{"no key ID at CodeCommit", func(x *Target) {
			x.SSHKeyID, x.URL = "", "ssh://git-codecommit.us-east-1.amazonaws.com/v1/repos/demo"
		}, ferry.ErrInvalid, "SSH key ID"},
		{"loopback not allowed", func(x *Target) { x.PrivateNetwork = false }, ferry.ErrDenied, "private"},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := good
			c.change(&target)
			_, err := testDialer(t).Look(t.Context(), target)
			switch {
			case c.kind == nil && err != nil:
				t.Errorf("Look: %v", err)
			case c.kind != nil && (!errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.text)):
				t.Errorf("Look = %v, want kind %v and %q", err, c.kind, c.text)
			}
		})
	}
}

// TestClockSkewIsLearned plays a server whose clock is 40 minutes ahead and
// which accepts signatures of its own time only.
func TestClockSkewIsLearned(t *testing.T) {
	const ahead = 40 * time.Minute
	f := newFixture(t)
	var refused atomic.Int64
	inner := serveGitHTTP(t, f)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now().Add(ahead)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		user, password, _ := r.BasicAuth()
		at, err := time.Parse("20060102T150405Z", password[:min(16, len(password))])
		wantUser, want := SigV4Password("AKIDEXAMPLE", "s3cret", "to/ken=", "eu-west-1", r.Host, "/v1/repos/demo", at)
		if err != nil || user != wantUser || password != want || now.Sub(at).Abs() > 15*time.Minute {
			refused.Add(1)
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		r.SetBasicAuth("dev-at-123456789012", "pa/ss=word")
		inner.Config.Handler.ServeHTTP(w, r)
	}))
	defer srv.Close()
	d := testDialer(t)
	target := Target{
		URL: srv.URL + "/v1/repos/demo", Auth: ferry.GitAuthSigV4, AccessKeyID: "AKIDEXAMPLE", Region: "eu-west-1",
		Credentials:    ferry.Credentials{SecretAccessKey: ferry.NewSecret("s3cret"), SessionToken: ferry.NewSecret("to/ken=")},
		PrivateNetwork: true,
	}
	for range 2 {
		if _, err := d.Look(t.Context(), target); err != nil {
			t.Fatalf("Look: %v", err)
		}
	}
	if n := refused.Load(); n != 1 {
		t.Errorf("%d requests were refused, want 1", n)
	}
}
