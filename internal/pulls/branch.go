package pulls

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

// A NewBranch is what CreateBranch is asked for.
type NewBranch struct {
	Repository ferry.Repository
	Source     string         // short name of an existing branch
	Name       string         // short name of the new one
	Issue      ferry.IssueKey // for the warning if the name lacks it; may be empty
	Token      string         // the dialog's; a repeat with it has no second effect
}

// A Branch is a branch that was made.
type Branch struct {
	Name     string    `json:"name"`
	OID      ferry.OID `json:"oid"`
	URL      string    `json:"url"`      // page in the AWS console, "" if that is not known
	Commands []string  `json:"commands"` // to get and use it
	Warnings []string  `json:"warnings"`
}

// CreateBranch makes a branch at the host from the freshly read tip of
// another; mirror, index and Jira follow before it returns, or soon after. A
// repeat with the same token returns the branch that was made. It fails with
// ferry.ErrInvalid for a name that is not allowed, ferry.ErrConflict if the
// name is taken, ferry.ErrNotFound if the source is gone, ferry.ErrDenied if
// a right or a permission is missing and ferry.ErrUnavailable if the host
// cannot be reached; the text says what to do.
func (h *Host) CreateBranch(ctx context.Context, who Person, n NewBranch) (Branch, error) {
	if err := h.mayBranch(ctx); err != nil {
		return Branch{}, err
	}
	i, err := h.account(ctx, who, n.Repository)
	if err != nil {
		return Branch{}, err
	}
	if err := CheckBranchName(n.Name); err != nil {
		return Branch{}, err
	}
	var b Branch
	in, done, err := h.begin(ctx, who, n.Token, []any{"branch", n.Repository.ID, n.Source, n.Name}, &b)
	if err != nil || done {
		return b, err
	}
	credential := ""
	b, err = func() (Branch, error) {
		var c *codecommit.Client
		if c, credential, err = h.client(ctx, who, i); err != nil {
			return Branch{}, err
		}
		return h.createBranch(ctx, c, n, in)
	}()
	if err == nil {
		err = h.done(ctx, in, b)
	}
	return b, h.audit(ctx, who, credential, "branch.create", n.Repository.Path()+" "+n.Name, "from "+n.Source, err)
}

func (h *Host) createBranch(ctx context.Context, c *codecommit.Client, n NewBranch, in *intent) (Branch, error) {
	refs, err := h.freshRefs(ctx, n.Repository)
	if err != nil {
		return Branch{}, err
	}
	full := ferry.RefName("refs/heads/" + n.Name)
	tip, ok := refs[ferry.RefName("refs/heads/"+n.Source)]
	b := Branch{Name: n.Name, OID: tip, URL: consoleLinks(n.Repository).Branch(n.Name),
		Commands: []string{"git fetch", "git switch " + n.Name}, Warnings: []string{}}
	if n.Issue != "" && !slices.Contains(smartcommit.Keys(n.Name, projectOf(n.Issue)), n.Issue) {
		b.Warnings = append(b.Warnings, fmt.Sprintf("the name does not hold %s, so the branch will not be listed there before a commit names it", n.Issue))
	}
	if have := refs[full]; in.again && ok && have == tip {
		return b, nil // an earlier try took effect and its answer was lost
	}
	if !ok {
		return Branch{}, &ferry.Message{Kind: ferry.ErrNotFound, Text: fmt.Sprintf("the source branch %s is gone; reload and choose again", n.Source)}
	}
	if existing := clash(refs, n.Name); existing != "" {
		return Branch{}, &ferry.Message{Kind: ferry.ErrConflict, Text: clashText(existing, n.Name)}
	}
	err = c.CreateBranch(ctx, n.Repository.Name, n.Name, tip)
	follow := context.WithoutCancel(ctx)
	if err != nil {
		// It was not there a moment ago. If it is now, at this very commit,
		// then the call took effect and its answer was lost.
		lost := codecommit.Code(err) == "BranchNameExistsException" || errors.Is(err, ferry.ErrUnavailable)
		if !lost {
			return Branch{}, err
		}
		if now, lookErr := h.freshRefs(follow, n.Repository); lookErr != nil || now[full] != tip {
			return Branch{}, err
		}
	}
	h.follow(follow, n.Repository)
	return b, nil
}

// projectOf makes options in which the project of key is known.
func projectOf(key ferry.IssueKey) smartcommit.Options {
	return smartcommit.Options{Projects: map[string]bool{key.Project(): true}}
}

// freshRefs looks at the host's refs now.
func (h *Host) freshRefs(ctx context.Context, repo ferry.Repository) (map[ferry.RefName]ferry.OID, error) {
	if _, err := h.Mirror.Refresh(ctx, repo, 0); err != nil {
		return nil, err
	}
	view, err := h.Mirror.View(ctx, repo)
	if err != nil {
		return nil, err
	}
	if !view.Copied {
		return nil, &ferry.Message{Kind: ferry.ErrUnavailable, Text: "the first copy of " + repo.Path() + " is not complete yet; try again when it is"}
	}
	return h.Mirror.Refs(ctx, repo)
}

// follow makes mirror and books follow what was done at the host. Whatever
// fails here is made up for by the next look.
func (h *Host) follow(ctx context.Context, repo ferry.Repository) {
	_, err := h.Mirror.Refresh(ctx, repo, 0)
	if err == nil {
		err = h.Index(ctx, repo)
	}
	if err != nil {
		h.Log.Warn("following a change at the host", "repo", repo.Path(), "err", err)
	}
}

func consoleLinks(repo ferry.Repository) codecommit.Links {
	return codecommit.ConsoleLinks(repo.Region, "", repo.Name)
}

// A Deletion says what deleting a branch would lose.
type Deletion struct {
	Name     string    `json:"name"`
	Tip      ferry.OID `json:"tip"`
	OnlyHere int       `json:"only_here"` // commits that are on no other branch
	// Pulls are the open pull requests that the branch is the source of; the
	// host closes them with it.
	Pulls []int64 `json:"pulls"`
}

// PlanDeletion looks at what deleting a branch means. It fails with
// ferry.ErrNotFound if there is no such branch and with ferry.ErrConflict for
// the main branch, which cannot be deleted.
func (h *Host) PlanDeletion(ctx context.Context, repo ferry.Repository, name string) (Deletion, error) {
	refs, err := h.freshRefs(ctx, repo)
	if err != nil {
		return Deletion{}, err
	}
	return h.planDeletion(ctx, repo, name, refs)
}

func (h *Host) planDeletion(ctx context.Context, repo ferry.Repository, name string, refs map[ferry.RefName]ferry.OID) (Deletion, error) {
	full := ferry.RefName("refs/heads/" + name)
	d := Deletion{Name: name, Tip: refs[full], Pulls: []int64{}}
	if d.Tip.IsZero() {
		return d, &ferry.Message{Kind: ferry.ErrNotFound, Text: fmt.Sprintf("%s has no branch %s any more; reload", repo.Path(), name)}
	}
	view, err := h.Mirror.View(ctx, repo)
	if err != nil {
		return d, err
	}
	if view.Head == full || repo.DefaultBranch == name {
		return d, &ferry.Message{Kind: ferry.ErrConflict, Text: fmt.Sprintf("%s is the main branch of %s, which cannot be deleted", name, repo.Path())}
	}
	walk := git.Walk{Tips: []ferry.OID{d.Tip}}
	for ref, oid := range refs {
		if ref.IsBranch() && ref != full {
			walk.Not = append(walk.Not, oid)
		}
	}
	err = h.Git.Commits(ctx, h.Mirror.Path(repo.ID), walk, func(git.Commit) error { d.OnlyHere++; return nil })
	if err != nil {
		return d, err
	}
	open, err := h.Store.PullRequests(ctx, store.PullRequestFilter{Repository: repo.ID, Status: "open"})
	for _, p := range open {
		if p.Source == full {
			d.Pulls = append(d.Pulls, p.Number)
		}
	}
	return d, err
}

// DeleteBranch deletes a branch at the host, which closes open pull requests
// from it. tip is the commit that the person saw the branch at, or zero: a
// branch that moved since is not deleted (ferry.ErrConflict). The tip stays
// in the mirror under a hidden ref for KeepDeleted. Errors are those of
// PlanDeletion and CreateBranch.
func (h *Host) DeleteBranch(ctx context.Context, who Person, repo ferry.Repository, name string, tip ferry.OID) (Deletion, error) {
	if err := h.mayBranch(ctx); err != nil {
		return Deletion{}, err
	}
	i, err := h.account(ctx, who, repo)
	if err != nil {
		return Deletion{}, err
	}
	var d Deletion
	credential := ""
	err = func() error {
		c, named, err := h.client(ctx, who, i)
		if err != nil {
			return err
		}
		credential = named
		if d, err = h.PlanDeletion(ctx, repo, name); err != nil {
			return err
		}
		if !tip.IsZero() && tip != d.Tip {
			return &ferry.Message{Kind: ferry.ErrConflict, Text: fmt.Sprintf("%s moved from %s to %s meanwhile; look again before you delete it", name, tip.Short(), d.Tip.Short())}
		}
		if err := h.keepDeleted(ctx, repo, name, d.Tip); err != nil {
			return err
		}
		if _, err = c.DeleteBranch(ctx, repo.Name, name); err != nil {
			return err
		}
		h.follow(context.WithoutCancel(ctx), repo)
		h.Wake(repo.ID)
		return nil
	}()
	detail := ""
	if !d.Tip.IsZero() {
		detail = fmt.Sprintf("tip %s, %d commits on no other branch", d.Tip, d.OnlyHere)
	}
	return d, h.audit(ctx, who, credential, "branch.delete", repo.Path()+" "+name, detail, err)
}

// KeepDeleted is how long the tips of branches deleted here are kept.
const KeepDeleted = 30 * 24 * time.Hour

// deletedRefs is where they are: then the time in milliseconds and the name.
const deletedRefs = "refs/gitferry/deleted/"

// keepDeleted keeps the tip of a branch that is about to be deleted, and lets
// go of those that were kept long enough.
func (h *Host) keepDeleted(ctx context.Context, repo ferry.Repository, name string, tip ferry.OID) error {
	dir := h.Mirror.Path(repo.ID)
	refs, err := h.Git.Refs(ctx, dir)
	if err != nil {
		return err
	}
	now := h.now()
	kept, err := ferry.ParseRefName(deletedRefs + strconv.FormatInt(now.UnixMilli(), 10) + "/" + name)
	if err != nil {
		return nil // a name at the limit of length: it is in the audit
	}
	updates := []ferry.RefUpdate{{Name: kept, New: tip}}
	for _, r := range refs {
		rest, ok := strings.CutPrefix(string(r.Name), deletedRefs)
		at, _, _ := strings.Cut(rest, "/")
		ms, err := strconv.ParseInt(at, 10, 64)
		if ok && err == nil && now.Sub(time.UnixMilli(ms)) > KeepDeleted {
			updates = append(updates, ferry.RefUpdate{Name: r.Name, Old: r.OID})
		}
	}
	return h.Git.UpdateRefs(ctx, dir, updates)
}
