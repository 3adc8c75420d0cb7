package pulls

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"time"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

// milli cuts a time to what the books keep.
func milli(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }

// write brings the books up to date with pull requests as the host shows them.
func (l *look) write(ctx context.Context, batch []codecommit.PullRequest) error {
	var rows []store.PullRequest
	var entities []store.Entity
	for _, p := range batch {
		have, err := l.stored(ctx, p)
		if err != nil {
			return err
		}
		row, err := l.row(ctx, p, have)
		if err != nil {
			return err
		}
		if have != nil && same(*have, row) {
			if err := l.h.Store.LookedAtPullRequest(ctx, l.repo.ID, row.Number, row.LookedAt); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, row)
		if len(row.Keys) > 0 || have != nil && len(have.Keys) > 0 {
			entities = append(entities, l.entity(row))
		}
	}
	if len(rows) == 0 {
		return nil
	}
	l.queued = l.queued || len(entities) > 0
	return l.h.Store.PutPullRequests(ctx, l.repo.ID, rows, entities)
}

func (l *look) entity(row store.PullRequest) store.Entity {
	return store.Entity{Repository: l.repo.ID, Kind: store.EntityPullRequest, EntityID: strconv.FormatInt(row.Number, 10),
		Keys: row.Keys, Backfill: l.first}
}

// same reports whether two rows say the same but for when they were read.
func same(a, b store.PullRequest) bool {
	a.LookedAt, b.LookedAt = time.Time{}, time.Time{}
	if len(a.Keys)+len(b.Keys) == 0 {
		a.Keys, b.Keys = nil, nil
	}
	if len(a.Reviewers)+len(b.Reviewers) == 0 {
		a.Reviewers, b.Reviewers = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

// row makes the books' form of a pull request. have is the earlier one or nil.
func (l *look) row(ctx context.Context, p codecommit.PullRequest, have *store.PullRequest) (store.PullRequest, error) {
	number, err := strconv.ParseInt(p.ID, 10, 64)
	if err != nil {
		return store.PullRequest{}, err // stored has read it already
	}
	row := store.PullRequest{Repository: l.repo.ID, Number: number, Title: p.Title, Description: p.Description,
		Source: p.Source, Destination: p.Target, SourceOID: p.SourceTip, DestinationOID: p.TargetTip, MergeOID: p.MergeCommit, MergeBase: p.MergeBase,
		Status: "open", Author: codecommit.DisplayName(p.AuthorARN), AuthorARN: p.AuthorARN, MergedBy: codecommit.DisplayName(p.MergedByARN), Revision: p.Revision,
		URL:       codecommit.ConsoleLinks(l.repo.Region, "", l.repo.Name).PullRequest(p.ID),
		CreatedAt: milli(p.Created), UpdatedAt: milli(p.Active), LookedAt: milli(l.h.now())}
	if p.State != codecommit.PullRequestOpen {
		row.Status = "closed"
		if row.Merged = p.State == codecommit.PullRequestMerged; !row.Merged {
			if row.Merged, err = l.contained(ctx, row); err != nil {
				return row, err
			}
		}
	}
	if have != nil {
		row.Reviewers = have.Reviewers
	}
	news := have == nil || !have.UpdatedAt.Equal(row.UpdatedAt) || have.Revision != row.Revision
	if news && (row.Status == "open" || !l.first) {
		if row.Reviewers, err = l.reviewers(ctx, row); err != nil {
			return row, err
		}
	}
	row.Keys, err = l.keys(ctx, row, have)
	return row, err
}

// contained reports whether the target branch holds the source's tip of a
// pull request that was closed: then it was merged by hand.
func (l *look) contained(ctx context.Context, row store.PullRequest) (bool, error) {
	if row.SourceOID.IsZero() || row.SourceOID == row.MergeBase {
		return false, nil
	}
	refs, err := l.h.Mirror.Refs(ctx, l.repo)
	if err != nil {
		return false, err
	}
	target := refs[row.Destination]
	there, err := l.there(ctx, row.SourceOID, target)
	if err != nil || !there {
		return false, err
	}
	return l.h.Git.IsAncestor(ctx, l.h.Mirror.Path(l.repo.ID), "", row.SourceOID, target)
}

// there reports whether the mirror has all of the commits; a mirror that lacks
// one is refreshed, once in a look.
func (l *look) there(ctx context.Context, oids ...ferry.OID) (bool, error) {
	for {
		view, err := l.h.Mirror.View(ctx, l.repo)
		if err != nil || !view.Copied {
			return false, err
		}
		have, err := l.h.Git.Exists(ctx, l.h.Mirror.Path(l.repo.ID), oids)
		if err != nil {
			return false, err
		}
		all := true
		for _, o := range oids {
			all = all && !o.IsZero() && have[o]
		}
		if all || l.fresh {
			return all, nil
		}
		l.fresh = true
		if _, err := l.h.Mirror.Refresh(ctx, l.repo, 0); err != nil {
			return false, ctx.Err()
		}
	}
}

// maxCommits bounds the commits of a pull request that are searched for keys,
// maxKeys the keys of one.
const (
	maxCommits = 1000
	maxKeys    = 500
)

// keys returns the issues that a pull request is for: by its title, its
// description, the name of its source branch and the commits that it brings.
// The target's name says nothing. If the commits are gone, those of have, the
// earlier row of the same commits or nil, count.
func (l *look) keys(ctx context.Context, row store.PullRequest, have *store.PullRequest) ([]ferry.IssueKey, error) {
	var keys keySet
	for _, text := range []string{row.Title, row.Description, row.Source.Short()} {
		keys.add(smartcommit.Keys(text, l.options))
	}
	base := row.MergeBase
	if base.IsZero() {
		base = row.DestinationOID
	}
	there, err := l.there(ctx, row.SourceOID, base)
	if err != nil || !there {
		if have != nil && have.SourceOID == row.SourceOID {
			keys.add(have.Keys)
		}
		if err != nil {
			return nil, err
		}
		return l.decided(ctx, row, keys.list())
	}
	commits, err := l.h.Git.History(ctx, l.h.Mirror.Path(l.repo.ID),
		git.History{Tips: []ferry.OID{row.SourceOID}, Not: []ferry.OID{base}, Max: maxCommits})
	if err != nil {
		return nil, err
	}
	for _, c := range commits {
		keys.add(smartcommit.Parse(c.Message, l.options).Keys)
	}
	return l.decided(ctx, row, keys.list())
}

// decided applies what people decided on the keys of a pull request.
func (l *look) decided(ctx context.Context, row store.PullRequest, keys []ferry.IssueKey) ([]ferry.IssueKey, error) {
	return l.h.Store.WithHand(ctx, store.Object{Repository: l.repo.ID, Kind: store.EntityPullRequest, ID: strconv.FormatInt(row.Number, 10)}, keys)
}

// reviewers asks who approved. Without the permission nobody is known.
func (l *look) reviewers(ctx context.Context, row store.PullRequest) ([]store.Reviewer, error) {
	if _, approvals := l.h.refused(l.in.ID); approvals || row.Revision == "" {
		return row.Reviewers, nil
	}
	approvals, err := l.client.Approvals(ctx, strconv.FormatInt(row.Number, 10), row.Revision)
	switch {
	case errors.Is(err, ferry.ErrDenied):
		l.h.Log.Warn("approvals of pull requests cannot be read", "repo", l.repo.Path(), "err", err)
		l.h.refuse(l.in.ID, true)
		return row.Reviewers, nil
	case errors.Is(err, ferry.ErrNotFound), errors.Is(err, ferry.ErrInvalid): // it went on meanwhile
		return row.Reviewers, nil
	case err != nil:
		return nil, err
	}
	var list []store.Reviewer
	for _, a := range approvals {
		list = append(list, store.Reviewer{Name: codecommit.DisplayName(a.ARN), ARN: a.ARN, Approved: a.Approved})
	}
	return list, nil
}

// readApprovals reads the approvals of one pull request in the books.
func (l *look) readApprovals(ctx context.Context, number int64) error {
	have, err := l.h.Store.PullRequests(ctx, store.PullRequestFilter{Repository: l.repo.ID, Number: number, Limit: 1})
	if err != nil || len(have) == 0 {
		return err
	}
	row := have[0]
	if row.Reviewers, err = l.reviewers(ctx, row); err != nil || same(row, have[0]) {
		return err
	}
	var entities []store.Entity
	if len(row.Keys) > 0 {
		entities, l.queued = []store.Entity{l.entity(row)}, true
	}
	return l.h.Store.PutPullRequests(ctx, l.repo.ID, []store.PullRequest{row}, entities)
}

// Reconsider reads the issue keys of all open pull requests again, after the
// projects that Jira knows changed.
func (h *Host) Reconsider(ctx context.Context) error {
	repos, err := h.Store.Repositories(ctx, store.RepositoryFilter{State: ferry.RepositoryEnabled})
	if err != nil {
		return err
	}
	for _, repo := range repos {
		if err := h.reconsider(ctx, repo); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) reconsider(ctx context.Context, repo ferry.Repository) error {
	defer h.lock(repo.ID)()
	open, err := h.Store.PullRequests(ctx, store.PullRequestFilter{Repository: repo.ID, Status: "open"})
	if err != nil || len(open) == 0 {
		return err
	}
	l := &look{h: h, repo: repo, fresh: true}
	if l.options, err = h.Parse(ctx); err != nil {
		return err
	}
	var rows []store.PullRequest
	var entities []store.Entity
	for _, row := range open {
		before := row
		if row.Keys, err = l.keys(ctx, row, &before); err != nil {
			return err
		}
		if !same(before, row) {
			rows, entities = append(rows, row), append(entities, l.entity(row))
		}
	}
	if len(rows) == 0 {
		return nil
	}
	defer h.queued()
	return h.Store.PutPullRequests(ctx, repo.ID, rows, entities)
}
