package upstream

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"gitferry/internal/ferry"
	gitrun "gitferry/internal/git"
	"gitferry/internal/pktline"
	"gitferry/internal/sandbox/codecommit"
)

// standIn starts the stand-in CodeCommit with an empty repository demo in
// eu-west-1 and returns targets for all ways to sign in.
func standIn(t *testing.T) (base string, targets map[string]Target) {
	t.Helper()
	runner, err := gitrun.New(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := codecommit.New(codecommit.Config{Dir: t.TempDir(), Git: runner})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx := t.Context()
	go func() { done <- s.ServeSSH(ctx, ln) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if err := s.CreateRepository(ctx, "eu-west-1", "demo", ""); err != nil {
		t.Fatal(err)
	}
	c := s.Credentials()
	secret := ferry.NewSecret
	return srv.URL, map[string]Target{
		"Basic": {URL: srv.URL + "/eu-west-1/v1/repos/demo", Auth: ferry.GitAuthBasic, GitUsername: c.GitUsername, PrivateNetwork: true,
			Credentials: ferry.Credentials{GitPassword: secret(c.GitPassword)}},
		"SigV4": {URL: srv.URL + "/v1/repos/demo", Auth: ferry.GitAuthSigV4, AccessKeyID: c.AccessKeyID, Region: "eu-west-1", PrivateNetwork: true,
			Credentials: ferry.Credentials{SecretAccessKey: secret(c.SecretAccessKey)}},
		"SSH": {URL: "ssh://" + ln.Addr().String() + "/eu-west-1/v1/repos/demo", Auth: ferry.GitAuthSSH, SSHKeyID: c.SSHKeyID, HostKey: c.HostKey, PrivateNetwork: true,
			Credentials: ferry.Credentials{SSHPrivateKey: secret(c.SSHPrivateKey)}},
	}
}

func control(t *testing.T, base, method, path, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, base+"/_sandbox/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
}

func TestAgainstTheStandIn(t *testing.T) {
	f := newFixture(t)
	base, targets := standIn(t)
	old := ferry.OID{}
	for i, name := range []string{"Basic", "SigV4", "SSH"} {
		target, d := targets[name], testDialer(t)
		if i == 0 {
			adv, err := d.Look(t.Context(), target)
			if err != nil || len(adv.Refs) != 0 {
				t.Fatalf("%s: Look at the empty repository = %+v, %v", name, adv, err)
			}
		}
		p, err := d.ReceivePack(t.Context(), target)
		if err != nil {
			t.Fatalf("%s: ReceivePack: %v", name, err)
		}
		next := oid(t, git(t, f.work, "commit-tree", "-m", "DEMO-3 "+name, f.next.String()+"^{tree}"))
		var body bytes.Buffer
		err = pktline.WriteCommands(pktline.NewWriter(&body), &pktline.Commands{
			Updates:      []ferry.RefUpdate{{Name: ferry.RefName("refs/heads/" + name), Old: old, New: next}},
			Capabilities: p.Advertisement.Capabilities.Intersect("report-status", "side-band-64k"),
		})
		if err != nil {
			t.Fatal(err)
		}
		body.Write(gitIn(t, f.work, []byte(next.String()+"\n"), "pack-objects", "--revs", "--stdout", "-q"))
		if err := writeInPieces(t.Context(), p, body.Bytes()); err != nil {
			t.Fatalf("%s: writing: %v", name, err)
		}
		report, err := p.Report(nil)
		if err != nil || report.Unpack != "ok" || len(report.Refs) != 1 || !report.Refs[0].OK {
			t.Fatalf("%s: Report = %+v, %v", name, report, err)
		}
		adv, err := d.Look(t.Context(), target)
		if err != nil || len(adv.Refs) != i+2 { // HEAD and the branches
			t.Errorf("%s: Look = %+v, %v", name, adv, err)
		}
		dir := filepath.Join(t.TempDir(), "mirror.git")
		git(t, t.TempDir(), "init", "-q", "--bare", dir)
		if err := d.Fetch(t.Context(), target, fetchWith(t, dir, "2")); err != nil {
			t.Errorf("%s: Fetch: %v", name, err)
		}
		if got := git(t, dir, "rev-parse", name); got != next.String() {
			t.Errorf("%s: fetched %s, want %s", name, got, next)
		}
	}

	control(t, base, http.MethodPut, "deny", `["codecommit:GitPush"]`)
	for name, target := range targets {
		_, err := testDialer(t).ReceivePack(t.Context(), target)
		if !errors.Is(err, ferry.ErrDenied) || !strings.Contains(err.Error(), "codecommit:GitPush") {
			t.Errorf("%s: ReceivePack without GitPush = %v", name, err)
		}
		if _, err := testDialer(t).Look(t.Context(), target); err != nil {
			t.Errorf("%s: Look without GitPush: %v", name, err)
		}
	}
	control(t, base, http.MethodPut, "deny", `[]`)
	for name, target := range targets {
		target.URL = strings.Replace(target.URL, "/demo", "/nothing", 1)
		if _, err := testDialer(t).Look(t.Context(), target); !errors.Is(err, ferry.ErrNotFound) {
			t.Errorf("%s: Look at a missing repository = %v, want ferry.ErrNotFound", name, err)
		}
	}
	wrong := targets["SigV4"]
	wrong.Credentials.SecretAccessKey = ferry.NewSecret("wrong")
	if _, err := testDialer(t).Look(t.Context(), wrong); !errors.Is(err, ferry.ErrDenied) {
		t.Errorf("Look with a wrong secret = %v, want ferry.ErrDenied", err)
	}
	control(t, base, http.MethodPut, "faults", `[{"path":"/**","status":429,"times":20}]`)
	dir := filepath.Join(t.TempDir(), "mirror.git")
	git(t, t.TempDir(), "init", "-q", "--bare", dir)
	err := testDialer(t).Fetch(t.Context(), targets["Basic"], fetchWith(t, dir, "2"))
	if !errors.Is(err, ferry.ErrUnavailable) || !strings.Contains(err.Error(), "limiting") {
		t.Errorf("Fetch under 429 = %v", err)
	}
}
