package codecommit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gitferry/internal/sandbox/faults"
)

// A refChange moves one ref. old is "" on create, new is "" on delete.
type refChange struct{ name, old, new string }

// changeTime is the longest that one change of refs may take.
const changeTime = 15 * time.Minute

const zeroID = "0000000000000000000000000000000000000000"

// change runs do, which may move refs of r, and then draws the consequences of
// what moved: the default branch, pull requests, triggers, events. Changes of
// one repository happen one after the other.
func (s *Server) change(ctx context.Context, r *repository, caller *identity, do func(context.Context) error) ([]refChange, error) {
	// What began is completed even if the client leaves.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTime)
	defer cancel()
	r.moving.Lock()
	defer r.moving.Unlock()
	before, err := s.refs(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("reading refs: %w", err)
	}
	failed := do(ctx)
	after, err := s.refs(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("reading refs: %w", err)
	}
	changes := difference(before, after)
	if len(changes) > 0 {
		if err := s.moved(ctx, r, caller, after, changes); err != nil {
			return changes, err
		}
		s.save()
	}
	return changes, failed
}

// difference compares two lists of refs, both in order of name.
func difference(before, after []ref) []refChange {
	var list []refChange
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && before[0].name < after[0].name:
			list = append(list, refChange{before[0].name, before[0].oid, ""})
			before = before[1:]
		case len(before) == 0 || after[0].name < before[0].name:
			list = append(list, refChange{after[0].name, "", after[0].oid})
			after = after[1:]
		default:
			if before[0].oid != after[0].oid {
				list = append(list, refChange{after[0].name, before[0].oid, after[0].oid})
			}
			before, after = before[1:], after[1:]
		}
	}
	return list
}

// moved records that refs of r have changed. The caller holds r.moving.
func (s *Server) moved(ctx context.Context, r *repository, caller *identity, after []ref, changes []refChange) error {
	faults.Effect(ctx, "%s", describe(changes))
	s.mu.Lock()
	r.modified = s.cfg.Now()
	chosen := r.defaultBranch
	if i := slices.IndexFunc(after, func(f ref) bool { return f.name == "refs/heads/"+chosen }); chosen == "" || i < 0 {
		// The first branch pushed becomes the default (codecommit user guide,
		// "Change branch settings").
		for _, c := range changes {
			if name, ok := strings.CutPrefix(c.name, "refs/heads/"); ok && c.new != "" {
				chosen = name
				break
			}
		}
	}
	set := chosen != r.defaultBranch
	r.defaultBranch = chosen
	s.mu.Unlock()
	if set {
		if _, err := s.git(ctx, r, "symbolic-ref", "HEAD", "refs/heads/"+chosen); err != nil {
			return fmt.Errorf("setting the default branch: %w", err)
		}
	}
	if err := s.pullsFollow(ctx, r, caller, after, changes); err != nil {
		return err
	}
	s.fireTriggers(r, caller, changes)
	return nil
}

// describe writes changes for the ledger, "REF OLD NEW" each, zeros for none.
func describe(changes []refChange) string {
	const most = 50
	var words []string
	for i, c := range changes {
		if i == most {
			words = append(words, fmt.Sprintf("and %d more", len(changes)-most))
			break
		}
		words = append(words, c.name+" "+orZero(c.old)+" "+orZero(c.new))
	}
	return strings.Join(words, "; ")
}

func orZero(id string) string {
	if id == "" {
		return zeroID
	}
	return id
}

// updateRef moves one ref if it is still at old; "" for old creates and "" for
// new deletes.
func (s *Server) updateRef(ctx context.Context, r *repository, name, old, new string) error {
	if new == "" {
		_, err := s.git(ctx, r, "update-ref", "-d", name, orZero(old))
		return err
	}
	_, err := s.git(ctx, r, "update-ref", name, new, orZero(old))
	return err
}

// resolve returns the object id of a full ref name, "" if there is none.
func (s *Server) resolve(ctx context.Context, r *repository, name string) string {
	id, err := s.git(ctx, r, "rev-parse", "--quiet", "--verify", "--end-of-options", name)
	if err != nil {
		return ""
	}
	return id
}
