package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

func TestSlugs(t *testing.T) {
	s, _ := testStore(t)
	for _, tt := range []struct {
		slug, region, want string // want "": refused
	}{
		{"", "us-east-1", "us-east-1"},
		{"", "us-east-1", "us-east-1-2"},
		{"us-east-1", "us-east-1", "us-east-1-3"},
		{"US-EAST-1", "us-east-1", "US-EAST-1-4"}, // slugs differ in more than case
		{"team", "eu-west-1", "team"},
		{"us-west-2", "eu-west-1", ""}, // another region's code
		{"us-gov-west-1", "eu-west-1", ""},
		{"api", "eu-west-1", ""},
		{"Settings", "eu-west-1", ""},
		{"v1", "", ""},
		{"a/b", "", ""},
		{"..", "", ""},
		{"x.git", "", ""},
		{strings.Repeat("a", 81), "", ""},
	} {
		i, err := s.AddIntegration(t.Context(), ferry.Integration{Kind: ferry.KindCodeCommit, Slug: tt.slug, Region: tt.region}, ferry.Credentials{})
		switch {
		case tt.want == "":
			wantErr(t, "slug "+tt.slug, err, ferry.ErrInvalid)
		case err != nil:
			t.Errorf("slug %q: %v", tt.slug, err)
		case i.Slug != tt.want:
			t.Errorf("slug %q became %q, want %q", tt.slug, i.Slug, tt.want)
		}
	}
}

func TestIntegrations(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	creds := ferry.Credentials{SecretAccessKey: ferry.NewSecret("sak"), GitPassword: ferry.NewSecret("gp"), SSHPrivateKey: ferry.NewSecret("pem")}
	i := must(s.AddIntegration(ctx, ferry.Integration{
		Name: "Main", Kind: ferry.KindCodeCommit, Region: "us-east-1", GitAuth: ferry.GitAuthSigV4, AccessKeyID: "AKIA",
		GitUsername: "u", SSHKeyID: "APKA", GitEndpoint: "https://git.example.com", HostKey: "ssh-ed25519 A",
		PrivateNetwork: true, ConnectAll: true,
	}, creds))(t)
	if got := must(s.IntegrationBySlug(ctx, "us-east-1"))(t); !cmp.Equal(got, i) {
		t.Errorf("stored: %s", cmp.Diff(i, got))
	}
	secrets := func() string {
		c := must(s.Credentials(ctx, i.ID))(t)
		return strings.Join([]string{c.SecretAccessKey.Reveal(), c.SessionToken.Reveal(), c.GitPassword.Reveal(), c.SSHPrivateKey.Reveal(), c.SSHPassphrase.Reveal()}, "|")
	}
	if got := secrets(); got != "sak||gp|pem|" {
		t.Errorf("credentials %q", got)
	}
	// Nothing about the address changes: the secrets stay.
	i.Problem, i.GitEndpoint, i.Account = "late", "https://GIT.example.com:443/base", "123456789012"
	check(t, s.UpdateIntegration(ctx, i, nil))
	if got := secrets(); got != "sak||gp|pem|" {
		t.Errorf("credentials %q after an update", got)
	}
	for name, change := range map[string]func(*ferry.Integration){
		"host":           func(i *ferry.Integration) { i.GitEndpoint = "https://evil.example.com" },
		"scheme":         func(i *ferry.Integration) { i.GitEndpoint = "http://git.example.com:443" },
		"port":           func(i *ferry.Integration) { i.GitEndpoint = "https://git.example.com:444" },
		"API end point":  func(i *ferry.Integration) { i.APIEndpoint = "https://x.example.com" },
		"STS end point":  func(i *ferry.Integration) { i.STSEndpoint = "https://x.example.com" },
		"SNS end point":  func(i *ferry.Integration) { i.SNSEndpoint = "https://x.example.com" },
		"region of AWS'": func(i *ferry.Integration) { i.Region, i.Slug = "us-east-2", "other" },
	} {
		check(t, s.UpdateIntegration(ctx, i, &creds))
		moved := i
		change(&moved)
		check(t, s.UpdateIntegration(ctx, moved, nil))
		if got := secrets(); got != "||||" {
			t.Errorf("changed %s: credentials %q are still there", name, got)
		}
	}
	check(t, s.UpdateIntegration(ctx, i, &creds))
	other := must(s.AddIntegration(ctx, ferry.Integration{Kind: ferry.KindGit, Slug: "other"}, ferry.Credentials{}))(t)
	other.Slug = "us-east-1"
	wantErr(t, "code of another region", s.UpdateIntegration(ctx, other, nil), ferry.ErrInvalid)
	i.Slug = "OTHER"
	wantErr(t, "slug taken", s.UpdateIntegration(ctx, i, nil), ferry.ErrConflict)
	check(t, s.RemoveIntegration(ctx, i.ID))
	_, err := s.Credentials(ctx, i.ID)
	wantErr(t, "removed", err, ferry.ErrNotFound)
}

func TestRemoveIntegrationWithItsRepositories(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	other := must(s.AddIntegration(ctx, ferry.Integration{Kind: ferry.KindGit, Slug: "other"}, ferry.Credentials{}))(t)
	var commits []Commit
	for i := range removeChunk + 1 { // goes in two transactions
		commits = append(commits, testCommit(fmt.Sprint(i), c.t, "DEMO-1"))
	}
	must(s.AddCommits(ctx, r.ID, commits, nil))(t)
	check(t, s.RemoveIntegration(ctx, r.IntegrationID))
	if got := must(s.Integrations(ctx))(t); !cmp.Equal(got, []ferry.Integration{other}) {
		t.Errorf("integrations left: %+v", got)
	}
	if list := must(s.CommitsByKey(ctx, "DEMO-1", Page{}))(t); len(list) != 0 {
		t.Errorf("%d commits left", len(list))
	}
	if got := must(s.Integration(ctx, other.ID))(t); got.Slug != "other" {
		t.Errorf("the other one is %+v", got)
	}
	wantErr(t, "removing again", s.RemoveIntegration(ctx, r.IntegrationID), ferry.ErrNotFound)
}

// A sealed value that is copied to another row or column does not open.
func TestSealedValuesStayInPlace(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	c := ferry.Credentials{GitPassword: ferry.NewSecret("one")}
	a := must(s.AddIntegration(ctx, ferry.Integration{Kind: ferry.KindGit, Slug: "a"}, c))(t)
	b := must(s.AddIntegration(ctx, ferry.Integration{Kind: ferry.KindGit, Slug: "b"}, c))(t)
	for _, text := range []string{
		`UPDATE integration SET git_password = (SELECT git_password FROM integration WHERE slug = 'a') WHERE slug = 'b'`,
		`UPDATE integration SET session_token = git_password WHERE slug = 'a'`,
	} {
		if _, err := s.w.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []ferry.Integration{a, b} {
		_, err := s.Credentials(ctx, i.ID)
		wantErr(t, "moved secret of "+i.Slug, err, ErrWrongKey)
	}
}

// No byte of a secret reaches the files, also not after it was replaced.
func TestSecretsAreNotInTheFiles(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	secret := func(n string) ferry.Secret { return ferry.NewSecret("correct-horse-" + n) }
	u := must(s.AddUser(ctx, ferry.User{Name: "alice"}))(t)
	check(t, s.SetJiraToken(ctx, u.ID, secret("jira"), "a@x.org"))
	plain, _, err := s.NewToken(ctx, Token{User: u.ID, Scopes: []ferry.Scope{ferry.ScopeAPIRead}})
	check(t, err)
	c := ferry.Credentials{
		SecretAccessKey: secret("1"), SessionToken: secret("2"), GitPassword: secret("3"), SSHPrivateKey: secret("4"), SSHPassphrase: secret("5"),
	}
	i := must(s.AddIntegration(ctx, ferry.Integration{Kind: ferry.KindGit, Slug: "a"}, c))(t)
	c.GitPassword = secret("6")
	check(t, s.UpdateIntegration(ctx, i, &c))
	check(t, s.SetJiraSite(ctx, JiraSite{Kind: "cloud", Processor: "off", APIToken: secret("7"), ClientSecret: secret("8"), PAT: secret("9")}))
	check(t, s.Backup(ctx, s.path+".copy"))
	files := must(filepath.Glob(s.path + "*"))(t)
	if len(files) < 4 {
		t.Fatalf("want database, log, index and copy, have %q", files)
	}
	for _, f := range files {
		b := must(os.ReadFile(f))(t)
		for _, text := range []string{"correct-horse", plain.Reveal(), plain.Reveal()[3:20], string(testKey)} {
			if bytes.Contains(b, []byte(text)) {
				t.Errorf("%s holds %q", filepath.Base(f), text)
			}
		}
	}
}

func TestRepositories(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	if r.Owner != "us-east-1" || r.State != ferry.RepositoryEnabled {
		t.Errorf("new repository %+v", r)
	}
	_, err := s.AddRepository(ctx, ferry.Repository{IntegrationID: r.IntegrationID, Name: "demo"})
	wantErr(t, "name taken", err, ferry.ErrConflict)
	_, err = s.AddRepository(ctx, ferry.Repository{IntegrationID: 99, Name: "demo"})
	wantErr(t, "no such integration", err, ferry.ErrNotFound)
	_, err = s.AddRepository(ctx, ferry.Repository{IntegrationID: r.IntegrationID, Name: "../x"})
	wantErr(t, "bad name", err, ferry.ErrInvalid)
	west := must(s.AddIntegration(ctx, ferry.Integration{Kind: ferry.KindCodeCommit, Region: "us-west-2"}, ferry.Credentials{}))(t)
	twin := must(s.AddRepository(ctx, ferry.Repository{IntegrationID: west.ID, Name: "demo", Region: "us-west-2"}))(t)
	paths := func(list []ferry.Repository, err error) string {
		t.Helper()
		check(t, err)
		var p []string
		for _, r := range list {
			p = append(p, r.Path())
		}
		return strings.Join(p, " ")
	}
	odd := must(s.AddRepository(ctx, ferry.Repository{IntegrationID: west.ID, Name: "a_b", State: ferry.RepositoryDisabled}))(t)
	for _, tt := range []struct {
		f    RepositoryFilter
		want string
	}{
		{RepositoryFilter{}, "us-east-1/demo us-west-2/a_b us-west-2/demo"},
		{RepositoryFilter{Integration: west.ID}, "us-west-2/a_b us-west-2/demo"},
		{RepositoryFilter{State: ferry.RepositoryDisabled}, "us-west-2/a_b"},
		{RepositoryFilter{Query: "WEST-2/D"}, "us-west-2/demo"},
		{RepositoryFilter{Query: "_"}, "us-west-2/a_b"},
		{RepositoryFilter{Query: "%"}, ""},
		{RepositoryFilter{Limit: 1, Offset: 1}, "us-west-2/a_b"},
	} {
		if got := paths(s.Repositories(ctx, tt.f)); got != tt.want {
			t.Errorf("Repositories(%+v) = %q, want %q", tt.f, got, tt.want)
		}
	}
	if got := paths(s.RepositoriesByName(ctx, "", "demo")); got != "us-east-1/demo us-west-2/demo" {
		t.Errorf("by name: %q", got)
	}
	if got := paths(s.RepositoriesByName(ctx, "us-west-2", "demo")); got != "us-west-2/demo" {
		t.Errorf("by region and name: %q", got)
	}
	odd.Name = "demo"
	wantErr(t, "renaming onto another", s.UpdateRepository(ctx, odd), ferry.ErrConflict)
	twin.DefaultBranch, twin.Name = "main", "renamed"
	check(t, s.UpdateRepository(ctx, twin))
	if got := must(s.RepositoryByPath(ctx, "us-west-2", "renamed"))(t); !cmp.Equal(got, twin) {
		t.Errorf("after update: %s", cmp.Diff(twin, got))
	}
	check(t, s.RemoveRepository(ctx, twin.ID))
	_, err = s.Repository(ctx, twin.ID)
	wantErr(t, "removed", err, ferry.ErrNotFound)
	wantErr(t, "removing again", s.RemoveRepository(ctx, twin.ID), ferry.ErrNotFound)
}

// The secrets of a single repository do not follow its changed address.
func TestCloneURLMovesWithoutSecrets(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	c := ferry.Credentials{GitPassword: ferry.NewSecret("x")}
	i := must(s.AddIntegration(ctx, ferry.Integration{Kind: ferry.KindGit, GitEndpoint: "https://host.example.com"}, c))(t)
	if i.Slug != "host" {
		t.Errorf("slug %q, want host", i.Slug)
	}
	r := must(s.AddRepository(ctx, ferry.Repository{IntegrationID: i.ID, Name: "r", CloneURL: "https://host.example.com/r.git"}))(t)
	r.CloneURL = "https://host.example.com/s.git"
	check(t, s.UpdateRepository(ctx, r))
	if must(s.Credentials(ctx, i.ID))(t).GitPassword.IsZero() {
		t.Error("another path cleared the password")
	}
	r.CloneURL = "https://other.example.com/s.git"
	check(t, s.UpdateRepository(ctx, r))
	if !must(s.Credentials(ctx, i.ID))(t).GitPassword.IsZero() {
		t.Error("another host kept the password")
	}
}

// The list of all repositories is kept, and follows every change, also one by
// another process.
func TestRepositoriesFollowChanges(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "gitferry.db")
	c := &clock{t: time.Now()}
	s, other := openAt(t, path, c), openAt(t, path, c)
	r := testRepository(t, other)
	list := func() []ferry.Repository {
		t.Helper()
		all := must(s.Repositories(ctx, RepositoryFilter{}))(t)
		if direct := must(s.Repositories(ctx, RepositoryFilter{Limit: 100}))(t); !slices.Equal(all, direct) {
			t.Errorf("the list kept is %v, the books hold %v", all, direct)
		}
		return all
	}
	if len(list()) != 1 {
		t.Error("a new repository is not in the list")
	}
	list()[0].Name = "scribbled" // into a copy
	for name, change := range map[string]func() error{
		"degraded": func() error { return other.SetDegraded(ctx, r.ID, "nulInCommit in x") },
		"settings": func() error { r.SmartCommits = !r.SmartCommits; return other.UpdateRepository(ctx, r) },
		"slug": func() error {
			i := must(other.Integration(ctx, r.IntegrationID))(t)
			i.Slug = "elsewhere"
			return other.UpdateIntegration(ctx, i, nil)
		},
		"missing": func() error { _, err := other.Missed(ctx, r.ID); return err },
	} {
		before := list()[0]
		check(t, change())
		if list()[0] == before {
			t.Errorf("%s: the list did not follow", name)
		}
	}
	check(t, other.RemoveRepository(ctx, r.ID))
	if got := list(); len(got) != 0 {
		t.Errorf("after the removal the list is %v", got)
	}
}
