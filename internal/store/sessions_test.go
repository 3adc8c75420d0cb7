package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

func TestSessions(t *testing.T) {
	s, c := testStore(t)
	u := must(s.AddUser(t.Context(), ferry.User{Name: "alice"}))(t)
	plain := must(s.NewSession(t.Context(), u.ID, "192.0.2.1:5", "browser"))(t)
	subject, session, err := s.SubjectBySession(t.Context(), plain.Reveal(), "192.0.2.1:6")
	check(t, err)
	if subject.User.ID != u.ID || subject.Credential != "session" || session.Agent != "browser" {
		t.Errorf("signed in as %+v in %+v, want alice", subject, session)
	}
	check(t, s.SetFlash(t.Context(), session.ID, "hello"))
	_, session, err = s.SubjectBySession(t.Context(), plain.Reveal(), "192.0.2.1:6")
	check(t, err)
	if session.Flash != "hello" {
		t.Errorf("flash is %q, want hello", session.Flash)
	}
	_, _, err = s.SubjectBySession(t.Context(), plain.Reveal()+"x", "")
	wantErr(t, "another text", err, ferry.ErrDenied)

	other := must(s.NewSession(t.Context(), u.ID, "", ""))(t)
	check(t, s.EndSessions(t.Context(), u.ID, session.ID))
	_, _, err = s.SubjectBySession(t.Context(), other.Reveal(), "")
	wantErr(t, "an ended session", err, ferry.ErrDenied)
	if list := must(s.Sessions(t.Context(), u.ID))(t); len(list) != 1 {
		t.Errorf("%d sessions are left, want 1", len(list))
	}

	c.t = c.t.Add(SessionIdle + time.Minute)
	_, _, err = s.SubjectBySession(t.Context(), plain.Reveal(), "")
	wantErr(t, "an idle session", err, ferry.ErrDenied)

	plain = must(s.NewSession(t.Context(), u.ID, "", ""))(t)
	for range 15 { // used all the time, it still ends
		c.t = c.t.Add(11 * time.Hour)
		if _, _, err = s.SubjectBySession(t.Context(), plain.Reveal(), ""); err == nil {
			continue
		}
	}
	c.t = c.t.Add(11 * time.Hour)
	_, _, err = s.SubjectBySession(t.Context(), plain.Reveal(), "")
	wantErr(t, "a session older than seven days", err, ferry.ErrDenied)

	plain = must(s.NewSession(t.Context(), u.ID, "", ""))(t)
	u.Disabled = true
	check(t, s.UpdateUser(t.Context(), u))
	_, _, err = s.SubjectBySession(t.Context(), plain.Reveal(), "")
	wantErr(t, "a disabled user", err, ferry.ErrDenied)
}

func TestPreferences(t *testing.T) {
	s, _ := testStore(t)
	u := must(s.AddUser(t.Context(), ferry.User{Name: "alice"}))(t)
	var theme string
	wantErr(t, "nothing set", s.Preference(t.Context(), u.ID, "theme", &theme), ferry.ErrNotFound)
	check(t, s.SetPreference(t.Context(), u.ID, "theme", "light"))
	check(t, s.SetPreference(t.Context(), u.ID, "theme", "dark"))
	check(t, s.Preference(t.Context(), u.ID, "theme", &theme))
	if theme != "dark" {
		t.Errorf("theme is %q, want dark", theme)
	}
}

func TestBuckets(t *testing.T) {
	s, c := testStore(t)
	repo := testRepository(t, s)
	since := c.t
	for range 3 {
		must(s.RecordRefusedPush(t.Context(), Push{Repository: repo.ID}))(t)
	}
	list := must(s.PushBuckets(t.Context(), 0, since.Add(-time.Hour), 24*time.Hour))(t)
	if len(list) != 1 || list[0].Count != 3 {
		t.Errorf("PushBuckets = %+v, want one of 3", list)
	}
	if list := must(s.DeliveryBuckets(t.Context(), since.Add(-time.Hour), time.Hour))(t); len(list) != 0 {
		t.Errorf("DeliveryBuckets = %+v, want none", list)
	}
}

// A command waits from the moment it is queued until its end, and no longer.
func TestQueueLengths(t *testing.T) {
	s, c := testStore(t)
	r := testRepository(t, s)
	start := c.t
	queue := func(identity string) {
		must(s.Apply(t.Context(), Change{Repository: r.ID, Actions: []Action{testAction(identity, "DEMO-1")}}))(t)
	}
	queue("before") // waits until the fourth hour
	c.t = start.Add(90 * time.Minute)
	queue("later") // still waits
	c.t = start.Add(4 * time.Hour)
	id := must(s.Deliveries(t.Context(), DeliveryFilter{Limit: 10}))(t)
	check(t, s.DiscardDelivery(t.Context(), id[len(id)-1].ID, "root"))
	got := must(s.QueueLengths(t.Context(), start.Add(-time.Hour), time.Hour, 7))(t)
	if diff := cmp.Diff([]int{0, 1, 1, 2, 2, 1, 1}, got); diff != "" {
		t.Errorf("QueueLengths (-want +got):\n%s", diff)
	}
	if late := must(s.QueueLengths(t.Context(), start.Add(9*24*time.Hour), time.Hour, 2))(t); late[0] != 0 {
		t.Errorf("nine days later %v wait", late)
	}
}
