package ghapi

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/ghshape"
	"gitferry/internal/git"
	"gitferry/internal/store"
)

// pullsOf reads the pull requests of the call's repository, newest first.
func (s *Server) pullsOf(c *call, f store.PullRequestFilter) ([]store.PullRequest, error) {
	f.Repository = c.repo.ID
	return s.Store.PullRequests(c.ctx, f)
}

// pulls lists pull requests as the upstream last showed them.
func (s *Server) pulls(c *call) (any, error) {
	all, err := s.pullsOf(c, store.PullRequestFilter{})
	if err != nil {
		return nil, err
	}
	state, head, base := c.query("state"), c.query("head"), c.query("base")
	switch state {
	case "":
		state = "open"
	case "open", "closed", "all":
	default:
		return nil, invalid("PullRequest", "state", "want open, closed or all")
	}
	if owner, branch, ok := strings.Cut(head, ":"); ok {
		if head = branch; !strings.EqualFold(owner, c.repo.Owner) {
			all = nil
		}
	}
	all = slices.DeleteFunc(all, func(p store.PullRequest) bool {
		return state != "all" && p.Status != state || head != "" && p.Source.Short() != head || base != "" && p.Destination.Short() != base
	})
	when := func(p store.PullRequest) time.Time { return p.CreatedAt }
	if v := c.query("sort"); v == "updated" || v == "long-running" {
		when = func(p store.PullRequest) time.Time { return p.UpdatedAt }
	}
	slices.SortStableFunc(all, func(a, b store.PullRequest) int { return when(a).Compare(when(b)) })
	direction := c.query("direction")
	if direction == "desc" || direction == "" && (c.query("sort") == "" || c.query("sort") == "created") {
		slices.Reverse(all)
	}
	return s.listPulls(c, all)
}

func (s *Server) listPulls(c *call, all []store.PullRequest) (any, error) {
	shared := s.shape.Repository(c.repo, c.repo.IndexedAt, c.rights(c.repo))
	var failure error
	list := cut(s, c, all, func(p store.PullRequest) object {
		o, err := s.showPull(c, p, shared)
		failure = errors.Join(failure, err)
		return o
	})
	return list, failure
}

// showPull writes a pull request; shared is its repository.
func (s *Server) showPull(c *call, p store.PullRequest, shared object) (object, error) {
	author, err := s.stranger(c, p.Author)
	if err != nil {
		return nil, err
	}
	o := s.shape.Pull(c.repo, p, shared, author)
	if p.Merged && p.MergedBy != "" {
		o["merged_by"], err = s.stranger(c, p.MergedBy)
	}
	return o, err
}

// onePull finds the pull request of the path.
func (s *Server) onePull(c *call) (store.PullRequest, error) {
	n, err := c.number("number")
	if err != nil {
		return store.PullRequest{}, err
	}
	all, err := s.pullsOf(c, store.PullRequestFilter{Number: n})
	if err == nil && len(all) == 0 {
		err = ferry.ErrNotFound
	}
	if err != nil {
		return store.PullRequest{}, err
	}
	return all[0], nil
}

// span is what a pull request brings: the commits that head has and base has
// not. base is the upstream's merge base if it told one. ok is false if the
// mirror does not have the commits, as of a branch that is gone.
func (s *Server) span(c *call, p store.PullRequest) (base, head ferry.OID, ok bool, err error) {
	if err := s.copied(c); err != nil {
		return base, head, false, err
	}
	dir := s.dir(c)
	base, head = p.DestinationOID, p.SourceOID
	known, err := s.Git.Exists(c.ctx, dir, []ferry.OID{base, head})
	if err != nil || !known[base] || !known[head] {
		return base, head, false, err
	}
	if !p.MergeBase.IsZero() {
		if known, err := s.Git.Exists(c.ctx, dir, []ferry.OID{p.MergeBase}); err != nil || known[p.MergeBase] {
			return p.MergeBase, head, err == nil, err
		}
	}
	if p.Merged && !p.MergeOID.IsZero() {
		merge, err := s.Git.CommitByOID(c.ctx, dir, p.MergeOID)
		if err != nil && !errors.Is(err, ferry.ErrNotFound) {
			return base, head, false, err
		}
		if err == nil && len(merge.Parents) > 0 {
			base = merge.Parents[0]
		}
	}
	fork, err := s.Git.MergeBase(c.ctx, dir, base, head)
	if err == nil && !fork.IsZero() {
		base = fork
	}
	return base, head, err == nil, err
}

func (s *Server) pull(c *call) (any, error) {
	p, err := s.onePull(c)
	if err != nil {
		return nil, err
	}
	if c.format != "diff" && c.format != "patch" {
		return s.wholePull(c, p)
	}
	base, head, ok, err := s.span(c, p)
	if err != nil {
		return nil, err
	}
	switch {
	case !ok:
		return nil, problem(http.StatusNotAcceptable, "The commits of this pull request are not here any more.")
	case c.format == "diff":
		return s.diff(c, base, head)
	}
	return s.mail(c, head, []ferry.OID{base})
}

// wholePull writes a pull request with what it brings.
func (s *Server) wholePull(c *call, p store.PullRequest) (object, error) {
	o, err := s.showPull(c, p, s.shape.Repository(c.repo, c.repo.IndexedAt, c.rights(c.repo)))
	if err != nil {
		return nil, err
	}
	whole, located, err := s.commentsOf(c, p)
	if err != nil {
		return nil, err
	}
	maps.Copy(o, object{"merged": p.Merged, "mergeable": nil, "mergeable_state": "unknown", "rebaseable": nil, "comments": len(whole), "review_comments": len(located),
		"maintainer_can_modify": false, "commits": 0, "additions": 0, "deletions": 0, "changed_files": 0})
	base, head, ok, err := s.span(c, p)
	if errors.Is(err, errNotCopied) || err == nil && !ok {
		return o, nil
	}
	if err != nil {
		return nil, err
	}
	files, err := s.difference(c, base, head)
	if err != nil {
		return nil, err
	}
	added, removed := 0, 0
	for _, f := range files {
		added, removed = added+f.Added, removed+f.Removed
	}
	n, _, err := s.Git.AheadBehind(c.ctx, s.dir(c), base, head)
	o["additions"], o["deletions"], o["changed_files"], o["commits"] = added, removed, len(files), n
	return o, err
}

// pullCommits lists at most 250 commits, oldest first.
func (s *Server) pullCommits(c *call) (any, error) {
	p, err := s.onePull(c)
	if err != nil {
		return nil, err
	}
	base, head, ok, err := s.span(c, p)
	if err != nil {
		return nil, err
	}
	var list []git.Commit
	if ok {
		if list, err = s.Git.History(c.ctx, s.dir(c), git.History{Tips: []ferry.OID{head}, Not: []ferry.OID{base}, Max: maxCompared}); err != nil {
			return nil, err
		}
	}
	slices.Reverse(list)
	at := c.page(30, 100)
	s.links(c, at, len(list), false)
	start := min(at.start(), len(list))
	return s.showAll(c, list[start:min(start+at.size, len(list))])
}

func (s *Server) pullFiles(c *call) (any, error) {
	p, err := s.onePull(c)
	if err != nil {
		return nil, err
	}
	base, head, ok, err := s.span(c, p)
	if err != nil || !ok {
		return []object{}, err
	}
	all, err := s.files(c, base, head, store.MaxCommitFiles)
	if err != nil {
		return nil, err
	}
	return cut(s, c, all, func(o object) object { return o }), nil
}

func (s *Server) pullMerged(c *call) (any, error) {
	p, err := s.onePull(c)
	if err != nil {
		return nil, err
	}
	if !p.Merged {
		return nil, ferry.ErrNotFound
	}
	return status{code: http.StatusNoContent}, nil
}

// reviews are the approvals, as far as the upstream told them. One that was
// taken back is dismissed.
func (s *Server) reviews(c *call) (any, error) {
	p, err := s.onePull(c)
	if err != nil {
		return nil, err
	}
	page := s.shape.Page(c.repo) + "/pull/" + itoa(p.Number)
	at := s.shape.Repo(c.repo) + "/pulls/" + itoa(p.Number)
	type numbered struct {
		n int64
		store.Reviewer
	}
	var all []numbered
	for i, r := range p.Reviewers {
		all = append(all, numbered{int64(i) + 1, r})
	}
	var failure error
	list := cut(s, c, all, func(r numbered) object {
		who, err := s.stranger(c, r.Name)
		failure = errors.Join(failure, err)
		state := "DISMISSED"
		if r.Approved {
			state = "APPROVED"
		}
		id := p.Number<<8 | r.n
		return object{"id": id, "node_id": ghshape.NodeID("PullRequestReview", id), "user": who, "body": "", "state": state,
			"commit_id": p.SourceOID.String(), "html_url": page, "pull_request_url": at, "submitted_at": date(p.UpdatedAt),
			"author_association": "MEMBER", "_links": object{"html": object{"href": page}, "pull_request": object{"href": at}}}
	})
	return list, failure
}

// pullsOfCommit lists the pull requests whose commits hold one.
func (s *Server) pullsOfCommit(c *call, oid ferry.OID) (any, error) {
	all, err := s.pullsOf(c, store.PullRequestFilter{})
	if err != nil {
		return nil, err
	}
	var with []store.PullRequest
	for _, p := range all[:min(len(all), 100)] {
		base, head, ok, err := s.span(c, p)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		in, err := s.Git.IsAncestor(c.ctx, s.dir(c), "", oid, head)
		if err != nil {
			return nil, err
		}
		before, err := s.Git.IsAncestor(c.ctx, s.dir(c), "", oid, base)
		if err != nil {
			return nil, err
		}
		if in && !before || p.MergeOID == oid {
			with = append(with, p)
		}
	}
	return s.listPulls(c, with)
}
