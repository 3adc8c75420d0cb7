package pulls

import (
	"context"
	"errors"
	"fmt"

	"gitferry/internal/ferry"
)

// Defaults are what a person set for their own dialogs.
type Defaults struct {
	// Repository is the default repository by project key.
	Repository map[string]ferry.RepositoryID `json:"repository"`
	// Source and Target are default branches by repository and project, with
	// keys made by branchKey.
	Source map[string]string `json:"source"`
	Target map[string]string `json:"target"`
}

const preferenceDefaults = "pulls.defaults"

// branchKeyForm is how a repository and a project are one key.
const branchKeyForm = "%d %s"

func branchKey(repo ferry.RepositoryID, project string) string {
	return fmt.Sprintf(branchKeyForm, repo, project)
}

// SourceFor and TargetFor return the person's default branches of a
// repository for a project, "" if there is none.
func (d Defaults) SourceFor(repo ferry.RepositoryID, project string) string {
	return d.Source[branchKey(repo, project)]
}

// TargetFor is SourceFor for targets of pull requests.
func (d Defaults) TargetFor(repo ferry.RepositoryID, project string) string {
	return d.Target[branchKey(repo, project)]
}

// A Default is what one project's dialogs begin with in one repository.
type Default struct {
	Project        string
	Repository     ferry.RepositoryID
	Main           bool   // the repository is the one chosen at first
	Source, Target string // branches, "" if there is none
}

// All lists the defaults, in no order.
func (d Defaults) All() []Default {
	type place struct {
		repo    ferry.RepositoryID
		project string
	}
	found := make(map[place]*Default)
	at := func(p place) *Default {
		if found[p] == nil {
			found[p] = &Default{Project: p.project, Repository: p.repo}
		}
		return found[p]
	}
	for project, repo := range d.Repository {
		at(place{repo, project}).Main = true
	}
	for key, branch := range d.Source {
		var p place
		if _, err := fmt.Sscanf(key, branchKeyForm, &p.repo, &p.project); err == nil {
			at(p).Source = branch
		}
	}
	for key, branch := range d.Target {
		var p place
		if _, err := fmt.Sscanf(key, branchKeyForm, &p.repo, &p.project); err == nil {
			at(p).Target = branch
		}
	}
	list := make([]Default, 0, len(found))
	for _, o := range found {
		list = append(list, *o)
	}
	return list
}

// Defaults returns what a person set.
func (h *Host) Defaults(ctx context.Context, user ferry.UserID) (Defaults, error) {
	var d Defaults
	err := h.Store.Preference(ctx, user, preferenceDefaults, &d)
	if err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return d, err
	}
	if d.Repository == nil {
		d.Repository = make(map[string]ferry.RepositoryID)
	}
	if d.Source == nil {
		d.Source = make(map[string]string)
	}
	if d.Target == nil {
		d.Target = make(map[string]string)
	}
	return d, nil
}

// SetDefaultRepository sets a person's repository for a project; 0 clears it.
func (h *Host) SetDefaultRepository(ctx context.Context, user ferry.UserID, project string, repo ferry.RepositoryID) error {
	return h.changeDefaults(ctx, user, func(d *Defaults) {
		if d.Repository[project] = repo; repo == 0 {
			delete(d.Repository, project)
		}
	})
}

// SetDefaultBranches sets a person's branches of a repository for a project:
// where new branches start, and where pull requests go. "" clears one.
func (h *Host) SetDefaultBranches(ctx context.Context, user ferry.UserID, repo ferry.RepositoryID, project, source, target string) error {
	return h.changeDefaults(ctx, user, func(d *Defaults) {
		k := branchKey(repo, project)
		if d.Source[k] = source; source == "" {
			delete(d.Source, k)
		}
		if d.Target[k] = target; target == "" {
			delete(d.Target, k)
		}
	})
}

func (h *Host) changeDefaults(ctx context.Context, user ferry.UserID, change func(*Defaults)) error {
	d, err := h.Defaults(ctx, user)
	if err != nil {
		return err
	}
	change(&d)
	return h.Store.SetPreference(ctx, user, preferenceDefaults, d)
}
