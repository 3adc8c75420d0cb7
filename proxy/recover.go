package proxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gitferry/internal/failpoint"
	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/store"
	"gitferry/mirror"
)

// settle finds out what became of a released push by reading upstream's refs:
// a ref at its new value was taken, one at its old value was not, and a branch
// that has moved on was taken if the new value is in its history. It tries for
// the given time and fails with ferry.ErrUnavailable if upstream cannot be
// read. The caller holds the apply lock.
func (s *Server) settle(ctx context.Context, repo ferry.Repository, row store.Push, patience time.Duration) ([]store.PushResult, error) {
	end := time.Now().Add(patience)
	for wait := 200 * time.Millisecond; ; wait *= 2 {
		results, err := s.readBack(ctx, repo, row)
		if err == nil {
			return results, nil
		}
		if time.Now().Add(wait).After(end) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// readBack looks once.
func (s *Server) readBack(ctx context.Context, repo ferry.Repository, row store.Push) ([]store.PushResult, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	target, err := s.Target(ctx, repo)
	if err != nil {
		return nil, err
	}
	adv, err := s.Dialer.Look(ctx, target)
	if err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return nil, err
	}
	theirs := make(map[string]ferry.OID)
	if adv != nil {
		for _, r := range adv.Refs {
			theirs[r.Name] = r.OID
		}
	}
	var results []store.PushResult
	for _, u := range row.Updates {
		r := store.PushResult{Name: u.Name}
		switch now := theirs[string(u.Name)]; now {
		case u.New:
			r.Outcome = store.OutcomeOK
		case u.Old:
			r.Outcome, r.Reason = store.OutcomeRejected, "the connection to the upstream was lost and the push did not take effect; push again"
		default: // moved on by someone else since
			if u.Name.IsBranch() && !u.IsDelete() && !now.IsZero() {
				passed, err := s.Mirror.Passed(ctx, repo, u.Name, now, u.New)
				if err != nil {
					return nil, err
				}
				if passed {
					r.Outcome = store.OutcomeOK
					break
				}
			}
			// The next refresh takes what is there.
			r.Outcome, r.Reason = store.OutcomeUnknown, "the connection to the upstream was lost and the ref has moved on; fetch and look"
		}
		results = append(results, r)
	}
	return results, nil
}

// apply makes the mirror follow a resolved push and removes its quarantine.
// Doing it again changes nothing. The caller holds the apply lock.
func (s *Server) apply(ctx context.Context, repo ferry.Repository, row store.Push, q *mirror.Quarantine) error {
	outcome := make(map[ferry.RefName]store.Outcome, len(row.Results))
	for _, r := range row.Results {
		outcome[r.Name] = r.Outcome
	}
	var accepted []ferry.RefUpdate
	for _, u := range row.Updates {
		if outcome[u.Name] == store.OutcomeOK {
			accepted = append(accepted, u)
		}
	}
	if q != nil && len(accepted) > 0 {
		if err := s.indexTaken(ctx, repo, q); errors.Is(err, ferry.ErrInvalid) {
			return s.repair(ctx, repo, row, q, err)
		} else if err != nil {
			return err
		}
	}
	if err := s.Mirror.Apply(ctx, repo, q, accepted, len(accepted) == len(row.Updates)); err != nil {
		return err
	}
	if err := failpoint.Hit("push.after_applied"); err != nil {
		return err
	}
	if q != nil {
		q.Remove()
	}
	return nil
}

// book makes the books follow an applied push and closes it; commits are those
// that it brought, if they are known. Doing it again changes nothing. The caller
// holds the apply lock.
func (s *Server) book(ctx context.Context, repo ferry.Repository, row store.Push, commits []git.Commit) error {
	if err := s.Index(ctx, repo, commits); err != nil {
		return fmt.Errorf("indexing a push to %s: %w", repo.Path(), err)
	}
	if err := failpoint.Hit("push.after_indexed"); err != nil {
		return err
	}
	return s.Store.FinishPush(ctx, row.ID)
}

// applyTries is how often applying a settled push is tried before the mirror
// is left to the next refresh.
const applyTries = 6

// settleLater brings a released push to its end in the background: it goes on
// asking upstream until the outcome is known, and trying until mirror and
// books have followed.
func (s *Server) settleLater(repo ferry.Repository, row store.Push) {
	go func() {
		ctx := context.Background()
		for try, wait := 1, time.Second; ; try, wait = try+1, min(2*wait, 30*time.Second) {
			err := s.finish(ctx, repo, row, try)
			if err == nil {
				return
			}
			s.Log.Warn("settling a push", "repo", repo.Path(), "push", row.ID, "err", err)
			time.Sleep(wait)
		}
	}()
}

// finish takes the apply lock and settles one push.
func (s *Server) finish(ctx context.Context, repo ferry.Repository, row store.Push, try int) error {
	release, err := s.Mirror.Hold(ctx, repo)
	if err != nil {
		return err
	}
	defer release()
	return s.finishHeld(ctx, repo, row, try)
}

// finishHeld settles and applies one push that an earlier exchange left open.
// The books say how far it has come: what an earlier try found out holds. The
// caller holds the apply lock.
func (s *Server) finishHeld(ctx context.Context, repo ferry.Repository, left store.Push, try int) error {
	row, err := s.Store.Push(ctx, left.ID)
	if errors.Is(err, ferry.ErrNotFound) {
		return nil // the repository was removed with all that belongs to it
	}
	if err != nil {
		return err
	}
	var q *mirror.Quarantine
	if left.Quarantine != "" {
		if q, err = s.Mirror.Quarantine(ctx, repo, left.Quarantine); err != nil {
			return err
		}
	}
	if row.State != store.PushReleased && row.State != store.PushResolved {
		if q != nil {
			q.Remove()
		}
		return nil
	}
	if len(row.Results) == 0 {
		results, err := s.settle(ctx, repo, row, 0)
		if err != nil {
			return err
		}
		if err := s.Store.ResolvePush(ctx, row.ID, results); err != nil {
			return err
		}
		row.Results = results
		s.audit(ctx, repo, row)
	}
	if err := s.apply(ctx, repo, row, q); err != nil {
		if try < applyTries {
			return err
		}
		// Objects may be gone with the quarantine; upstream has them, and the
		// next refresh finds what moved.
		s.Log.Warn("applying a settled push, reading upstream instead", "repo", repo.Path(), "push", row.ID, "err", err)
		if q != nil {
			q.Remove()
		}
		return s.Store.FinishPush(ctx, row.ID)
	}
	return s.book(ctx, repo, row, nil)
}

// Recover settles the pushes that an earlier process left between release and
// done, in the order of their release. When it returns it holds the apply lock
// of their repositories until each was tried once: no refresh takes their
// commits for found ones before. Upstreams that cannot be reached are asked
// again in the background. Call it once at start, after the mirrors were
// cleaned up and before anybody is served.
func (s *Server) Recover(ctx context.Context, unresolved []store.Push) {
	rows := make(map[ferry.RepositoryID][]store.Push)
	for _, row := range unresolved {
		rows[row.Repository] = append(rows[row.Repository], row)
	}
	for id, rows := range rows {
		repo, err := s.Store.Repository(ctx, id)
		if err != nil {
			s.Log.Error("recovering pushes", "repo_id", id, "err", err)
			continue
		}
		release, err := s.Mirror.Hold(ctx, repo)
		if err != nil {
			s.Log.Error("recovering pushes, trying again", "repo", repo.Path(), "err", err)
			for _, row := range rows {
				s.settleLater(repo, row)
			}
			continue
		}
		go func() {
			defer release()
			for _, row := range rows {
				if err := s.finishHeld(context.WithoutCancel(ctx), repo, row, 1); err != nil {
					s.Log.Warn("settling a push", "repo", repo.Path(), "push", row.ID, "err", err)
					s.settleLater(repo, row)
				}
			}
		}()
	}
}
