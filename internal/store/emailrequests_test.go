package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

func TestEmailRequests(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	alice := must(s.AddUser(ctx, ferry.User{Name: "alice", Email: "alice@x.org"}))(t)
	bob := must(s.AddUser(ctx, ferry.User{Name: "bob", Email: "bob@x.org"}))(t)
	check(t, s.RequestEmail(ctx, alice.ID, "A.Work@x.org"))
	check(t, s.RequestEmail(ctx, alice.ID, "a.work@X.org")) // once
	check(t, s.RequestEmail(ctx, alice.ID, "bob@x.org"))    // whose it is, is not told
	_, err := s.UserByEmail(ctx, "a.work@x.org")
	wantErr(t, "an address that waits", err, ferry.ErrNotFound)
	wantErr(t, "an own address", s.RequestEmail(ctx, alice.ID, "ALICE@x.org"), ferry.ErrConflict)
	for _, bad := range []string{"", "x", "@x", "x@", "a b@x.org", "<a@x.org>"} {
		wantErr(t, bad, s.RequestEmail(ctx, alice.ID, bad), ferry.ErrInvalid)
	}
	if list := must(s.EmailRequests(ctx, 0))(t); len(list) != 2 || list[0].Name != "alice" || list[0].Email != "A.Work@x.org" {
		t.Errorf("requests: %+v", list)
	}
	wantErr(t, "an address of somebody else", s.DecideEmail(ctx, alice.ID, "bob@x.org", true), ferry.ErrConflict)
	wantErr(t, "what nobody asked for", s.DecideEmail(ctx, bob.ID, "a.work@x.org", true), ferry.ErrNotFound)
	check(t, s.DecideEmail(ctx, alice.ID, "a.WORK@x.org", true))
	if u := must(s.UserByEmail(ctx, "a.work@x.org"))(t); u.ID != alice.ID || !cmp.Equal(u.Aliases, []string{"A.Work@x.org"}) {
		t.Errorf("after confirming: %+v", u)
	}
	check(t, s.DecideEmail(ctx, alice.ID, "bob@x.org", false))
	if list := must(s.EmailRequests(ctx, alice.ID))(t); len(list) != 0 {
		t.Errorf("after refusing: %+v", list)
	}
	for i := range maxEmailRequests + 1 {
		err := s.RequestEmail(ctx, bob.ID, "b"+string(rune('a'+i))+"@x.org")
		if (err != nil) != (i == maxEmailRequests) {
			t.Errorf("request %d: %v", i, err)
		}
	}
}
