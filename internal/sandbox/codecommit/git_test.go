package codecommit

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCloneAndPush(t *testing.T) {
	for _, way := range []string{"http", "http with region", "ssh", "ssh with region", "http like git", "ssh like git"} {
		t.Run(way, func(t *testing.T) {
			st := start(t)
			if strings.HasSuffix(way, "git") {
				st.control("POST", "capabilities", `{"mode":"git"}`)
			}
			path := "/v1/repos/demo"
			if strings.HasSuffix(way, "region") {
				path = "/us-east-1" + path
			}
			remote := st.remote(path)
			if strings.HasPrefix(way, "ssh") {
				remote = "ssh://" + st.cred.SSHKeyID + "@" + st.ssh + path
			}
			dir := st.work(path)
			st.mustGit(dir, "remote", "set-url", "origin", remote)
			st.mustGit(dir, "tag", "-a", "-m", "one", "v1")
			st.mustGit(dir, "push", "-q", "origin", "main", "v1")
			st.mustGit(dir, "push", "-q", "origin", "main:other")
			second := st.commit(dir, "second")
			st.mustGit(dir, "push", "-q", "origin", "main")
			st.mustGit(dir, "push", "-q", "origin", "--delete", "other")

			clone := t.TempDir()
			st.mustGit(clone, "clone", "-q", remote, ".")
			if got := st.mustGit(clone, "rev-parse", "HEAD"); got != second {
				t.Errorf("HEAD of the clone = %s, want %s", got, second)
			}
			third := st.commit(dir, "third")
			st.mustGit(dir, "push", "-q", "origin", "main")
			st.mustGit(clone, "fetch", "-q", "origin")
			if got := st.mustGit(clone, "rev-parse", "origin/main"); got != third {
				t.Errorf("origin/main after the fetch = %s, want %s", got, third)
			}
			st.mustGit(dir, "reset", "-q", "--hard", "HEAD~2")
			st.mustGit(dir, "push", "-q", "--force", "origin", "main")
			if strings.HasSuffix(way, "git") { // more than CodeCommit can
				st.mustGit(dir, "push", "-q", "--atomic", "-o", "quiet", "origin", "main:a1", "main:a2")
				partial := t.TempDir()
				st.mustGit(partial, "clone", "-q", "--filter=blob:none", "--no-checkout", remote, ".")
				if out := st.mustGit(partial, "rev-list", "--objects", "--all", "--missing=print"); !strings.Contains(out, "?") {
					t.Errorf("a partial clone lacks nothing: %s", out)
				}
				st.mustGit(dir, "push", "-q", "origin", ":a1", ":a2")
			}
			shallow := t.TempDir()
			st.mustGit(shallow, "clone", "-q", "--depth", "1", remote, ".")
			st.mustGit(shallow, "fetch", "-q", "--unshallow")
			st.mustGit(dir, "push", "-q", "origin", third+":refs/heads/top")
			st.mustGit(shallow, "fetch", "-q", "origin", second) // by id, and no tip

			var effects []string
			for _, e := range st.ledger() {
				if e.Effect != "" {
					effects = append(effects, e.Effect)
				}
			}
			want := 7
			if strings.HasSuffix(way, "git") {
				want = 9
			}
			if len(effects) != want || effects[3] != strings.Fields(effects[1])[0]+" "+strings.Fields(effects[1])[2]+" "+zeroID {
				t.Errorf("effects = %q, want %d pushes, the fourth a deletion", effects, want)
			}
		})
	}
}

func TestAdvertisement(t *testing.T) {
	st := start(t)
	dir := st.work("/v1/repos/demo")
	if out, err := st.git(dir, "ls-remote", "origin"); err != nil || out != "" {
		t.Errorf("ls-remote of an empty repository = %q, %v", out, err)
	}
	id := st.mustGit(dir, "rev-parse", "HEAD")
	st.mustGit(dir, "tag", "-a", "-m", "one", "v1")
	tag := st.mustGit(dir, "rev-parse", "v1")
	st.mustGit(dir, "push", "-q", "origin", "main", "v1")
	get := func(service string) string {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", st.url+"/v1/repos/demo/info/refs?service="+service, nil)
		req.SetBasicAuth(st.cred.GitUsername, st.cred.GitPassword)
		req.Header.Set("Git-Protocol", "version=2")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b strings.Builder
		if err := resp.Write(&b); err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(b.String(), "\r\n\r\n")
		return body
	}
	want := packet("# service=git-upload-pack\n") + "0000" +
		packet(id+" HEAD\x00multi_ack_detailed shallow side-band-64k thin-pack allow-tip-sha1-in-want allow-reachable-sha1-in-want\n") +
		packet(id+" refs/heads/main\n") + packet(tag+" refs/tags/v1\n") + packet(id+" refs/tags/v1^{}\n") + "0000"
	if got := get(uploadPack); got != want {
		t.Errorf("upload-pack advertisement = %q, want %q", got, want)
	}
	want = packet("# service=git-receive-pack\n") + "0000" +
		packet(id+" refs/heads/main\x00report-status delete-refs side-band-64k\n") + packet(tag+" refs/tags/v1\n") + "0000"
	if got := get(receivePack); got != want {
		t.Errorf("receive-pack advertisement = %q, want %q", got, want)
	}
}

// Packs with offset deltas, atomic pushes, push options, filters and dates in
// fetches are refused, by us or by git for want of the capability.
func TestStrictness(t *testing.T) {
	st := start(t)
	dir := st.work("/v1/repos/demo")
	st.mustGit(dir, "push", "-q", "origin", "main")
	for i := range 3 { // files that make deltas of each other
		st.commit(dir, fmt.Sprintf("more %d", i))
		os.WriteFile(filepath.Join(dir, "first"), []byte(strings.Repeat("first\n", 200+i)), 0o600)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"push", "--atomic", "origin", "main"}, "does not support --atomic push"},
		{[]string{"push", "-o", "quiet", "origin", "main"}, "does not support push options"},
		{[]string{"fetch", "--shallow-since=2001-01-01", "origin"}, "does not support --shallow-since"},
	} {
		if out, err := st.git(dir, tt.args...); err == nil || !strings.Contains(out, tt.want) {
			t.Errorf("git %s = %q, %v, want %q", strings.Join(tt.args, " "), out, err, tt.want)
		}
	}

	commit := st.mustGit(dir, "rev-parse", "HEAD")
	old := st.mustGit(dir, "rev-parse", "origin/main")
	pack := packOf(t, st, dir, "--delta-base-offset")
	head := packet(old+" "+commit+" refs/heads/main\x00report-status") + "0000"
	want := packet("unpack error: protocol error (offset deltas are not supported)\n") + packet("ng refs/heads/main unpacker error\n") + "0000"
	if got := st.post(receivePack, head+pack); got != want {
		t.Errorf("pack with offset deltas: %q, want %q", got, want)
	}
	want = packet("unpack ok\n") + packet("ok refs/heads/main\n") + "0000"
	if got := st.post(receivePack, head+packOf(t, st, dir)); got != want {
		t.Errorf("pack with reference deltas: %q, want %q", got, want)
	}
	for body, want := range map[string]string{
		packet(old+" "+commit+" refs/heads/main\x00report-status atomic") + "0000":    "capability atomic is not supported",
		packet(old+" "+commit+" refs/heads/main\x00report-status ofs-delta") + "0000": "capability ofs-delta is not supported",
		packet("nonsense"): "expected old/new/ref",
	} {
		if got := st.post(receivePack, body); !strings.Contains(got, "ERR ") || !strings.Contains(got, want) {
			t.Errorf("POST %q = %q, want ERR %s", body, got, want)
		}
	}
	for body, want := range map[string]string{
		packet("want "+old+" ofs-delta\n") + "0000" + packet("done\n"):             "capability ofs-delta is not supported",
		packet("want "+old+" thin-pack\n") + packet("filter blob:none\n") + "0000": "filter is not supported",
		packet("want "+old+"\n") + packet("deepen-since 1\n") + "0000":             "deepen-since is not supported",
		packet("command=ls-refs\n") + "0001" + "0000":                              "not supported",
	} {
		if got := st.post(uploadPack, body); !strings.Contains(got, "ERR ") || !strings.Contains(got, want) {
			t.Errorf("POST %q = %q, want ERR %s", body, got, want)
		}
	}
}

// packOf packs everything in dir with deltas.
func packOf(t *testing.T, st *stand, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "pack-objects", "--revs", "--all", "--stdout", "-q", "--window=50", "--depth=10"}, args...)...)
	cmd.Stdin = strings.NewReader("")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	return string(out)
}

// post sends a body to a git service of demo and returns the answer.
func (st *stand) post(service, body string) string {
	st.t.Helper()
	req, err := http.NewRequestWithContext(st.t.Context(), "POST", st.url+"/v1/repos/demo/"+service, strings.NewReader(body))
	if err != nil {
		st.t.Fatal(err)
	}
	req.SetBasicAuth(st.cred.GitUsername, st.cred.GitPassword)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		st.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if _, err := resp.Body.Read(nil); err != nil {
		return ""
	}
	buf := make([]byte, 1<<20)
	for {
		n, err := resp.Body.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return b.String()
		}
	}
}

func TestTooManyUpdates(t *testing.T) {
	st := start(t)
	dir := st.work("/v1/repos/demo")
	id := st.mustGit(dir, "rev-parse", "HEAD")
	fill := func(n int) { // packed, which is much faster than n files
		b := strings.Builder{}
		b.WriteString("# pack-refs with: peeled fully-peeled sorted \n")
		for i := range n {
			fmt.Fprintf(&b, "%s refs/heads/b%04d\n", id, i)
		}
		if err := os.WriteFile(filepath.Join(dir, ".git", "packed-refs"), []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fill(4001)
	out, err := st.git(dir, "push", "origin", "refs/heads/b*:refs/heads/b*")
	if err == nil || !strings.Contains(out, "too many reference updates") {
		t.Errorf("push of 4,001 refs: %v, %.300s", err, out)
	}
	if got := st.mustGit(dir, "ls-remote", "origin"); got != "" {
		t.Errorf("after a refused push there are refs: %.300s", got)
	}
	if testing.Short() {
		return // the push that succeeds writes 4,000 files
	}
	fill(4000)
	st.mustGit(dir, "push", "-q", "origin", "refs/heads/b*:refs/heads/b*")
	if n := strings.Count(st.mustGit(dir, "ls-remote", "origin"), "refs/heads/b"); n != 4000 {
		t.Errorf("after a push of 4,000 refs there are %d", n)
	}
}

func TestGitAnswers(t *testing.T) {
	st := start(t)
	now := time.Date(2026, 11, 23, 23, 59, 59, 0, time.UTC)
	st.setClock(now)
	host := strings.TrimPrefix(st.url, "http://")
	password := func(region, host, path string, at time.Time) string {
		ts := at.Format(gitTime)
		return ts + "Z" + gitSignature(st.cred.SecretAccessKey, region, host, path, ts)
	}
	demo := "/v1/repos/demo"
	good := password("us-east-1", host, demo, now)
	tests := []struct {
		name, user, password, path string
		want                       int
	}{
		{"no credentials", "", "", demo, 401},
		{"static", st.cred.GitUsername, st.cred.GitPassword, demo, 200},
		{"static, wrong password", st.cred.GitUsername, "x", demo, 403},
		{"unknown user", "nobody", "x", demo, 403},
		{"dot git", st.cred.GitUsername, st.cred.GitPassword, demo + ".git", 404},
		{"trailing slash", st.cred.GitUsername, st.cred.GitPassword, demo + "/", 404},
		{"unknown repository", st.cred.GitUsername, st.cred.GitPassword, "/v1/repos/none", 404},
		{"other region", st.cred.GitUsername, st.cred.GitPassword, "/us-west-2" + demo, 404},
		{"not a repository", st.cred.GitUsername, st.cred.GitPassword, "/v2/repos/demo", 404},
		{"sigv4", st.cred.AccessKeyID, good, demo, 200},
		{"sigv4, host without port", st.cred.AccessKeyID, password("us-east-1", "127.0.0.1", demo, now), demo, 200},
		{"sigv4, path with region", st.cred.AccessKeyID, password("us-east-1", host, "/us-east-1"+demo, now), "/us-east-1" + demo, 200},
		{"sigv4, repository of another region", st.cred.AccessKeyID, password("us-west-2", host, demo, now), demo, 404},
		{"sigv4, too old", st.cred.AccessKeyID, password("us-east-1", host, demo, now.Add(-16*time.Minute)), demo, 403},
		{"sigv4, old", st.cred.AccessKeyID, password("us-east-1", host, demo, now.Add(-14*time.Minute)), demo, 200},
		{"sigv4, of the future", st.cred.AccessKeyID, password("us-east-1", host, demo, now.Add(16*time.Minute)), demo, 403},
		{"sigv4, other path", st.cred.AccessKeyID, password("us-east-1", host, "/v1/repos/other", now), demo, 403},
		{"sigv4, needless token", st.cred.AccessKeyID + "%token", good, demo, 403},
		{"sigv4, unknown key", "AKIANOBODY", good, demo, 403},
	}
	for _, tt := range tests {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", st.url+tt.path+"/info/refs?service=git-upload-pack", nil)
		if tt.user != "" {
			req.SetBasicAuth(tt.user, tt.password)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, resp.StatusCode, tt.want)
		}
		if challenge := resp.Header.Get("WWW-Authenticate"); (challenge != "") != (tt.want == 401) {
			t.Errorf("%s: challenge %q", tt.name, challenge)
		}
	}

	// Temporary credentials work with their token only.
	temporary := st.s.session(st.s.users[0])
	ts := now.Format(gitTime)
	pass := ts + "Z" + gitSignature(temporary.SecretAccessKey, "us-east-1", host, demo, ts)
	dir := t.TempDir()
	u := url.URL{Scheme: "http", Host: host, Path: demo, User: url.UserPassword(temporary.AccessKeyID+"%"+temporary.SessionToken, pass)}
	st.mustGit(dir, "ls-remote", u.String())
	u.User = url.UserPassword(temporary.AccessKeyID, pass)
	if out, err := st.git(dir, "ls-remote", u.String()); err == nil || !strings.Contains(out, "403") {
		t.Errorf("temporary key without token: %v %s", err, out)
	}
}

func TestDeniedAndThrottled(t *testing.T) {
	st := start(t)
	dir := st.work("/v1/repos/demo")
	st.mustGit(dir, "push", "-q", "origin", "main")
	st.commit(dir, "second")
	st.control("PUT", "deny", `["codecommit:GitPush@refs/heads/main"]`)
	out, err := st.git(dir, "push", "origin", "main", "main:other")
	if err == nil || !strings.Contains(out, "[remote rejected] main -> main (You don't have permission") || !strings.Contains(out, "[new branch]      main -> other") {
		t.Errorf("push with one denied ref: %v\n%s", err, out)
	}
	st.control("PUT", "deny", `["codecommit:GitPush"]`)
	if out, err := st.git(dir, "push", "origin", "main"); err == nil || !strings.Contains(out, "403") {
		t.Errorf("push without GitPush: %v %s", err, out)
	}
	st.mustGit(dir, "fetch", "-q", "origin")
	st.control("PUT", "deny", `[]`)
	st.control("PUT", "faults", `[{"operation":"git-upload-pack","status":429,"body":"Rate Exceeded","times":1}]`)
	if out, err := st.git(dir, "fetch", "origin"); err == nil || !strings.Contains(out, "429") {
		t.Errorf("throttled fetch: %v %s", err, out)
	}
	st.mustGit(dir, "fetch", "-q", "origin")

	// A push whose answer is lost took effect.
	st.control("PUT", "faults", `[{"path":"/v1/repos/demo/git-receive-pack","drop":"after","times":1}]`)
	if out, err := st.git(dir, "push", "origin", "main"); err == nil {
		t.Errorf("push whose answer is lost succeeded: %s", out)
	}
	if got, want := strings.Fields(st.mustGit(dir, "ls-remote", "origin", "refs/heads/main"))[0], st.mustGit(dir, "rev-parse", "main"); got != want {
		t.Errorf("after the lost answer main = %s, want %s", got, want)
	}
}

func TestSSHGreetingAndRefusals(t *testing.T) {
	st := start(t)
	host, port, _ := strings.Cut(st.ssh, ":")
	run := func(user string, command ...string) string {
		env := strings.TrimPrefix(st.sshEnv(t.TempDir())[0], "GIT_SSH_COMMAND=ssh ")
		args := append(strings.Fields(env), "-p", port, user+"@"+host)
		out, _ := exec.CommandContext(t.Context(), "ssh", append(args, command...)...).CombinedOutput()
		return string(out)
	}
	if got := run(st.cred.SSHKeyID); !strings.Contains(got, "You have successfully authenticated over SSH.") {
		t.Errorf("no command: %q", got)
	}
	if got := run("alice"); !strings.Contains(got, "Permission denied") {
		t.Errorf("unknown user: %q", got)
	}
	if got := run(st.cred.SSHKeyID, "git-upload-pack '/v1/repos/none'"); !strings.Contains(got, "not found") {
		t.Errorf("unknown repository: %q", got)
	}
	if got := run(st.cred.SSHKeyID, "ls /"); !strings.Contains(got, "Interactive shells are not supported") {
		t.Errorf("another command: %q", got)
	}
}

func TestConcurrentPushes(t *testing.T) {
	st := start(t)
	var all sync.WaitGroup
	for i := range 6 {
		dir := st.work("/v1/repos/demo")
		st.commit(dir, fmt.Sprintf("work %d", i))
		all.Go(func() {
			if out, err := st.git(dir, "push", "origin", fmt.Sprintf("main:w%d", i)); err != nil {
				t.Errorf("push %d: %v %s", i, err, out)
			}
		})
	}
	all.Wait()
	for _, e := range st.ledger() {
		if strings.Contains(e.Effect, ";") {
			t.Errorf("one push with the effects of two: %s", e.Effect)
		}
	}
}
