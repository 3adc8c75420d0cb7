package web

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

type integrationsView struct {
	page
	Section string
	Status  string
	Q       string
	Rows    []integrationRow
	None    bool
	Working bool
}

type integrationRow struct {
	ID         ferry.IntegrationID
	Name       string
	Slug       string
	Href       string
	Kind       string
	Region     string
	State      lozenge
	StateText  string
	IndexedAt  time.Time
	Repos      int
	ReposHref  string
	ConnectAll bool
	Disabled   bool
	Problem    string
}

// adminIntegrations lists the integrations.
func (s *Server) adminIntegrations(r *request) error {
	v := integrationsView{page: s.page(r, "Manage integrations", "admin"), Section: "integrations", Status: r.form("status"), Q: r.form("q")}
	all, err := s.Store.Integrations(r.ctx())
	if err != nil {
		return err
	}
	v.None = len(all) == 0
	for _, i := range all {
		row, err := s.integrationRow(r.ctx(), i)
		if err != nil {
			return err
		}
		if v.Status != "" && row.State.Text != v.Status || !strings.Contains(strings.ToLower(row.Name+" "+row.Slug), strings.ToLower(v.Q)) {
			continue
		}
		if row.State.Text == "INDEXING" || row.State.Text == "QUEUED" {
			v.Working = true
		}
		v.Rows = append(v.Rows, row)
	}
	if v.Working {
		v.page.Refresh = 3
	}
	return s.render(r, http.StatusOK, "admin_integrations", &v)
}

func (s *Server) integrationRow(ctx context.Context, i ferry.Integration) (integrationRow, error) {
	row := integrationRow{ID: i.ID, Name: display(i.Name, i.Slug), Slug: i.Slug, Href: integrationPath(i.ID) + "/connection", Kind: kindName(i.Kind), Region: i.Region,
		ReposHref: "/admin/repositories?integration=" + strconv.FormatInt(int64(i.ID), 10), ConnectAll: i.ConnectAll, Disabled: i.Disabled, Problem: i.Problem}
	repos, err := s.Store.Repositories(ctx, store.RepositoryFilter{Integration: i.ID})
	if err != nil {
		return row, err
	}
	row.Repos = len(repos)
	failed, working, queued := 0, 0, 0
	for _, repo := range repos {
		view, err := s.Mirror.View(ctx, repo)
		if err != nil {
			return row, err
		}
		if view.LookedAt.After(row.IndexedAt) {
			row.IndexedAt = view.LookedAt
		}
		switch repoState(repo, view.Failure, view.Copied, len(view.Refs) == 0).Text {
		case "ERROR", "DEGRADED", "MISSING":
			failed++
		case "INDEXING":
			working++
		case "QUEUED":
			queued++
		}
	}
	switch {
	case i.Disabled:
		row.State = lozenge{"neutral", "DISABLED"}
	case i.Problem != "":
		row.State = lozenge{"bad", "ERROR"}
	case failed > 0:
		row.State, row.StateText = lozenge{"bad", "ERROR"}, fmt.Sprintf("%d of %s", failed, plural(len(repos), "repository", "repositories"))
	case working > 0:
		row.State, row.StateText = lozenge{"info", "INDEXING"}, fmt.Sprintf("%d of %s", working, plural(len(repos), "repository", "repositories"))
	case queued > 0:
		row.State, row.StateText = lozenge{"warn", "QUEUED"}, plural(queued, "repository", "repositories")
	default:
		row.State = lozenge{"ok", "INDEXED"}
	}
	return row, nil
}

func kindName(k ferry.IntegrationKind) string {
	if k == ferry.KindGit {
		return "Git repository"
	}
	return "CodeCommit"
}

// adminReindex queues the ticked integrations.
func (s *Server) adminReindex(r *request) error {
	ids := formIDs(r, "id")
	if len(ids) == 0 {
		return s.doneWith(r, "/admin/integrations", flash{Kind: "warn", Text: "Nothing was ticked."})
	}
	n, skipped := 0, 0
	for _, id := range ids {
		q, sk, err := s.reindexIntegration(r, ferry.IntegrationID(id))
		if err != nil {
			return err
		}
		n, skipped = n+q, skipped+sk
	}
	return s.done(r, "/admin/integrations", queuedText(n, skipped))
}

func queuedText(n, skipped int) string {
	out := plural(n, "repository", "repositories") + " queued."
	if skipped > 0 {
		out += " " + plural(skipped, "disabled repository was", "disabled repositories were") + " passed over."
	}
	return out
}

func (s *Server) reindexIntegration(r *request, id ferry.IntegrationID) (queued, skipped int, err error) {
	if queued, skipped, err = s.Reindex(r.ctx(), id); err == nil {
		s.audit(r, "integration.reindex", fmt.Sprintf("integration %d", id), "")
	}
	return queued, skipped, err
}

// Reindex queues the index of the repositories of an integration; those that
// are disabled are skipped.
func (s *Server) Reindex(ctx context.Context, id ferry.IntegrationID) (queued, skipped int, err error) {
	repos, err := s.Store.Repositories(ctx, store.RepositoryFilter{Integration: id})
	if err != nil {
		return 0, 0, err
	}
	for _, repo := range repos {
		if repo.State == ferry.RepositoryDisabled {
			skipped++
			continue
		}
		if err := s.reindex(ctx, repo); err != nil {
			return queued, skipped, err
		}
		queued++
	}
	return queued, skipped, nil
}

// reindex queues a reindex by hand.
func (s *Server) reindex(ctx context.Context, repo ferry.Repository) error {
	_, err := s.Store.Enqueue(ctx, store.Job{Repository: repo.ID, Op: store.OpReindex, Source: "manual", Priority: 24})
	s.Index.Wake(repo.ID)
	return err
}

// formIDs returns the numbers of all fields of one name.
func formIDs(r *request, name string) []int64 {
	var ids []int64
	_ = r.Request().ParseForm() // what does not parse has no fields
	for _, v := range r.Request().PostForm[name] {
		if id, err := strconv.ParseInt(v, 10, 64); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// pathID returns a number of the path.
func pathID(r *request, name string) (int64, error) {
	id, err := strconv.ParseInt(r.Param(name), 10, 64)
	if err != nil || id < 1 {
		return 0, ferry.ErrNotFound
	}
	return id, nil
}

func (s *Server) integrationOf(r *request) (ferry.Integration, error) {
	id, err := pathID(r, "id")
	if err != nil {
		return ferry.Integration{}, err
	}
	return s.Store.Integration(r.ctx(), ferry.IntegrationID(id))
}

func (s *Server) adminIntegrationReindex(r *request) error {
	i, err := s.integrationOf(r)
	if err != nil {
		return err
	}
	n, skipped, err := s.reindexIntegration(r, i.ID)
	if err != nil {
		return err
	}
	return s.done(r, "/admin/integrations", queuedText(n, skipped))
}

// adminIntegrationSwitch disables an integration, or enables it again.
func (s *Server) adminIntegrationSwitch(r *request) error {
	i, err := s.integrationOf(r)
	if err != nil {
		return err
	}
	i.Disabled = r.form("to") == "disabled"
	if err := s.Store.UpdateIntegration(r.ctx(), i, nil); err != nil {
		return err
	}
	word := "enabled"
	if i.Disabled {
		word = "disabled"
	}
	s.audit(r, "integration."+word, "integration "+i.Slug, "")
	return s.done(r, "/admin/integrations", display(i.Name, i.Slug)+" is "+word+".")
}

// A featureRow is a line of the permission table.
type featureRow struct {
	Name    string
	Actions []string
	State   lozenge
}

func featureRows(states []codecommit.FeatureState) (rows []featureRow, missing []string) {
	for _, f := range states {
		row := featureRow{Name: f.Name, Actions: f.Actions, State: lozenge{"neutral", "UNKNOWN"}}
		switch f.State {
		case codecommit.StateOK:
			row.State = lozenge{"ok", "OK"}
		case codecommit.StateMissing:
			row.State = lozenge{"bad", "MISSING"}
			missing = append(missing, f.Missing...)
		}
		rows = append(rows, row)
	}
	return rows, missing
}
