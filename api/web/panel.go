package web

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// panel fills the side column: branches, pull requests, tags.
func (s *Server) panel(ctx context.Context, r *request, v *issueView, list []store.IndexedCommit, repos []ferry.Repository, names map[ferry.RepositoryID]string) error {
	byID := make(map[ferry.RepositoryID]ferry.Repository)
	involved := make(map[ferry.RepositoryID][]ferry.OID)
	for _, c := range list {
		byID[c.Repository.ID] = c.Repository
		if c.Reachable && len(involved[c.Repository.ID]) < maxHolders {
			involved[c.Repository.ID] = append(involved[c.Repository.ID], c.OID)
		}
	}
	if err := s.panelBranches(ctx, r, v, byID, involved, names); err != nil {
		return err
	}
	filtered := false
	for id, oids := range involved {
		filtered = filtered || byID[id].TagFilter != ""
		if v.G.HideTags {
			break
		}
		h, err := s.holdersOf(ctx, byID[id], oids)
		if err != nil {
			s.Log.Debug("listing tags", "repo", id, "err", err)
			continue
		}
		rows, more := tagRowsOf(byID[id], h.tags), h.moreTags
		for i := range rows {
			rows[i].RepoName = names[id]
		}
		v.Tags, v.MoreTags = append(v.Tags, rows...), v.MoreTags || more
	}
	slices.SortStableFunc(v.Tags, func(a, b tagRow) int {
		if filtered { // oldest first
			return a.At.Compare(b.At)
		}
		return b.At.Compare(a.At)
	})
	v.cutTags(r, filtered)
	pulls, err := s.Store.PullRequests(ctx, store.PullRequestFilter{Key: v.Key, Limit: 100})
	if err != nil {
		return err
	}
	for _, p := range pulls {
		for _, repo := range repos {
			if repo.ID == p.Repository {
				row := pullRowOf(repo, p)
				row.RepoName = names[repo.ID]
				row.ByHand = byHand(v.ByHand, repo.ID, store.EntityPullRequest, strconv.FormatInt(p.Number, 10))
				v.Pulls = append(v.Pulls, row)
			}
		}
	}
	slices.SortStableFunc(v.Pulls, func(a, b pullRow) int {
		if c := cmp.Compare(b.Status, a.Status); c != 0 { // "open" after "closed" in the alphabet
			return c
		}
		return b.UpdatedAt.Compare(a.UpdatedAt)
	})
	s.failing(ctx, r, v, repos, names)
	return nil
}

const (
	newestTags = 3 // shown at first, beside the oldest one
	tagStep    = 5 // by which there are more
)

// cutTags leaves the newest tags and the oldest one, and says where more are
// shown. What a filter chose is shown whole.
func (v *issueView) cutTags(r *request, filtered bool) {
	n := newestTags
	if asked, err := strconv.Atoi(r.QueryParam("tags")); err == nil && asked > n {
		n = min(asked, maxTags)
	}
	v.AllTags = len(v.Tags)
	if filtered || len(v.Tags) <= n+1 {
		return
	}
	v.Tags = append(slices.Clone(v.Tags[:n]), v.Tags[len(v.Tags)-1])
	v.TagsHref = withQuery(r.Request().URL, "tags", strconv.Itoa(n+tagStep))
}

// Why a branch stands in the panel.
const (
	reasonName   = "key in the name"
	reasonCommit = "key in a commit"
	reasonManual = "linked by hand"
)

// takenAway reports whether a person took a branch from the issue.
func takenAway(list []store.HandLink, repo ferry.RepositoryID, name ferry.RefName) bool {
	return slices.ContainsFunc(list, func(h store.HandLink) bool {
		return !h.Linked && h.Object == (store.Object{Repository: repo, Kind: store.EntityBranch, ID: string(name)})
	})
}

// panelBranches lists branches that are not merged and have the key in their
// name or in commits of their own.
func (s *Server) panelBranches(ctx context.Context, r *request, v *issueView, byID map[ferry.RepositoryID]ferry.Repository, involved map[ferry.RepositoryID][]ferry.OID, names map[ferry.RepositoryID]string) error {
	found := make(map[ferry.RepositoryID]map[string]string) // by repository: branch and reason
	note := func(repo ferry.Repository, branch, reason string) {
		if found[repo.ID] == nil {
			found[repo.ID] = make(map[string]string)
		}
		if found[repo.ID][branch] == "" {
			found[repo.ID][branch] = reason
		}
		byID[repo.ID] = repo
	}
	byName, err := s.Store.BranchesByKey(ctx, v.Key)
	if err != nil {
		return err
	}
	for _, b := range byName {
		if names[b.Repository.ID] == "" {
			continue
		}
		if b.ByHand {
			note(b.Repository, b.Name.Short(), reasonManual)
		} else {
			note(b.Repository, b.Name.Short(), reasonName)
		}
	}
	for id, oids := range involved {
		h, err := s.holdersOf(ctx, byID[id], oids)
		if err != nil {
			s.Log.Debug("looking for branches", "repo", id, "err", err)
			continue
		}
		for _, n := range h.refs {
			if n.IsBranch() && !takenAway(v.ByHand, id, n) {
				note(byID[id], n.Short(), reasonCommit)
			}
		}
	}
	for id, branches := range found {
		q := *r
		q.repo = byID[id]
		h, err := s.repoHead(&q, "")
		if err != nil {
			return err
		}
		for name, reason := range branches {
			if len(v.Branches) >= maxPanel || name == h.Default && reason != reasonManual && (!v.G.ShowMain || reason == reasonCommit) || h.lookup(ferry.RefName("refs/heads/"+name)).IsZero() {
				continue
			}
			row, err := s.branchRow(ctx, &h, name)
			if err != nil {
				s.Log.Debug("measuring a branch", "repo", id, "branch", name, "err", err)
				continue
			}
			if row.Counted && row.Ahead == 0 && reason == reasonCommit { // merged
				continue
			}
			row.ByHand = byHand(v.ByHand, id, store.EntityBranch, "refs/heads/"+name)
			row.Reason, row.RepoName, row.RepoHref = reason, names[id], repoPath(byID[id])
			v.Branches = append(v.Branches, row)
		}
	}
	slices.SortFunc(v.Branches, func(a, b branchRow) int {
		if c := b.At.Compare(a.At); c != 0 {
			return c
		}
		return cmp.Compare(a.RepoName+a.Name, b.RepoName+b.Name)
	})
	return nil
}

// failing lists repositories whose commits may be missing here.
func (s *Server) failing(ctx context.Context, r *request, v *issueView, repos []ferry.Repository, names map[ferry.RepositoryID]string) {
	for _, repo := range repos {
		if repo.State != ferry.RepositoryEnabled {
			continue
		}
		view, err := s.Mirror.View(ctx, repo)
		if err != nil || view.Failure == nil {
			continue
		}
		p := problemRow{Name: names[repo.ID], Text: "its upstream does not answer; ask an administrator"}
		if r.admin() {
			p.Text, p.Href = display(text(view.Failure), "its upstream does not answer"), repositoryAdminPath(repo.ID)+"/log"
		}
		v.Failing = append(v.Failing, p)
	}
}
