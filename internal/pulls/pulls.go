// Package pulls follows the pull requests of repositories at their host, and
// makes and deletes branches and pull requests there for people.
//
// The idea of following: the host lists pull requests by their latest
// activity, so that what changed since the last look is the beginning of the
// list. One look finds where it ends and reads only that (sync.go). The idea
// of making: a branch made here is a branch of the host, made with its API, in
// the person's own name where their AWS credentials are known; mirror, index
// and Jira follow at once (branch.go, create.go). Names for new branches come
// from a template (template.go), what a merge would bring from the mirror
// (preview.go).
//
// cmd wires it; the index wakes it after each look at a repository, the
// notification receiver when the host tells of one; the pages and the API call
// the rest. It never merges, approves or closes, and never talks to Jira: it
// writes rows that the outbox delivers.
package pulls

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
	"gitferry/mirror"
)

// A Host follows and makes pull requests and branches. Fill the exported
// fields before use; it may then be used concurrently.
type Host struct {
	Store  *store.Store
	Git    *git.Runner
	Mirror *mirror.Dir
	// Client returns the client with the integration's own credentials.
	Client func(context.Context, ferry.Integration) (*codecommit.Client, error)
	// HTTP returns the client that guards addresses, for people's own
	// credentials.
	HTTP func(privateNetwork bool) *http.Client
	// Parse says how issue keys are read now.
	Parse func(context.Context) (smartcommit.Options, error)
	// Issue tells what Jira knows of an issue, for names; it may fail.
	Issue func(context.Context, ferry.IssueKey) (summary, issueType string, err error)
	// Index brings the books up to date with the mirror.
	Index func(context.Context, ferry.Repository) error
	// Queued is called after rows for Jira were written; it must not block.
	Queued func()
	Log    *slog.Logger
	Now    func() time.Time // nil: time.Now

	mu     sync.Mutex
	due    map[ferry.RepositoryID]time.Time   // guarded by mu; when a look is wanted
	denied map[ferry.IntegrationID]*denial    // guarded by mu
	locks  map[ferry.RepositoryID]*sync.Mutex // guarded by mu; one look a repository
	turns  map[ferry.RepositoryID]int64       // guarded by mu; whose approvals are read next
	bell   chan struct{}                      // guarded by mu; made on first use

	commented map[commentKey]remembered // guarded by mu
}

// denial remembers that an integration may not read pull requests, or their
// approvals, until it is worth asking again.
type denial struct{ pulls, approvals time.Time }

const (
	// workers is how many repositories are looked at at once.
	workers = 2
	// retryAfter is when a look that failed is repeated.
	retryAfter = 20 * time.Second
	// deniedFor is how long a refused permission is not asked for again.
	deniedFor = 5 * time.Minute
	// lookTime bounds one look; a first one of a large repository goes on at
	// the next where it was cut.
	lookTime = 10 * time.Minute
)

func (h *Host) now() time.Time {
	if h.Now != nil {
		return h.Now()
	}
	return time.Now()
}

// Wake asks for a look at a repository's pull requests. It does not block.
func (h *Host) Wake(id ferry.RepositoryID) { h.wakeAt(id, h.now()) }

func (h *Host) wakeAt(id ferry.RepositoryID, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.due == nil {
		h.due = make(map[ferry.RepositoryID]time.Time)
	}
	if have, ok := h.due[id]; !ok || at.Before(have) {
		h.due[id] = at
	}
	h.ring()
}

// ring wakes Run. The caller holds h.mu.
func (h *Host) ring() {
	select {
	case h.bells() <- struct{}{}:
	default:
	}
}

// bells returns the channel that rings. The caller holds h.mu.
func (h *Host) bells() chan struct{} {
	if h.bell == nil {
		h.bell = make(chan struct{}, 1)
	}
	return h.bell
}

// Run looks at the repositories that Wake names until ctx ends.
func (h *Host) Run(ctx context.Context) error {
	h.mu.Lock()
	bell := h.bells()
	h.mu.Unlock()
	slots := make(chan struct{}, workers)
	var running sync.WaitGroup
	defer running.Wait()
	for {
		id, wait, ok := h.nextDue()
		if ok {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			running.Go(func() { // ends with the look, which ends with ctx
				defer func() { <-slots }()
				h.look(ctx, id)
			})
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-bell:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// nextDue takes a repository whose time has come, or says how long to wait.
func (h *Host) nextDue() (id ferry.RepositoryID, wait time.Duration, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	wait = time.Hour
	for id, at := range h.due {
		if !at.After(now) {
			delete(h.due, id)
			return id, 0, true
		}
		wait = min(wait, at.Sub(now))
	}
	return 0, wait, false
}

// look looks at one repository and sees to it that a failed look is repeated.
func (h *Host) look(ctx context.Context, id ferry.RepositoryID) {
	limited, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	repo, err := h.Store.Repository(limited, id)
	if err == nil {
		err = h.Sync(limited, repo)
	}
	switch {
	case err == nil || ctx.Err() != nil || errors.Is(err, ferry.ErrNotFound):
	case errors.Is(err, ferry.ErrDenied), errors.Is(err, ferry.ErrInvalid):
		h.Log.Warn("pull requests cannot be read; asked again later", "repo", repo.Path(), "err", err)
	default:
		h.Log.Warn("looking at pull requests", "repo", repo.Path(), "err", err)
		h.wakeAt(id, h.now().Add(retryAfter))
	}
}

// lock serialises the looks at one repository.
func (h *Host) lock(id ferry.RepositoryID) (unlock func()) {
	h.mu.Lock()
	if h.locks == nil {
		h.locks = make(map[ferry.RepositoryID]*sync.Mutex)
	}
	l := h.locks[id]
	if l == nil {
		l = new(sync.Mutex)
		h.locks[id] = l
	}
	h.mu.Unlock()
	l.Lock()
	return l.Unlock
}

// refused reports whether a permission was refused a short while ago.
func (h *Host) refused(id ferry.IntegrationID) (pulls, approvals bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.denied[id]
	if d == nil {
		return false, false
	}
	now := h.now()
	return now.Before(d.pulls), now.Before(d.approvals)
}

// refuse notes that a permission is missing.
func (h *Host) refuse(id ferry.IntegrationID, approvals bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.denied == nil {
		h.denied = make(map[ferry.IntegrationID]*denial)
	}
	d := h.denied[id]
	if d == nil {
		d = new(denial)
		h.denied[id] = d
	}
	until := h.now().Add(deniedFor)
	if approvals {
		d.approvals = until
	} else {
		d.pulls = until
	}
}

// hasAPI reports whether pull requests and branches of an integration can be
// reached: it is an account, with an access key.
func hasAPI(i ferry.Integration) bool {
	return i.Kind == ferry.KindCodeCommit && hasKey(i) && !i.Disabled
}

// hasKey reports whether an integration has an access key, its own or one of
// its environment.
func hasKey(i ferry.Integration) bool { return i.AccessKeyID != "" || i.CredentialSource != "" }

func (h *Host) queued() {
	if h.Queued != nil {
		h.Queued()
	}
}
