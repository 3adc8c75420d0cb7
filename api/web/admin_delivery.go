package web

import (
	"net/http"
	"strconv"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

type deliveryView struct {
	page
	Section string
	State   string
	Counts  store.Counts
	Waiting int
	Failed  int
	Oldest  time.Time
	Pause   *store.Pause
	Rows    []deliveryRow
	Next    string
	Problem string
	History int // repositories whose history waits to be queued
	Latency chart
}

// adminDelivery shows what Jira shall hear, and how long it takes.
func (s *Server) adminDelivery(r *request) error {
	v := deliveryView{page: s.page(r, "Jira delivery", "admin"), Section: "delivery", State: r.form("state")}
	var err error
	if v.Counts, err = s.Store.Counts(r.ctx()); err != nil {
		return err
	}
	for st, n := range v.Counts.Actions {
		switch st {
		case store.ActionDead:
			v.Failed += n
		case store.ActionDone, store.ActionSkipped:
		default:
			v.Waiting += n
		}
	}
	for st, n := range v.Counts.Entities {
		switch st {
		case store.EntityDead:
			v.Failed += n
		case store.EntityDone:
		default:
			v.Waiting += n
		}
	}
	v.Oldest = v.Counts.OldestAction
	if e := v.Counts.OldestEntity; !e.IsZero() && (v.Oldest.IsZero() || e.Before(v.Oldest)) {
		v.Oldest = e
	}
	if p, ok, err := s.Store.Paused(r.ctx()); err != nil {
		return err
	} else if ok {
		v.Pause = &p
	}
	site, connected, err := s.jiraSite(r)
	if err != nil {
		return err
	}
	if !connected {
		v.Problem = "No Jira site is connected, so everything waits."
	} else if site.Problem != "" {
		v.Problem = site.Problem
	}
	if err := s.deliveryList(r, &v); err != nil {
		return err
	}
	for _, state := range []store.JobState{store.JobQueued, store.JobRunning} {
		jobs, err := s.Store.Jobs(r.ctx(), store.JobFilter{Op: store.OpHistory, State: state})
		if err != nil {
			return err
		}
		v.History += len(jobs)
	}
	if v.Latency, err = s.latencyChart(r); err != nil {
		return err
	}
	if v.Waiting+v.History > 0 {
		v.page.Refresh = 3
	}
	return s.render(r, http.StatusOK, "admin_delivery", &v)
}

func (s *Server) deliveryList(r *request, v *deliveryView) error {
	const size = 50
	list, err := s.Store.Deliveries(r.ctx(), store.DeliveryFilter{State: v.State, Limit: size + 1, Before: r.QueryParam("before")})
	if err != nil {
		return err
	}
	if len(list) > size {
		list = list[:size]
		v.Next = withQuery(r.Request().URL, "before", list[size-1].Cursor)
	}
	repos, err := s.Store.Repositories(r.ctx(), store.RepositoryFilter{})
	if err != nil {
		return err
	}
	byID := make(map[ferry.RepositoryID]ferry.Repository, len(repos))
	for _, repo := range repos {
		if r.can(ferry.ActionRead, repo.Path()) {
			byID[repo.ID] = repo
		}
	}
	for _, d := range list {
		v.Rows = append(v.Rows, s.deliveryRow(d, byID[d.Repository]))
	}
	return nil
}

// backTo is where an action on a delivery was started from.
func backTo(r *request) string {
	if next := safeNext(r.form("next")); next != "/" {
		return next
	}
	return "/admin/delivery"
}

func (s *Server) adminRetry(r *request) error {
	id := r.form("id")
	if err := s.Store.RetryDelivery(r.ctx(), id); err != nil {
		return err
	}
	s.Outbox.Wake()
	s.audit(r, "delivery.retry", "delivery "+id, "")
	return s.done(r, backTo(r), "The delivery is due now.")
}

func (s *Server) adminDiscard(r *request) error {
	id := r.form("id")
	if err := s.Store.DiscardDelivery(r.ctx(), id, r.subject.User.Name); err != nil {
		return err
	}
	s.audit(r, "delivery.discard", "delivery "+id, "")
	return s.done(r, backTo(r), "The delivery is discarded; Jira does not hear of it.")
}

func (s *Server) adminPause(r *request) error {
	reason := r.form("reason")
	if reason == "" {
		reason = "paused by " + r.subject.User.Name
	}
	if err := s.Store.PauseDeliveries(r.ctx(), cut(reason, 200), time.Time{}); err != nil {
		return err
	}
	s.audit(r, "delivery.pause", "deliveries", reason)
	return s.done(r, "/admin/delivery", "Deliveries are paused. Pushes go on; what they cause waits.")
}

func (s *Server) adminResume(r *request) error {
	if err := s.Store.ResumeDeliveries(r.ctx()); err != nil {
		return err
	}
	s.Outbox.Wake()
	s.audit(r, "delivery.resume", "deliveries", "")
	return s.done(r, "/admin/delivery", "Deliveries go on.")
}

// adminHistory has Jira told once more of what the repositories hold.
func (s *Server) adminHistory(r *request) error {
	days, err := strconv.Atoi(r.form("since"))
	if err != nil || days < 0 || days > 100*365 {
		return ferry.ErrInvalid
	}
	var since time.Time
	if days > 0 {
		since = r.now.AddDate(0, 0, -days)
	}
	n, err := s.Store.QueueHistory(r.ctx(), since)
	if err != nil {
		return err
	}
	s.Index.Ring()
	s.audit(r, "delivery.history", "deliveries", "days "+strconv.Itoa(days))
	return s.done(r, "/admin/delivery", "The history of "+plural(n, "repository", "repositories")+" is on its way to the queue.")
}
