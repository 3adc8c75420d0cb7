package pulls

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

func (w *world) branch(name string) (Branch, error) {
	return w.host.CreateBranch(w.t.Context(), w.alice, NewBranch{Repository: w.repo, Source: "main", Name: name, Issue: "DEMO-1"})
}

// own stores alice's AWS key for the account.
func (w *world) own() {
	w.t.Helper()
	c, _ := w.aws.CredentialsOf("alice")
	p, err := w.host.SetPersonal(w.t.Context(), w.alice, w.in, c.AccessKeyID, ferry.NewSecret(c.SecretAccessKey))
	check(w.t, err)
	if p.ARN != c.ARN {
		w.t.Errorf("the key belongs to %s, want %s", p.ARN, c.ARN)
	}
}

func (w *world) refs() map[ferry.RefName]ferry.OID {
	w.t.Helper()
	refs, err := w.store.Refs(w.t.Context(), w.repo.ID)
	check(w.t, err)
	return refs
}

// wantError fails the test unless err has the kind and holds every text.
func wantError(t *testing.T, about string, err, kind error, texts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: %v, want kind %v", about, err, kind)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %q, want %q in it", about, err, text)
		}
	}
}

func TestCreateBranch(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	n := NewBranch{Repository: w.repo, Source: "main", Name: "feature/DEMO-1-x", Issue: "DEMO-1", Token: "t1"}
	got, err := w.host.CreateBranch(ctx, w.alice, n)
	check(t, err)
	main := w.work.OID("main")
	want := Branch{Name: n.Name, OID: main, Commands: []string{"git fetch", "git switch feature/DEMO-1-x"}, Warnings: []string{},
		URL: "https://us-east-1.console.aws.amazon.com/codesuite/codecommit/repositories/demo/browse/refs/heads/feature/DEMO-1-x?region=us-east-1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("CreateBranch (-want +got):\n%s", diff)
	}
	if w.refs()["refs/heads/feature/DEMO-1-x"] != main {
		t.Errorf("the books have %v", w.refs())
	}
	w.calls()
	if again, err := w.host.CreateBranch(ctx, w.alice, n); err != nil || cmp.Diff(got, again) != "" || len(w.calls()) != 0 {
		t.Errorf("a repeat of the dialog = %v, %v; want the same without a call", again, err)
	}
	n.Name = "another"
	_, err = w.host.CreateBranch(ctx, w.alice, n)
	wantError(t, "the token of a done dialog", err, ferry.ErrConflict, "open it anew")

	for name, c := range map[string]struct {
		kind error
		text string
	}{
		"feature/DEMO-1-x":   {ferry.ErrConflict, "exists already"},
		"Feature/demo-1-X":   {ferry.ErrConflict, "upper and lower case"},
		"feature":            {ferry.ErrConflict, "directory of the other"},
		"feature/DEMO-1-x/y": {ferry.ErrConflict, "directory of the other"},
		"a b":                {ferry.ErrInvalid, "holds ' '"},
	} {
		_, err := w.branch(name)
		wantError(t, name, err, c.kind, c.text)
	}
	b, err := w.branch("no-key")
	if err != nil || len(b.Warnings) != 1 || !strings.Contains(b.Warnings[0], "DEMO-1") {
		t.Errorf("a name without the key = %+v, %v; want a warning", b, err)
	}
	_, err = w.host.CreateBranch(ctx, w.alice, NewBranch{Repository: w.repo, Source: "gone", Name: "x"})
	wantError(t, "a source that is gone", err, ferry.ErrNotFound, "reload")
	reader := w.alice
	reader.Subject.Grants = []ferry.Grant{{Glob: "**", Level: ferry.LevelRead}}
	_, err = w.host.CreateBranch(ctx, reader, NewBranch{Repository: w.repo, Source: "main", Name: "x"})
	wantError(t, "a reader", err, ferry.ErrDenied, "write access")
}

// A call whose answer is lost took effect once, and the person is told so.
func TestCreateBranchLostAnswer(t *testing.T) {
	w := newWorld(t)
	w.control("PUT", "faults", `[{"operation":"CreateBranch","drop":"after","times":1}]`)
	if _, err := w.branch("lost"); err != nil {
		t.Errorf("CreateBranch = %v, want success", err)
	}
	if w.refs()["refs/heads/lost"].IsZero() {
		t.Error("the books do not have the branch")
	}
}

// People act in their own name where their key is known, and have to where
// the integration says so.
func TestPersonalCredentials(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.in.PersonalRequired = true
	check(t, w.store.UpdateIntegration(ctx, w.in, nil))
	_, err := w.branch("one")
	wantError(t, "own credentials required", err, ferry.ErrDenied, "your own AWS credentials", "nothing was done")
	if f, err := w.host.BranchForm(ctx, w.alice, "DEMO-1", 0, ""); err != nil || f.Credential != CredentialMissing {
		t.Errorf("form = %v, %v; want missing credentials", f.Credential, err)
	}
	_, err = w.host.SetPersonal(ctx, w.alice, w.in, "AKIAABCDEFGHIJKLMNOP", ferry.NewSecret("wrong"))
	wantError(t, "a wrong key", err, ferry.ErrDenied, "your own AWS credentials were refused")
	w.own()
	_, err = w.branch("two")
	check(t, err)
	w.commit("topic", "x", "a")
	p, err := w.host.CreatePull(ctx, w.alice, NewPull{Repository: w.repo, Source: "topic", Target: "main", Issue: "DEMO-1"})
	check(t, err)
	if got := w.rows()[p.Number].Author; got != "alice" {
		t.Errorf("the pull request was opened by %q, want alice", got)
	}
	events, err := w.store.AuditEvents(ctx, store.AuditFilter{Action: "branch.create"})
	check(t, err)
	if len(events) != 2 || !strings.Contains(events[0].Detail, "own AWS key AKIA") || events[1].Result != "refused" {
		t.Errorf("audit = %+v", events)
	}
	check(t, w.host.RemovePersonal(ctx, w.alice, w.in))
	_, err = w.branch("three")
	wantError(t, "after removal", err, ferry.ErrDenied, "set them up")
}

// Every error of AWS that a dialog can meet is a text that helps.
func TestErrorTexts(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.commit("topic", "x", "a")
	create := func() error { _, err := w.branch("DEMO-1-new"); return err }
	drop := func() error {
		_, err := w.host.DeleteBranch(ctx, w.alice, w.repo, "topic", ferry.OID{})
		return err
	}
	open := func() error {
		_, err := w.host.CreatePull(ctx, w.alice, NewPull{Repository: w.repo, Source: "topic", Target: "main"})
		return err
	}
	for _, c := range []struct {
		operation, code string
		do              func() error
		kind            error
		texts           []string
	}{
		{"CreateBranch", "BranchNameExistsException", create, ferry.ErrConflict, []string{"DEMO-1-new", "exists"}},
		{"CreateBranch", "InvalidBranchNameException", create, ferry.ErrInvalid, []string{"does not allow this name"}},
		{"CreateBranch", "CommitDoesNotExistException", create, ferry.ErrNotFound, []string{"source commit", "reload"}},
		{"CreateBranch", "RepositoryDoesNotExistException", create, ferry.ErrNotFound, []string{"reindex the integration"}},
		{"CreateBranch", "EncryptionKeyDisabledException", create, ferry.ErrUnavailable, []string{"KMS"}},
		{"CreateBranch", "EncryptionKeyAccessDeniedException", create, ferry.ErrUnavailable, []string{"KMS"}},
		{"CreateBranch", "ThrottlingException", create, ferry.ErrUnavailable, []string{"tried 4 times", "try again"}},
		{"CreateBranch", "UnrecognizedClientException", create, ferry.ErrDenied, []string{"access key"}},
		{"DeleteBranch", "DefaultBranchCannotBeDeletedException", drop, ferry.ErrConflict, []string{"main branch"}},
		{"CreatePullRequest", "InvalidReferenceNameException", open, ferry.ErrInvalid, []string{"does not allow this name"}},
		{"CreatePullRequest", "ReferenceDoesNotExistException", open, ferry.ErrNotFound, []string{"gone or was changed", "reload"}},
		{"CreatePullRequest", "BranchDoesNotExistException", open, ferry.ErrNotFound, []string{"gone", "reload"}},
		{"CreatePullRequest", "MaximumOpenPullRequestsExceededException", open, ferry.ErrConflict, []string{"too many pull requests"}},
		{"CreatePullRequest", "SourceAndDestinationAreSameException", open, ferry.ErrInvalid, []string{"choose two"}},
		{"CreatePullRequest", "InvalidTitleException", open, ferry.ErrInvalid, []string{"150"}},
		{"CreatePullRequest", "InvalidDescriptionException", open, ferry.ErrInvalid, []string{"10,240"}},
		{"CreatePullRequest", "IdempotencyParameterMismatchException", open, ferry.ErrConflict, []string{"open it anew"}},
	} {
		w.fail(c.operation, c.code, "said by AWS", 0)
		wantError(t, c.code, c.do(), c.kind, append(c.texts, "["+c.code+"]")...)
	}
	w.control("PUT", "faults", `[]`)
	for action, do := range map[string]func() error{"CreateBranch": create, "DeleteBranch": drop, "CreatePullRequest": open} {
		w.control("PUT", "deny", `["codecommit:`+action+`"]`)
		wantError(t, action+" denied", do(), ferry.ErrDenied, "user/gitferry lacks the permission codecommit:"+action, "the integration's AWS credentials", "your settings")
	}
	w.control("PUT", "deny", `[]`)
	w.own()
	w.control("PUT", "deny", `["codecommit:CreateBranch"]`)
	wantError(t, "own credentials denied", create(), ferry.ErrDenied, "user/alice lacks the permission codecommit:CreateBranch", "your own AWS credentials were used")
	w.control("PUT", "deny", `[]`)
	w.fail("CreateBranch", "UnrecognizedClientException", "The security token included in the request is invalid.", 0)
	wantError(t, "own credentials invalid", create(), ferry.ErrDenied, "your own AWS credentials were refused", "nothing was done", "replace them")
	w.control("PUT", "faults", `[]`)
	check(t, create())
}

func TestDeleteBranch(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	tip := w.commit("topic", "DEMO-1 x", "a")
	w.sync()
	w.pull("bob", "topic", "DEMO-1", "")
	w.sync()
	_, err := w.host.DeleteBranch(ctx, w.alice, w.repo, "main", ferry.OID{})
	wantError(t, "the main branch", err, ferry.ErrConflict, "cannot be deleted")
	_, err = w.host.DeleteBranch(ctx, w.alice, w.repo, "topic", w.work.OID("main"))
	wantError(t, "a branch that moved", err, ferry.ErrConflict, "moved")
	_, err = w.host.DeleteBranch(ctx, w.alice, w.repo, "gone", ferry.OID{})
	wantError(t, "no such branch", err, ferry.ErrNotFound, "reload")
	got, err := w.host.DeleteBranch(ctx, w.alice, w.repo, "topic", tip)
	check(t, err)
	if diff := cmp.Diff(Deletion{Name: "topic", Tip: tip, OnlyHere: 1, Pulls: []int64{1}}, got); diff != "" {
		t.Errorf("DeleteBranch (-want +got):\n%s", diff)
	}
	if _, ok := w.refs()["refs/heads/topic"]; ok {
		t.Error("the books still have the branch")
	}
	w.sync()
	if r := w.rows()[1]; r.Status != "closed" || r.Merged {
		t.Errorf("its pull request = %+v, want closed", r)
	}
	kept := func() int {
		t.Helper()
		refs, err := w.host.Git.Refs(ctx, w.host.Mirror.Path(w.repo.ID))
		check(t, err)
		n := 0
		for _, r := range refs {
			if strings.HasPrefix(string(r.Name), deletedRefs) && r.OID == tip {
				n++
			}
		}
		return n
	}
	if kept() != 1 {
		t.Error("the tip is not kept")
	}
	if refs, _ := w.host.Mirror.Refs(ctx, w.repo); len(refs) != 1 {
		t.Errorf("the mirror shows %v", refs)
	}
	w.commit("other", "x", "b")
	w.host.Now = func() time.Time { return time.Now().Add(KeepDeleted + time.Hour) }
	_, err = w.host.DeleteBranch(ctx, w.alice, w.repo, "other", ferry.OID{})
	check(t, err)
	if kept() != 0 {
		t.Error("the tip is kept for ever")
	}
	check(t, w.host.Mirror.Purge(ctx, w.repo))
	refs, err := w.host.Git.Refs(ctx, w.host.Mirror.Path(w.repo.ID))
	check(t, err)
	if len(refs) != 1 {
		t.Errorf("a purge leaves %v", refs)
	}
}
