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

// An ARN belongs to whom an administrator says, else to whom AWS named for an
// own access key.
func TestAWSPeople(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	alice := must(s.AddUser(ctx, ferry.User{Name: "alice"}))(t)
	bob := must(s.AddUser(ctx, ferry.User{Name: "bob"}))(t)
	i := must(s.AddIntegration(ctx, ferry.Integration{Kind: ferry.KindCodeCommit, Region: "us-east-1"}, ferry.Credentials{}))(t)
	const arn, session = "arn:aws:iam::123456789012:user/team/Jane", "arn:aws-cn:sts::123456789012:assumed-role/Dev/jane@example.com"
	who := func(arn string) string {
		u, err := s.UserByARN(ctx, arn)
		if errors.Is(err, ferry.ErrNotFound) {
			return ""
		}
		check(t, err)
		return u.Name
	}
	check(t, s.SetPersonalCredential(ctx, PersonalCredential{User: bob.ID, Integration: i.ID, AccessKeyID: "AKIA1", ARN: arn}, ferry.NewSecret("x")))
	if got := who(arn) + who(session); got != "bob" {
		t.Errorf("by an own key: %q", got)
	}
	check(t, s.AddAWSPerson(ctx, AWSPerson{arn, alice.ID}))
	check(t, s.AddAWSPerson(ctx, AWSPerson{session, alice.ID}))
	if got := who(arn) + who(session); got != "alicealice" {
		t.Errorf("as was said: %q", got)
	}
	wantErr(t, "an ARN of somebody else", s.AddAWSPerson(ctx, AWSPerson{arn, bob.ID}), ferry.ErrConflict)
	wantErr(t, "taking it from somebody else", s.RemoveAWSPerson(ctx, AWSPerson{arn, bob.ID}), ferry.ErrNotFound)
	for _, bad := range []string{"", "alice", "arn:aws:iam::123456789012:role/Dev", "arn:aws:s3:::bucket", arn + "\n"} {
		wantErr(t, bad, s.AddAWSPerson(ctx, AWSPerson{bad, bob.ID}), ferry.ErrInvalid)
	}
	if list := must(s.AWSPeople(ctx, alice.ID))(t); len(list) != 2 || list[0].ARN != session {
		t.Errorf("AWSPeople = %+v", list)
	}
	check(t, s.RemoveAWSPerson(ctx, AWSPerson{arn, alice.ID}))
	check(t, s.RemoveUser(ctx, alice.ID))
	if got := who(arn) + who(session); got != "bob" {
		t.Errorf("after alice: %q", got)
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
