package codecommit

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gitferry/internal/git"
	"gitferry/internal/sandbox/faults"
)

// A stand is a running server with a way to speak to it.
type stand struct {
	t    *testing.T
	s    *Server
	url  string
	ssh  string // host:port
	cred Credentials

	mu  sync.Mutex
	now time.Time // of the server; zero: the real time
}

// start runs a server with both faces and an empty repository "demo" in
// us-east-1. It makes the test parallel to the others.
func start(t *testing.T, users ...string) *stand {
	t.Helper()
	t.Parallel()
	st := &stand{t: t}
	runner, err := git.New(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	st.s, err = New(Config{Dir: t.TempDir(), Git: runner, Users: users, Now: st.clock, RetryDelay: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(st.s.Handler())
	t.Cleanup(srv.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	done := make(chan error, 2)
	go func() { done <- st.s.ServeSSH(ctx, ln) }()
	go func() { done <- st.s.Run(ctx) }()
	t.Cleanup(func() {
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	st.url, st.ssh, st.cred = srv.URL, ln.Addr().String(), st.s.Credentials()
	if err := st.s.CreateRepository(ctx, "us-east-1", "demo", ""); err != nil {
		t.Fatal(err)
	}
	return st
}

func (st *stand) clock() time.Time {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.now.IsZero() {
		return time.Now()
	}
	return st.now
}

func (st *stand) setClock(now time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.now = now
}

// remote returns a clone URL with the static git credentials in it.
func (st *stand) remote(path string) string {
	u, err := url.Parse(st.url + path)
	if err != nil {
		st.t.Fatal(err)
	}
	u.User = url.UserPassword(st.cred.GitUsername, st.cred.GitPassword)
	return u.String()
}

// git runs git in dir with a clean environment and returns all it said.
func (st *stand) git(dir string, args ...string) (string, error) {
	st.t.Helper()
	cmd := exec.CommandContext(st.t.Context(), "git", append([]string{"-c", "core.fsync=none"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.invalid", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.invalid"},
		st.sshEnv(dir)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (st *stand) sshEnv(dir string) []string {
	key := filepath.Join(st.t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(st.cred.SSHPrivateKey), 0o600); err != nil {
		st.t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(st.ssh)
	known := key + ".known"
	if err := os.WriteFile(known, []byte("["+host+"]:"+port+" "+st.cred.HostKey+"\n"), 0o600); err != nil {
		st.t.Fatal(err)
	}
	return []string{"GIT_SSH_COMMAND=ssh -F /dev/null -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile=" + known + " -i " + key}
}

func (st *stand) mustGit(dir string, args ...string) string {
	st.t.Helper()
	out, err := st.git(dir, args...)
	if err != nil {
		st.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// work makes a work tree with one commit on main and origin set to path.
func (st *stand) work(path string) string {
	st.t.Helper()
	dir := st.t.TempDir()
	st.mustGit(dir, "init", "-q", "-b", "main")
	st.commit(dir, "first")
	st.mustGit(dir, "remote", "add", "origin", st.remote(path))
	return dir
}

// commit makes a commit that changes one file and returns its id.
func (st *stand) commit(dir, message string) string {
	st.t.Helper()
	name := filepath.Join(dir, strings.ReplaceAll(message, " ", "-"))
	if err := os.WriteFile(name, []byte(strings.Repeat(message+"\n", 200)), 0o600); err != nil {
		st.t.Fatal(err)
	}
	st.mustGit(dir, "add", ".")
	st.mustGit(dir, "commit", "-q", "-m", message)
	return st.mustGit(dir, "rev-parse", "HEAD")
}

// control sends a request to the control paths.
func (st *stand) control(method, path, body string) string {
	st.t.Helper()
	req, err := http.NewRequestWithContext(st.t.Context(), method, st.url+"/_sandbox/"+path, strings.NewReader(body))
	if err != nil {
		st.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		st.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode >= 300 {
		st.t.Fatalf("%s %s = %d %s", method, path, resp.StatusCode, b)
	}
	return string(b)
}

func (st *stand) ledger() []faults.Entry {
	st.t.Helper()
	var list []faults.Entry
	for dec := json.NewDecoder(strings.NewReader(st.control("GET", "ledger", ""))); ; {
		var e faults.Entry
		if err := dec.Decode(&e); err != nil {
			return list
		}
		list = append(list, e)
	}
}

// sign adds a Signature Version 4 to an API request.
func sign(r *http.Request, body []byte, cred Credentials, region, service string, now time.Time) {
	date := now.UTC().Format("20060102T150405Z")
	r.Header.Set("X-Amz-Date", date)
	signed := []string{"content-type", "host", "x-amz-date"}
	if cred.SessionToken != "" {
		r.Header.Set("X-Amz-Security-Token", cred.SessionToken)
		signed = append(signed, "x-amz-security-token")
	}
	r.Host = r.URL.Host
	scope := date[:8] + "/" + region + "/" + service + "/aws4_request"
	toSign := "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + hexSHA256([]byte(canonicalRequest(r, signed, body)))
	signature := mac(signingKey(cred.SecretAccessKey, date[:8], region, service), toSign)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+cred.AccessKeyID+"/"+scope+", SignedHeaders="+strings.Join(signed, ";")+", Signature="+hexOf(signature))
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var out bytes.Buffer
	for _, c := range b {
		out.WriteByte(digits[c>>4])
		out.WriteByte(digits[c&15])
	}
	return out.String()
}

// call makes an API call and returns the answer; code is the error's name, ""
// if the call succeeded.
func (st *stand) call(region, operation string, in any) (out map[string]any, code string) {
	st.t.Helper()
	return st.callAs(st.cred, region, operation, in)
}

func (st *stand) callAs(cred Credentials, region, operation string, in any) (out map[string]any, code string) {
	st.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		st.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(st.t.Context(), "POST", st.url+"/", bytes.NewReader(body))
	if err != nil {
		st.t.Fatal(err)
	}
	req.Header.Set("Content-Type", jsonType)
	req.Header.Set("X-Amz-Target", target+operation)
	sign(req, body, cred, region, "codecommit", st.clock())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		st.t.Fatal(err)
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(resp.Body)
	dec.UseNumber()
	if err := dec.Decode(&out); err != nil {
		st.t.Fatalf("%s: %v", operation, err)
	}
	if resp.StatusCode != 200 {
		code, _ = out["__type"].(string)
	}
	if err := checkAnswer(operation, code, out); err != nil {
		st.t.Errorf("%s: %v", operation, err)
	}
	return out, code
}

func (st *stand) mustCall(operation string, in any) map[string]any {
	st.t.Helper()
	out, code := st.call("us-east-1", operation, in)
	if code != "" {
		st.t.Fatalf("%s(%v) = %s %v", operation, in, code, out)
	}
	return out
}
