package store

import (
	"strings"
	"testing"

	"gitferry/internal/ferry"
)

// A subject is one user, a user one subject of an issuer; both can be undone.
func TestIdentities(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	alice := must(s.AddUser(ctx, ferry.User{Name: "alice", Email: "alice@example.com"}))(t)
	bob := must(s.AddUser(ctx, ferry.User{Name: "bob"}))(t)
	const issuer = "https://login.example.com"
	_, err := s.UserByIdentity(ctx, issuer, "1")
	wantErr(t, "a subject that nobody is", err, ferry.ErrNotFound)
	check(t, s.BindIdentity(ctx, Identity{Issuer: issuer, Subject: "1", User: alice.ID}))
	if got := must(s.UserByIdentity(ctx, issuer, "1"))(t); got.Name != "alice" || got.Email != "alice@example.com" {
		t.Errorf("subject 1 is %+v, want alice", got)
	}
	wantErr(t, "a subject of two users", s.BindIdentity(ctx, Identity{Issuer: issuer, Subject: "1", User: bob.ID}), ferry.ErrConflict)
	wantErr(t, "two subjects of a user", s.BindIdentity(ctx, Identity{Issuer: issuer, Subject: "2", User: alice.ID}), ferry.ErrConflict)
	wantErr(t, "an empty subject", s.BindIdentity(ctx, Identity{Issuer: issuer, User: bob.ID}), ferry.ErrInvalid)
	wantErr(t, "a long subject", s.BindIdentity(ctx, Identity{Issuer: issuer, Subject: strings.Repeat("x", 256), User: bob.ID}), ferry.ErrInvalid)
	check(t, s.BindIdentity(ctx, Identity{Issuer: "https://other.example.com", Subject: "1", User: bob.ID}))
	if list := must(s.Identities(ctx, alice.ID))(t); len(list) != 1 || list[0].Subject != "1" || list[0].CreatedAt.IsZero() {
		t.Errorf("identities of alice are %+v", list)
	}
	check(t, s.UnbindIdentities(ctx, alice.ID))
	check(t, s.BindIdentity(ctx, Identity{Issuer: issuer, Subject: "2", User: alice.ID}))
	check(t, s.RemoveUser(ctx, alice.ID))
	_, err = s.UserByIdentity(ctx, issuer, "2")
	wantErr(t, "the subject of a removed user", err, ferry.ErrNotFound)
}
