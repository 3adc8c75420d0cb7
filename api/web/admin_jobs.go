package web

import (
	"net/http"
	"slices"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

type integrationLogView struct {
	page
	Section     string
	Tab         string
	Integration ferry.Integration // zero on the log of a repository
	State       integrationRow    // of Integration
	Name        string
	Back        string
	Text        string // href of the whole log
	Jobs        []jobRow
	Lines       []string
	Problem     string
}

// adminIntegrationLog shows what was done with an integration.
func (s *Server) adminIntegrationLog(r *request) error {
	i, err := s.integrationOf(r)
	if err != nil {
		return err
	}
	v := integrationLogView{page: s.page(r, "Log of "+display(i.Name, i.Slug), "admin"), Section: "integrations", Tab: "log", Integration: i, Problem: i.Problem}
	if v.State, err = s.integrationRow(r.ctx(), i); err != nil {
		return err
	}
	jobs, err := s.Store.Jobs(r.ctx(), store.JobFilter{Integration: i.ID, Limit: 100})
	if err != nil {
		return err
	}
	repos, err := s.Store.Repositories(r.ctx(), store.RepositoryFilter{Integration: i.ID})
	if err != nil {
		return err
	}
	for _, repo := range repos[:min(len(repos), 50)] {
		of, err := s.Store.Jobs(r.ctx(), store.JobFilter{Repository: repo.ID, Limit: 20})
		if err != nil {
			return err
		}
		jobs = append(jobs, of...)
	}
	slices.SortFunc(jobs, func(a, b store.Job) int { return b.QueuedAt.Compare(a.QueuedAt) })
	if v.Jobs, err = s.jobRows(r, jobs[:min(len(jobs), 100)]); err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "admin_log", &v)
}

// jobRows makes rows of jobs, with the names of what they work on.
func (s *Server) jobRows(r *request, jobs []store.Job) ([]jobRow, error) {
	repos, err := s.Store.Repositories(r.ctx(), store.RepositoryFilter{})
	if err != nil {
		return nil, err
	}
	names := make(map[ferry.RepositoryID]string, len(repos))
	for _, repo := range repos {
		names[repo.ID] = repo.Path()
	}
	integrations, err := s.Store.Integrations(r.ctx())
	if err != nil {
		return nil, err
	}
	rows := make([]jobRow, len(jobs))
	for n, j := range jobs {
		rows[n] = jobRowOf(j, r.now)
		if j.Repository != 0 {
			rows[n].On, rows[n].OnHref = names[j.Repository], repositoryAdminPath(j.Repository)
		}
		for _, i := range integrations {
			if i.ID == j.Integration {
				rows[n].On, rows[n].OnHref = display(i.Name, i.Slug), integrationPath(i.ID)+"/connection"
			}
		}
	}
	return rows, nil
}
