package ghapi

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// maxEvents is how far back the list of events goes, in events.
const maxEvents = 300

// An event is something that happened, with when.
type event struct {
	at   time.Time
	show func() (object, error)
}

// events lists pushes and pull requests, newest first.
func (s *Server) events(c *call) (any, error) {
	moved, err := s.Store.LatestMovements(c.ctx, c.repo.ID, maxEvents)
	if err != nil {
		return nil, err
	}
	pulls, err := s.pullsOf(c, store.PullRequestFilter{})
	if err != nil {
		return nil, err
	}
	var all []event
	for _, m := range moved {
		if m.Ref.IsBranch() || m.Ref.IsTag() {
			all = append(all, event{m.At, func() (object, error) { return s.movedEvent(c, m) }})
		}
	}
	shared := s.shape.Repository(c.repo, c.repo.IndexedAt, c.rights(c.repo))
	for _, p := range pulls {
		all = append(all, event{p.CreatedAt, func() (object, error) { return s.pullEvent(c, p, "opened", p.CreatedAt, shared) }})
		switch {
		case p.Status != "open":
			all = append(all, event{p.UpdatedAt, func() (object, error) { return s.pullEvent(c, p, "closed", p.UpdatedAt, shared) }})
		case p.UpdatedAt.After(p.CreatedAt):
			all = append(all, event{p.UpdatedAt, func() (object, error) { return s.pullEvent(c, p, "synchronize", p.UpdatedAt, shared) }})
		}
	}
	slices.SortStableFunc(all, func(a, b event) int { return b.at.Compare(a.at) })
	var failure error
	list := cut(s, c, all[:min(len(all), maxEvents)], func(e event) object {
		o, err := e.show()
		failure = errors.Join(failure, err)
		return o
	})
	return list, failure
}

// showEvent writes the frame of an event. id is unique and stays the same.
func (s *Server) showEvent(c *call, id, kind string, actor, payload object, at time.Time) object {
	return object{"id": id, "type": kind, "public": false, "created_at": date(at), "payload": payload,
		"actor": object{"id": actor["id"], "login": actor["login"], "display_login": actor["login"], "gravatar_id": "", "url": actor["url"], "avatar_url": actor["avatar_url"]},
		"repo":  object{"id": c.repo.ID, "name": c.repo.Path(), "url": s.shape.Repo(c.repo)}}
}

func (s *Server) movedEvent(c *call, m store.Movement) (object, error) {
	actor := s.shape.Bot()
	if m.Push != 0 {
		p, err := s.Store.Push(c.ctx, m.Push)
		if err != nil && !errors.Is(err, ferry.ErrNotFound) {
			return nil, err
		}
		if u, err := s.Store.User(c.ctx, p.User); err == nil {
			actor = s.shape.User(u)
		} else if !errors.Is(err, ferry.ErrNotFound) {
			return nil, err
		}
	}
	kind := "branch"
	if m.Ref.IsTag() {
		kind = "tag"
	}
	id := fmt.Sprint(m.Seq)
	switch {
	case m.Old.IsZero():
		return s.showEvent(c, id, "CreateEvent", actor, object{"ref": m.Ref.Short(), "ref_type": kind, "full_ref": m.Ref, "master_branch": c.repo.DefaultBranch, "pusher_type": "user"}, m.At), nil
	case m.New.IsZero():
		return s.showEvent(c, id, "DeleteEvent", actor, object{"ref": m.Ref.Short(), "ref_type": kind, "full_ref": m.Ref, "pusher_type": "user"}, m.At), nil
	}
	return s.showEvent(c, id, "PushEvent", actor, object{"repository_id": c.repo.ID, "push_id": m.Seq, "ref": m.Ref, "before": m.Old.String(), "head": m.New.String()}, m.At), nil
}

// pullEvent numbers events of pull requests beyond those of movements.
func (s *Server) pullEvent(c *call, p store.PullRequest, action string, at time.Time, shared object) (object, error) {
	pull, err := s.showPull(c, p, shared)
	if err != nil {
		return nil, err
	}
	actor, err := s.stranger(c, p.Author)
	if err != nil {
		return nil, err
	}
	id := fmt.Sprintf("9%012d%d", at.UnixMilli(), p.Number)
	return s.showEvent(c, id, "PullRequestEvent", actor, object{"action": action, "number": p.Number, "pull_request": pull}, at), nil
}
