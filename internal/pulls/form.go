package pulls

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

// SettingTemplate is the name of the setting, a Template, that names new
// branches.
const SettingTemplate = "branches.template"

// A Form is what a dialog for a new branch or pull request begins with.
type Form struct {
	Token        string   // goes back with the request, so that a double submit has one effect
	Repositories []Choice // by path
	// Repository is the one chosen or preselected; its ID is 0 if there is none.
	Repository ferry.Repository
	Branches   []string // the main branch first, then by name
	Source     string   // "": none is preselected
	Target     string   // of a pull request
	Name       string   // proposed, of a new branch
	Title      string   // proposed, of a pull request
	Credential Credential
	// DefaultSource and DefaultTarget say that these are the person's own
	// defaults.
	DefaultSource, DefaultTarget bool
}

// A Choice is a repository in a dialog.
type Choice struct {
	Repository ferry.Repository
	Default    bool   // the person's own for the issue's project
	Why        string // it cannot be used; "": it can
}

// A Credential says whose AWS credentials a dialog will use.
type Credential string

const (
	CredentialOwn      Credential = "own"      // the person's
	CredentialOptional Credential = "optional" // the integration's; own ones may be set up
	CredentialMissing  Credential = "missing"  // own ones are required and not set up
)

// BranchForm prepares the dialog for a new branch from an issue. repo and
// source are what the person chose so far, 0 and "" at first.
func (h *Host) BranchForm(ctx context.Context, who Person, key ferry.IssueKey, repo ferry.RepositoryID, source string) (Form, error) {
	f, defaults, err := h.form(ctx, who, key, repo, false)
	if err != nil || f.Repository.ID == 0 {
		return f, err
	}
	main := ""
	if len(f.Branches) > 0 {
		main = f.Branches[0]
	}
	own := defaults.Source[branchKey(f.Repository.ID, key.Project())]
	f.Source = firstOf(f.Branches, source, own, main)
	f.DefaultSource = f.Source != "" && f.Source == own
	t, err := h.template(ctx)
	if err != nil {
		return f, err
	}
	v := Values{Key: string(key), Source: f.Source, Display: who.Subject.User.Display}
	if v.Display == "" {
		v.Display = who.Subject.User.Name
	}
	if v.Summary, v.Type, err = h.Issue(ctx, key); err != nil {
		h.Log.Warn("naming a branch without Jira", "issue", key, "err", err)
	}
	f.Name = t.Name(v)
	return f, nil
}

// PullForm prepares the dialog for a pull request from an issue. repo, source
// and target are what the person chose so far.
func (h *Host) PullForm(ctx context.Context, who Person, key ferry.IssueKey, repo ferry.RepositoryID, source, target string) (Form, error) {
	f, defaults, err := h.form(ctx, who, key, repo, true)
	if err != nil || f.Repository.ID == 0 || len(f.Branches) == 0 {
		return f, err
	}
	k := branchKey(f.Repository.ID, key.Project())
	named, err := h.newestNamed(ctx, f.Repository, key)
	if err != nil {
		return f, err
	}
	f.Source = firstOf(f.Branches, source, named, defaults.Source[k])
	f.Target = firstOf(f.Branches, target, defaults.Target[k], f.Branches[0])
	f.DefaultSource = f.Source != "" && f.Source == defaults.Source[k]
	f.DefaultTarget = f.Target == defaults.Target[k]
	if f.Source != "" {
		f.Title = PullTitle(key, f.Source, f.Target)
	}
	return f, nil
}

// firstOf returns the first of the names that is among the branches, or "".
func firstOf(branches []string, names ...string) string {
	for _, n := range names {
		if n != "" && slices.Contains(branches, n) {
			return n
		}
	}
	return ""
}

func (h *Host) form(ctx context.Context, who Person, key ferry.IssueKey, repo ferry.RepositoryID, pull bool) (Form, Defaults, error) {
	f := Form{Token: rand.Text()}
	defaults, err := h.Defaults(ctx, who.Subject.User.ID)
	if err != nil {
		return f, defaults, err
	}
	integrations, err := h.Store.Integrations(ctx)
	if err != nil {
		return f, defaults, err
	}
	own := defaults.Repository[key.Project()]
	for _, i := range integrations {
		if i.Kind != ferry.KindCodeCommit {
			continue
		}
		repos, err := h.Store.Repositories(ctx, store.RepositoryFilter{Integration: i.ID, State: ferry.RepositoryEnabled})
		if err != nil {
			return f, defaults, err
		}
		for _, r := range repos {
			if !r.Allows(key.Project()) || ferry.Check(who.Subject, ferry.ActionPush, r.Path(), h.now()) != nil {
				continue
			}
			c := Choice{Repository: r, Default: r.ID == own}
			if err := usable(r, i); err != nil {
				c.Why = err.Error()
			} else if pull {
				if c.Why, err = h.tooFewBranches(ctx, r); err != nil {
					return f, defaults, err
				}
			}
			f.Repositories = append(f.Repositories, c)
		}
	}
	slices.SortFunc(f.Repositories, func(a, b Choice) int { return strings.Compare(a.Repository.Path(), b.Repository.Path()) })
	if f.Repository, err = h.preselect(ctx, f.Repositories, key, repo, own); err != nil || f.Repository.ID == 0 {
		return f, defaults, err
	}
	if f.Branches, err = h.branches(ctx, f.Repository); err != nil {
		return f, defaults, err
	}
	f.Credential, err = h.credential(ctx, who, f.Repository.IntegrationID)
	return f, defaults, err
}

// tooFewBranches says why a repository can have no pull request.
func (h *Host) tooFewBranches(ctx context.Context, repo ferry.Repository) (string, error) {
	refs, err := h.Store.Refs(ctx, repo.ID)
	n := 0
	for name := range refs {
		if name.IsBranch() {
			n++
		}
	}
	if n < 2 {
		return "it has fewer than two branches", err
	}
	return "", err
}

// preselect chooses a repository: what the person chose, their default for
// the project, the one with the latest commit for the issue, the first.
func (h *Host) preselect(ctx context.Context, choices []Choice, key ferry.IssueKey, chosen, own ferry.RepositoryID) (ferry.Repository, error) {
	latest, err := h.Store.CommitsByKey(ctx, key, store.Page{Limit: 1})
	if err != nil {
		return ferry.Repository{}, err
	}
	wanted := []ferry.RepositoryID{chosen, own}
	if len(latest) > 0 {
		wanted = append(wanted, latest[0].Repository.ID)
	}
	for _, id := range wanted {
		for _, c := range choices {
			if id != 0 && c.Repository.ID == id && c.Why == "" {
				return c.Repository, nil
			}
		}
	}
	for _, c := range choices {
		if c.Why == "" {
			return c.Repository, nil
		}
	}
	return ferry.Repository{}, nil
}

// branches lists the branches of a repository, the main one first.
func (h *Host) branches(ctx context.Context, repo ferry.Repository) ([]string, error) {
	view, err := h.Mirror.View(ctx, repo)
	if err != nil {
		return nil, err
	}
	var names []string
	main := view.Head.Short()
	for _, r := range view.Refs {
		if name := ferry.RefName(r.Name); name.IsBranch() {
			names = append(names, name.Short())
		}
	}
	slices.Sort(names)
	if i := slices.Index(names, main); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, main)
	}
	return names, nil
}

// newestNamed returns the branch with the newest tip whose name holds key.
func (h *Host) newestNamed(ctx context.Context, repo ferry.Repository, key ferry.IssueKey) (string, error) {
	refs, err := h.Store.Refs(ctx, repo.ID)
	if err != nil {
		return "", err
	}
	best, bestAt := "", int64(0)
	for name, oid := range refs {
		if !name.IsBranch() || !slices.Contains(smartcommit.Keys(name.Short(), projectOf(key)), key) {
			continue
		}
		at := int64(1)
		if c, err := h.Store.CommitByOID(ctx, repo.ID, oid); err == nil {
			at = max(at, c.CommittedAt.UnixMilli())
		}
		if at > bestAt || at == bestAt && name.Short() < best {
			best, bestAt = name.Short(), at
		}
	}
	return best, nil
}

// credential says whose AWS credentials a person will use.
func (h *Host) credential(ctx context.Context, who Person, id ferry.IntegrationID) (Credential, error) {
	_, _, err := h.Store.PersonalCredential(ctx, who.Subject.User.ID, id)
	if err == nil {
		return CredentialOwn, nil
	}
	if !errors.Is(err, ferry.ErrNotFound) {
		return "", err
	}
	i, err := h.Store.Integration(ctx, id)
	if i.PersonalRequired {
		return CredentialMissing, err
	}
	return CredentialOptional, err
}

func (h *Host) template(ctx context.Context) (Template, error) {
	var t Template
	err := h.Store.Setting(ctx, SettingTemplate, &t)
	if errors.Is(err, ferry.ErrNotFound) {
		err = nil
	}
	return t, err
}
