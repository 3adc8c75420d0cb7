package api

import (
	"time"

	"gitferry/internal/store"
)

var deliveryState = param{"state", "pending, leased, retry, verify, waiting, paused, dead, done or skipped"}

func (s *Server) listDeliveries(c *call) (page[Delivery], error) {
	return s.deliveries(c, store.DeliveryFilter{State: c.value("state")})
}

func (s *Server) deliveries(c *call, f store.DeliveryFilter) (page[Delivery], error) {
	paths, err := s.paths(c.ctx)
	if err != nil {
		return page[Delivery]{}, err
	}
	return walk(c, func(before string, limit int) ([]store.Delivery, error) {
		f.Before, f.Limit = before, limit
		return s.Store.Deliveries(c.ctx, f)
	}, func(d store.Delivery) string { return d.Cursor },
		func(store.Delivery) bool { return true },
		func(d store.Delivery) Delivery { return DeliveryOf(d, paths[d.Repository]) })
}

// retryDelivery makes a delivery due now. Of a dead command the caller must
// know that it had no effect.
func (s *Server) retryDelivery(c *call) (nothing, error) {
	if err := s.Store.RetryDelivery(c.ctx, c.param("id")); err != nil {
		return nothing{}, err
	}
	s.Outbox.Wake()
	return nothing{}, nil
}

func (s *Server) discardDelivery(c *call) (nothing, error) {
	return nothing{}, s.Store.DiscardDelivery(c.ctx, c.param("id"), c.subject.User.Name)
}

func (s *Server) getPause(c *call) (Pause, error) {
	p, ok, err := s.Store.Paused(c.ctx)
	if err != nil || !ok {
		return Pause{}, err
	}
	return Pause{Paused: true, Reason: p.Reason, Since: p.Since, Until: p.Until}, nil
}

type pauseIn struct {
	Reason string    `json:"reason"`
	Until  time.Time `json:"until,omitzero"` // at most 24 hours ahead; left out: until resumed
}

func (s *Server) pause(c *call, in pauseIn) (Pause, error) {
	if err := s.Store.PauseDeliveries(c.ctx, in.Reason, in.Until); err != nil {
		return Pause{}, err
	}
	return s.getPause(c)
}

func (s *Server) resume(c *call) (nothing, error) {
	if err := s.Store.ResumeDeliveries(c.ctx); err != nil {
		return nothing{}, err
	}
	s.Outbox.Wake()
	return nothing{}, nil
}

// historyIn says what of the history goes to Jira once more.
type historyIn struct {
	Days int `json:"days,omitempty"` // not older than this; 0: everything
}

// historyQueued says how many repositories it concerns.
type historyQueued struct {
	Repositories int `json:"repositories"`
}

func (s *Server) sendHistory(c *call, in historyIn) (historyQueued, error) {
	if in.Days < 0 || in.Days > 100*365 {
		return historyQueued{}, badRequest("days: want 0 to 36500")
	}
	var since time.Time
	if in.Days > 0 {
		since = time.Now().AddDate(0, 0, -in.Days)
	}
	n, err := s.Store.QueueHistory(c.ctx, since)
	s.Index.Ring()
	return historyQueued{n}, err
}

// withdrawHistory takes back all that Jira shows; sendHistory brings it again.
func (s *Server) withdrawHistory(c *call) (historyQueued, error) {
	n, err := s.Store.QueueWithdrawal(c.ctx)
	s.Index.Ring()
	return historyQueued{n}, err
}
