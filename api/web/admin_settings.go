package web

import (
	"errors"
	"net/http"
	"strconv"

	"gitferry/internal/ferry"
	"gitferry/internal/outbox"
	"gitferry/internal/pulls"
)

// SettingPages is the setting that holds PageSettings.
const SettingPages = "pages"

// PageSettings say what the pages show; the zero value holds at first.
type PageSettings struct {
	HideRollup bool `json:"hide_rollup,omitempty"`
	HideTags   bool `json:"hide_tags,omitempty"`
	ShowMain   bool `json:"show_main,omitempty"` // list the main branch in the panel
	HidePanel  bool `json:"hide_panel,omitempty"`
	// HideBrowser hides the pages of repositories from all but administrators.
	HideBrowser bool `json:"hide_browser,omitempty"`
}

// pageSettings reads the settings of the pages.
func (s *Server) pageSettings(r *request) (PageSettings, error) {
	var g PageSettings
	err := s.Store.Setting(r.ctx(), SettingPages, &g)
	if errors.Is(err, ferry.ErrNotFound) {
		return g, nil
	}
	return g, err
}

type settingsView struct {
	page
	Section    string
	Template   pulls.Template
	Unknown    []string // variables of the template without meaning
	G          PageSettings
	Actions    pulls.Actions
	Resolution string
	Prevent    bool
	Processor  string // "" while no Jira is connected
	PublicURL  string
	SSHHost    string
}

// adminSettings shows the general settings.
func (s *Server) adminSettings(r *request) error {
	v := settingsView{page: s.page(r, "General settings", "admin"), Section: "settings", Resolution: outbox.DefaultResolution, PublicURL: s.PublicURL, SSHHost: s.SSHHost}
	var err error
	if v.G, err = s.pageSettings(r); err != nil {
		return err
	}
	if v.Actions, err = s.Pulls.Actions(r.ctx()); err != nil {
		return err
	}
	for key, into := range map[string]any{outbox.SettingResolution: &v.Resolution, outbox.SettingPreventTransitions: &v.Prevent, pulls.SettingTemplate: &v.Template} {
		if err := s.Store.Setting(r.ctx(), key, into); err != nil && !errors.Is(err, ferry.ErrNotFound) {
			return err
		}
	}
	v.Unknown = v.Template.Unknown()
	if v.Template.Text == "" {
		v.Template.Text = pulls.DefaultTemplate
	}
	if v.Template.Separator == "" {
		v.Template.Separator = pulls.DefaultSeparator
	}
	if v.Template.Max == 0 {
		v.Template.Max = pulls.DefaultMaxName
	}
	site, ok, err := s.jiraSite(r)
	if err != nil {
		return err
	}
	if ok {
		v.Processor = site.Processor
	}
	return s.render(r, http.StatusOK, "admin_settings", &v)
}

func (s *Server) adminSettingsPost(r *request) error {
	g := PageSettings{HideRollup: !r.ticked("rollup"), HideTags: !r.ticked("tags"), ShowMain: r.ticked("show_main"), HidePanel: !r.ticked("panel"), HideBrowser: !r.ticked("browser")}
	resolution := r.form("resolution")
	if resolution == "" || len(resolution) > 255 {
		return &ferry.Message{Kind: ferry.ErrInvalid, Text: "Enter the name of a resolution, for example Done."}
	}
	template := pulls.Template{Text: r.form("template"), Separator: r.form("separator"), ASCII: r.ticked("ascii")}
	template.Max, _ = strconv.Atoi(r.form("max")) // zero is the default
	if err := template.Validate(); err != nil {
		return err
	}
	for key, value := range map[string]any{SettingPages: g, pulls.SettingTemplate: template, pulls.SettingActions: pulls.Actions{NoBranches: !r.ticked("branches"), NoPulls: !r.ticked("pulls")}, outbox.SettingResolution: resolution, outbox.SettingPreventTransitions: r.ticked("prevent")} {
		if err := s.Store.SetSetting(r.ctx(), key, value); err != nil {
			return err
		}
	}
	if p := outbox.Processor(r.form("processor")); p != "" {
		if p != outbox.ProcessorGitferry && p != outbox.ProcessorJira && p != outbox.ProcessorOff {
			return ferry.ErrInvalid
		}
		site, err := s.Store.JiraSite(r.ctx())
		if err != nil {
			return err
		}
		site.Processor = string(p)
		if err := s.Store.SetJiraSite(r.ctx(), site); err != nil {
			return err
		}
	}
	s.audit(r, "settings.update", "general settings", "")
	return s.done(r, "/admin/settings", "Updated.")
}

// adminClear withdraws from Jira what it shows of all repositories.
func (s *Server) adminClear(r *request) error {
	n, err := s.Store.QueueWithdrawal(r.ctx())
	if err != nil {
		return err
	}
	s.Index.Ring()
	s.audit(r, "delivery.clear", "deliveries", "")
	return s.done(r, "/admin/delivery", "What Jira shows of "+plural(n, "repository", "repositories")+" is withdrawn. Jira Cloud may take up to an hour. Send history brings it back.")
}
