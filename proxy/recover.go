package proxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gitferry/internal/failpoint"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/mirror"
)

// settle finds out what became of a released push by reading upstream's refs:
// a ref at its new value was taken, one at its old value was not. It tries for
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
		default:
			// Moved on by someone else since: whether through our value
			// cannot be told from here; the next refresh takes what is there.
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

// book makes the books follow an applied push and closes it. Doing it again
// changes nothing. The caller holds the apply lock.
func (s *Server) book(ctx context.Context, repo ferry.Repository, row store.Push) error {
	if err := s.Index(ctx, repo); err != nil {
		return fmt.Errorf("indexing a push to %s: %w", repo.Path(), err)
	}
	if err := failpoint.Hit("push.after_indexed"); err != nil {
		return err
	}
	return s.Store.FinishPush(ctx, row.ID)
}

// settleLater goes on asking upstream in the background until the outcome of a
// released push is known.
func (s *Server) settleLater(repo ferry.Repository, row store.Push) {
	go func() {
		ctx := context.Background()
		for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
			if err := s.finish(ctx, repo, row); err == nil {
				return
			} else {
				s.Log.Warn("settling a push", "repo", repo.Path(), "push", row.ID, "err", err)
			}
			time.Sleep(wait)
		}
	}()
}

// finish settles and applies one push that an earlier exchange left open.
func (s *Server) finish(ctx context.Context, repo ferry.Repository, row store.Push) error {
	release, err := s.Mirror.Hold(ctx, repo)
	if err != nil {
		return err
	}
	defer release()
	if len(row.Results) == 0 {
		results, err := s.settle(ctx, repo, row, 0)
		if err != nil {
			return err
		}
		if err := s.Store.ResolvePush(ctx, row.ID, results); err != nil {
			return err
		}
		row.Results = results
	}
	var q *mirror.Quarantine
	if row.Quarantine != "" {
		if q, err = s.Mirror.Quarantine(ctx, repo, row.Quarantine); err != nil {
			return err
		}
	}
	if err := s.apply(ctx, repo, row, q); err != nil {
		// Objects may be gone with the quarantine; upstream has them, and the
		// next refresh finds what moved.
		s.Log.Warn("applying a settled push, reading upstream instead", "repo", repo.Path(), "push", row.ID, "err", err)
		return s.Store.FinishPush(ctx, row.ID)
	}
	return s.book(ctx, repo, row)
}

// Recover settles the pushes that an earlier process left between release and
// done. Upstreams that cannot be reached are asked again in the background.
// Call it once at start, after the mirrors were cleaned up.
func (s *Server) Recover(ctx context.Context, unresolved []store.Push) {
	for _, row := range unresolved {
		repo, err := s.Store.Repository(ctx, row.Repository)
		if err != nil {
			s.Log.Error("recovering a push", "push", row.ID, "err", err)
			continue
		}
		s.settleLater(repo, row)
	}
}
