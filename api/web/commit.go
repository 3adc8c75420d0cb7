package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/store"
)

type commitView struct {
	page
	repoHead
	Commit   git.Commit
	Links    []store.Link // with reasons
	Keys     []ferry.IssueKey
	Parents  []parentRow
	Refs     []refRow
	MoreRefs bool
	Actions  []actionRow
	Delivery []deliveryRow
	Diff     diffView
	Lost     bool
	HostHref string
	Link     string // page that changes its issues; empty: the reader may not
	ByHand   []store.HandLink
}

type parentRow struct {
	OID     ferry.OID
	Href    string
	Against string // address of the difference to this parent
	Current bool
}

type refRow struct {
	Name, Href string
	Tag        bool
}

// commit shows a commit with its difference.
func (s *Server) commit(r *request) error {
	h, err := s.repoHead(r, "commits")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx(), viewTime)
	defer cancel()
	oid, err := ferry.ParseOID(param(r, "sha"))
	if err != nil { // a short one, or capitals: git knows which it is
		oid, err = s.commitNamed(ctx, r.repo, param(r, "sha"))
	}
	if err != nil {
		return err
	}
	if param(r, "sha") != oid.String() {
		return r.Redirect(http.StatusSeeOther, h.Base+"/commit/"+oid.String())
	}
	c, err := s.Git.CommitByOID(ctx, s.Mirror.Path(r.repo.ID), oid)
	if err != nil {
		return notCopied(err)
	}
	v := commitView{page: s.page(r, subjectLine(c.Message)+" · "+h.Name, "repos"), repoHead: h, Commit: c, HostHref: console(r.repo).Commit(oid.String())}
	indexed, err := s.Store.CommitByOID(ctx, r.repo.ID, oid)
	if err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return err
	}
	if err == nil {
		v.Links, v.Lost = indexed.Links, !indexed.Reachable
		o := store.Object{Repository: r.repo.ID, Kind: store.EntityCommit, ID: oid.String()}
		if s.Issues.MayAssociate(ctx, r.subject, r.repo, o) {
			v.Link = h.Base + "/commit/" + oid.String() + "/issues"
		}
		if v.ByHand, err = s.Store.HandLinks(ctx, o); err != nil {
			return err
		}
	}
	for _, l := range v.Links {
		v.Keys = append(v.Keys, l.Key)
	}
	if err := s.commitDelivery(r, &v); err != nil {
		return err
	}
	var from ferry.OID
	chosen, _ := strconv.Atoi(r.QueryParam("parent")) // 1 is the first; zero if it is no number
	for i, p := range c.Parents {
		row := parentRow{OID: p, Href: h.Base + "/commit/" + p.String(), Against: h.Base + "/commit/" + oid.String() + "?parent=" + strconv.Itoa(i+1)}
		if row.Current = i+1 == chosen || i == 0 && (chosen < 1 || chosen > len(c.Parents)); row.Current {
			from = p
		}
		v.Parents = append(v.Parents, row)
	}
	if v.Diff, err = s.diff(ctx, newDiffRequest(r, from, oid, oid.String())); err != nil {
		return err
	}
	s.commitRefs(ctx, &v)
	return s.render(r, http.StatusOK, "commit", &v)
}

// commitRefs adds the branches and tags that hold the commit, if git can tell
// within two seconds; the page is complete without them.
func (s *Server) commitRefs(ctx context.Context, v *commitView) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	refs, more, err := s.Git.RefsContaining(ctx, s.Mirror.Path(v.Repo.ID), []ferry.OID{v.Commit.OID}, 10)
	if err != nil {
		v.MoreRefs = true
		return
	}
	v.MoreRefs = more
	for _, n := range refs {
		v.Refs = append(v.Refs, refRow{Name: n.Short(), Href: v.Base + "/tree/" + escapePath(n.Short()), Tag: n.IsTag()})
	}
	slices.SortStableFunc(v.Refs, func(a, b refRow) int { // main first
		switch {
		case a.Name == v.Default && !a.Tag:
			return -1
		case b.Name == v.Default && !b.Tag:
			return 1
		}
		return 0
	})
}

// commitDelivery adds what Jira was told of the commit and what its commands did.
func (s *Server) commitDelivery(r *request, v *commitView) error {
	seen := make(map[string]bool)
	for _, k := range v.Keys[:min(len(v.Keys), 20)] {
		list, err := s.Store.Deliveries(r.ctx(), store.DeliveryFilter{Key: k, Limit: 1000})
		if err != nil {
			return err
		}
		var actions []store.Delivery
		for _, d := range list {
			if d.Repository != v.Repo.ID || d.EntityID != v.Commit.OID.String() || seen[d.ID] {
				continue
			}
			seen[d.ID] = true
			if d.Kind == "action" {
				actions = append(actions, d)
			} else {
				v.Delivery = append(v.Delivery, s.deliveryRow(d, v.Repo))
			}
		}
		slices.Reverse(actions) // in the order of the text
		rows, err := s.actionRows(r, actions)
		if err != nil {
			return err
		}
		v.Actions = append(v.Actions, rows...)
	}
	return nil
}
