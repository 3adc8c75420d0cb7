package api

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/api/web"
	"gitferry/internal/ferry"
	"gitferry/internal/gittest"
	"gitferry/internal/index"
	"gitferry/internal/policy"
	"gitferry/internal/pulls"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

const goodPassword = "purple-monday-kettle"

// What people set for themselves, and what administrators set for them, ends
// sessions where it must.
func TestOwnSettingsAndSessions(t *testing.T) {
	w := newWorld(t)
	rita, err := w.store.UserByName(t.Context(), "rita")
	w.must(err)
	signIn := func() {
		_, err := w.store.NewSession(t.Context(), rita.ID, "192.0.2.1", "test")
		w.must(err)
	}
	sessions := func(who, path string) page[session] {
		var p page[session]
		w.want(200, who, "GET", path, nil, &p)
		return p
	}
	signIn()
	signIn()
	list := sessions("read", "/user/sessions")
	if len(list.Items) != 2 || list.Items[0].Address != "192.0.2.1" {
		t.Fatalf("sessions = %+v", list.Items)
	}
	w.want(404, "write", "DELETE", fmt.Sprintf("/user/sessions/%d", list.Items[0].ID), nil, nil)
	w.want(204, "read", "DELETE", fmt.Sprintf("/user/sessions/%d", list.Items[0].ID), nil, nil)
	if n := len(sessions("admin", "/users/rita/sessions").Items); n != 1 {
		t.Errorf("%d sessions after one was ended, want 1", n)
	}
	w.want(204, "read", "DELETE", "/user/sessions", nil, nil)
	for about, end := range map[string]func(){
		"a password by an administrator": func() {
			w.want(204, "admin", "PUT", "/users/rita/password", map[string]string{"password": goodPassword}, nil)
		},
		"an own password": func() {
			w.must(w.store.SetPassword(t.Context(), rita.ID, web.HashPassword(goodPassword)))
			w.want(422, "read", "PUT", "/user/password", map[string]string{"current": "wrong", "password": goodPassword + "2"}, nil)
			w.want(422, "read", "PUT", "/user/password", map[string]string{"current": goodPassword, "password": "short"}, nil)
			if n := len(sessions("read", "/user/sessions").Items); n != 1 {
				t.Errorf("a refused password left %d sessions, want 1", n)
			}
			w.want(204, "read", "PUT", "/user/password", map[string]string{"current": goodPassword, "password": goodPassword + "2"}, nil)
		},
		"an administrator's right given": func() { w.want(200, "admin", "PATCH", "/users/rita", map[string]any{"admin": true}, nil) },
		"an administrator's right taken": func() { w.want(200, "admin", "PATCH", "/users/rita", map[string]any{"admin": false}, nil) },
		"by an administrator":            func() { w.want(204, "admin", "DELETE", "/users/rita/sessions", nil, nil) },
	} {
		signIn()
		if about == "an administrator's right taken" {
			rita.Admin = true
			w.must(w.store.UpdateUser(t.Context(), rita))
		}
		if end(); len(sessions("admin", "/users/rita/sessions").Items) != 0 {
			t.Errorf("%s leaves sessions", about)
		}
	}
	w.want(403, "read scope", "PUT", "/user/password", map[string]string{"current": "x", "password": goodPassword}, nil)
	w.want(422, "admin", "PUT", "/users/rita/password", map[string]string{"password": "password1234"}, nil)

	var own ownSettings
	w.want(200, "read", "PATCH", "/user/settings", map[string]string{"display": "Rita R", "theme": "dark"}, &own)
	if own != (ownSettings{"Rita R", "dark"}) {
		t.Errorf("own settings = %+v", own)
	}
	w.want(422, "read", "PATCH", "/user/settings", map[string]string{"theme": "loud"}, nil)
	var log page[AuditEvent]
	w.want(200, "admin", "GET", "/audit?action=api.setPassword", nil, &log)
	if len(log.Items) == 0 || log.Items[0].Detail != `{"password":"[redacted]"}` {
		t.Errorf("audit = %+v", log.Items)
	}
}

func TestDialogDefaults(t *testing.T) {
	w := newWorld(t)
	w.server.Pulls = &pulls.Host{Store: w.store}
	const path = "/repositories/us-east-1/demo/defaults/demo"
	w.want(204, "read", "PUT", path, defaultIn{Main: true, Source: "dev", Target: "main"}, nil)
	w.want(204, "read", "PUT", "/repositories/us-east-1/demo/defaults/OPS", defaultIn{Target: "stable"}, nil)
	w.want(404, "read", "PUT", "/repositories/us-west-2/hidden/defaults/OPS", defaultIn{Target: "stable"}, nil)
	w.want(404, "read", "PUT", "/repositories/us-east-1/demo/defaults/1x", defaultIn{}, nil)
	got := func() (p page[dialogDefault]) {
		w.want(200, "read", "GET", "/user/defaults", nil, &p)
		return p
	}
	want := []dialogDefault{{Project: "DEMO", Repository: "us-east-1/demo", Main: true, Source: "dev", Target: "main"}, {Project: "OPS", Repository: "us-east-1/demo", Target: "stable"}}
	if d := cmp.Diff(want, got().Items); d != "" {
		t.Errorf("defaults (-want +got):\n%s", d)
	}
	w.want(204, "read", "PUT", path, defaultIn{}, nil)
	if d := cmp.Diff(want[1:], got().Items); d != "" {
		t.Errorf("defaults after one was cleared (-want +got):\n%s", d)
	}
}

func TestWorkAndSettings(t *testing.T) {
	w := newWorld(t)
	w.server.Check = func(context.Context) CheckReport { return CheckReport{OK: true, Findings: []Finding{{Area: "git"}}} }
	w.server.Backup = func(context.Context) (BackupMade, error) { return BackupMade{File: "backups/x.tgz"}, nil }
	w.server.Versions = Versions{Version: "test"}
	var q queuedAll
	w.want(202, "admin", "POST", "/integrations/us-east-1/reindex", nil, &q)
	if q != (queuedAll{Queued: 1}) {
		t.Errorf("reindex = %+v", q)
	}
	w.repo.State = ferry.RepositoryDisabled
	w.must(w.store.UpdateRepository(t.Context(), w.repo))
	if w.want(202, "admin", "POST", "/integrations/us-east-1/reindex", nil, &q); q != (queuedAll{Skipped: 1}) {
		t.Errorf("reindex of a disabled repository = %+v", q)
	}
	var gone canceled
	if w.want(200, "admin", "DELETE", "/jobs", nil, &gone); gone.Canceled != 1 {
		t.Errorf("cleared %d, want 1", gone.Canceled)
	}
	var s settings
	w.want(200, "admin", "PATCH", "/settings", map[string]any{"show_tags": false, "branch_names": pulls.Template{Text: "x/${issuekey}", Separator: "_", Max: 60}}, &s)
	if s.ShowTags || !s.ShowRollup || s.ShowMainBranch || s.BranchNames.Text != "x/${issuekey}" || s.BranchNames.Max != 60 {
		t.Errorf("settings = %+v", s)
	}
	// Every switch of the page is one of the API's.
	w.want(200, "admin", "PATCH", "/settings", map[string]any{"show_rollup": false, "show_tags": false, "show_panel": false, "show_repository_browser": false,
		"show_main_branch": true, "branch_actions": false, "pull_request_actions": false}, &s)
	stored := map[string]any{web.SettingPages: &web.PageSettings{}, pulls.SettingActions: &pulls.Actions{}}
	for name, into := range stored {
		w.must(w.store.Setting(t.Context(), name, into))
		for v, i := reflect.ValueOf(into).Elem(), 0; i < v.NumField(); i++ {
			if v.Field(i).IsZero() {
				t.Errorf("setting %s: the API cannot change %s", name, v.Type().Field(i).Name)
			}
		}
	}
	if s.ShowPanel || s.ShowBrowser || s.Branches || s.PullRequests || !s.ShowMainBranch {
		t.Errorf("settings = %+v", s)
	}
	var cleared historyQueued
	if w.want(202, "admin", "DELETE", "/deliveries/history", nil, &cleared); cleared.Repositories == 0 {
		t.Error("nothing is withdrawn")
	}
	w.want(422, "admin", "PATCH", "/settings", map[string]any{"jira_resolution": "Fixed", "branch_names": map[string]any{"separator": "/"}}, nil)
	if w.want(200, "admin", "GET", "/settings", nil, &s); s.Resolution != "Done" {
		t.Errorf("a refused request set the resolution to %s", s.Resolution)
	}
	var checked CheckReport
	if w.want(200, "admin", "GET", "/admin/check", nil, &checked); !checked.OK || len(checked.Findings) != 1 {
		t.Errorf("check = %+v", checked)
	}
	var b BackupMade
	if w.want(201, "admin", "POST", "/admin/backups", nil, &b); b.File != "backups/x.tgz" {
		t.Errorf("backup = %+v", b)
	}
	var v Versions
	if w.want(200, "read", "GET", "/version", nil, &v); v.Version != "test" {
		t.Errorf("version = %+v", v)
	}
	w.must(w.store.PutProjects(t.Context(), []string{"OPS", "DEMO"}))
	var p projects
	if w.want(200, "read", "GET", "/projects", nil, &p); !p.Known || strings.Join(p.Keys, " ") != "DEMO OPS" {
		t.Errorf("projects = %+v", p)
	}
	w.want(422, "admin", "GET", "/admin/examine?commit=xyz&issue=DEMO-1", nil, nil)
	w.want(422, "admin", "GET", "/admin/examine?commit=abcdef0&issue=DEMO", nil, nil)
	_, err := w.store.RecordRefusedPush(t.Context(), store.Push{Repository: w.repo.ID, Reason: "no"})
	w.must(err)
	var a activity
	if w.want(200, "admin", "GET", "/admin/activity", nil, &a); len(a.Pushes) != 1 || a.Pushes[0].Count != 1 {
		t.Errorf("activity = %+v", a)
	}
}

// mirrored makes the mirror of us-east-1/demo a copy of repo and indexes it.
func (w *world) mirrored(repo *gittest.Repo) {
	w.t.Helper()
	path := w.server.Mirror.Path(w.repo.ID)
	w.must(os.MkdirAll(filepath.Dir(path), 0o700))
	cmd := exec.Command("git", "clone", "--quiet", "--mirror", repo.Dir, path)
	cmd.Env = gittest.Env()
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	w.must(os.WriteFile(filepath.Join(path, "gitferry-copied"), nil, 0o600))
	ix := &index.Index{Store: w.store, Git: w.server.Git, Mirror: w.server.Mirror, Log: slog.New(slog.DiscardHandler),
		Settings: func(context.Context) (index.Settings, error) {
			return index.Settings{Parse: smartcommit.Options{Projects: map[string]bool{"DEMO": true}}}, nil
		}}
	w.must(ix.Repository(w.t.Context(), w.repo))
}

// What git knows of an issue, and what rules would have said to a history.
func TestIssueInGit(t *testing.T) {
	w := newWorld(t)
	repo := gittest.New(t)
	repo.Commit("DEMO-1 first", "a", "a\n")
	repo.Run("tag", "v1")
	repo.Commit("no key", "b", "b\n")
	repo.Run("tag", "--annotate", "--message=two", "v2")
	repo.Run("branch", "DEMO-1-side")
	repo.Run("branch", "other", "HEAD~1")
	w.mirrored(repo)

	var branches page[heldBranch]
	w.want(200, "read", "GET", "/issues/DEMO-1/branches", nil, &branches)
	var got []string
	for _, b := range branches.Items {
		got = append(got, b.Name.Short()+" "+b.Reason+" "+b.OID.String())
	}
	tip := repo.OID("main").String()
	if d := cmp.Diff([]string{"DEMO-1-side name " + tip, "main commit " + tip, "other commit " + repo.OID("other").String()}, got); d != "" {
		t.Errorf("branches (-want +got):\n%s", d)
	}
	var tags page[tag]
	w.want(200, "read", "GET", "/issues/DEMO-1/tags", nil, &tags)
	if len(tags.Items) != 2 || tags.Items[0].Name != "refs/tags/v2" || tags.Items[0].Message != "two" || tags.Items[0].OID.String() != tip || tags.Items[1].Repository != "us-east-1/demo" {
		t.Errorf("tags = %+v", tags.Items)
	}
	for _, path := range []string{"/issues/DEMO-1/branches", "/issues/DEMO-1/tags", "/issues/DEMO-1/pulls", "/projects/DEMO/commits"} {
		var p page[map[string]any]
		if w.want(200, "no grant", "GET", path, nil, &p); len(p.Items) != 0 {
			t.Errorf("%s shows %v to somebody who may see nothing", path, p.Items)
		}
	}
	var commits projectCommits
	w.want(200, "read", "GET", "/projects/demo/commits?limit=1", nil, &commits)
	if len(commits.Items) != 1 || commits.Items[0].Message != "DEMO-1 first" || commits.Older {
		t.Errorf("commits of the project = %+v", commits)
	}

	var trial policyTrial
	w.want(200, "admin", "POST", "/policy/try", policyTrialIn{Repository: "us-east-1/demo", Rules: &policy.Rules{RequireKey: true}}, &trial)
	if trial.Looked != 2 || trial.Branch != "main" || len(trial.Refused) != 1 || trial.Refused[0].OID.String() != tip || len(trial.Refused[0].Reasons) == 0 {
		t.Errorf("trial = %+v", trial)
	}
	w.want(200, "admin", "POST", "/policy/try", policyTrialIn{Repository: "us-east-1/demo"}, &trial)
	if len(trial.Refused) != 0 {
		t.Errorf("by the rules that hold: %+v", trial.Refused)
	}
	w.want(404, "admin", "POST", "/policy/try", policyTrialIn{Repository: "us-west-2/hidden"}, nil)
	var rules policy.Rules
	if w.want(200, "admin", "GET", "/policy", nil, &rules); rules.RequireKey {
		t.Error("a trial changed the rules")
	}
	var found web.Examination
	w.want(200, "admin", "GET", "/admin/examine?commit="+tip[:10]+"&issue=DEMO-1", nil, &found)
	if found.OK || len(found.Checks) == 0 || found.Checks[len(found.Checks)-1].What != "Key in the message" || found.Checks[len(found.Checks)-1].State != "failed" {
		t.Errorf("examination = %+v", found)
	}
}

// One stream tells of everything, and of nothing that may not be seen.
func TestAllEvents(t *testing.T) {
	w := newWorld(t)
	reader, keeper, root := w.follow("read", "/events"), w.follow("repo admin", "/events"), w.follow("admin", "/events")
	for _, lines := range []<-chan string{reader, keeper, root} { // the first look is over
		expect(t, lines, ": nothing new")
	}
	w.fill(w.other, 1)
	w.fill(w.repo, 1)
	_, err := w.store.Enqueue(t.Context(), store.Job{Repository: w.repo.ID, Op: store.OpSync, Source: "manual"})
	w.must(err)
	_, err = w.store.RecordRefusedPush(t.Context(), store.Push{Repository: w.repo.ID, Reason: "no key"})
	w.must(err)
	heard := func(lines <-chan string, last string) string {
		var b strings.Builder
		for l := range lines {
			fmt.Fprintln(&b, l)
			if strings.Contains(l, last) {
				break
			}
		}
		return b.String()
	}
	const delivered = `"repository":"us-east-1/demo","entity_id"`
	for who, c := range map[string]struct {
		lines       <-chan string
		last, words string // last: what comes last; words: that are heard, the others are not
	}{
		"a reader":         {reader, `"op":"sync"`, "event: movement,event: job,us-east-1/demo"},
		"a keeper":         {keeper, delivered, "event: movement,event: job,event: push,event: delivery,no key,us-east-1/demo"},
		"an administrator": {root, delivered, "event: movement,event: job,event: push,event: delivery,no key,us-east-1/demo,us-west-2/hidden"},
	} {
		text := heard(c.lines, c.last)
		for _, word := range []string{"event: movement", "event: job", "event: push", "event: delivery", "no key", "us-east-1/demo", "us-west-2/hidden"} {
			if got, want := strings.Contains(text, word), strings.Contains(c.words, word); got != want {
				t.Errorf("%s hears %q: %v, want %v\n%s", who, word, got, want, text)
			}
		}
	}
	expect(t, w.follow("read", "/events", "Last-Event-ID", "0"), `"repository":"us-east-1/demo"`)
}
