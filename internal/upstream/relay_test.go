package upstream

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
)

// fetchWith runs the real git with nothing but the relay's URL.
func fetchWith(t *testing.T, dir, version string) func(context.Context, string, string) error {
	return func(ctx context.Context, url, protocol string) error {
		cmd := exec.CommandContext(ctx, "git", "-c", "protocol.version="+version, "fetch", "-q", url, "+refs/*:refs/*")
		cmd.Dir, cmd.Env = dir, gitEnv("GIT_ALLOW_PROTOCOL="+protocol)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			return errors.New(strings.TrimSpace(stderr.String()))
		}
		return nil
	}
}

func TestFetchWithRealGit(t *testing.T) {
	f := newFixture(t)
	for _, tr := range transports(t, f) {
		for _, version := range []string{"2", "0"} {
			t.Run(tr.name+" version "+version, func(t *testing.T) {
				d := testDialer(t)
				dir := filepath.Join(t.TempDir(), "mirror.git")
				git(t, t.TempDir(), "init", "-q", "--bare", dir)
				var used string
				err := d.Fetch(t.Context(), tr.target, func(ctx context.Context, url, protocol string) error {
					used = url
					if strings.Contains(url, "word") || strings.Contains(url, "APKA") {
						t.Errorf("the URL %q holds a credential", url)
					}
					return fetchWith(t, dir, version)(ctx, url, protocol)
				})
				if err != nil {
					t.Fatalf("Fetch: %v", err)
				}
				want, got := git(t, f.bare, "for-each-ref"), git(t, dir, "for-each-ref")
				if got != want {
					t.Errorf("refs after the fetch:\n%s\nwant:\n%s", got, want)
				}
				git(t, dir, "fsck", "--strict")
				if err := fetchWith(t, dir, version)(t.Context(), used, "http:git"); err == nil {
					t.Error("the relay answers after its fetch")
				}
			})
		}
	}
}

func TestFetchErrorsAreTheUpstreams(t *testing.T) {
	f := newFixture(t)
	for _, tr := range transports(t, f) {
		t.Run(tr.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "mirror.git")
			git(t, t.TempDir(), "init", "-q", "--bare", dir)
			target := tr.target
			target.URL = strings.Replace(target.URL, "demo", "nothing", 1)
			err := testDialer(t).Fetch(t.Context(), target, fetchWith(t, dir, "2"))
			if !errors.Is(err, ferry.ErrNotFound) {
				t.Errorf("Fetch of a missing repository = %v, want ferry.ErrNotFound", err)
			}
			target = tr.target
			target.Credentials.GitPassword = ferry.NewSecret("wrong")
			target.SSHKeyID = "APKAWRONG"
			err = testDialer(t).Fetch(t.Context(), target, fetchWith(t, dir, "2"))
			if !errors.Is(err, ferry.ErrDenied) || strings.Contains(err.Error(), "wrong word") {
				t.Errorf("Fetch with wrong credentials = %v, want ferry.ErrDenied", err)
			}
			git(t, f.bare, "update-ref", "refs/heads/big", pushBig(t, f))
			tr.cut.down.Store(100_000)
			err = testDialer(t).Fetch(t.Context(), tr.target, fetchWith(t, dir, "2"))
			tr.cut.down.Store(-1)
			if !errors.Is(err, ferry.ErrUnavailable) {
				t.Errorf("Fetch over a cut link = %v, want ferry.ErrUnavailable", err)
			}
			local := errors.New("disk full")
			if err := testDialer(t).Fetch(t.Context(), tr.target, func(context.Context, string, string) error { return local }); err != local {
				t.Errorf("Fetch = %v, want the callback's own error", err)
			}
		})
	}
}

// pushBig puts the second commit, with 200 KiB of noise, into the bare
// repository.
func pushBig(t *testing.T, f *fixture) string {
	t.Helper()
	git(t, f.work, "push", "-q", f.bare, f.next.String()+":refs/heads/big")
	return f.next.String()
}

func TestRelayAnswersItsPathOnly(t *testing.T) {
	f := newFixture(t)
	trs := transports(t, f)
	err := testDialer(t).Fetch(t.Context(), trs[0].target, func(ctx context.Context, url, _ string) error {
		root := url[:strings.LastIndexByte(url, '/')]
		for path, want := range map[string]int{
			root + "/00000000000000000000000000000000/info/refs?service=git-upload-pack": 404,
			root + "/info/refs?service=git-upload-pack":                                  404,
			url + "/info/refs?service=git-receive-pack":                                  403,
			url + "/HEAD": 403,
			url + "/info/refs?service=git-upload-pack": 200,
		} {
			resp, err := http.Get(path)
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("GET %s = %d, want %d", path, resp.StatusCode, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = testDialer(t).Fetch(t.Context(), trs[1].target, func(ctx context.Context, url, _ string) error {
		host, path, _ := strings.Cut(strings.TrimPrefix(url, "git://"), "/")
		for _, request := range []string{"git-upload-pack /x", "git-receive-pack /" + path, "git-upload-pack " + path} {
			conn, err := net.Dial("tcp", host)
			if err != nil {
				return err
			}
			pktline.NewWriter(conn).Printf("%s\x00host=x\x00", request)
			if _, _, err := pktline.NewReader(conn).Read(); err == nil {
				t.Errorf("request %q was answered", request)
			}
			conn.Close()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
