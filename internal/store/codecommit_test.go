package store

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

// asked is when a subscription was asked for.
var asked = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// addRepo connects a repository of a new integration.
func addRepo(t *testing.T, s *Store, name string) ferry.Repository {
	t.Helper()
	i, err := s.AddIntegration(t.Context(), ferry.Integration{Kind: ferry.KindCodeCommit, Region: "us-east-1"}, ferry.Credentials{})
	check(t, err)
	r, err := s.AddRepository(t.Context(), ferry.Repository{IntegrationID: i.ID, Name: name, Region: i.Region, HostID: "id-" + name, CloneURL: "https://h/" + name})
	check(t, err)
	return r
}

// Every field of an integration comes back as it was written.
func TestIntegrationFields(t *testing.T) {
	s, _ := testStore(t)
	want := ferry.Integration{Slug: "eu-west-1", Name: "n", Kind: ferry.KindCodeCommit, Region: "eu-west-1", Account: "1", GitAuth: ferry.GitAuthSigV4,
		AccessKeyID: "a", GitUsername: "b", SSHKeyID: "c", APIEndpoint: "https://d", SNSEndpoint: "https://e", STSEndpoint: "https://s", GitEndpoint: "https://f", HostKey: "g",
		PrivateNetwork: true, CredentialSource: "profile", Profile: "h", RoleARN: "i", ExternalID: "j", TopicARN: "k", TopicSHA1: true,
		ConnectAll: true, PersonalRequired: true, PassThrough: true, Disabled: true, Problem: "l"}
	added, err := s.AddIntegration(t.Context(), want, ferry.Credentials{})
	check(t, err)
	want.ID = added.ID
	got, err := s.Integration(t.Context(), added.ID)
	check(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("added (-want +got):\n%s", diff)
	}
	empty := ferry.Integration{ID: want.ID, Slug: want.Slug, Kind: want.Kind, Region: want.Region}
	check(t, s.UpdateIntegration(t.Context(), empty, nil))
	if got, err = s.Integration(t.Context(), added.ID); err != nil || got != empty {
		t.Errorf("changed: %+v, %v", got, err)
	}
	check(t, s.NoteIntegration(t.Context(), added.ID, "123456789012", "away"))
	check(t, s.NoteIntegration(t.Context(), added.ID, "", ""))
	if got, err = s.Integration(t.Context(), added.ID); err != nil || got.Account != "123456789012" || got.Problem != "" {
		t.Errorf("noted: %+v, %v", got, err)
	}
}

func TestTriggerSecrets(t *testing.T) {
	s, _ := testStore(t)
	r := addRepo(t, s, "demo")
	for _, route := range []TriggerRoute{{Route: "install"}, {Route: "integration", Integration: r.IntegrationID}, {Route: "repo", Repository: r.ID}} {
		first, err := s.TriggerSecret(t.Context(), route)
		check(t, err)
		again, err := s.TriggerSecret(t.Context(), route)
		check(t, err)
		if len(first.Reveal()) < 26 || again != first {
			t.Errorf("%v: %d characters, the same again: %v", route, len(first.Reveal()), again == first)
		}
		renewed, err := s.NewTriggerSecret(t.Context(), route)
		check(t, err)
		for secret, want := range map[string]bool{renewed.Reveal(): true, first.Reveal(): false, "": false} {
			if got, err := s.IsTriggerSecret(t.Context(), route, secret); err != nil || got != want {
				t.Errorf("%v: IsTriggerSecret = %v, %v, want %v", route, got, err, want)
			}
		}
	}
	if _, err := s.TriggerSecret(t.Context(), TriggerRoute{Route: "repo"}); !errors.Is(err, ferry.ErrInvalid) {
		t.Errorf("a route without a repository: %v", err)
	}
	check(t, s.RemoveRepository(t.Context(), r.ID))
}

// A message has its effect once, and everything that it causes or nothing.
func TestTakeTrigger(t *testing.T) {
	s, _ := testStore(t)
	r := addRepo(t, s, "demo")
	check(t, s.SetTriggerSetup(t.Context(), TriggerSetup{Integration: r.IntegrationID, State: TriggersPending, Topic: "arn:t", AskedAt: asked}))
	taken := Taken{Call: TriggerCall{Route: "integration", Integration: r.IntegrationID, MessageID: "m", Result: "accepted"}, Topic: "arn:t", Proof: true,
		Jobs: []Job{{Repository: r.ID, Op: OpSync, Source: "webhook", Priority: 22}}}
	for _, want := range []bool{true, false} {
		if first, err := s.TakeTrigger(t.Context(), taken); err != nil || first != want {
			t.Errorf("TakeTrigger = %v, %v, want %v", first, err, want)
		}
	}
	calls, err := s.TriggerCalls(t.Context(), 0, 10)
	check(t, err)
	if len(calls) != 2 || calls[0].Result != "duplicate" || calls[1].Result != "accepted" {
		t.Errorf("log: %+v", calls)
	}
	jobs, err := s.Jobs(t.Context(), JobFilter{Repository: r.ID, Op: OpSync})
	check(t, err)
	table, err := s.Timetable(t.Context(), r.ID)
	check(t, err)
	setup, err := s.TriggerSetup(t.Context(), r.IntegrationID)
	check(t, err)
	if len(jobs) != 1 || table.NotifiedAt.IsZero() || setup.State != TriggersConfirmed || setup.MessageAt.IsZero() {
		t.Errorf("jobs %d, timetable %+v, set-up %+v", len(jobs), table, setup)
	}
	bad := taken
	bad.Call.MessageID, bad.Jobs = "n", []Job{{Repository: 999, Op: OpSync}}
	if _, err := s.TakeTrigger(t.Context(), bad); err == nil {
		t.Error("a job for a repository that does not exist")
	}
	bad.Jobs = nil
	if first, err := s.TakeTrigger(t.Context(), bad); err != nil || !first {
		t.Errorf("the message again after it failed: first = %v, %v", first, err)
	}
	// A confirmation is not undone by the set-up that asked for it.
	check(t, s.SetTriggerSetup(t.Context(), TriggerSetup{Integration: r.IntegrationID, State: TriggersPending, Topic: "arn:t", AskedAt: asked, Subscription: "pending"}))
	if setup, err = s.TriggerSetup(t.Context(), r.IntegrationID); err != nil || setup.State != TriggersConfirmed {
		t.Errorf("after the set-up went on: %+v, %v", setup, err)
	}
	check(t, s.EndTriggers(t.Context(), r.IntegrationID, TriggersEnded, "ended"))
	if table, err = s.Timetable(t.Context(), r.ID); err != nil || !table.NotifiedAt.IsZero() {
		t.Errorf("timetable without triggers: %+v, %v", table, err)
	}
}

func TestTimetable(t *testing.T) {
	s, clock := testStore(t)
	r := addRepo(t, s, "demo")
	if n, err := s.QueueDue(t.Context(), 10); err != nil || n != 1 {
		t.Fatalf("QueueDue = %d, %v, want 1", n, err)
	}
	if n, err := s.QueueDue(t.Context(), 10); err != nil || n != 0 {
		t.Fatalf("QueueDue again = %d, %v, want 0", n, err)
	}
	jobs, err := s.Jobs(t.Context(), JobFilter{Repository: r.ID})
	check(t, err)
	if len(jobs) != 1 || jobs[0].Op != OpCopy || jobs[0].Source != "initial" {
		t.Errorf("jobs: %+v", jobs)
	}
	job, ok, err := s.ClaimJob(t.Context(), "b")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	check(t, s.FinishJob(t.Context(), job.ID, JobEnd{Look: &Look{Repository: r.ID, Next: s.now().Add(24 * time.Hour), Changed: true}}))
	if n, err := s.QueueDue(t.Context(), 10); err != nil || n != 0 {
		t.Errorf("after a look: QueueDue = %d, %v", n, err)
	}
	check(t, s.SpreadLooks(t.Context(), 2*time.Minute))
	table, err := s.Timetable(t.Context(), r.ID)
	check(t, err)
	if d := table.NextAt.Sub(s.now()); d < 0 || d > 2*time.Minute {
		t.Errorf("after a start the next look is in %s", d)
	}
	// Missing at once; gone with the second look an hour later that misses it.
	for _, step := range []struct {
		later time.Duration
		want  int
	}{{0, 1}, {30 * time.Minute, 1}, {31 * time.Minute, 2}, {time.Hour, 2}} {
		clock.advance(step.later)
		if table, err = s.Missed(t.Context(), r.ID); err != nil || table.Misses != step.want {
			t.Errorf("%s later: %d misses, %v, want %d", step.later, table.Misses, err, step.want)
		}
	}
	if n, err := s.QueueDue(t.Context(), 10); err != nil || n != 0 {
		t.Errorf("while it is missing: QueueDue = %d, %v", n, err)
	}
	check(t, s.FoundAgain(t.Context(), r.ID))
	if back, err := s.Repository(t.Context(), r.ID); err != nil || back.State != ferry.RepositoryEnabled {
		t.Errorf("found again: %+v, %v", back, err)
	}
}

// Two repositories swap names; old paths answer for 30 days; a new repository
// takes a name that a missing one holds.
func TestRenames(t *testing.T) {
	s, clock := testStore(t)
	a := addRepo(t, s, "a")
	made, err := s.ConnectRepositories(t.Context(), []ferry.Repository{{IntegrationID: a.IntegrationID, Name: "b", HostID: "id-b", CloneURL: "https://h/b", State: ferry.RepositoryEnabled},
		{IntegrationID: a.IntegrationID, Name: "c", HostID: "id-c", CloneURL: "https://h/c", State: ferry.RepositoryEnabled}})
	check(t, err)
	b, c := made[0], made[1]
	named := func(name string) ferry.RepositoryID {
		r, err := s.RepositoryByPath(t.Context(), a.Owner, name)
		if errors.Is(err, ferry.ErrNotFound) {
			return 0
		}
		check(t, err)
		return r.ID
	}
	a.Name, b.Name, c.Name = "b", "a", "d"
	check(t, s.RenameRepositories(t.Context(), []ferry.Repository{a, b, c}))
	if named("b") != a.ID || named("a") != b.ID || named("d") != c.ID || named("c") != c.ID {
		t.Errorf("paths after: b %d, a %d, d %d, c %d", named("b"), named("a"), named("d"), named("c"))
	}
	_, err = s.Missed(t.Context(), c.ID)
	check(t, err)
	made, err = s.ConnectRepositories(t.Context(), []ferry.Repository{{IntegrationID: a.IntegrationID, Name: "d", HostID: "id-d", CloneURL: "https://h/d", State: ferry.RepositoryEnabled}})
	check(t, err)
	if named("d") != made[0].ID {
		t.Errorf("the name of a missing repository leads to %d", named("d"))
	}
	clock.advance(31 * 24 * time.Hour)
	if got := named("c"); got != 0 {
		t.Errorf("a month later the old path leads to %d", got)
	}
	check(t, s.Prune(t.Context()))
	check(t, s.Untick(t.Context(), a.IntegrationID, "id-x"))
	check(t, s.Untick(t.Context(), a.IntegrationID, "id-x"))
	if got, err := s.Unticked(t.Context(), a.IntegrationID); err != nil || len(got) != 1 || !got["id-x"] {
		t.Errorf("Unticked = %v, %v", got, err)
	}
}

func TestLogAndPermissions(t *testing.T) {
	s, _ := testStore(t)
	r := addRepo(t, s, "demo")
	for range 3 {
		check(t, s.AddLog(t.Context(), LogLine{Repository: r.ID, Level: "error", Text: "away"}))
	}
	check(t, s.AddLog(t.Context(), LogLine{Integration: r.IntegrationID, Level: "info", Text: "of the integration"}))
	lines, err := s.Log(t.Context(), r.ID, 0, 15)
	check(t, err)
	if len(lines) != 1 || lines[0].Text != "away" || lines[0].At.IsZero() {
		t.Errorf("log: %+v", lines)
	}
	check(t, s.SetPermissions(t.Context(), r.IntegrationID, []Permission{{Action: "a:B", State: "missing", Detail: "said so"}, {Action: "a:C", State: "ok"}}))
	check(t, s.SetPermissions(t.Context(), r.IntegrationID, []Permission{{Action: "a:B", State: "ok"}}))
	known, err := s.Permissions(t.Context(), r.IntegrationID)
	check(t, err)
	if len(known) != 2 || known["a:B"].State != "ok" || known["a:B"].Detail != "" {
		t.Errorf("permissions: %+v", known)
	}
}
