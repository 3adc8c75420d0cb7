package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gitferry/internal/discovery"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/internal/triggers"
)

// permissions is the table of what an account's credentials may do.
type permissions struct {
	Features []feature `json:"features"`
	Missing  []string  `json:"missing"`          // IAM actions
	Policy   string    `json:"policy,omitempty"` // a document that grants exactly these
}

// feature is a line of the table. State is ok, missing or unknown.
type feature struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Actions   []string   `json:"actions"`
	State     string     `json:"state"`
	Missing   []string   `json:"missing"`
	Managed   string     `json:"managed_policy,omitempty"` // of AWS that grants all actions
	Detail    string     `json:"detail,omitempty"`
	CheckedAt *time.Time `json:"checked_at,omitempty"`
}

func permissionsOf(p discovery.Permissions) permissions {
	out := permissions{Features: []feature{}, Missing: list(p.Missing), Policy: p.Policy}
	for _, f := range p.Features {
		line := feature{ID: f.ID, Name: f.Name, Actions: f.Actions, State: string(f.State), Missing: list(f.Missing), Managed: f.Feature.Policy, Detail: f.Detail}
		if !f.CheckedAt.IsZero() {
			line.CheckedAt = &f.CheckedAt
		}
		out.Features = append(out.Features, line)
	}
	return out
}

// account returns the integration that the path names, which must be an
// account.
func (s *Server) account(c *call) (ferry.Integration, error) {
	i, err := s.Store.IntegrationBySlug(c.ctx, c.param("slug"))
	if err == nil && i.Kind != ferry.KindCodeCommit {
		err = &ferry.Message{Kind: ferry.ErrConflict, Text: "this integration is a single repository"}
	}
	return i, err
}

func (s *Server) getPermissions(c *call) (permissions, error) {
	i, err := s.account(c)
	if err != nil {
		return permissions{}, err
	}
	p, err := s.Discovery.Permissions(c.ctx, i)
	return permissionsOf(p), err
}

// checkPermissions tries what may be tried without a side effect.
func (s *Server) checkPermissions(c *call) (permissions, error) {
	i, err := s.account(c)
	if err != nil {
		return permissions{}, err
	}
	if err := s.Discovery.Probe(c.ctx, i); err != nil {
		return permissions{}, err
	}
	p, err := s.Discovery.Permissions(c.ctx, i)
	return permissionsOf(p), err
}

// triggerSetup is how AWS tells of movements in an account. State is pending,
// confirmed, polling, ended, or none before the first set-up.
type triggerSetup struct {
	State     string     `json:"state"`
	Notice    string     `json:"notice,omitempty"`
	Missing   []string   `json:"missing"` // IAM actions
	Topic     string     `json:"topic,omitempty"`
	Address   string     `json:"address"` // for a subscription by hand; holds a secret
	AskedAt   *time.Time `json:"asked_at,omitempty"`
	MessageAt *time.Time `json:"message_at,omitempty"`
	CheckedAt *time.Time `json:"checked_at,omitempty"`
	// Set counts the repositories with our trigger; Without says of others why
	// they have none.
	Set     int                 `json:"set"`
	Without []repositoryTrigger `json:"without"`
}

type repositoryTrigger struct {
	Repository string `json:"repository"`
	Problem    string `json:"problem,omitempty"`
}

func (s *Server) getTriggers(c *call) (triggerSetup, error) {
	i, err := s.account(c)
	if err != nil {
		return triggerSetup{}, err
	}
	return s.triggerSetup(c.ctx, i)
}

func (s *Server) triggerSetup(ctx context.Context, i ferry.Integration) (triggerSetup, error) {
	out := triggerSetup{State: "none", Missing: []string{}, Without: []repositoryTrigger{}}
	address, err := s.Triggers.Address(ctx, i.ID)
	if err != nil {
		return out, err
	}
	out.Address = address.Reveal()
	t, err := s.Store.TriggerSetup(ctx, i.ID)
	if errors.Is(err, ferry.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	out.State, out.Notice, out.Missing, out.Topic = string(t.State), t.Problem, list(t.Missing), t.Topic
	out.AskedAt, out.MessageAt, out.CheckedAt = timeOf(t.AskedAt), timeOf(t.MessageAt), timeOf(t.CheckedAt)
	known, err := s.Store.RepositoryTriggers(ctx, i.ID)
	if err != nil {
		return out, err
	}
	repos, err := s.Store.Repositories(ctx, store.RepositoryFilter{Integration: i.ID})
	for _, r := range repos {
		if known[r.ID].Topic != "" {
			out.Set++
			continue
		}
		out.Without = append(out.Without, repositoryTrigger{r.Path(), known[r.ID].Problem})
	}
	return out, err
}

func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// queued is the job that a request queued.
type queued struct {
	Job int64 `json:"job"`
}

// setTriggers has the triggers set up, also after somebody ended them at AWS.
func (s *Server) setTriggers(c *call) (queued, error) {
	i, err := s.account(c)
	if err != nil {
		return queued{}, err
	}
	return s.queueTriggers(c.ctx, i.ID)
}

func (s *Server) queueTriggers(ctx context.Context, id ferry.IntegrationID) (queued, error) {
	job, err := s.Store.Enqueue(ctx, store.Job{Integration: id, Op: store.OpTriggers, Source: "manual", Priority: 24})
	s.Index.Ring()
	return queued{job}, err
}

// renewTriggers replaces the secret of the address. Subscriptions made by hand
// must be made again.
func (s *Server) renewTriggers(c *call) (queued, error) {
	i, err := s.account(c)
	if err != nil {
		return queued{}, err
	}
	if _, err := s.Store.NewTriggerSecret(c.ctx, store.TriggerRoute{Route: "integration", Integration: i.ID}); err != nil {
		return queued{}, err
	}
	return s.queueTriggers(c.ctx, i.ID)
}

// triggersIn says whether triggers are taken, and where.
type triggersAll struct {
	Enabled bool   `json:"enabled"`
	Address string `json:"address"` // of the whole installation; holds a secret
}

func (s *Server) getTriggersAll(c *call) (triggersAll, error) {
	on, err := triggers.Enabled(c.ctx, s.Store)
	if err != nil {
		return triggersAll{}, err
	}
	secret, err := s.Store.TriggerSecret(c.ctx, store.TriggerRoute{Route: "install"})
	return triggersAll{on, s.PublicURL + "/hooks/install/" + secret.Reveal()}, err
}

// triggersSwitch switches taking triggers on or off.
type triggersSwitch struct {
	Enabled bool `json:"enabled"`
}

func (s *Server) switchTriggers(c *call, in triggersSwitch) (triggersAll, error) {
	if err := s.Store.SetSetting(c.ctx, triggers.SettingEnabled, in.Enabled); err != nil {
		return triggersAll{}, err
	}
	return s.getTriggersAll(c)
}

func (s *Server) renewInstall(c *call) (triggersAll, error) {
	if _, err := s.Store.NewTriggerSecret(c.ctx, store.TriggerRoute{Route: "install"}); err != nil {
		return triggersAll{}, err
	}
	return s.getTriggersAll(c)
}

// triggerAddress is the address of one repository's triggers.
type triggerAddress struct {
	Address string `json:"address"` // holds a secret
}

func (s *Server) getRepositoryAddress(c *call) (triggerAddress, error) {
	secret, err := s.Store.TriggerSecret(c.ctx, store.TriggerRoute{Route: "repo", Repository: c.repo.ID})
	return triggerAddress{fmt.Sprintf("%s/hooks/repo/%d/%s", s.PublicURL, c.repo.ID, secret.Reveal())}, err
}

func (s *Server) renewRepositoryAddress(c *call) (triggerAddress, error) {
	if _, err := s.Store.NewTriggerSecret(c.ctx, store.TriggerRoute{Route: "repo", Repository: c.repo.ID}); err != nil {
		return triggerAddress{}, err
	}
	return s.getRepositoryAddress(c)
}

// testTrigger has AWS send a test message for a repository; the log of trigger
// calls shows whether it came.
func (s *Server) testTrigger(c *call) (nothing, error) {
	return nothing{}, s.Triggers.Test(c.ctx, c.repo)
}

// triggerCall is a line of the log of trigger calls.
type triggerCall struct {
	ID          int64               `json:"id"`
	At          time.Time           `json:"at"`
	Level       string              `json:"level"` // install, integration or repo
	Result      string              `json:"result"`
	Detail      string              `json:"detail,omitempty"`
	Integration ferry.IntegrationID `json:"integration,omitempty"`
	Repository  ferry.RepositoryID  `json:"repository,omitempty"`
	MessageID   string              `json:"message_id,omitempty"`
	Address     string              `json:"address"`
}

func (s *Server) listTriggerCalls(c *call) (page[triggerCall], error) {
	calls, err := s.Store.TriggerCalls(c.ctx, 0, 1000)
	if err != nil {
		return page[triggerCall]{}, err
	}
	return cut(c, calls, func(t store.TriggerCall) triggerCall {
		return triggerCall{ID: t.ID, At: t.At, Level: t.Route, Result: t.Result, Detail: t.Detail, Integration: t.Integration,
			Repository: t.Repository, MessageID: t.MessageID, Address: t.Address}
	})
}

func (s *Server) clearTriggerCalls(c *call) (nothing, error) {
	return nothing{}, s.Store.ClearTriggerCalls(c.ctx)
}

// logLine is a line of what people read about the work.
type logLine struct {
	At    time.Time `json:"at"`
	Level string    `json:"level"` // info, warning or error
	Text  string    `json:"text"`
}

// logLines are the lines of a log, oldest first.
type logLines struct {
	Lines []logLine `json:"lines"`
}

func (s *Server) getLog(c *call, repository ferry.RepositoryID, integration ferry.IntegrationID) (logLines, error) {
	limit, err := c.limit()
	if err != nil {
		return logLines{}, err
	}
	lines, err := s.Store.Log(c.ctx, repository, integration, limit)
	out := logLines{Lines: []logLine{}}
	for _, l := range lines {
		out.Lines = append(out.Lines, logLine{l.At, l.Level, l.Text})
	}
	return out, err
}

var logLimit = param{"limit", "how many of the latest lines, 1 to 100; 50 if it is left out"}

func (s *Server) getRepositoryLog(c *call) (logLines, error) { return s.getLog(c, c.repo.ID, 0) }

func (s *Server) getIntegrationLog(c *call) (logLines, error) {
	i, err := s.Store.IntegrationBySlug(c.ctx, c.param("slug"))
	if err != nil {
		return logLines{}, err
	}
	return s.getLog(c, 0, i.ID)
}
