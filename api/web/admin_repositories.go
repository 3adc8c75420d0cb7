package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

type adminReposView struct {
	page
	Section      string
	Integration  ferry.IntegrationID
	Integrations []ferry.Integration
	Status       string
	Q            string
	Rows         []adminRepoRow
	Pager        pager
	Filtered     bool
}

type adminRepoRow struct {
	ID                ferry.RepositoryID
	Path, Href        string
	View              string // the repository's page; "" if the reader may not see it
	State             lozenge
	Problem           string
	CheckedAt         time.Time
	Branches, Commits int
	SmartCommits      bool
	CloneURL          string
	Disabled          bool
	Job               *jobRow
}

// adminRepositories lists all connected repositories.
func (s *Server) adminRepositories(r *request) error {
	v := adminReposView{page: s.page(r, "Manage repositories", "admin"), Section: "repositories", Status: r.form("status"), Q: r.form("q")}
	id, _ := strconv.ParseInt(r.QueryParam("integration"), 10, 64) // zero: all
	v.Integration = ferry.IntegrationID(id)
	v.Filtered = id != 0 || v.Status != "" || v.Q != ""
	var err error
	if v.Integrations, err = s.Store.Integrations(r.ctx()); err != nil {
		return err
	}
	all, err := s.Store.Repositories(r.ctx(), store.RepositoryFilter{Integration: v.Integration, Query: v.Q})
	if err != nil {
		return err
	}
	var shown []adminRepoRow
	for _, repo := range all {
		view, err := s.Mirror.View(r.ctx(), repo)
		if err != nil {
			return err
		}
		row := adminRepoRow{ID: repo.ID, Path: repo.Path(), Href: repositoryAdminPath(repo.ID), State: repoState(repo, view.Failure, view.Copied, len(view.Refs) == 0),
			CheckedAt: view.LookedAt, SmartCommits: repo.SmartCommits, CloneURL: s.PublicURL + repoPath(repo) + ".git", Disabled: repo.State == ferry.RepositoryDisabled}
		if view.Failure != nil {
			row.Problem = display(text(view.Failure), "the upstream does not answer")
		}
		for _, ref := range view.Refs {
			if ferry.RefName(ref.Name).IsBranch() {
				row.Branches++
			}
		}
		if r.can(ferry.ActionRead, repo.Path()) {
			row.View = repoPath(repo)
		}
		if v.Status == "" || v.Status == row.State.Text {
			shown = append(shown, row)
		}
	}
	n := pageNumber(r)
	v.Pager = newPager(r.Request().URL, n, perPage, len(shown))
	v.Rows = shown[min(len(shown), (n-1)*perPage):min(len(shown), n*perPage)]
	for i := range v.Rows {
		row := &v.Rows[i]
		if row.Commits, err = s.Store.CommitCount(r.ctx(), row.ID); err != nil {
			return err
		}
		if row.State.Text == "QUEUED" || row.State.Text == "INDEXING" {
			if row.Job, err = s.runningJob(r.ctx(), row.ID); err != nil {
				return err
			}
			v.page.Refresh = 3
		}
	}
	return s.render(r, http.StatusOK, "admin_repositories", &v)
}

// adminRepositoriesPost does one thing with the ticked repositories.
func (s *Server) adminRepositoriesPost(r *request) error {
	what := r.form("do")
	n, skipped := 0, 0
	for _, id := range formIDs(r, "id") {
		repo, err := s.Store.Repository(r.ctx(), ferry.RepositoryID(id))
		if err != nil {
			return err
		}
		switch what {
		case "reindex":
			if repo.State == ferry.RepositoryDisabled {
				skipped++
				continue
			}
			err = s.reindex(r, repo)
		case "enable", "disable":
			repo.State = ferry.RepositoryEnabled
			if what == "disable" {
				repo.State = ferry.RepositoryDisabled
			}
			err = s.Store.UpdateRepository(r.ctx(), repo)
		default:
			return ferry.ErrInvalid
		}
		if err != nil {
			return err
		}
		n++
		s.audit(r, "repository."+what, "repository "+repo.Path(), "")
	}
	back := "/admin/repositories"
	switch {
	case n+skipped == 0:
		return s.doneWith(r, back, flash{Kind: "warn", Text: "Nothing was ticked."})
	case what == "reindex":
		return s.done(r, back, queuedText(n, skipped))
	}
	return s.done(r, back, plural(n, "repository", "repositories")+" "+what+"d.")
}

type adminRepoView struct {
	page
	Section string
	Repo    ferry.Repository
	Name    string
	State   lozenge
	Problem string
	View    string
	Looked  time.Time
	Commits int
	Keys    int
	Fault   string
}

func (s *Server) repositoryOf(r *request) (ferry.Repository, error) {
	id, err := pathID(r, "id")
	if err != nil {
		return ferry.Repository{}, err
	}
	return s.Store.Repository(r.ctx(), ferry.RepositoryID(id))
}

// adminRepository shows and changes what is done with a repository.
func (s *Server) adminRepository(r *request) error {
	repo, err := s.repositoryOf(r)
	if err != nil {
		return err
	}
	v, err := s.adminRepoView(r, repo)
	if err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "admin_repository", &v)
}

func (s *Server) adminRepoView(r *request, repo ferry.Repository) (adminRepoView, error) {
	v := adminRepoView{page: s.page(r, repo.Path(), "admin"), Section: "repositories", Repo: repo, Name: repo.Path()}
	view, err := s.Mirror.View(r.ctx(), repo)
	if err != nil {
		return v, err
	}
	v.State, v.Looked = repoState(repo, view.Failure, view.Copied, len(view.Refs) == 0), view.LookedAt
	if view.Failure != nil {
		v.Problem = display(text(view.Failure), "the upstream does not answer")
	}
	if r.can(ferry.ActionRead, repo.Path()) {
		v.View = repoPath(repo)
	}
	if v.Commits, err = s.Store.CommitCount(r.ctx(), repo.ID); err != nil {
		return v, err
	}
	v.Keys, err = s.Store.KeyCount(r.ctx(), repo.ID)
	return v, err
}

func (s *Server) adminRepositoryPost(r *request) error {
	repo, err := s.repositoryOf(r)
	if err != nil {
		return err
	}
	repo.SmartCommits = r.ticked("smart_commits")
	if repo.State != ferry.RepositoryMissing {
		repo.State = ferry.RepositoryDisabled
		if r.ticked("enabled") {
			repo.State = ferry.RepositoryEnabled
		}
	}
	if err := s.Store.UpdateRepository(r.ctx(), repo); err != nil {
		return err
	}
	s.audit(r, "repository.update", "repository "+repo.Path(), fmt.Sprintf("state %s, smart commits %v", repo.State, repo.SmartCommits))
	return s.done(r, repositoryAdminPath(repo.ID), "Saved.")
}

// adminRepositoryDo reindexes, looks, or purges.
func (s *Server) adminRepositoryDo(r *request) error {
	repo, err := s.repositoryOf(r)
	if err != nil {
		return err
	}
	var op store.JobOp
	switch r.form("do") {
	case "sync":
		op = store.OpSync
	case "reindex":
		op = store.OpReindex
	case "purge":
		op = store.OpPurge
	default:
		return ferry.ErrInvalid
	}
	if repo.State == ferry.RepositoryDisabled {
		return s.doneWith(r, repositoryAdminPath(repo.ID), flash{Kind: "warn", Text: repo.Path() + " is disabled, so nothing was queued. Enable it first."})
	}
	if _, err := s.Store.Enqueue(r.ctx(), store.Job{Repository: repo.ID, Op: op, Source: "manual", Priority: 24}); err != nil {
		return err
	}
	s.Index.Wake(repo.ID)
	s.audit(r, "repository."+string(op), "repository "+repo.Path(), "")
	return s.done(r, repositoryAdminPath(repo.ID)+"/log", jobWords(op)+" is queued.")
}

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
