package store

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

func TestUsers(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	alice := must(s.AddUser(ctx, ferry.User{
		Name: "alice", Display: "Alice A.", Email: "Alice@Example.com", Aliases: []string{"z@x.org", "a@x.org"}, Admin: true,
	}))(t)
	bob := must(s.AddUser(ctx, ferry.User{Name: "bob", Email: "bob@example.com"}))(t)
	if got := must(s.Users(ctx))(t); !cmp.Equal(got, []ferry.User{alice, bob}) {
		t.Errorf("Users() = %v", got)
	}
	for _, email := range []string{"alice@example.COM", "A@x.org"} {
		if got := must(s.UserByEmail(ctx, email))(t); !cmp.Equal(got, alice) {
			t.Errorf("UserByEmail(%q): %s", email, cmp.Diff(alice, got))
		}
	}
	_, err := s.UserByEmail(ctx, "")
	wantErr(t, "no address", err, ferry.ErrNotFound)
	_, err = s.AddUser(ctx, ferry.User{Name: "alice"})
	wantErr(t, "name taken", err, ferry.ErrConflict)
	_, err = s.AddUser(ctx, ferry.User{Name: "carol", Email: "BOB@example.com"})
	wantErr(t, "address taken", err, ferry.ErrConflict)
	_, err = s.UserByName(ctx, "carol")
	wantErr(t, "a failed add leaves nothing", err, ferry.ErrNotFound)
	for _, name := range []string{"", "Alice", "-a", "a b", strings.Repeat("a", 40), "a\n"} {
		_, err = s.AddUser(ctx, ferry.User{Name: name})
		wantErr(t, "name "+name, err, ferry.ErrInvalid)
	}
	must(s.AddUser(ctx, ferry.User{Name: strings.Repeat("a", 39)}))(t)

	bob.Aliases, bob.Display = []string{"b@x.org"}, "B"
	check(t, s.UpdateUser(ctx, bob))
	if got := must(s.User(ctx, bob.ID))(t); !cmp.Equal(got, bob) {
		t.Errorf("after update: %s", cmp.Diff(bob, got))
	}
	wantErr(t, "updating nobody", s.UpdateUser(ctx, ferry.User{ID: 999, Name: "x"}), ferry.ErrNotFound)
}

func TestLastAdminStays(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	alice := must(s.AddUser(ctx, ferry.User{Name: "alice", Admin: true}))(t)
	must(s.AddUser(ctx, ferry.User{Name: "off", Admin: true, Disabled: true}))(t)
	demoted, disabled := alice, alice
	demoted.Admin, disabled.Disabled = false, true
	wantErr(t, "demoting the last admin", s.UpdateUser(ctx, demoted), ferry.ErrConflict)
	wantErr(t, "disabling the last admin", s.UpdateUser(ctx, disabled), ferry.ErrConflict)
	wantErr(t, "removing the last admin", s.RemoveUser(ctx, alice.ID), ferry.ErrConflict)
	bob := must(s.AddUser(ctx, ferry.User{Name: "bob", Admin: true}))(t)
	check(t, s.UpdateUser(ctx, demoted))
	wantErr(t, "removing the now last admin", s.RemoveUser(ctx, bob.ID), ferry.ErrConflict)
	check(t, s.RemoveUser(ctx, alice.ID))
	again := must(s.AddUser(ctx, ferry.User{Name: "alice"}))(t)
	if again.ID <= bob.ID {
		t.Errorf("id %d was given before", again.ID)
	}
}

func TestPasswordAndJiraToken(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	u := must(s.AddUser(ctx, ferry.User{Name: "alice"}))(t)
	if got := must(s.PasswordHash(ctx, u.ID))(t); got != "" {
		t.Errorf("a new user has password %q", got)
	}
	check(t, s.SetPassword(ctx, u.ID, "$argon2id$x"))
	if got := must(s.PasswordHash(ctx, u.ID))(t); got != "$argon2id$x" {
		t.Errorf("password hash is %q", got)
	}
	_, _, err := s.JiraToken(ctx, u.ID)
	wantErr(t, "no token yet", err, ferry.ErrNotFound)
	check(t, s.SetJiraToken(ctx, u.ID, ferry.NewSecret("jt"), "a@x.org"))
	token, email, err := s.JiraToken(ctx, u.ID)
	check(t, err)
	if token.Reveal() != "jt" || email != "a@x.org" {
		t.Errorf("token %q of %q", token.Reveal(), email)
	}
	check(t, s.SetJiraToken(ctx, u.ID, ferry.Secret{}, "a@x.org"))
	_, _, err = s.JiraToken(ctx, u.ID)
	wantErr(t, "token removed", err, ferry.ErrNotFound)
}

func TestTokens(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	u := must(s.AddUser(ctx, ferry.User{Name: "alice"}))(t)
	g := must(s.AddGrant(ctx, ferry.Grant{User: u.ID, Glob: "**", Level: ferry.LevelWrite}))(t)
	scopes := []ferry.Scope{ferry.ScopeRepoRead}
	plain, token, err := s.NewToken(ctx, Token{User: u.ID, Name: "laptop", Scopes: scopes, Globs: []string{"us-east-1/*"}})
	check(t, err)
	if !regexp.MustCompile(`^gf_[0-9A-Za-z]{49}$`).MatchString(plain.Reveal()) {
		t.Errorf("token has the form %q", plain.Reveal())
	}
	if want := c.t.AddDate(0, 0, 90); !token.ExpiresAt.Equal(want) {
		t.Errorf("expires at %v, want %v", token.ExpiresAt, want)
	}
	got := must(s.SubjectByToken(ctx, plain.Reveal(), "10.0.0.1"))(t)
	want := ferry.Subject{
		User: u, Grants: []ferry.Grant{g}, Scopes: scopes, Globs: []string{"us-east-1/*"},
		Credential: "token 1", Expires: token.ExpiresAt,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("subject: %s", diff)
	}
	flipped := []byte(plain.Reveal())
	flipped[10] ^= 1
	for _, text := range []string{"", "gf_", string(flipped), plain.Reveal() + "x", plain.Reveal()[3:], newTokenText()} {
		_, err := s.SubjectByToken(ctx, text, "")
		wantErr(t, "token "+text, err, ferry.ErrDenied)
		if err != nil && strings.Contains(err.Error(), "gf_") {
			t.Errorf("the error shows a token: %v", err)
		}
	}

	disabled := u
	disabled.Disabled = true
	check(t, s.UpdateUser(ctx, disabled))
	_, err = s.SubjectByToken(ctx, plain.Reveal(), "")
	wantErr(t, "owner disabled", err, ferry.ErrDenied)
	check(t, s.UpdateUser(ctx, u))
	c.advance(90 * 24 * time.Hour)
	_, err = s.SubjectByToken(ctx, plain.Reveal(), "")
	wantErr(t, "expired", err, ferry.ErrDenied)
}

func TestTokenLimits(t *testing.T) {
	s, c := testStore(t)
	u := must(s.AddUser(t.Context(), ferry.User{Name: "alice"}))(t)
	ok := Token{User: u.ID, Scopes: []ferry.Scope{ferry.ScopeAPIRead}}
	for _, tt := range []struct {
		name   string
		change func(*Token)
		want   error
	}{
		{"366 days", func(t *Token) { t.ExpiresAt = c.t.AddDate(0, 0, 366) }, nil},
		{"367 days", func(t *Token) { t.ExpiresAt = c.t.AddDate(0, 0, 367) }, ferry.ErrInvalid},
		{"now", func(t *Token) { t.ExpiresAt = c.t }, ferry.ErrInvalid},
		{"no scope", func(t *Token) { t.Scopes = nil }, ferry.ErrInvalid},
		{"unknown scope", func(t *Token) { t.Scopes = []ferry.Scope{"all"} }, ferry.ErrInvalid},
		{"longest glob", func(t *Token) { t.Globs = []string{strings.Repeat("a", 256)} }, nil},
		{"glob too long", func(t *Token) { t.Globs = []string{strings.Repeat("a", 257)} }, ferry.ErrInvalid},
		{"no such user", func(t *Token) { t.User = 99 }, ferry.ErrNotFound},
	} {
		token := ok
		tt.change(&token)
		if _, _, err := s.NewToken(t.Context(), token); tt.want != nil {
			wantErr(t, tt.name, err, tt.want)
		} else if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestLastUseIsWrittenOnceAMinute(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	u := must(s.AddUser(ctx, ferry.User{Name: "alice"}))(t)
	plain, _, err := s.NewToken(ctx, Token{User: u.ID, Scopes: []ferry.Scope{ferry.ScopeAPIRead}})
	check(t, err)
	use := func(address string) (time.Time, string) {
		must(s.SubjectByToken(ctx, plain.Reveal(), address))(t)
		list := must(s.Tokens(ctx, u.ID))(t)
		return list[0].LastUsedAt, list[0].LastAddress
	}
	first := c.t
	use("a")
	c.advance(59 * time.Second)
	if at, from := use("b"); !at.Equal(first) || from != "a" {
		t.Errorf("within a minute: %v from %s", at, from)
	}
	c.advance(time.Second)
	if at, from := use("c"); !at.Equal(c.t) || from != "c" {
		t.Errorf("after a minute: %v from %s", at, from)
	}
	c.advance(-time.Hour) // the clock steps back
	if at, from := use("d"); !at.Equal(c.t) || from != "d" {
		t.Errorf("after a step back: %v from %s", at, from)
	}
}

func TestSSHKeys(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	alice := must(s.AddUser(ctx, ferry.User{Name: "alice"}))(t)
	bob := must(s.AddUser(ctx, ferry.User{Name: "bob"}))(t)
	k := SSHKey{User: alice.ID, Name: "laptop", Type: "ssh-ed25519", Fingerprint: "SHA256:abc", Public: "ssh-ed25519 AAAA"}
	k = must(s.AddSSHKey(ctx, k))(t)
	again := k
	again.User = bob.ID
	_, err := s.AddSSHKey(ctx, again)
	wantErr(t, "key of another user", err, ferry.ErrConflict)
	again.Fingerprint = "MD5:00"
	_, err = s.AddSSHKey(ctx, again)
	wantErr(t, "MD5 fingerprint", err, ferry.ErrInvalid)
	got := must(s.SubjectByKey(ctx, "SHA256:abc", "10.0.0.1"))(t)
	if got.User.Name != "alice" || got.Credential != "SHA256:abc" || got.Scopes != nil {
		t.Errorf("subject %+v", got)
	}
	if list := must(s.SSHKeys(ctx, 0))(t); len(list) != 1 || list[0].LastAddress != "10.0.0.1" {
		t.Errorf("keys %+v", list)
	}
	check(t, s.RemoveSSHKey(ctx, k.ID))
	_, err = s.SubjectByKey(ctx, "SHA256:abc", "")
	wantErr(t, "removed key", err, ferry.ErrDenied)
	wantErr(t, "removing again", s.RemoveSSHKey(ctx, k.ID), ferry.ErrNotFound)
}

func TestGrants(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	u := must(s.AddUser(ctx, ferry.User{Name: "alice"}))(t)
	g := must(s.AddGrant(ctx, ferry.Grant{User: u.ID, Glob: "us-east-1/*", Level: ferry.LevelRead}))(t)
	same := must(s.AddGrant(ctx, ferry.Grant{User: u.ID, Glob: "us-east-1/*", Level: ferry.LevelWrite}))(t)
	if same.ID != g.ID {
		t.Errorf("the same glob made grants %d and %d", g.ID, same.ID)
	}
	_, err := s.AddGrant(ctx, ferry.Grant{User: u.ID, Glob: strings.Repeat("x", ferry.MaxGlob+1), Level: ferry.LevelRead})
	wantErr(t, "glob too long", err, ferry.ErrInvalid)
	_, err = s.AddGrant(ctx, ferry.Grant{User: u.ID, Glob: "", Level: ferry.LevelRead})
	wantErr(t, "empty glob", err, ferry.ErrInvalid)
	_, err = s.AddGrant(ctx, ferry.Grant{User: u.ID, Glob: "*", Level: 7})
	wantErr(t, "level 7", err, ferry.ErrInvalid)
	_, err = s.AddGrant(ctx, ferry.Grant{User: 99, Glob: "*", Level: ferry.LevelRead})
	wantErr(t, "no such user", err, ferry.ErrNotFound)
	subject := must(s.Subject(ctx, u.ID))(t)
	if got := subject.LevelOn("us-east-1/demo"); got != ferry.LevelWrite {
		t.Errorf("level %v, want write", got)
	}
	check(t, s.RemoveGrant(ctx, g.ID))
	if got := must(s.Grants(ctx, u.ID))(t); len(got) != 0 {
		t.Errorf("grants left: %v", got)
	}
	must(s.AddGrant(ctx, ferry.Grant{User: u.ID, Glob: "**", Level: ferry.LevelRead}))(t)
	check(t, s.RemoveUser(ctx, u.ID))
	if got := must(s.Grants(ctx, 0))(t); len(got) != 0 {
		t.Errorf("grants of a removed user: %v", got)
	}
}

// TestJiraTokensStayWithTheirSite: people's own tokens must not reach another
// host when the site's address changes.
func TestJiraTokensStayWithTheirSite(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	user, err := s.AddUser(ctx, ferry.User{Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	site := JiraSite{Kind: "cloud", URL: "https://one.example", Processor: "gitferry"}
	for _, url := range []string{"https://one.example", "https://one.example/", "https://two.example"} {
		site.URL = url
		if err := s.SetJiraSite(ctx, site); err != nil {
			t.Fatal(err)
		}
		token, _, err := s.JiraToken(ctx, user.ID)
		switch {
		case url == "https://one.example":
			if err := s.SetJiraToken(ctx, user.ID, ferry.NewSecret("mine"), "alice@example.com"); err != nil {
				t.Fatal(err)
			}
		case url == "https://two.example":
			if err == nil && !token.IsZero() {
				t.Errorf("the token given for one.example is still there for %s", url)
			}
		case err != nil || token.Reveal() != "mine":
			t.Errorf("JiraToken after setting the same site again: %v", err)
		}
	}
}
