package web

import (
	"fmt"
	"net/http"
	"strconv"

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
