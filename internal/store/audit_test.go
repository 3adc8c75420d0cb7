package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAudit(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	for _, action := range []string{"user.create", "token.create", "token.revoke"} {
		check(t, s.Audit(ctx, AuditEvent{ActorID: 1, Actor: "root", Credential: "session", Address: "10.0.0.1", Request: "r1", Action: action, Object: "user alice", Result: "ok"}))
		c.advance(time.Minute)
	}
	if n, err := s.VerifyAudit(ctx); n != 3 || err != nil {
		t.Errorf("VerifyAudit() = %d, %v", n, err)
	}
	got := must(s.AuditEvents(ctx, AuditFilter{Object: "user alice", Since: c.t.Add(-2 * time.Minute), Limit: 1}))(t)
	want := []AuditEvent{{
		Seq: 3, At: c.t.Add(-time.Minute), ActorID: 1, Actor: "root", Credential: "session", Address: "10.0.0.1", Request: "r1",
		Action: "token.revoke", Object: "user alice", Result: "ok",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events: %s", diff)
	}
	if got := must(s.AuditEvents(ctx, AuditFilter{Before: 3, Until: c.t, Actor: "root"}))(t); len(got) != 2 {
		t.Errorf("%d events before 3", len(got))
	}
	for name, tt := range map[string]struct{ harm, undo string }{
		"a changed field":          {`UPDATE audit SET result = 'no' WHERE seq = 2`, `UPDATE audit SET result = 'ok' WHERE seq = 2`},
		"text moved to the next":   {`UPDATE audit SET result = '', reason = 'ok' WHERE seq = 2`, `UPDATE audit SET result = 'ok', reason = '' WHERE seq = 2`},
		"a row taken out":          {`CREATE TEMP TABLE gone AS SELECT * FROM audit WHERE seq = 2; DELETE FROM audit WHERE seq = 2`, `INSERT INTO audit SELECT * FROM gone; DROP TABLE gone`},
		"the newest row taken out": {`CREATE TEMP TABLE gone AS SELECT * FROM audit WHERE seq = 3; DELETE FROM audit WHERE seq = 3`, `INSERT INTO audit SELECT * FROM gone; DROP TABLE gone`},
	} {
		if _, err := s.w.Exec(tt.harm); err != nil {
			t.Fatal(err)
		}
		_, err := s.VerifyAudit(ctx)
		wantErr(t, name, err, ErrCorrupt)
		if _, err := s.w.Exec(tt.undo); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.VerifyAudit(ctx); n != 3 || err != nil {
		t.Errorf("VerifyAudit() = %d, %v after all harm was undone", n, err)
	}
}

func TestPrune(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	event := AuditEvent{Actor: "system", Action: "start", Result: "ok"}
	fill := func() {
		check(t, s.Audit(ctx, event))
		check(t, s.AddTriggerCall(ctx, TriggerCall{Route: "install", Integration: r.IntegrationID, Result: "accepted"}))
		must(s.SeenMessage(ctx, "topic", c.t.String()))(t)
		id := must(s.Enqueue(ctx, Job{Repository: r.ID, Op: OpSync}))(t)
		check(t, s.CancelJob(ctx, id))
	}
	counts := func() [3]int {
		return [3]int{
			len(must(s.AuditEvents(ctx, AuditFilter{}))(t)), len(must(s.TriggerCalls(ctx, 0, 0))(t)), len(must(s.Jobs(ctx, JobFilter{}))(t)),
		}
	}
	fill()
	c.advance(6 * 24 * time.Hour)
	fill()
	check(t, s.Prune(ctx))
	if got := counts(); got != [3]int{2, 2, 2} {
		t.Errorf("after 6 days %v", got)
	}
	if first := must(s.SeenMessage(ctx, "topic", c.t.Add(-6*24*time.Hour).String()))(t); first {
		t.Error("a message of 6 days ago is forgotten")
	}
	c.advance(2 * 24 * time.Hour)
	check(t, s.Prune(ctx))
	if got := counts(); got != [3]int{2, 1, 2} {
		t.Errorf("after 8 days %v", got)
	}
	c.advance(400 * 24 * time.Hour)
	check(t, s.Prune(ctx))
	if got := counts(); got != [3]int{1, 0, 0} {
		t.Errorf("after 408 days %v", got)
	}
	check(t, s.Audit(ctx, event))
	if n, err := s.VerifyAudit(ctx); n != 2 || err != nil {
		t.Errorf("VerifyAudit() = %d, %v after pruning", n, err)
	}
}
