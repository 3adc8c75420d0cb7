package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gitferry/internal/ferry"
)

var update = flag.Bool("update", false, "rewrite docs/configuration.md")

func TestReference(t *testing.T) {
	var b strings.Builder
	if err := WriteReference(&b); err != nil {
		t.Fatal(err)
	}
	page := filepath.Join("..", "..", "docs", "configuration.md")
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("docs/configuration.md is out of step; run go test with -update (-want +got):\n%s", diff)
	}
}

// Each setting must be told to people, and each secret needs its file.
func TestEveryKeyIsDescribed(t *testing.T) {
	for name, section := range map[string]any{"": &Config{}, "integrations[].": &Integration{}, "users[].": &User{}, "grants[].": &Grant{}} {
		seen := map[string]bool{}
		walk(reflect.ValueOf(section).Elem(), name, func(f field) {
			if f.doc == "" {
				t.Errorf("%s has no doc", f.path)
			}
			if v := variable(f.path); seen[v] {
				t.Errorf("%s: variable %s stands for two keys", f.path, v)
			}
			seen[variable(f.path)] = true
		})
		walk(reflect.ValueOf(section).Elem(), name, func(f field) {
			if f.value.Type() == secretType && !seen[variable(f.path+"_file")] {
				t.Errorf("secret %s has no %s_file", f.path, f.path)
			}
		})
	}
}

func TestDefaultIsValidAndOnLoopback(t *testing.T) {
	c := Default()
	if err := c.Validate(); err != nil {
		t.Errorf("Default().Validate() = %v, want nil", err)
	}
	for _, a := range []string{c.HTTP.Listen, c.SSH.Listen} {
		if !isLoopback(a) {
			t.Errorf("default address %s is not on loopback", a)
		}
	}
}

func TestWithoutFileDefaultsHold(t *testing.T) {
	t.Chdir(t.TempDir())
	got, err := Load("", []string{"PATH=/bin"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), got, asWritten); diff != "" {
		t.Errorf("Load without a file differs from Default (-want +got):\n%s", diff)
	}
	if path, named := got.MasterKeyPath(); path != "master.key" || named {
		t.Errorf("MasterKeyPath() = %s, %v, want master.key, false", path, named)
	}
}

func TestNamedFileMustExist(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), nil)
	if !errors.Is(err, ferry.ErrNotFound) {
		t.Errorf("Load of a missing file = %v, want ferry.ErrNotFound", err)
	}
}

const whole = `# a comment
data_dir: /var/lib/gitferry
http:
  listen: 0.0.0.0:443
  tls_cert: cert.pem
  tls_key: key.pem
  trusted_proxies: [10.0.0.0/8, 192.0.2.1]
upstream:
  freshness: 2s
gate:
  stream: false
  store_below: 64KiB
  limits: {objects: 10, pack_bytes: 1GB}
policy:
  projects:
    - DEMO
    - OPS
  message_pattern: |
    ^[A-Z]
smart_commits: {max_age: 30d}
jira:
  kind: cloud
  url: https://example.atlassian.net
  email: bot@example.com
  api_token: 0123456789
log:
integrations:
  - region: us-east-1
    access_key_id: AKIAIOSFODNN7EXAMPLE
    secret_access_key: wJalrXUtnFEMI
    repositories: [demo]
  - slug: other
    url: https://git.example.com/other.git
    git_username: me
    git_password: "pw"
users:
  - name: alice
    email: alice@example.com
    ssh_keys: [ssh-ed25519 AAAA alice]
grants:
  - {user: alice, repositories: us-east-1/*, level: write}
`

// asWritten compares settings without where they came from, secrets by text.
var asWritten = cmp.Options{cmpopts.IgnoreUnexported(Config{}), cmpopts.EquateComparable(ferry.Secret{})}

func TestLoadWholeFile(t *testing.T) {
	got, err := Load(write(t, whole), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.DataDir = "/var/lib/gitferry"
	want.HTTP = HTTP{Listen: "0.0.0.0:443", TLSCert: "cert.pem", TLSKey: "key.pem", TrustedProxies: []string{"10.0.0.0/8", "192.0.2.1"}}
	want.Upstream.Freshness = Duration(2 * time.Second)
	want.Gate.Stream = false
	want.Gate.StoreBelow = 64 << 10
	want.Gate.Limits.Objects = 10
	want.Gate.Limits.PackBytes = 1e9
	want.Policy.Projects = []string{"DEMO", "OPS"}
	want.Policy.MessagePattern = "^[A-Z]\n"
	want.SmartCommits.MaxAge = Duration(30 * day)
	want.Jira = Jira{Kind: "cloud", URL: "https://example.atlassian.net", Email: "bot@example.com", APIToken: ferry.NewSecret("0123456789")}
	want.Integrations = []Integration{
		{Region: "us-east-1", AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: ferry.NewSecret("wJalrXUtnFEMI"), Repositories: []string{"demo"}},
		{Slug: "other", URL: "https://git.example.com/other.git", GitUsername: "me", GitPassword: ferry.NewSecret("pw")},
	}
	want.Users = []User{{Name: "alice", Email: "alice@example.com", SSHKeys: []string{"ssh-ed25519 AAAA alice"}}}
	want.Grants = []Grant{{User: "alice", Repositories: "us-east-1/*", Level: "write"}}
	if diff := cmp.Diff(want, got, asWritten); diff != "" {
		t.Errorf("Load differs (-want +got):\n%s", diff)
	}

	integration, credentials := got.Integrations[1].Ferry()
	if integration.Kind != ferry.KindGit || integration.GitAuth != ferry.GitAuthBasic || integration.ConnectAll ||
		integration.GitEndpoint != "https://git.example.com/other.git" || credentials.GitPassword.Reveal() != "pw" {
		t.Errorf("Ferry() = %+v", integration)
	}
	if first, _ := got.Integrations[0].Ferry(); first.GitAuth != ferry.GitAuthSigV4 || first.ConnectAll {
		t.Errorf("Ferry() of the account = %+v, want sigv4 and not ConnectAll", first)
	}
}

func TestEnvironmentWinsOverFile(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(write(t, whole), []string{
		"GITFERRY_HTTP_LISTEN=127.0.0.1:0",
		"GITFERRY_GATE_LIMITS_PACK_BYTES=3MiB",
		"GITFERRY_POLICY_REQUIRE_KEY=true",
		"GITFERRY_POLICY_PROJECTS=ONE, TWO",
		"GITFERRY_HTTP_TRUSTED_PROXIES=",
		"GITFERRY_JIRA_API_TOKEN_FILE=" + token,
		"GITFERRY_USERS=[{name: bob, admin: true}]",
	})
	if err != nil {
		t.Fatal(err)
	}
	type view struct {
		Listen, Token     string
		Pack              Size
		RequireKey        bool
		Projects, Proxies []string
		Users             []User
	}
	want := view{"127.0.0.1:0", "from a file", 3 << 20, true, []string{"ONE", "TWO"}, nil, []User{{Name: "bob", Admin: true}}}
	have := view{got.HTTP.Listen, got.Jira.APIToken.Reveal(), got.Gate.Limits.PackBytes, got.Policy.RequireKey, got.Policy.Projects, got.HTTP.TrustedProxies, got.Users}
	if diff := cmp.Diff(want, have, asWritten); diff != "" {
		t.Errorf("settings differ (-want +got):\n%s", diff)
	}
}

// Every key that Keys lists is read from its variable.
func TestEveryVariableIsRead(t *testing.T) {
	t.Chdir(t.TempDir())
	sample := map[string]string{"true or false": "maybe", "number": "x", "duration": "x", "size": "x", "list of items": "x: 1"}
	for _, k := range Keys() {
		value, checkable := sample[k.Type]
		if !checkable {
			continue
		}
		_, err := Load("", []string{k.Variable + "=" + value})
		if err == nil || !strings.HasPrefix(err.Error(), k.Variable) || !strings.Contains(err.Error(), k.Path+": ") {
			t.Errorf("Load with %s=%s = %v, want a fault of %s", k.Variable, value, err, k.Path)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	got := UnknownVariables([]string{"GITFERRY_HTTP_LISTEN=x", "GITFERRY_HTP_LISTEN=x", "HOME=/", "GITFERRY_PORT=tcp://10.0.0.1", "GITFERRY_JIRA_API_TOKEN_FILE=/x"})
	if diff := cmp.Diff([]string{"GITFERRY_HTP_LISTEN", "GITFERRY_PORT"}, got); diff != "" {
		t.Errorf("UnknownVariables differ (-want +got):\n%s", diff)
	}
}

// write makes a configuration file named gitferry.yaml and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), File)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
