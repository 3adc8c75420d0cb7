package web

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

type queueView struct {
	page
	Section string
	State   string
	Rows    []jobRow
	Next    string
	Waiting int
}

// adminQueue lists background work.
func (s *Server) adminQueue(r *request) error {
	v := queueView{page: s.page(r, "Indexing queue", "admin"), Section: "queue", State: r.form("state")}
	before, _ := strconv.ParseInt(r.QueryParam("before"), 10, 64) // zero: from the newest
	const size = 50
	jobs, err := s.Store.Jobs(r.ctx(), store.JobFilter{State: store.JobState(v.State), Limit: size + 1, Before: before})
	if err != nil {
		return err
	}
	if len(jobs) > size {
		jobs = jobs[:size]
		v.Next = withQuery(r.Request().URL, "before", strconv.FormatInt(jobs[size-1].ID, 10))
	}
	if v.Rows, err = s.jobRows(r, jobs); err != nil {
		return err
	}
	for _, row := range v.Rows {
		if row.MayCancel {
			v.Waiting++
			v.page.Refresh = 3
		}
	}
	return s.render(r, http.StatusOK, "admin_queue", &v)
}

func (s *Server) adminQueueCancel(r *request) error {
	id, err := strconv.ParseInt(r.form("id"), 10, 64)
	if err != nil {
		return ferry.ErrInvalid
	}
	if err := s.Store.CancelJob(r.ctx(), id); err != nil {
		return err
	}
	s.audit(r, "job.cancel", fmt.Sprintf("job %d", id), "")
	return s.done(r, "/admin/queue", "Canceled.")
}

func (s *Server) adminQueueClear(r *request) error {
	n, err := s.Store.CancelQueued(r.ctx())
	if err != nil {
		return err
	}
	s.audit(r, "job.clear", "queue", strconv.Itoa(n))
	return s.done(r, "/admin/queue", plural(n, "queued entry", "queued entries")+" removed. What runs goes on.")
}

type triggersView struct {
	page
	Section      string
	Rows         []triggerRow
	Integrations []ferry.Integration
	Public       string
	Loopback     bool
}

type triggerRow struct {
	store.TriggerCall
	State lozenge
	On    string
}

// adminTriggers shows the calls of hook addresses of the last 7 days.
func (s *Server) adminTriggers(r *request) error {
	v := triggersView{page: s.page(r, "Indexing triggers", "admin"), Section: "triggers", Public: s.PublicURL, Loopback: !s.secure(r.Request())}
	calls, err := s.Store.TriggerCalls(r.ctx(), 0, 200)
	if err != nil {
		return err
	}
	if v.Integrations, err = s.Store.Integrations(r.ctx()); err != nil {
		return err
	}
	for _, c := range calls {
		row := triggerRow{TriggerCall: c, State: triggerState(c.Result)}
		for _, i := range v.Integrations {
			if i.ID == c.Integration {
				row.On = display(i.Name, i.Slug)
			}
		}
		if c.Repository != 0 {
			if repo, err := s.Store.Repository(r.ctx(), c.Repository); err == nil {
				row.On = repo.Path()
			}
		}
		v.Rows = append(v.Rows, row)
	}
	return s.render(r, http.StatusOK, "admin_triggers", &v)
}

func triggerState(result string) lozenge {
	switch result {
	case "accepted", "confirmed", "test":
		return lozenge{"ok", upper(result)}
	case "duplicate", "unmatched":
		return lozenge{"neutral", upper(result)}
	}
	return lozenge{"bad", upper(result)}
}

type smartView struct {
	page
	Section string
	State   string
	Rows    []actionRow
	Next    string
}

// adminSmart lists the commands of smart commits.
func (s *Server) adminSmart(r *request) error {
	v := smartView{page: s.page(r, "Smart commits", "admin"), Section: "smart", State: r.form("state")}
	states := map[string]string{"failed": string(store.ActionDead), "done": string(store.ActionDone), "notrun": string(store.ActionSkipped), "waiting": string(store.ActionPending), "retry": string(store.ActionRetry), "verify": string(store.ActionVerify)}
	const size = 50
	list, err := s.Store.Deliveries(r.ctx(), store.DeliveryFilter{State: states[v.State], Limit: 500, Before: r.QueryParam("before")})
	if err != nil {
		return err
	}
	var actions []store.Delivery
	for _, d := range list {
		if d.Kind != "action" {
			continue
		}
		if len(actions) == size {
			v.Next = withQuery(r.Request().URL, "before", actions[size-1].Cursor)
			break
		}
		actions = append(actions, d)
	}
	if v.Next == "" && len(list) == 500 {
		v.Next = withQuery(r.Request().URL, "before", list[len(list)-1].Cursor)
	}
	if v.Rows, err = s.actionRows(r, actions); err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "admin_smart", &v)
}

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
	Latency chart
	Pushes  chart
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
	if v.Latency, err = s.latencyChart(r); err != nil {
		return err
	}
	if v.Waiting > 0 {
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
