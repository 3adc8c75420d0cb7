package web

import (
	"context"
	"errors"
	"net/http"
	"regexp"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

type connectionView struct {
	page
	Section     string
	Tab         string
	Integration ferry.Integration
	State       integrationRow
	Form        accountForm
	Features    []featureRow
	Missing     []string
	Document    string
	ProbeError  string
	Field       string
	Problem     string
	HaveSecret  bool
}

// adminConnection shows and changes how an integration is reached.
func (s *Server) adminConnection(r *request) error {
	i, err := s.integrationOf(r)
	if err != nil {
		return err
	}
	v, err := s.connectionView(r, i)
	if err != nil {
		return err
	}
	if i.Kind == ferry.KindCodeCommit && !i.Disabled {
		ctx, cancel := context.WithTimeout(r.ctx(), awsTime)
		defer cancel()
		s.probe(ctx, &v)
	}
	return s.render(r, http.StatusOK, "admin_connection", &v)
}

func (s *Server) connectionView(r *request, i ferry.Integration) (connectionView, error) {
	v := connectionView{page: s.page(r, display(i.Name, i.Slug), "admin"), Section: "integrations", Tab: "connection", Integration: i, Form: accountFormOf(i)}
	var err error
	if v.State, err = s.integrationRow(r.ctx(), i); err != nil {
		return v, err
	}
	secrets, err := s.Store.Credentials(r.ctx(), i.ID)
	v.HaveSecret = !secrets.SecretAccessKey.IsZero()
	return v, err
}

// probe fills the permission table.
func (s *Server) probe(ctx context.Context, v *connectionView) {
	c, err := s.Discovery.Client(ctx, v.Integration)
	if err != nil {
		v.ProbeError = display(text(err), "the client cannot be made")
		return
	}
	first := ""
	if listed, err := c.ListRepositories(ctx); err != nil {
		v.ProbeError = display(text(err), "AWS does not answer")
	} else if len(listed) > 0 {
		first = listed[0].Name
	}
	var missing []string
	v.Features, missing = featureRows(codecommit.FeatureStates(s.withGit(ctx, v.Integration.ID, c.Probe(ctx, first))))
	if len(missing) > 0 {
		v.Missing, v.Document = missing, codecommit.PolicyDocument(missing, v.Integration.Region, v.Integration.Account)
	}
}

// withGit adds what git sessions taught about the right to read: a mirror that
// was looked at without a failure had it.
func (s *Server) withGit(ctx context.Context, id ferry.IntegrationID, actions map[string]codecommit.State) map[string]codecommit.State {
	repos, err := s.Store.Repositories(ctx, store.RepositoryFilter{Integration: id, State: ferry.RepositoryEnabled})
	if err != nil {
		return actions
	}
	for _, repo := range repos {
		view, err := s.Mirror.View(ctx, repo)
		switch {
		case err != nil:
		case view.Copied && view.Failure == nil:
			actions["codecommit:GitPull"] = codecommit.StateOK
			return actions
		case errors.Is(view.Failure, ferry.ErrDenied):
			actions["codecommit:GitPull"] = codecommit.StateMissing
		}
	}
	return actions
}

type featuresView struct {
	page
	Section     string
	Tab         string
	Integration ferry.Integration
	State       integrationRow
	Repos       int // connected
	Differ      int // with other projects
	Problem     string
}

// adminFeatures shows what an integration does for people.
func (s *Server) adminFeatures(r *request) error {
	i, err := s.integrationOf(r)
	if err != nil {
		return err
	}
	v, err := s.featuresView(r, i)
	if err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "admin_features", &v)
}

func (s *Server) featuresView(r *request, i ferry.Integration) (featuresView, error) {
	v := featuresView{page: s.page(r, display(i.Name, i.Slug), "admin"), Section: "integrations", Tab: "features", Integration: i}
	repos, err := s.Store.Repositories(r.ctx(), store.RepositoryFilter{Integration: i.ID})
	if err != nil {
		return v, err
	}
	v.Repos = len(repos)
	for _, repo := range repos {
		if repo.Projects != i.Projects {
			v.Differ++
		}
	}
	v.State, err = s.integrationRow(r.ctx(), i)
	return v, err
}

var topicARN = regexp.MustCompile(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$`)

func (s *Server) adminFeaturesPost(r *request) error {
	i, err := s.integrationOf(r)
	if err != nil {
		return err
	}
	i.PersonalRequired, i.PassThrough = r.ticked("personal_required"), r.ticked("pass_through")
	i.TopicARN, i.TopicSHA1 = r.form("topic_arn"), r.ticked("topic_sha1")
	refuse := func(why string) error {
		v, err := s.featuresView(r, i)
		if err != nil {
			return err
		}
		v.Problem = why
		return s.render(r, http.StatusUnprocessableEntity, "admin_features", &v)
	}
	if i.TopicARN != "" && !topicARN.MatchString(i.TopicARN) {
		return refuse("A topic's ARN looks like arn:aws:sns:us-east-1:123456789012:codecommit-pushes.")
	}
	if i.Projects, err = projectsOfForm(r); err != nil {
		i.Projects = r.form("projects")
		return refuse(text(err))
	}
	if err := s.Store.UpdateIntegration(r.ctx(), i, nil); err != nil {
		return err
	}
	if r.ticked("overwrite") {
		if err := s.overwriteProjects(r, i); err != nil {
			return err
		}
	}
	s.audit(r, "integration.update", "integration "+i.Slug, "features")
	return s.done(r, integrationPath(i.ID)+"/features", "Saved.")
}

// overwriteProjects gives the repositories of an integration its projects.
func (s *Server) overwriteProjects(r *request, i ferry.Integration) error {
	repos, err := s.Store.Repositories(r.ctx(), store.RepositoryFilter{Integration: i.ID})
	if err != nil {
		return err
	}
	for _, repo := range repos {
		if repo.Projects == i.Projects {
			continue
		}
		repo.Projects = i.Projects
		if err := s.Store.UpdateRepository(r.ctx(), repo); err != nil {
			return err
		}
		s.audit(r, "repository.update", "repository "+repo.Path(), "projects "+display(repo.Projects, "all"))
	}
	s.Outbox.Wake()
	return nil
}

func (s *Server) adminConnectionPost(r *request) error {
	before, err := s.integrationOf(r)
	if err != nil {
		return err
	}
	i := before
	v, err := s.connectionView(r, i)
	if err != nil {
		return err
	}
	secrets := readAccount(r, &i)
	if i.Kind == ferry.KindGit {
		i.GitAuth = before.GitAuth
	}
	v.Form = accountFormOf(i)
	refuse := func() error { return s.render(r, http.StatusUnprocessableEntity, "admin_connection", &v) }
	have, err := s.Store.Credentials(r.ctx(), i.ID)
	if err != nil {
		return err
	}
	moved := before.APIEndpoint != i.APIEndpoint || before.SNSEndpoint != i.SNSEndpoint || before.STSEndpoint != i.STSEndpoint || before.GitEndpoint != i.GitEndpoint
	if moved { // secrets were given for an address and do not follow it
		have = ferry.Credentials{}
	}
	secrets = merged(have, secrets)
	if i.Kind == ferry.KindCodeCommit {
		if v.Field, v.Problem = accountProblem(i, secrets, !have.SecretAccessKey.IsZero()); v.Problem != "" {
			return refuse()
		}
		ctx, cancel := context.WithTimeout(r.ctx(), awsTime)
		defer cancel()
		if _, err := s.tryAccount(ctx, &i, secrets); err != nil {
			v.Problem = display(text(err), "AWS cannot be reached")
			return refuse()
		}
	}
	if err := s.uniqueName(r.ctx(), &i); err != nil {
		return err
	}
	i.Problem = ""
	if err := s.Store.UpdateIntegration(r.ctx(), i, &secrets); err != nil {
		if v.Problem = text(err); v.Problem == "" {
			return err
		}
		return refuse()
	}
	s.audit(r, "integration.update", "integration "+i.Slug, "")
	return s.done(r, integrationPath(i.ID)+"/connection", "Saved. The connection works.")
}

// merged keeps each stored secret that was not entered anew.
func merged(have, given ferry.Credentials) ferry.Credentials {
	for _, f := range []struct{ have, given *ferry.Secret }{{&have.SecretAccessKey, &given.SecretAccessKey}, {&have.SessionToken, &given.SessionToken},
		{&have.GitPassword, &given.GitPassword}, {&have.SSHPrivateKey, &given.SSHPrivateKey}, {&have.SSHPassphrase, &given.SSHPassphrase}} {
		if !f.given.IsZero() {
			*f.have = *f.given
		}
	}
	return have
}

// adminReconnect looks at the account now.
func (s *Server) adminReconnect(r *request) error {
	i, err := s.integrationOf(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx(), awsTime)
	defer cancel()
	back := integrationPath(i.ID) + "/connection"
	found, err := s.Discovery.Look(ctx, i.ID, nil)
	if why := text(err); err != nil {
		return s.doneWith(r, back, flash{Kind: "bad", Text: display(why, "The account does not answer.")})
	}
	return s.done(r, back, "The account answers: "+plural(len(found.Added), "new repository", "new repositories")+" connected, "+
		plural(len(found.Unconnected), "repository", "repositories")+" not connected, "+plural(len(found.Missing), "repository", "repositories")+" gone.")
}
