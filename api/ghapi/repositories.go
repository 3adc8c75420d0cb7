package ghapi

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/ghshape"
	"gitferry/internal/store"
)

// readable returns the repositories that the subject may read, by path.
func (s *Server) readable(c *call) ([]ferry.Repository, error) {
	all, err := s.Store.Repositories(c.ctx, store.RepositoryFilter{})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(r ferry.Repository) bool { return !c.sees(r) }), nil
}

func (s *Server) ownRepositories(c *call) (any, error) {
	all, err := s.readable(c)
	if err != nil {
		return nil, err
	}
	return s.listRepositories(c, all)
}

func (s *Server) organizationRepositories(c *call) (any, error) {
	i, _, err := s.owner(c, c.param("org"))
	if err != nil {
		return nil, err
	}
	return s.repositoriesOf(c, i)
}

// userRepositories lists an owner's repositories. Users own none.
func (s *Server) userRepositories(c *call) (any, error) {
	i, _, err := s.owner(c, c.param("user"))
	if errors.Is(err, ferry.ErrNotFound) {
		return []object{}, nil
	}
	if err != nil {
		return nil, err
	}
	return s.repositoriesOf(c, i)
}

func (s *Server) repositoriesOf(c *call, i ferry.Integration) (any, error) {
	all, err := s.readable(c)
	if err != nil {
		return nil, err
	}
	return s.listRepositories(c, slices.DeleteFunc(all, func(r ferry.Repository) bool { return r.IntegrationID != i.ID }))
}

// listRepositories sorts and pages.
func (s *Server) listRepositories(c *call, all []ferry.Repository) (any, error) {
	moved := make(map[ferry.RepositoryID]time.Time)
	by := c.query("sort")
	compare := func(a, b ferry.Repository) int { return strings.Compare(a.Path(), b.Path()) }
	switch by {
	case "", "full_name":
	case "created":
		compare = func(a, b ferry.Repository) int { return b.CreatedAt.Compare(a.CreatedAt) }
	case "updated", "pushed":
		for _, r := range all {
			t, err := s.moved(c, r)
			if err != nil {
				return nil, err
			}
			moved[r.ID] = t
		}
		compare = func(a, b ferry.Repository) int { return moved[b.ID].Compare(moved[a.ID]) }
	default:
		return nil, invalid("Repository", "sort", "want full_name, created, updated or pushed")
	}
	slices.SortStableFunc(all, compare)
	natural := "asc"
	if by != "" && by != "full_name" {
		natural = "desc"
	}
	if d := c.query("direction"); d != "" && d != natural {
		slices.Reverse(all)
	}
	var failure error
	list := cut(s, c, all, func(r ferry.Repository) object {
		t, err := s.moved(c, r)
		failure = errors.Join(failure, err)
		return s.shape.Repository(r, t, c.rights(r))
	})
	return list, failure
}

// allRepositories lists by id.
func (s *Server) allRepositories(c *call) (any, error) {
	all, err := s.readable(c)
	if err != nil {
		return nil, err
	}
	since, _ := strconv.ParseInt(c.query("since"), 10, 64) // junk is from the beginning
	all = slices.DeleteFunc(all, func(r ferry.Repository) bool { return int64(r.ID) <= since })
	slices.SortFunc(all, func(a, b ferry.Repository) int { return int(a.ID - b.ID) })
	out := []object{}
	for _, r := range all[:min(len(all), 100)] {
		t, err := s.moved(c, r)
		if err != nil {
			return nil, err
		}
		out = append(out, s.shape.Repository(r, t, c.rights(r)))
	}
	return out, nil
}

// moved returns when a ref of the repository moved last.
func (s *Server) moved(c *call, r ferry.Repository) (time.Time, error) {
	last, err := s.Store.LatestMovements(c.ctx, r.ID, 1)
	if err != nil || len(last) == 0 {
		return r.IndexedAt, err
	}
	return last[0].At, nil
}

func (c *call) rights(r ferry.Repository) ghshape.Rights {
	return ghshape.Rights{Admin: c.may(ferry.ActionMaintain, r.Path()), Push: c.may(ferry.ActionPush, r.Path()), Pull: true}
}

func (s *Server) repository(c *call) (any, error) {
	t, err := s.moved(c, c.repo)
	return s.shape.Repository(c.repo, t, c.rights(c.repo)), err
}
