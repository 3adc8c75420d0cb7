package api

import (
	"cmp"
	"errors"
	"slices"

	"gitferry/api/web"
	"gitferry/internal/ferry"
)

// ownSettings are what people set for themselves.
type ownSettings struct {
	Display string `json:"display"`
	// Theme is light or dark; empty: as the browser says.
	Theme string `json:"theme"`
}

// ownPatch changes what it names.
type ownPatch struct {
	Display *string `json:"display,omitempty"`
	Theme   *string `json:"theme,omitempty"`
}

func (s *Server) getOwnSettings(c *call) (ownSettings, error) {
	out := ownSettings{Display: c.subject.User.Display}
	err := s.Store.Preference(c.ctx, c.subject.User.ID, web.PreferenceTheme, &out.Theme)
	if errors.Is(err, ferry.ErrNotFound) {
		err = nil
	}
	return out, err
}

func (s *Server) changeOwnSettings(c *call, in ownPatch) (ownSettings, error) {
	if in.Theme != nil {
		if !slices.Contains([]string{"", "light", "dark"}, *in.Theme) {
			return ownSettings{}, &ferry.Message{Kind: ferry.ErrInvalid, Text: "theme: want light, dark or an empty text"}
		}
		if err := s.Store.SetPreference(c.ctx, c.subject.User.ID, web.PreferenceTheme, *in.Theme); err != nil {
			return ownSettings{}, err
		}
	}
	if in.Display != nil {
		c.subject.User.Display = *in.Display
		if err := s.Store.UpdateUser(c.ctx, c.subject.User); err != nil {
			return ownSettings{}, err
		}
	}
	return s.getOwnSettings(c)
}

// dialogDefault is what dialogs for an issue of a project begin with. A
// repository without branches is the project's; one with branches says where
// new branches of it start and where pull requests go.
type dialogDefault struct {
	Project    string `json:"project"`
	Repository string `json:"repository"`
	Main       bool   `json:"default"` // the repository that is chosen at first
	Source     string `json:"source,omitempty"`
	Target     string `json:"target,omitempty"`
}

func (s *Server) listDefaults(c *call) (page[dialogDefault], error) {
	d, err := s.Pulls.Defaults(c.ctx, c.subject.User.ID)
	if err != nil {
		return page[dialogDefault]{}, err
	}
	var all []dialogDefault
	for _, o := range d.All() {
		// A repository that is gone, or hidden since, has no default to show.
		repo, err := s.Store.Repository(c.ctx, o.Repository)
		if errors.Is(err, ferry.ErrNotFound) || err == nil && !c.may(ferry.ActionRead, repo.Path()) {
			continue
		}
		if err != nil {
			return page[dialogDefault]{}, err
		}
		all = append(all, dialogDefault{Project: o.Project, Repository: repo.Path(), Main: o.Main, Source: o.Source, Target: o.Target})
	}
	slices.SortFunc(all, func(a, b dialogDefault) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Repository, b.Repository))
	})
	return cut(c, all, func(d dialogDefault) dialogDefault { return d })
}

// defaultIn says of a repository whether it is chosen at first for issues of a
// project, and which branches its dialogs begin with.
type defaultIn struct {
	Main   bool   `json:"default"`
	Source string `json:"source,omitempty"`
	Target string `json:"target,omitempty"`
}

// setDefault replaces what is set for a project and a repository.
func (s *Server) setDefault(c *call, in defaultIn) (nothing, error) {
	project, err := c.project()
	if err != nil {
		return nothing{}, err
	}
	user := c.subject.User.ID
	d, err := s.Pulls.Defaults(c.ctx, user)
	if err != nil {
		return nothing{}, err
	}
	if first := d.Repository[project]; in.Main {
		err = s.Pulls.SetDefaultRepository(c.ctx, user, project, c.repo.ID)
	} else if first == c.repo.ID {
		err = s.Pulls.SetDefaultRepository(c.ctx, user, project, 0)
	}
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, s.Pulls.SetDefaultBranches(c.ctx, user, c.repo.ID, project, in.Source, in.Target)
}
