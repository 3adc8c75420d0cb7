package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// adminRepositoryLog shows what was done with a repository.
func (s *Server) adminRepositoryLog(r *request) error {
	repo, err := s.repositoryOf(r)
	if err != nil {
		return err
	}
	v := integrationLogView{page: s.page(r, "Log of "+repo.Path(), "admin"), Section: "repositories", Name: repo.Path(), Back: repositoryAdminPath(repo.ID),
		Text: repositoryAdminPath(repo.ID) + "/log.txt"}
	view, err := s.Mirror.View(r.ctx(), repo)
	if err != nil {
		return err
	}
	if view.Failure != nil {
		v.Problem = display(text(view.Failure), "the upstream does not answer")
	}
	jobs, err := s.Store.Jobs(r.ctx(), store.JobFilter{Repository: repo.ID, Limit: 50})
	if err != nil {
		return err
	}
	if v.Jobs, err = s.jobRows(r, jobs); err != nil {
		return err
	}
	for _, j := range v.Jobs {
		if j.State.Text == "RUNNING" || j.State.Text == "QUEUED" {
			v.page.Refresh = 3
		}
	}
	lines, err := s.logLines(r, repo)
	if err != nil {
		return err
	}
	v.Lines = lines[max(0, len(lines)-15):]
	return s.render(r, http.StatusOK, "admin_log", &v)
}

// adminRepositoryLogText is the whole log as text.
func (s *Server) adminRepositoryLogText(r *request) error {
	repo, err := s.repositoryOf(r)
	if err != nil {
		return err
	}
	lines, err := s.logLines(r, repo)
	if err != nil {
		return err
	}
	return s.write(r, http.StatusOK, "text/plain; charset=utf-8", visible([]byte(strings.Join(lines, "\n")+"\n")))
}

// maxLog bounds the movements of a log.
const maxLog = 1000

// logLines tells pushes, movements of refs and work on a repository, oldest
// first.
func (s *Server) logLines(r *request, repo ferry.Repository) ([]string, error) {
	var all []logEntry
	jobs, err := s.Store.Jobs(r.ctx(), store.JobFilter{Repository: repo.ID, Limit: 200})
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		if j.FinishedAt.IsZero() {
			continue
		}
		all = append(all, logEntry{j.FinishedAt, fmt.Sprintf("%s %s, %s%s", jobWords(j.Op), j.State, durationText(j.FinishedAt.Sub(j.StartedAt)), colon(j.Problem))})
	}
	if !r.can(ferry.ActionRead, repo.Path()) { // names of refs are content
		return logText(all), nil
	}
	pushes, err := s.Store.Pushes(r.ctx(), repo.ID, 200)
	if err != nil {
		return nil, err
	}
	for _, p := range pushes {
		all = append(all, logEntry{p.ReceivedAt, fmt.Sprintf("push %d %s, %s%s", p.ID, p.State, plural(len(p.Updates), "ref", "refs"), colon(p.Reason))})
	}
	moves, err := s.Store.Movements(r.ctx(), repo.ID, 0, maxLog)
	if err != nil {
		return nil, err
	}
	for _, m := range moves {
		all = append(all, logEntry{m.At, fmt.Sprintf("%s %s → %s", m.Ref, shortOrNone(m.Old), shortOrNone(m.New))})
	}
	return logText(all), nil
}

// logText writes entries in the order of time, one a line.
func logText(all []logEntry) []string {
	sortBy(all, func(a, b logEntry) int { return a.at.Compare(b.at) })
	lines := make([]string, len(all))
	for i, e := range all {
		lines[i] = e.at.UTC().Format("2006-01-02 15:04:05") + " " + strings.ReplaceAll(e.text, "\n", " ")
	}
	return lines
}

type logEntry struct {
	at   time.Time
	text string
}

func colon(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}

func shortOrNone(o ferry.OID) string {
	if o.IsZero() {
		return "none"
	}
	return o.Short()
}
