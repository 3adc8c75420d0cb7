package pulls

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

// chunk is how many pull requests are written in one transaction.
const chunk = 25

// Sync looks at the pull requests of a repository at its host and writes what
// changed. Where nothing did that is three calls: the list, its first entry,
// and in turn one of the open ones, since the host need not count every edit
// as activity. Repositories without pull requests at an account are passed
// over. It fails with ferry.ErrDenied if a permission is missing, and with
// ferry.ErrUnavailable if the host cannot be reached.
func (h *Host) Sync(ctx context.Context, repo ferry.Repository) error {
	if repo.State != ferry.RepositoryEnabled {
		return nil
	}
	i, err := h.Store.Integration(ctx, repo.IntegrationID)
	if err != nil || !hasAPI(i) {
		return err
	}
	if pulls, _ := h.refused(i.ID); pulls {
		return nil
	}
	if view, err := h.Mirror.View(ctx, repo); err != nil || !view.Copied {
		return err // without commits keys would be missed; the copy wakes us
	}
	defer h.lock(repo.ID)()
	l, err := h.newLook(ctx, repo, i)
	if errors.Is(err, ferry.ErrInvalid) { // no usable key
		h.refuse(i.ID, false)
	}
	if err != nil {
		return err
	}
	if err = l.run(ctx); errors.Is(err, ferry.ErrDenied) {
		h.refuse(i.ID, false)
	}
	return err
}

// look is one look at the pull requests of one repository.
type look struct {
	h       *Host
	repo    ferry.Repository
	in      ferry.Integration
	client  *codecommit.Client
	options smartcommit.Options
	first   bool // the repository's first look was not complete yet
	fresh   bool // the mirror was refreshed within this look
	queued  bool
	seen    map[string]codecommit.PullRequest // as read in this look
}

func (h *Host) newLook(ctx context.Context, repo ferry.Repository, i ferry.Integration) (*look, error) {
	l := &look{h: h, repo: repo, in: i, seen: make(map[string]codecommit.PullRequest)}
	var err error
	if l.client, err = h.Client(ctx, i); err != nil {
		return nil, err
	}
	if l.options, err = h.Parse(ctx); err != nil {
		return nil, fmt.Errorf("reading settings: %w", err)
	}
	var complete bool
	err = h.Store.Setting(ctx, completeSetting(repo.ID), &complete)
	if err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return nil, err
	}
	l.first = !complete
	return l, nil
}

// completeSetting names the setting that says that all pull requests of a
// repository were read once. Those before that are history for Jira.
func completeSetting(id ferry.RepositoryID) string { return fmt.Sprintf("pulls.complete.%d", id) }

func (l *look) run(ctx context.Context) error {
	defer func() {
		if l.queued {
			l.h.queued()
		}
	}()
	if err := l.readChanged(ctx); err != nil {
		return err
	}
	if l.first {
		return l.h.Store.SetSetting(ctx, completeSetting(l.repo.ID), true)
	}
	return l.readInTurn(ctx)
}

// readChanged writes the pull requests with activity since the last look:
// those at the beginning of the host's list. They are written from the oldest
// to the newest, so that a look that is cut leaves a shorter beginning.
func (l *look) readChanged(ctx context.Context) error {
	ids := newList(l.client.AllPullRequestIDs(ctx, l.repo.Name))
	defer ids.stop()
	end, err := l.findEnd(ctx, ids)
	if err != nil {
		return err
	}
	for end > 0 {
		start := max(0, end-chunk)
		if err := l.writeIDs(ctx, ids.have[start:end]); err != nil {
			return err
		}
		end = start
	}
	return nil
}

func (l *look) writeIDs(ctx context.Context, ids []string) error {
	var batch []codecommit.PullRequest
	for _, id := range slices.Backward(ids) {
		p, err := l.read(ctx, id)
		if errors.Is(err, ferry.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		batch = append(batch, p)
	}
	return l.write(ctx, batch)
}

// findEnd returns how many entries of the list have activity that the books
// do not know: it doubles its steps to the first known one, then halves them.
func (l *look) findEnd(ctx context.Context, ids *list) (int, error) {
	// Entries before unknown are changed; known is one that is not, or the end.
	known, unknown := -1, 0
	for probe := 0; known < 0; probe = 2*probe + 1 {
		there, err := ids.upTo(probe)
		if err != nil {
			return 0, err
		}
		if !there {
			known = len(ids.have)
			break
		}
		changed, err := l.changed(ctx, ids.have[probe])
		if err != nil {
			return 0, err
		}
		if changed {
			unknown = probe + 1
		} else {
			known = probe
		}
	}
	for unknown < known {
		middle := (unknown + known) / 2
		changed, err := l.changed(ctx, ids.have[middle])
		if err != nil {
			return 0, err
		}
		if changed {
			unknown = middle + 1
		} else {
			known = middle
		}
	}
	return known, nil
}

// changed reads a pull request and reports whether its activity is news.
func (l *look) changed(ctx context.Context, id string) (bool, error) {
	p, err := l.read(ctx, id)
	if errors.Is(err, ferry.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	have, err := l.stored(ctx, p)
	return have == nil || !have.UpdatedAt.Equal(milli(p.Active)), err
}

// read asks the host for a pull request, once in a look.
func (l *look) read(ctx context.Context, id string) (codecommit.PullRequest, error) {
	if p, ok := l.seen[id]; ok {
		return p, nil
	}
	p, err := l.client.PullRequest(ctx, id)
	if err == nil {
		l.seen[id] = p
	}
	return p, err
}

// stored returns what the books hold of a pull request, nil if nothing.
func (l *look) stored(ctx context.Context, p codecommit.PullRequest) (*store.PullRequest, error) {
	number, err := strconv.ParseInt(p.ID, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("pull request %.40q: not a number: %w", p.ID, ferry.ErrInvalid)
	}
	have, err := l.h.Store.PullRequests(ctx, store.PullRequestFilter{Repository: l.repo.ID, Number: number, Limit: 1})
	if err != nil || len(have) == 0 {
		return nil, err
	}
	return &have[0], nil
}

// readInTurn reads again the open pull request that was not read the longest,
// and at the look after that its approvals.
func (l *look) readInTurn(ctx context.Context) error {
	h := l.h
	h.mu.Lock()
	number, approvals := h.turns[l.repo.ID]
	delete(h.turns, l.repo.ID)
	h.mu.Unlock()
	if !approvals {
		var err error
		if number, err = h.Store.StalestPullRequest(ctx, l.repo.ID); err != nil {
			if errors.Is(err, ferry.ErrNotFound) {
				return nil
			}
			return err
		}
		h.mu.Lock()
		if h.turns == nil {
			h.turns = make(map[ferry.RepositoryID]int64)
		}
		h.turns[l.repo.ID] = number
		h.mu.Unlock()
	}
	id := strconv.FormatInt(number, 10)
	if approvals {
		return l.readApprovals(ctx, number)
	}
	p, err := l.read(ctx, id)
	if errors.Is(err, ferry.ErrNotFound) {
		l.queued = true
		return h.Store.RemovePullRequests(ctx, l.repo.ID, []int64{number})
	}
	if err != nil {
		return err
	}
	return l.write(ctx, []codecommit.PullRequest{p})
}

// A list is a sequence of IDs that is read as far as it is needed.
type list struct {
	have []string
	next func() (string, error, bool)
	stop func()
}

func newList(seq iter.Seq2[string, error]) *list {
	l := &list{}
	l.next, l.stop = iter.Pull2(seq)
	return l
}

// upTo reads on until there is an entry at index n, and reports whether there
// is one.
func (l *list) upTo(n int) (bool, error) {
	for len(l.have) <= n {
		id, err, ok := l.next()
		if err != nil {
			return false, err
		}
		if !ok {
			return false, nil
		}
		l.have = append(l.have, id)
	}
	return true, nil
}
