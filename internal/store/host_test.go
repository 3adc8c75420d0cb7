package store

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

func TestPersonalCredentials(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	user := must(s.AddUser(ctx, ferry.User{Name: "alice"}))(t)
	i := must(s.AddIntegration(ctx, ferry.Integration{Kind: ferry.KindCodeCommit, Region: "us-east-1", PersonalRequired: true, PassThrough: true}, ferry.Credentials{}))(t)
	if got := must(s.Integration(ctx, i.ID))(t); !got.PersonalRequired || !got.PassThrough {
		t.Errorf("Integration = %+v, want both modes on", got)
	}
	if _, _, err := s.PersonalCredential(ctx, user.ID, i.ID); !errors.Is(err, ferry.ErrNotFound) {
		t.Errorf("without one: %v, want not found", err)
	}
	p := PersonalCredential{User: user.ID, Integration: i.ID, AccessKeyID: "AKIA1", ARN: "arn:aws:iam::1:user/alice", CheckedAt: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	check(t, s.SetPersonalCredential(ctx, p, ferry.NewSecret("very-secret-text")))
	p.AccessKeyID = "AKIA2"
	check(t, s.SetPersonalCredential(ctx, p, ferry.NewSecret("another-secret-text")))
	got, secret, err := s.PersonalCredential(ctx, user.ID, i.ID)
	if diff := cmp.Diff(p, got); err != nil || diff != "" || secret.Reveal() != "another-secret-text" {
		t.Errorf("PersonalCredential: %v, secret right: %v (-want +got):\n%s", err, secret.Reveal() == "another-secret-text", diff)
	}
	if list := must(s.PersonalCredentials(ctx, user.ID))(t); len(list) != 1 || list[0] != p {
		t.Errorf("PersonalCredentials = %+v", list)
	}
	if err := s.SetPersonalCredential(ctx, p, ferry.Secret{}); !errors.Is(err, ferry.ErrInvalid) {
		t.Errorf("an empty secret: %v, want invalid", err)
	}
	for _, name := range []string{s.path, s.path + "-wal"} {
		if raw, _ := os.ReadFile(name); bytes.Contains(raw, []byte("secret-text")) {
			t.Errorf("%s holds the secret in clear", name)
		}
	}
	check(t, s.RemovePersonalCredential(ctx, user.ID, i.ID))
	check(t, s.RemovePersonalCredential(ctx, user.ID, i.ID))
	if list := must(s.PersonalCredentials(ctx, user.ID))(t); len(list) != 0 {
		t.Errorf("after removal: %+v", list)
	}
	// They go with the integration.
	check(t, s.SetPersonalCredential(ctx, p, ferry.NewSecret("x")))
	check(t, s.RemoveIntegration(ctx, i.ID))
	if list := must(s.PersonalCredentials(ctx, user.ID))(t); len(list) != 0 {
		t.Errorf("after the integration: %+v", list)
	}
}

func TestHostRequests(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	user := must(s.AddUser(ctx, ferry.User{Name: "alice"}))(t)
	begin := func(token, request string) (string, bool, error) {
		return s.BeginHostRequest(ctx, user.ID, token, request)
	}
	if result, again, err := begin("t", "a"); result != "" || again || err != nil {
		t.Errorf("first = %q %v %v", result, again, err)
	}
	if result, again, err := begin("t", "a"); result != "" || !again || err != nil {
		t.Errorf("again, not done = %q %v %v", result, again, err)
	}
	if result, again, err := begin("t", "b"); result != "" || again || err != nil {
		t.Errorf("corrected = %q %v %v", result, again, err)
	}
	check(t, s.FinishHostRequest(ctx, user.ID, "t", "done"))
	if result, again, err := begin("t", "b"); result != "done" || !again || err != nil {
		t.Errorf("again, done = %q %v %v", result, again, err)
	}
	if _, _, err := begin("t", "c"); !errors.Is(err, ferry.ErrConflict) {
		t.Errorf("another under a done token: %v, want conflict", err)
	}
	c.advance(hostRequestsKept + time.Hour)
	if result, again, err := begin("t", "c"); result != "" || again || err != nil {
		t.Errorf("a week later = %q %v %v", result, again, err)
	}
	if err := s.FinishHostRequest(ctx, user.ID, "never begun", "x"); !errors.Is(err, ferry.ErrNotFound) {
		t.Errorf("never begun: %v, want not found", err)
	}
}
