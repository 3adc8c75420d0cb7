package store

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

// Files of a commit are written once, cut to a bound, and go with the commit.
func TestCommitFiles(t *testing.T) {
	s, _ := testStore(t)
	repo := testRepository(t, s)
	ctx := t.Context()
	one, two := ferry.OID{1}, ferry.OID{2}
	must(s.AddCommits(ctx, repo.ID, []Commit{{OID: one}, {OID: two}}, nil))(t)
	todo := must(s.UnfiledCommits(ctx, 0, 10))(t)
	if len(todo) != 2 || todo[0].OID != one || todo[0].Repository != repo.ID {
		t.Fatalf("unfiled: %v", todo)
	}
	_, err := s.FilesOfCommit(ctx, repo.ID, one)
	wantErr(t, "files before they are written", err, ferry.ErrNotFound)
	want := CommitFiles{OID: one, Tree: ferry.OID{9}, Count: 2, Added: 3, Removed: 4, Files: []CommitFile{
		{Path: "a \"b\"\n.txt", Status: "R", OldPath: "c", Blob: ferry.OID{7}, Added: 3, Removed: 4}, {Path: "x.bin", Status: "D", Blob: ferry.OID{8}, Binary: true}}}
	check(t, s.AddCommitFiles(ctx, repo.ID, []CommitFiles{want, {OID: ferry.OID{99}}}))
	check(t, s.AddCommitFiles(ctx, repo.ID, []CommitFiles{{OID: one, Tree: ferry.OID{1}}})) // too late
	if d := cmp.Diff(want, must(s.FilesOfCommit(ctx, repo.ID, one))(t)); d != "" {
		t.Errorf("files differ (-want +got):\n%s", d)
	}
	if todo := must(s.UnfiledCommits(ctx, 0, 10))(t); len(todo) != 1 || todo[0].OID != two {
		t.Errorf("unfiled after one: %v", todo)
	}
	many := CommitFiles{OID: two, Count: MaxCommitFiles + 5, Files: make([]CommitFile, MaxCommitFiles+5)}
	check(t, s.AddCommitFiles(ctx, repo.ID, []CommitFiles{many}))
	if got := must(s.FilesOfCommit(ctx, repo.ID, two))(t); len(got.Files) != MaxCommitFiles || got.Count != MaxCommitFiles+5 {
		t.Errorf("%d files of %d kept", len(got.Files), got.Count)
	}
	check(t, s.RemoveRepository(ctx, repo.ID))
	var n int
	if check(t, s.r.QueryRow(`SELECT COUNT(*) FROM commit_file`).Scan(&n)); n != 0 {
		t.Errorf("%d lists outlive the repository", n)
	}
}

// The secret of a webhook does not follow an address to another host, and is
// sealed in the file.
func TestWebhookSecret(t *testing.T) {
	s, _ := testStore(t)
	repo := testRepository(t, s)
	ctx := t.Context()
	h := must(s.AddWebhook(ctx, Webhook{Repository: repo.ID, URL: "https://a.example/x", ContentType: "json", Events: []string{"push"}, Active: true, Secret: ferry.NewSecret("s3cret")}))(t)
	_, err := s.AddWebhook(ctx, Webhook{Repository: repo.ID, URL: h.URL, ContentType: "json", Events: []string{"push"}})
	wantErr(t, "the same webhook", err, ferry.ErrConflict)
	_, err = s.AddWebhook(ctx, Webhook{Repository: repo.ID, URL: h.URL, ContentType: "xml", Events: []string{"push"}})
	wantErr(t, "content type", err, ferry.ErrInvalid)
	var sealed []byte
	if check(t, s.r.QueryRow(`SELECT secret FROM webhook`).Scan(&sealed)); strings.Contains(string(sealed), "s3cret") {
		t.Error("the secret lies open in the file")
	}
	h.URL = "https://a.example/y"
	if h = must(s.UpdateWebhook(ctx, h, false))(t); h.Secret.Reveal() != "s3cret" {
		t.Error("the secret is gone after a change of the path")
	}
	h.URL = "https://b.example/y"
	if h = must(s.UpdateWebhook(ctx, h, false))(t); !h.Secret.IsZero() {
		t.Error("the secret followed to another host")
	}
	_, err = s.Webhook(ctx, repo.ID+1, h.ID)
	wantErr(t, "by another repository", err, ferry.ErrNotFound)
	for i := range MaxWebhooks - 1 {
		must(s.AddWebhook(ctx, Webhook{Repository: repo.ID, URL: h.URL + string(rune('a'+i)), ContentType: "json", Events: []string{"push"}}))(t)
	}
	_, err = s.AddWebhook(ctx, Webhook{Repository: repo.ID, URL: h.URL + "/more", ContentType: "json", Events: []string{"push"}})
	wantErr(t, "one too many", err, ferry.ErrConflict)
}

// A webhook is told once of each movement, also when two processes tell it.
func TestTellWebhookOnce(t *testing.T) {
	s, c := testStore(t)
	repo := testRepository(t, s)
	ctx := t.Context()
	move := func(old, now ferry.OID) {
		must(s.Apply(ctx, Change{Repository: repo.ID, Updates: []ferry.RefUpdate{{Name: "refs/heads/main", Old: old, New: now}}}))(t)
	}
	move(ferry.OID{}, ferry.OID{1})
	h := must(s.AddWebhook(ctx, Webhook{Repository: repo.ID, URL: "https://a.example", ContentType: "json", Events: []string{"push"}, Active: true}))(t)
	if behind := must(s.WebhooksBehind(ctx))(t); len(behind) != 0 {
		t.Errorf("behind what was there before it: %v", behind)
	}
	move(ferry.OID{1}, ferry.OID{2})
	if behind := must(s.WebhooksBehind(ctx))(t); len(behind) != 1 {
		t.Fatalf("behind: %v", behind)
	}
	last := must(s.LatestMovements(ctx, repo.ID, 1))(t)[0]
	d := WebhookDelivery{GUID: "g", Event: "push", Payload: json.RawMessage(`{}`)}
	check(t, s.TellWebhook(ctx, h, last.Seq, nil, []WebhookDelivery{d}))
	wantErr(t, "telling again", s.TellWebhook(ctx, h, last.Seq, nil, []WebhookDelivery{d}), ferry.ErrConflict)
	if all := must(s.WebhookDeliveries(ctx, h.ID, 0, 0))(t); len(all) != 1 || all[0].State != WebhookPending {
		t.Errorf("deliveries: %v", all)
	}
	// One that was off hears of nothing that moved meanwhile.
	h = must(s.Webhook(ctx, repo.ID, h.ID))(t)
	h.Active = false
	h = must(s.UpdateWebhook(ctx, h, false))(t)
	move(ferry.OID{2}, ferry.OID{3})
	h.Active = true
	must(s.UpdateWebhook(ctx, h, false))(t)
	if behind := must(s.WebhooksBehind(ctx))(t); len(behind) != 0 {
		t.Errorf("behind after it was switched on: %v", behind)
	}
	claimed := must(s.ClaimWebhookDeliveries(ctx, time.Minute, 10))(t)
	claimed[0].State = WebhookDone
	check(t, s.SaveWebhookDelivery(ctx, claimed[0]))
	c.advance(time.Hour)
	check(t, s.PruneWebhooks(ctx, c.now()))
	if all := must(s.WebhookDeliveries(ctx, h.ID, 0, 0))(t); len(all) != 0 {
		t.Errorf("deliveries after pruning: %v", all)
	}
}

// Codes are good once, for their client, for ten minutes.
func TestOAuthCodes(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	u := must(s.AddUser(ctx, ferry.User{Name: "alice"}))(t)
	secret, client, err := s.AddOAuthClient(ctx, OAuthClient{Name: "Jira", Redirect: "https://jira.example"})
	check(t, err)
	_, other, err := s.AddOAuthClient(ctx, OAuthClient{Name: "Other", Redirect: "https://other.example"})
	check(t, err)
	must(s.OAuthClientBySecret(ctx, client.ClientID, secret.Reveal()))(t)
	_, err = s.OAuthClientBySecret(ctx, other.ClientID, secret.Reveal())
	wantErr(t, "another client's secret", err, ferry.ErrDenied)
	_, err = s.OAuthClientBySecret(ctx, "unknown", secret.Reveal())
	wantErr(t, "unknown client", err, ferry.ErrDenied)

	code := must(s.NewOAuthCode(ctx, client.ID, u.ID, "https://jira.example/back"))(t)
	user, redirect, err := s.TakeOAuthCode(ctx, client.ID, code.Reveal())
	if check(t, err); user != u.ID || redirect != "https://jira.example/back" {
		t.Errorf("code is for %d and %s", user, redirect)
	}
	_, _, err = s.TakeOAuthCode(ctx, client.ID, code.Reveal())
	wantErr(t, "a second time", err, ferry.ErrDenied)
	code = must(s.NewOAuthCode(ctx, client.ID, u.ID, ""))(t)
	_, _, err = s.TakeOAuthCode(ctx, other.ID, code.Reveal())
	wantErr(t, "by another client", err, ferry.ErrDenied)
	_, _, err = s.TakeOAuthCode(ctx, client.ID, code.Reveal())
	wantErr(t, "after another client tried", err, ferry.ErrDenied)
	code = must(s.NewOAuthCode(ctx, client.ID, u.ID, ""))(t)
	c.advance(OAuthCodeLife + time.Second)
	_, _, err = s.TakeOAuthCode(ctx, client.ID, code.Reveal())
	wantErr(t, "too late", err, ferry.ErrDenied)
	check(t, s.RemoveOAuthClient(ctx, client.ClientID))
	wantErr(t, "removing it again", s.RemoveOAuthClient(ctx, client.ClientID), ferry.ErrNotFound)
}

// The queries that run every second, and for every commit that is read, read
// through no big table.
func TestWebhookQueriesUseIndexes(t *testing.T) {
	s, _ := testStore(t)
	for name, q := range map[string]struct {
		text string
		args []any
	}{
		"commits without files": {queryUnfiled, []any{0, 10}},
		"files of a commit":     {queryCommitFiles, []any{1, "a"}},
		"latest movements":      {queryLatestMovements, []any{1, 10}},
		"webhooks behind":       {queryWebhooksBehind, nil},
		"behind pulls":          {queryWebhooksBehindPulls, nil},
		"due deliveries":        {queryDueWebhooks, []any{1, 10}},
	} {
		rows, err := s.w.Query("EXPLAIN QUERY PLAN "+q.text, q.args...)
		check(t, err)
		for rows.Next() {
			var id, parent, unused int
			var step string
			check(t, rows.Scan(&id, &parent, &unused, &step))
			t.Logf("%s: %s", name, step)
			// There are few webhooks, and the partial index of what is due is small.
			if strings.HasPrefix(step, "SCAN") && step != "SCAN h" && !strings.Contains(step, "webhook_delivery_due") {
				t.Errorf("%s: %s", name, step)
			}
		}
		check(t, rows.Err())
		rows.Close()
	}
}
