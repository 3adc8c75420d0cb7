package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"gitferry/internal/ferry"
	"gitferry/internal/policy"
	"gitferry/internal/store"
)

// isPush reports whether a request to the upstream carries a push.
func isPush(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-receive-pack")
}

// cut breaks a connection off without an answer.
func cut(rw http.ResponseWriter) {
	conn, _, err := rw.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}

// The upstream takes a push and its answer is lost: its refs are read back and
// the push is done.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	work := w.work()
	w.intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if !isPush(r) {
			return false
		}
		w.up.Handler().ServeHTTP(httptest.NewRecorder(), r)
		cut(rw)
		return true
	})
	for name, url := range w.urls() {
		oid := work.Commit(name, "file", name)
		work.Run("push", url, "HEAD:refs/heads/main")
		if got := w.upstreamRefs()["refs/heads/main"]; got != oid.String() {
			t.Errorf("%s: upstream has %s, want %s", name, got, oid)
		}
	}
	w.settled()
}

// The upstream dies with the end of a push: nobody is told ok, and when it is
// back the push is settled, mirror and books included, also if the books have
// trouble first and the ref has moved on meanwhile.
func TestOutcomeUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	work := w.work()
	var down atomic.Bool
	w.intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if isPush(r) && down.CompareAndSwap(false, true) {
			w.up.Handler().ServeHTTP(httptest.NewRecorder(), r)
		}
		if down.Load() {
			cut(rw)
		}
		return down.Load()
	})
	w.mu.Lock()
	w.broken = errors.New("no room in the books")
	w.mu.Unlock()
	oid := work.Commit("one", "file", "1")
	out := work.Fails("push", w.url, "HEAD:refs/heads/main")
	if !strings.Contains(out, "outcome unknown") {
		t.Errorf("the push said\n%s", out)
	}
	w.intercept(nil)
	resolved := func(want ...store.PushState) func() (bool, string) {
		return func() (bool, string) {
			list, err := w.Store.Pushes(t.Context(), w.repo.ID, 1)
			w.must(err)
			for _, s := range want {
				if list[0].State == s && list[0].Results[0].Outcome == store.OutcomeOK {
					return true, ""
				}
			}
			return false, string(list[0].State)
		}
	}
	w.eventually("the push is resolved", resolved(store.PushResolved))
	w.eventually("the mirror follows", func() (bool, string) {
		refs, err := w.Mirror.Refs(t.Context(), w.repo)
		w.must(err)
		return refs["refs/heads/main"] == oid, refs["refs/heads/main"].String()
	})
	work.Commit("two", "file", "2")
	work.Run("push", w.upstreamURL(), "HEAD:refs/heads/main") // behind our back
	w.mu.Lock()
	w.broken = nil
	w.mu.Unlock()
	w.eventually("the push is done", resolved(store.PushDone))
	w.settled()
}

// A branch that has moved on when the outcome of a push is looked up tells it
// by its history: what grew out of the push proves that it was taken, anything
// else leaves it unknown.
func TestMovedOnMeanwhile(t *testing.T) {
	t.Parallel()
	for _, took := range []bool{true, false} {
		w := newWorld(t, nil)
		work := w.work()
		work.Commit("base", "file", "0")
		work.Run("push", w.url, "HEAD:refs/heads/main")
		base := work.OID("HEAD")
		var moved atomic.Bool
		w.intercept(func(rw http.ResponseWriter, r *http.Request) bool {
			if !isPush(r) || moved.Swap(true) {
				return false
			}
			if took {
				w.up.Handler().ServeHTTP(httptest.NewRecorder(), r)
			}
			other := w.work() // somebody else, before the answer is lost
			other.Run("fetch", "-q", w.upstreamURL(), "main")
			other.Run("reset", "-q", "--hard", "FETCH_HEAD")
			other.Commit("two", "other", "2")
			other.Run("push", "-q", w.upstreamURL(), "HEAD:refs/heads/main")
			cut(rw)
			return true
		})
		oid := work.Commit("one", "file", "1")
		out, err := work.Cmd(t.Context(), "push", w.url, "HEAD:refs/heads/main").CombinedOutput()
		list, listErr := w.Store.Pushes(t.Context(), w.repo.ID, 1)
		w.must(listErr)
		got := list[0].Results[0].Outcome
		if took && (err != nil || got != store.OutcomeOK) {
			t.Errorf("the push was taken and built upon: outcome %s, %v\n%s", got, err, out)
		}
		if !took && (err == nil || got != store.OutcomeUnknown || !strings.Contains(string(out), "moved on")) {
			t.Errorf("the push was not taken: outcome %s, %v\n%s", got, err, out)
		}
		refs, err := w.Mirror.Refs(t.Context(), w.repo)
		w.must(err)
		if want := map[bool]ferry.OID{true: oid, false: base}[took]; refs["refs/heads/main"] != want {
			t.Errorf("taken %t: the mirror is at %s, want %s", took, refs["refs/heads/main"], want)
		}
		w.settled()
	}
}

// Books that fail after an accepted push are written later, by themselves.
func TestBooksFollowLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	work := w.work()
	w.mu.Lock()
	w.broken = errors.New("no room in the books")
	w.mu.Unlock()
	work.Commit("one", "file", "1")
	work.Run("push", w.url, "HEAD:refs/heads/main")
	w.mu.Lock()
	w.broken = nil
	w.mu.Unlock()
	w.settled()
}

// Rights that are taken away while a push is judged end it.
func TestRevokedUnderWay(t *testing.T) {
	t.Parallel()
	for _, door := range []string{"http", "ssh"} {
		w := newWorld(t, func(w *world) {
			judge := w.Judge
			w.Judge = func(ctx context.Context, p policy.Push) policy.Verdict {
				if door == "http" {
					tokens, err := w.Store.Tokens(ctx, w.user.ID)
					w.must(err)
					w.must(w.Store.RevokeToken(ctx, tokens[0].ID))
				} else {
					w.user.Disabled = true
					w.must(w.Store.UpdateUser(ctx, w.user))
				}
				return judge(ctx, p)
			}
		})
		work := w.work()
		work.Commit("one", "file", "1")
		out := work.Fails("push", w.urls()[door], "HEAD:refs/heads/main")
		if !strings.Contains(out, "was taken away") {
			t.Errorf("%s: the push said\n%s", door, out)
		}
		if refs := w.upstreamRefs(); len(refs) != 0 {
			t.Errorf("%s: upstream has %v", door, refs)
		}
		w.settled()
	}
}

// A right that is narrowed is checked again as narrowed.
func TestRenew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	s, err := w.Store.SubjectByToken(t.Context(), w.token, "")
	w.must(err)
	s.Scopes = []ferry.Scope{ferry.ScopeRepoRead}
	again, err := w.Store.Renew(t.Context(), s)
	w.must(err)
	if err := ferry.Check(again, ferry.ActionPush, w.repo.Path(), w.now()); !errors.Is(err, ferry.ErrDenied) {
		t.Errorf("Check of a renewed subject without the scope = %v, want denied", err)
	}
}

// What became of every push is in the audit, with who pushed what from where.
func TestPushAudit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	work := w.work()
	oid := work.Commit("one", "file", "1")
	work.Run("push", w.sshURL(), "HEAD:refs/heads/main")
	work.Fails("push", w.url, "HEAD:refs/pull/1/head")
	w.settled()
	var rows []store.AuditEvent
	w.eventually("two rows", func() (bool, string) {
		var err error
		rows, err = w.Store.AuditEvents(t.Context(), store.AuditFilter{Action: "push"})
		w.must(err)
		return len(rows) == 2, ""
	})
	refused, done := rows[0], rows[1]
	if done.Result == "refused" {
		refused, done = done, refused
	}
	if done.Result != "ok" || done.Actor != "alice" || !strings.HasPrefix(done.Credential, "SHA256:") || done.Address == "" ||
		!strings.Contains(done.Detail, "ok "+ferry.OID{}.String()+" "+oid.String()+" refs/heads/main") {
		t.Errorf("of the accepted push: %+v", done)
	}
	if refused.Result != "refused" || !strings.HasPrefix(refused.Credential, "token ") || !strings.Contains(refused.Reason, "only branches and tags") {
		t.Errorf("of the refused push: %+v", refused)
	}
	if _, err := w.Store.VerifyAudit(t.Context()); err != nil {
		t.Error(err)
	}
}

// The upstream takes one ref and refuses another: what only the refused one
// reaches cannot be read from us, and the push comes to its end at once.
func TestPartlyTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	req, err := http.NewRequest("PUT", w.upURL+"/_sandbox/deny", strings.NewReader(`["codecommit:GitPush@refs/heads/locked"]`))
	w.must(err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	w.must(err)
	if resp.Body.Close(); resp.StatusCode >= 300 {
		t.Fatal(resp.Status)
	}
	work := w.work()
	base := work.Commit("base", "file", "1")
	work.Run("push", w.url, "HEAD:refs/heads/main")
	open := work.Commit("open", "file", "2")
	work.Run("checkout", "-q", "--detach", base.String())
	locked := work.Commit("locked", "file", "3")
	out := work.Fails("push", w.url, open.String()+":refs/heads/open", locked.String()+":refs/heads/locked")
	if !strings.Contains(out, "upstream: ") || !strings.Contains(out, "permission") {
		t.Errorf("the push said\n%s", out)
	}
	refs, err := w.Mirror.Refs(t.Context(), w.repo)
	w.must(err)
	kinds, err := w.Git.Kinds(t.Context(), w.Mirror.Path(w.repo.ID), "", []ferry.OID{open, locked})
	w.must(err)
	if refs["refs/heads/open"] != open || len(refs) != 2 || kinds[open] != "commit" || kinds[locked] != "" {
		t.Errorf("the mirror has refs %v and objects %v", refs, kinds)
	}
	w.settled()
}
