package api

import (
	"strconv"

	"gitferry/internal/store"
)

var jobState = param{"state", "queued, running, done, failed or canceled"}

func (s *Server) listJobs(c *call) (page[Job], error) {
	return s.jobs(c, store.JobFilter{State: store.JobState(c.value("state"))})
}

func (s *Server) jobs(c *call, f store.JobFilter) (page[Job], error) {
	p := page[Job]{Items: []Job{}}
	limit, err := c.limit()
	if err != nil {
		return p, err
	}
	if f.Before, err = c.after(); err != nil {
		return p, err
	}
	f.Limit = limit + 1
	jobs, err := s.Store.Jobs(c.ctx, f)
	if err != nil {
		return p, err
	}
	for _, j := range jobs[:min(limit, len(jobs))] {
		p.Items = append(p.Items, JobOf(j))
	}
	if len(jobs) > limit {
		p.Next = strconv.FormatInt(jobs[limit-1].ID, 10)
	}
	return p, nil
}

func (s *Server) cancelJob(c *call) (nothing, error) {
	id, err := c.number("id")
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, s.Store.CancelJob(c.ctx, id)
}

// canceled says how many jobs were taken out of the queue.
type canceled struct {
	Canceled int `json:"canceled"`
}

// clearJobs cancels what is queued; what runs goes on.
func (s *Server) clearJobs(c *call) (canceled, error) {
	n, err := s.Store.CancelQueued(c.ctx)
	return canceled{n}, err
}
