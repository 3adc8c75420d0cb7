package api

import (
	"context"
	"errors"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	"gitferry/internal/outbox"
	"gitferry/internal/policy"
	"gitferry/internal/store"
)

func (s *Server) getPolicy(c *call) (policy.Rules, error) { return s.Policy(c.ctx) }

// setPolicy replaces the rules as a whole: what the body leaves out is off.
func (s *Server) setPolicy(c *call, in policy.Rules) (policy.Rules, error) {
	if err := in.Validate(); err != nil {
		return in, err
	}
	return in, s.SetPolicy(c.ctx, in)
}

// settings are those that are not part of something else.
type settings struct {
	// Resolution is given where a transition demands one.
	Resolution string `json:"jira_resolution"`
	// PreventTransitions makes Jira take development information without
	// running automation.
	PreventTransitions bool `json:"jira_prevent_transitions"`
}

func (s *Server) getSettings(c *call) (settings, error) {
	out := settings{Resolution: outbox.DefaultResolution}
	err := errors.Join(s.setting(c.ctx, outbox.SettingResolution, &out.Resolution),
		s.setting(c.ctx, outbox.SettingPreventTransitions, &out.PreventTransitions))
	return out, err
}

// setting reads a setting, or leaves v where it was never set.
func (s *Server) setting(ctx context.Context, key string, v any) error {
	if err := s.Store.Setting(ctx, key, v); !errors.Is(err, ferry.ErrNotFound) {
		return err
	}
	return nil
}

type settingsPatch struct {
	Resolution         *string `json:"jira_resolution,omitempty"`
	PreventTransitions *bool   `json:"jira_prevent_transitions,omitempty"`
}

func (s *Server) changeSettings(c *call, in settingsPatch) (settings, error) {
	if in.Resolution != nil {
		if r := *in.Resolution; r == "" || len(r) > 255 {
			return settings{}, &ferry.Message{Kind: ferry.ErrInvalid, Text: "jira_resolution: want the name of a resolution"}
		}
		if err := s.Store.SetSetting(c.ctx, outbox.SettingResolution, *in.Resolution); err != nil {
			return settings{}, err
		}
	}
	if in.PreventTransitions != nil {
		if err := s.Store.SetSetting(c.ctx, outbox.SettingPreventTransitions, *in.PreventTransitions); err != nil {
			return settings{}, err
		}
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
