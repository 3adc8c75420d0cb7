package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

type selectView struct {
	page
	Section     string
	Step        int // 3 in the wizard, 0 in the edit page
	Tab         string
	Integration ferry.Integration
	State       integrationRow
	Features    []featureRow
	Missing     []string
	Document    string
	ConnectAll  bool
	Rows        []selectRow
	Ticked      int
	Problem     string
	Action      string
}

type selectRow struct {
	Name, Console string
	Ticked        bool
	Connected     bool
	State         string
}

// adminSelect is step 3, and the tab Repositories: what is connected.
func (s *Server) adminSelect(r *request) error {
	i, err := s.integrationOf(r)
	if err != nil {
		return err
	}
	v, err := s.selectView(r, i)
	if err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "admin_select", &v)
}

func (s *Server) selectView(r *request, i ferry.Integration) (selectView, error) {
	wizard := strings.HasSuffix(r.Request().URL.Path, "/select")
	v := selectView{page: s.page(r, "Choose repositories", "admin"), Section: "integrations", Tab: "repositories", Integration: i, ConnectAll: i.ConnectAll, Action: r.Request().URL.Path}
	if wizard {
		v.Step, v.ConnectAll = 3, true
	}
	var err error
	if v.State, err = s.integrationRow(r.ctx(), i); err != nil {
		return v, err
	}
	known, err := s.Store.Repositories(r.ctx(), store.RepositoryFilter{Integration: i.ID})
	if err != nil {
		return v, err
	}
	connected := make(map[string]ferry.Repository, len(known))
	for _, repo := range known {
		connected[repo.Name] = repo
	}
	ctx, cancel := context.WithTimeout(r.ctx(), awsTime)
	defer cancel()
	names := make(map[string]bool)
	for name := range connected {
		names[name] = true
	}
	if c, err := s.Discovery.Client(ctx, i); err != nil {
		v.Problem = text(err)
	} else if listed, err := c.ListRepositories(ctx); err != nil {
		v.Problem = display(text(err), "AWS does not answer")
	} else {
		first := ""
		for _, l := range listed {
			names[l.Name] = true
			first = l.Name
		}
		var missing []string
		v.Features, missing = featureRows(codecommit.FeatureStates(s.withGit(ctx, i.ID, c.Probe(ctx, first))))
		if len(missing) > 0 {
			v.Missing, v.Document = missing, codecommit.PolicyDocument(missing, i.Region, i.Account)
		}
		if len(listed) == 0 {
			v.Problem = "AWS lists no repository. Check the region and the rights of the access key."
		}
	}
	for name := range names {
		repo, ok := connected[name]
		row := selectRow{Name: name, Connected: ok, Ticked: ok && repo.State != ferry.RepositoryDisabled || wizard && !ok, Console: codecommit.ConsoleLinks(i.Region, "", name).Repository()}
		if ok && repo.State != ferry.RepositoryEnabled {
			row.State = strings.ToUpper(string(repo.State))
		}
		if row.Ticked {
			v.Ticked++
		}
		v.Rows = append(v.Rows, row)
	}
	slices.SortFunc(v.Rows, func(a, b selectRow) int { return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return v, nil
}

// adminSelectPost connects what is ticked and disconnects what is not.
func (s *Server) adminSelectPost(r *request) error {
	i, err := s.integrationOf(r)
	if err != nil {
		return err
	}
	_ = r.Request().ParseForm() // what does not parse has no fields
	ticked := r.Request().PostForm["repo"]
	i.ConnectAll = r.ticked("connect_all")
	if len(ticked) == 0 && !i.ConnectAll {
		v, err := s.selectView(r, i)
		if err != nil {
			return err
		}
		v.Problem = "Tick at least one repository, or tick Connect all future repositories."
		return s.render(r, http.StatusUnprocessableEntity, "admin_select", &v)
	}
	if err := s.Store.UpdateIntegration(r.ctx(), i, nil); err != nil {
		return err
	}
	known, err := s.Store.Repositories(r.ctx(), store.RepositoryFilter{Integration: i.ID})
	if err != nil {
		return err
	}
	removed, waiting := 0, 0
	for _, repo := range known {
		if slices.Contains(ticked, repo.Name) {
			continue
		}
		if i.ConnectAll { // it would come back: keep it, switched off
			repo.State = ferry.RepositoryDisabled
			if err := s.Store.UpdateRepository(r.ctx(), repo); err != nil {
				return err
			}
			removed++
			continue
		}
		n, err := s.Connections.Disconnect(r.ctx(), repo, false)
		if err != nil {
			return err
		}
		waiting += n
		removed++
	}
	for _, repo := range known {
		if repo.State == ferry.RepositoryDisabled && slices.Contains(ticked, repo.Name) {
			repo.State = ferry.RepositoryEnabled
			if err := s.Store.UpdateRepository(r.ctx(), repo); err != nil {
				return err
			}
		}
	}
	ctx, cancel := context.WithTimeout(r.ctx(), awsTime)
	defer cancel()
	found, err := s.Connections.Connect(ctx, i.ID, ticked)
	if err != nil {
		return err
	}
	s.audit(r, "integration.select", "integration "+i.Slug, fmt.Sprintf("%d connected, %d disconnected", len(found.Added), removed))
	said := plural(len(found.Added), "repository", "repositories") + " connected."
	if removed > 0 {
		said += " " + plural(removed, "repository", "repositories") + " disconnected."
	}
	if waiting > 0 {
		said += " Jira has still to take " + plural(waiting, "withdrawal", "withdrawals") + "; save once more in a moment."
	}
	return s.done(r, "/admin/integrations", said)
}
