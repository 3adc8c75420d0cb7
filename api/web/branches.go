package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/store"
)

const branchesPerPage = 25

type branchesView struct {
	page
	repoHead
	Q     string
	Rows  []branchRow
	Pager pager
}

// A branchRow is a branch measured against the main one.
type branchRow struct {
	RepoName, RepoHref string // set in lists over repositories
	Name, Href         string
	Tip                ferry.OID
	TipHref            string
	Main               bool
	Counted            bool
	aheadBehind
	At       time.Time
	By       store.Person
	Subject  string
	Keys     []ferry.IssueKey
	Reason   string // why it belongs to the issue
	ByHand   *store.HandLink
	Compare  string
	Console  string
	DeleteOK string // address of the page that deletes it
	Link     string // address of the page that changes its issues
}

// branches lists the branches of a repository.
func (s *Server) branches(r *request) error {
	h, err := s.repoHead(r, "branches")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx(), viewTime)
	defer cancel()
	v := branchesView{page: s.page(r, "Branches · "+h.Name, "repos"), repoHead: h, Q: r.form("q")}
	names := slices.DeleteFunc(slices.Clone(h.Branches), func(n string) bool { return !strings.Contains(strings.ToLower(n), strings.ToLower(v.Q)) })
	n := pageNumber(r)
	v.Pager = newPager(r.Request().URL, n, branchesPerPage, len(names))
	for _, name := range names[min(len(names), (n-1)*branchesPerPage):min(len(names), n*branchesPerPage)] {
		row, err := s.branchRow(ctx, &h, name)
		if err != nil {
			return notCopied(err)
		}
		v.Rows = append(v.Rows, row)
	}
	return s.render(r, http.StatusOK, "branches", &v)
}

// branchRow reads what lists show of a branch.
func (s *Server) branchRow(ctx context.Context, h *repoHead, name string) (branchRow, error) {
	tip := h.lookup(ferry.RefName("refs/heads/" + name))
	row := branchRow{Name: name, Href: h.Base + "/tree/" + escapePath(name), Tip: tip, TipHref: h.Base + "/commit/" + tip.String(), Main: name == h.Default && h.MainGone == "",
		Console: console(h.Repo).Branch(name)}
	c, err := s.Store.CommitByOID(ctx, h.Repo.ID, tip)
	if err == nil {
		row.At, row.By, row.Subject = c.CommittedAt, c.Author, c.Message
		for _, l := range c.Links {
			row.Keys = append(row.Keys, l.Key)
		}
	}
	o := store.Object{Repository: h.Repo.ID, Kind: store.EntityBranch, ID: "refs/heads/" + name}
	named, err := s.Store.RefKeys(ctx, h.Repo.ID, ferry.RefName(o.ID))
	if err != nil {
		return row, err
	}
	if row.Keys, err = s.Store.WithHand(ctx, o, append(row.Keys, named...)); err != nil {
		return row, err
	}
	row.Keys = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(row.Keys))), func(k ferry.IssueKey) bool { return !h.Repo.Allows(k.Project()) })
	if h.MayPush {
		row.Link = h.Base + "/branches/issues?name=" + url.QueryEscape(name)
	}
	if row.Main {
		return row, nil
	}
	base, ok := h.base()
	row.Compare = h.Base + "/compare/" + escapePath(base.Name) + "..." + escapePath(name)
	if h.MayPush {
		row.DeleteOK = deleteHref(h.Base, name)
	}
	if ok && h.view.Copied {
		if row.aheadBehind, err = s.aheadBehindOf(ctx, h.Repo.ID, base.OID, tip); err != nil {
			return row, err
		}
		row.Counted = true
	}
	return row, nil
}

type tagsView struct {
	page
	repoHead
	Rows []tagRow
	More bool
}

type tagRow struct {
	RepoName, Name, Href string
	Commit               ferry.OID
	CommitHref           string
	Who, Subject         string
	At                   time.Time
	Console              string
}

// maxTags bounds the list of tags.
const maxTags = 200

// tags lists the tags of a repository, newest first.
func (s *Server) tags(r *request) error {
	h, err := s.repoHead(r, "tags")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx(), viewTime)
	defer cancel()
	v := tagsView{page: s.page(r, "Tags · "+h.Name, "repos"), repoHead: h}
	if v.Rows, v.More, err = s.tagRows(ctx, h.Repo, nil, maxTags); err != nil {
		return notCopied(err)
	}
	return s.render(r, http.StatusOK, "tags", &v)
}

// tagRows lists tags; with oids only those that hold one of these commits.
func (s *Server) tagRows(ctx context.Context, repo ferry.Repository, oids []ferry.OID, max int) ([]tagRow, bool, error) {
	list, more, err := s.Git.Tags(ctx, s.Mirror.Path(repo.ID), oids, max)
	if err != nil {
		return nil, false, err
	}
	return tagRowsOf(repo, list), more, nil
}

func tagRowsOf(repo ferry.Repository, list []git.Tag) []tagRow {
	base := repoPath(repo)
	rows := make([]tagRow, len(list))
	for i, t := range list {
		name := t.Name.Short()
		rows[i] = tagRow{Name: name, Href: base + "/tree/" + escapePath(name), Commit: t.Commit, CommitHref: base + "/commit/" + t.Commit.String(),
			Who: t.Who, Subject: t.Subject, Console: console(repo).Tag(name)}
		if t.At > 0 {
			rows[i].At = time.Unix(t.At, 0).UTC()
		}
	}
	return rows
}
