package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"gitferry/api"
)

// world makes an empty data directory with a master key and points the
// environment at it.
func world(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "master.key")
	if err := makeMasterKey(key); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GITFERRY_DATA_DIR", data)
	t.Setenv("GITFERRY_MASTER_KEY_FILE", key)
	t.Chdir(dir)
	return dir
}

// testMain is set where the test binary stands for the program.
const testMain = "TEST_AS_GITFERRY"

func TestMain(m *testing.M) {
	if os.Getenv(testMain) != "" {
		main()
	}
	os.Exit(m.Run())
}

// ferryRun runs one command line in a process of its own and returns exit
// code and output.
func ferryRun(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), testMain+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// ferryOK is ferryRun for what must succeed; it returns standard output.
func ferryOK(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errOut := ferryRun(t, "", args...)
	if code != 0 {
		t.Fatalf("gitferry %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errOut)
	}
	return out
}

// ferryFails is ferryRun for what must fail with a code and these words.
func ferryFails(t *testing.T, want int, words string, args ...string) {
	t.Helper()
	code, out, errOut := ferryRun(t, "", args...)
	if code != want || !strings.Contains(errOut, words) {
		t.Errorf("gitferry %s: exit %d, want %d with %q\n%s%s", strings.Join(args, " "), code, want, words, out, errOut)
	}
}

func ferryJSON[T any](t *testing.T, args ...string) (v T) {
	t.Helper()
	out := ferryOK(t, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("gitferry %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return v
}

func publicKey(t *testing.T) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + " carol@laptop\n"
}

func TestPeopleWithoutAServer(t *testing.T) {
	world(t)
	if got := ferryOK(t, "user", "list"); got != "none\n" {
		t.Errorf("user list = %q", got)
	}
	ferryOK(t, "user", "add", "carol", "--email", "carol@example.com", "--alias", "c@example.org", "--admin")
	ferryOK(t, "user", "set", "carol", "--display", "Carol Cook")
	users := ferryJSON[[]api.User](t, "user", "list")
	want := []api.User{{ID: 1, Name: "carol", Display: "Carol Cook", Email: "carol@example.com", Aliases: []string{"c@example.org"}, Admin: true}}
	if d := cmp.Diff(want, users); d != "" {
		t.Errorf("user list (-want +got):\n%s", d)
	}
	ferryFails(t, exitFailed, "admin", "user", "set", "carol", "--admin", "off")
	ferryFails(t, exitFailed, "admin", "user", "remove", "carol")
	ferryFails(t, exitUsage, "want on or off", "user", "set", "carol", "--admin", "maybe")
	ferryFails(t, exitUsage, "usage: gitferry user add NAME", "user", "add")
	ferryFails(t, exitUsage, "unknown command", "user", "frobnicate")

	code, _, errOut := ferryRun(t, publicKey(t), "key", "add", "carol", "-")
	if code != 0 {
		t.Fatal(errOut)
	}
	keys := ferryJSON[[]api.SSHKey](t, "key", "list", "--user", "carol")
	if len(keys) != 1 || keys[0].Name != "carol@laptop" || keys[0].User != "carol" {
		t.Errorf("key list = %+v", keys)
	}
	ferryOK(t, "key", "remove", keys[0].Fingerprint)
	ferryFails(t, exitFailed, "not found", "key", "remove", keys[0].Fingerprint)

	token := strings.TrimSpace(ferryOK(t, "token", "add", "carol", "--scope", "api:admin", "--repo", "us-*/**", "--days", "3"))
	if !strings.HasPrefix(token, "gf_") {
		t.Errorf("token add printed %q", token)
	}
	tokens := ferryJSON[[]api.Token](t, "token", "list")
	if len(tokens) != 1 || tokens[0].Globs[0] != "us-*/**" || tokens[0].Scopes[0] != "api:admin" {
		t.Errorf("token list = %+v", tokens)
	}
	ferryFails(t, exitUsage, "scope", "token", "add", "carol", "--scope", "everything")
	ferryOK(t, "token", "remove", "1")

	ferryOK(t, "grant", "add", "carol", "us-east-1/*", "write")
	ferryFails(t, exitUsage, "want none, read, write or admin", "grant", "add", "carol", "us-east-1/*", "owner")
	grants := ferryJSON[[]api.Grant](t, "grant", "list")
	if len(grants) != 1 || grants[0].Level.String() != "write" {
		t.Errorf("grant list = %+v", grants)
	}
	ferryOK(t, "grant", "remove", "1")
	if strings.Contains(ferryOK(t, "audit", "list", "--json"), token) {
		t.Error("the audit holds the token")
	}
	events := ferryJSON[[]api.AuditEvent](t, "audit", "list", "--action", "user.set")
	if len(events) != 3 || events[0].Result != "failed" || events[2].Result != "ok" || !strings.HasPrefix(events[0].Actor, "command line") {
		t.Errorf("audit of user.set = %+v", events)
	}
	ferryOK(t, "audit", "verify")
}

func TestSecretsStayOutOfSight(t *testing.T) {
	dir := world(t)
	const secret = "s3cret-of-the-site"
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := ferryOK(t, "jira", "set", "--kind", "cloud", "--url", "https://example.atlassian.net/", "--email", "bot@example.com", "--api-token-file", file)
	site := ferryJSON[api.JiraSite](t, "jira", "show")
	if !site.APITokenSet || site.URL != "https://example.atlassian.net" || site.Processor != "gitferry" {
		t.Errorf("jira show = %+v", site)
	}
	// Another value from the variable, the rest kept.
	t.Setenv("GITFERRY_CLIENT_SECRET", secret)
	out += ferryOK(t, "jira", "set", "--client-id", "abc", "--processor", "off", "--json")
	site = ferryJSON[api.JiraSite](t, "jira", "show")
	if !site.APITokenSet || !site.ClientSecretSet || site.Email != "bot@example.com" || site.Processor != "off" {
		t.Errorf("jira show = %+v", site)
	}
	// Another host: what was given for the old one goes.
	t.Setenv("GITFERRY_CLIENT_SECRET", "")
	out += ferryOK(t, "jira", "set", "--url", "https://elsewhere.atlassian.net")
	if site = ferryJSON[api.JiraSite](t, "jira", "show"); site.APITokenSet || site.ClientSecretSet {
		t.Errorf("secrets survived the move to another host: %+v", site)
	}
	ferryFails(t, exitUsage, "https", "jira", "set", "--url", "http://elsewhere.atlassian.net")
	out += ferryOK(t, "audit", "list", "--json")
	if strings.Contains(out, secret) {
		t.Error("a secret was printed")
	}
	ferryOK(t, "jira", "remove")
	ferryFails(t, exitFailed, "no Jira site is connected", "jira", "check")
}

func TestBackupAndRestore(t *testing.T) {
	dir := world(t)
	data := filepath.Join(dir, "data")
	ferryOK(t, "user", "add", "carol")
	for name, text := range map[string]string{"ssh_host_rsa_key": "host key", "outbox.log": "old\n"} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "ferry.tgz")
	m := ferryJSON[manifest](t, "backup", file)
	if len(m.Files) != 3 || m.Files[0].Name != backupBooks {
		t.Errorf("manifest = %+v", m)
	}
	ferryOK(t, "user", "add", "dave")
	ferryFails(t, exitFailed, "give --force", "restore", file)
	if err := os.WriteFile(filepath.Join(data, "outbox.log"), []byte("old\nnew\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ferryOK(t, "restore", file, "--force")
	if users := ferryJSON[[]api.User](t, "user", "list"); len(users) != 1 {
		t.Errorf("after the restore there are %d users, want 1", len(users))
	}
	if text, _ := os.ReadFile(filepath.Join(data, "outbox.log")); string(text) != "old\nnew\n" {
		t.Errorf("the journal that knows more was replaced: %q", text)
	}
	if events := ferryJSON[[]api.AuditEvent](t, "audit", "list", "--action", "restore"); len(events) != 1 {
		t.Errorf("audit of restore = %+v", events)
	}

	// A machine of its own: nothing there yet, and then the wrong key.
	fresh := filepath.Join(dir, "fresh")
	t.Setenv("GITFERRY_DATA_DIR", fresh)
	ferryOK(t, "restore", file)
	if users := ferryJSON[[]api.User](t, "user", "list"); len(users) != 1 || users[0].Name != "carol" {
		t.Errorf("users on the new machine = %+v", users)
	}
	if text, _ := os.ReadFile(filepath.Join(fresh, "ssh_host_rsa_key")); string(text) != "host key" {
		t.Errorf("host key = %q", text)
	}
	other := filepath.Join(dir, "other.key")
	if err := makeMasterKey(other); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GITFERRY_MASTER_KEY_FILE", other)
	t.Setenv("GITFERRY_DATA_DIR", filepath.Join(dir, "third"))
	ferryFails(t, exitFailed, "master key does not fit", "restore", file)

	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errOut := ferryRun(t, "", "restore", file)
	if code == 0 || !strings.Contains(errOut, "reading "+file) {
		t.Errorf("restore of half a backup: exit %d, %s", code, errOut)
	}
}

func TestDoctorAndCheckOnEmptyBooks(t *testing.T) {
	world(t)
	if got := ferryOK(t, "doctor"); !strings.Contains(got, "sound") {
		t.Errorf("doctor = %q", got)
	}
	if got := ferryOK(t, "doctor", "--deep"); !strings.Contains(got, "agree") {
		t.Errorf("doctor --deep = %q", got)
	}
}
