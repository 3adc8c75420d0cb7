package api

import (
	"context"
	"errors"
	"strings"

	"gitferry/api/web"
	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	"gitferry/internal/outbox"
	"gitferry/internal/policy"
	"gitferry/internal/pulls"
	"gitferry/internal/store"
	"gitferry/internal/webhook"
)

func (s *Server) getPolicy(c *call) (policy.Rules, error) { return s.Policy(c.ctx) }

// setPolicy replaces the rules as a whole: what the body leaves out is off.
func (s *Server) setPolicy(c *call, in policy.Rules) (policy.Rules, error) {
	if err := in.Validate(); err != nil {
		return in, err
	}
	return in, s.SetPolicy(c.ctx, in)
}

// policyTrialIn are rules to be tried on the newest commits of a repository;
// left out, those that hold.
type policyTrialIn struct {
	Repository string        `json:"repository"` // OWNER/NAME
	Rules      *policy.Rules `json:"rules,omitempty"`
}

// policyTrial is what the rules would have said.
type policyTrial struct {
	Branch  string           `json:"branch"`
	Looked  int              `json:"looked"` // commits of the branch, at most the newest 500
	Refused []refusedByTrial `json:"refused"`
}

type refusedByTrial struct {
	OID     ferry.OID `json:"oid"`
	Message string    `json:"message"`
	Reasons []string  `json:"reasons"`
}

// tryPolicy judges what a repository has by rules that need not hold.
func (s *Server) tryPolicy(c *call, in policyTrialIn) (policyTrial, error) {
	owner, name, _ := strings.Cut(in.Repository, "/")
	repo, err := s.Store.RepositoryByPath(c.ctx, owner, name)
	if errors.Is(err, ferry.ErrNotFound) || err == nil && !c.may(ferry.ActionRead, repo.Path()) {
		return policyTrial{}, errNoRepository
	}
	if err != nil {
		return policyTrial{}, err
	}
	rules, err := s.Policy(c.ctx)
	if in.Rules != nil {
		rules, err = *in.Rules, in.Rules.Validate()
	}
	if err != nil {
		return policyTrial{}, err
	}
	t, err := s.pages.TryPolicy(c.ctx, repo, c.subject.User, rules)
	if err != nil {
		return policyTrial{}, err
	}
	out := policyTrial{Branch: t.Branch, Looked: len(t.Commits), Refused: []refusedByTrial{}}
	messages := make(map[ferry.OID]string, len(t.Commits))
	for _, commit := range t.Commits {
		messages[commit.OID] = commit.Message
	}
	for _, f := range t.Faults {
		out.Refused = append(out.Refused, refusedByTrial{f.OID, messages[f.OID], f.Reasons})
	}
	return out, nil
}

// settings are those that are not part of something else.
type settings struct {
	// Resolution is given where a transition demands one.
	Resolution string `json:"jira_resolution"`
	// PreventTransitions makes Jira take development information without
	// running automation.
	PreventTransitions bool `json:"jira_prevent_transitions"`
	// What the page of an issue shows.
	ShowRollup     bool `json:"show_rollup"`
	ShowTags       bool `json:"show_tags"`
	ShowMainBranch bool `json:"show_main_branch"`
	ShowPanel      bool `json:"show_panel"`
	// ShowBrowser shows the pages of repositories to others than
	// administrators.
	ShowBrowser bool `json:"show_repository_browser"`
	// What people may do at the host.
	Branches     bool `json:"branch_actions"` // make and delete branches
	PullRequests bool `json:"pull_request_actions"`
	// BranchNames is how names for new branches are made.
	BranchNames pulls.Template `json:"branch_names"`
	// PrivateWebhooks lets webhooks go to private addresses.
	PrivateWebhooks bool `json:"webhooks_private_network"`
}

func (s *Server) getSettings(c *call) (settings, error) {
	out := settings{Resolution: outbox.DefaultResolution}
	pages, err := s.pageSettings(c.ctx)
	out.ShowRollup, out.ShowTags, out.ShowMainBranch = !pages.HideRollup, !pages.HideTags, pages.ShowMain
	out.ShowPanel, out.ShowBrowser = !pages.HidePanel, !pages.HideBrowser
	actions, actionsErr := s.actions(c.ctx)
	out.Branches, out.PullRequests = !actions.NoBranches, !actions.NoPulls
	err = errors.Join(err, actionsErr, s.setting(c.ctx, outbox.SettingResolution, &out.Resolution),
		s.setting(c.ctx, outbox.SettingPreventTransitions, &out.PreventTransitions),
		s.setting(c.ctx, pulls.SettingTemplate, &out.BranchNames), s.setting(c.ctx, webhook.SettingPrivateNetwork, &out.PrivateWebhooks))
	return out, err
}

func (s *Server) pageSettings(ctx context.Context) (p web.PageSettings, err error) {
	return p, s.setting(ctx, web.SettingPages, &p)
}

func (s *Server) actions(ctx context.Context) (a pulls.Actions, err error) {
	return a, s.setting(ctx, pulls.SettingActions, &a)
}

// setting reads a setting, or leaves v where it was never set.
func (s *Server) setting(ctx context.Context, key string, v any) error {
	if err := s.Store.Setting(ctx, key, v); !errors.Is(err, ferry.ErrNotFound) {
		return err
	}
	return nil
}

// settingsPatch changes what it names.
type settingsPatch struct {
	Resolution         *string         `json:"jira_resolution,omitempty"`
	PreventTransitions *bool           `json:"jira_prevent_transitions,omitempty"`
	ShowRollup         *bool           `json:"show_rollup,omitempty"`
	ShowTags           *bool           `json:"show_tags,omitempty"`
	ShowMainBranch     *bool           `json:"show_main_branch,omitempty"`
	ShowPanel          *bool           `json:"show_panel,omitempty"`
	ShowBrowser        *bool           `json:"show_repository_browser,omitempty"`
	Branches           *bool           `json:"branch_actions,omitempty"`
	PullRequests       *bool           `json:"pull_request_actions,omitempty"`
	BranchNames        *pulls.Template `json:"branch_names,omitempty"`
	PrivateWebhooks    *bool           `json:"webhooks_private_network,omitempty"`
}

func (s *Server) changeSettings(c *call, in settingsPatch) (settings, error) {
	// Nothing is written before all is found good.
	if r := in.Resolution; r != nil && (*r == "" || len(*r) > 255) {
		return settings{}, &ferry.Message{Kind: ferry.ErrInvalid, Text: "jira_resolution: want the name of a resolution"}
	}
	if in.BranchNames != nil {
		if err := in.BranchNames.Validate(); err != nil {
			return settings{}, err
		}
	}
	pages, err := s.pageSettings(c.ctx)
	if err != nil {
		return settings{}, err
	}
	actions, err := s.actions(c.ctx)
	if err != nil {
		return settings{}, err
	}
	pagesBefore, actionsBefore := pages, actions
	if in.ShowMainBranch != nil {
		pages.ShowMain = *in.ShowMainBranch
	}
	for _, f := range []struct{ shown, hidden *bool }{{in.ShowRollup, &pages.HideRollup}, {in.ShowTags, &pages.HideTags}, {in.ShowPanel, &pages.HidePanel},
		{in.ShowBrowser, &pages.HideBrowser}, {in.Branches, &actions.NoBranches}, {in.PullRequests, &actions.NoPulls}} {
		if f.shown != nil {
			*f.hidden = !*f.shown
		}
	}
	if pages != pagesBefore {
		err = s.Store.SetSetting(c.ctx, web.SettingPages, pages)
	}
	if actions != actionsBefore {
		err = errors.Join(err, s.Store.SetSetting(c.ctx, pulls.SettingActions, actions))
	}
	if in.Resolution != nil {
		err = errors.Join(err, s.Store.SetSetting(c.ctx, outbox.SettingResolution, *in.Resolution))
	}
	if in.PreventTransitions != nil {
		err = errors.Join(err, s.Store.SetSetting(c.ctx, outbox.SettingPreventTransitions, *in.PreventTransitions))
	}
	if in.BranchNames != nil {
		err = errors.Join(err, s.Store.SetSetting(c.ctx, pulls.SettingTemplate, *in.BranchNames))
	}
	if in.PrivateWebhooks != nil {
		err = errors.Join(err, s.Store.SetSetting(c.ctx, webhook.SettingPrivateNetwork, *in.PrivateWebhooks))
	}
	if err != nil {
		return settings{}, err
	}
	return s.getSettings(c)
}

func (s *Server) getJira(c *call) (JiraSite, error) {
	site, err := s.Store.JiraSite(c.ctx)
	return JiraSiteOf(site), err
}

// jiraIn is the Jira site as a whole. Secrets that are left out stay as they
// are, unless an address moves to another host, scheme or port.
type jiraIn struct {
	Kind         string       `json:"kind"`
	URL          string       `json:"url"`
	Email        string       `json:"email,omitempty"`
	APIToken     ferry.Secret `json:"api_token,omitzero"`
	ClientID     string       `json:"client_id,omitempty"`
	ClientSecret ferry.Secret `json:"client_secret,omitzero"`
	PAT          ferry.Secret `json:"personal_access_token,omitzero"`
	DevinfoURL   string       `json:"devinfo_url,omitempty"`
	TokenURL     string       `json:"token_url,omitempty"`
	Processor    string       `json:"processor,omitempty"` // gitferry, jira or off; left out: as it is, at first gitferry
}

func (s *Server) setJira(c *call, in jiraIn) (JiraSite, error) {
	before, err := s.Store.JiraSite(c.ctx)
	if errors.Is(err, ferry.ErrNotFound) {
		before, err = store.JiraSite{Processor: string(outbox.ProcessorGitferry)}, nil
	}
	if err != nil {
		return JiraSite{}, err
	}
	site := store.JiraSite{Kind: in.Kind, URL: strings.TrimRight(in.URL, "/"), Email: in.Email, ClientID: in.ClientID, DevinfoURL: in.DevinfoURL,
		TokenURL: in.TokenURL, APIToken: in.APIToken, ClientSecret: in.ClientSecret, PAT: in.PAT,
		HoursPerDay: before.HoursPerDay, DaysPerWeek: before.DaysPerWeek, Processor: in.Processor}
	switch outbox.Processor(site.Processor) {
	case "":
		site.Processor = before.Processor
	case outbox.ProcessorGitferry, outbox.ProcessorJira, outbox.ProcessorOff:
	default:
		return JiraSite{}, &ferry.Message{Kind: ferry.ErrInvalid, Text: "processor: want gitferry, jira or off"}
	}
	if _, err := outbox.NewClient(site, jira.Options{}); err != nil {
		return JiraSite{}, err
	}
	if err := s.Store.SetJiraSite(c.ctx, site); err != nil {
		return JiraSite{}, err
	}
	s.Issues.Wake()
	s.Outbox.Wake()
	return s.getJira(c)
}

func (s *Server) removeJira(c *call) (nothing, error) {
	return nothing{}, s.Store.RemoveJiraSite(c.ctx)
}

// jiraCheck is what a connection check found.
type jiraCheck struct {
	OK        bool     `json:"ok"`
	Version   string   `json:"version"`
	Account   string   `json:"account"`
	Missing   []string `json:"missing_permissions"`
	Devinfo   string   `json:"development_information,omitempty"` // why it cannot be sent
	HoursADay float64  `json:"hours_per_day"`
	DaysAWeek float64  `json:"days_per_week"`
	Projects  int      `json:"projects"`
}

// checkJira signs in to the site with the stored secrets, which are bound to
// its address, and takes over projects and settings.
func (s *Server) checkJira(c *call) (jiraCheck, error) {
	site, err := s.Store.JiraSite(c.ctx)
	if err != nil {
		return jiraCheck{}, err
	}
	client, err := outbox.NewClient(site, jira.Options{Product: "gitferry " + s.Version})
	if err != nil {
		return jiraCheck{}, err
	}
	p, err := client.Probe(c.ctx)
	if err != nil {
		return jiraCheck{}, &ferry.Message{Kind: ferry.ErrUnavailable, Text: "Jira refused: " + err.Error(), Cause: err}
	}
	if err := s.Issues.Refresh(c.ctx); err != nil {
		return jiraCheck{}, err
	}
	keys, _, _, err := s.Store.Projects(c.ctx)
	out := jiraCheck{OK: len(p.Missing) == 0 && p.Devinfo == nil, Version: p.Server.Version, Account: p.Account.Display, Missing: list(p.Missing),
		HoursADay: p.HoursPerDay, DaysAWeek: p.DaysPerWeek, Projects: len(keys)}
	if p.Devinfo != nil {
		out.Devinfo = p.Devinfo.Error()
	}
	return out, err
}
