package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	"gitferry/internal/store"
)

// linkers is how many remote links are written at a time, at most.
const linkers = 4

// link shows entities on Data Center: one remote link for each issue key of
// each entity, and none where a key was taken away.
func (b *batch) link(ctx context.Context, entities []store.Entity) {
	var wg sync.WaitGroup
	places := make(chan struct{}, b.places)
	for _, e := range entities {
		// The repositories of the batch are read here, before the goroutines.
		repo, err := b.repository(ctx, e.Repository)
		if err != nil {
			b.failed(ctx, []store.Entity{e}, err)
			continue
		}
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			b.linkOne(ctx, repo, e)
		})
	}
	wg.Wait()
}

// linkOne brings the links of one entity up to date. Both calls may be
// repeated, so after a failure everything is done again.
func (b *batch) linkOne(ctx context.Context, repo ferry.Repository, e store.Entity) {
	r := store.EntityResult{ID: e.ID, Version: e.Version, State: store.EntityDone}
	keys := e.Keys
	var l jira.RemoteLink
	if len(keys) > 0 {
		var err error
		if l, err = b.remoteLink(ctx, repo, e); isNotFound(err) {
			keys = nil
		} else if err != nil {
			b.failed(ctx, []store.Entity{e}, err)
			return
		}
	}
	id := b.globalID(e)
	var unknown []ferry.IssueKey
	for _, k := range keys {
		l.GlobalID = id
		err := b.client.PutRemoteLink(ctx, k, l)
		if missing(err) {
			unknown = append(unknown, k)
			continue
		}
		if err != nil {
			// What was written counts, so that it can be taken away later.
			e.DeliveredKeys = append(slices.Clone(e.DeliveredKeys), r.DeliveredKeys...)
			b.failed(ctx, []store.Entity{e}, err)
			return
		}
		r.DeliveredKeys = append(r.DeliveredKeys, k)
	}
	for _, k := range e.DeliveredKeys {
		if slices.Contains(keys, k) {
			continue
		}
		if err := b.client.DeleteRemoteLink(ctx, k, id); err != nil && !missing(err) {
			b.failed(ctx, []store.Entity{e}, err)
			return
		}
	}
	b.gate.succeeded()
	b.waitFor(&r, unknown)
	b.save(ctx, r)
}

// missing reports whether the issue of a call is not there.
func missing(err error) bool {
	var e *jira.Error
	return errors.As(err, &e) && e.Class == jira.NotFound
}

// globalID names the link; jira.md 5.6.
func (b *batch) globalID(e store.Entity) string {
	id := e.EntityID
	if e.Kind == store.EntityBranch {
		id = jira.EntityID(ferry.RefName(id).Short())
	}
	s := fmt.Sprintf("gitferry:%s:%d:%s:%s", b.w.Store.InstanceID(), e.Repository, e.Kind, id)
	if len(s) > 255 { // only a long name of a branch does that
		s = fmt.Sprintf("gitferry:%s:%d:%s:%s", b.w.Store.InstanceID(), e.Repository, e.Kind, jira.EntityID(strings.Repeat("/", 1024)+id))
	}
	return s
}

// remoteLink says what the link shows.
func (b *batch) remoteLink(ctx context.Context, repo ferry.Repository, e store.Entity) (jira.RemoteLink, error) {
	switch e.Kind {
	case store.EntityCommit:
		oid, err := ferry.ParseOID(e.EntityID)
		if err != nil {
			return jira.RemoteLink{}, refusal(err.Error())
		}
		c, err := b.w.Store.CommitByOID(ctx, repo.ID, oid)
		if err != nil {
			return jira.RemoteLink{}, err
		}
		subject, _, _ := strings.Cut(c.Message, "\n")
		return jira.RemoteLink{URL: b.w.Links.Commit(repo, oid), Relationship: "commits",
			Title: oid.Short() + " " + subject, Summary: c.Author.Name + " in " + repo.Path()}, nil
	case store.EntityBranch:
		name := ferry.RefName(e.EntityID)
		refs, err := b.w.Store.Refs(ctx, repo.ID)
		if err != nil {
			return jira.RemoteLink{}, err
		}
		if _, ok := refs[name]; !ok {
			return jira.RemoteLink{}, fmt.Errorf("%s: %w", name, ferry.ErrNotFound)
		}
		return jira.RemoteLink{URL: b.w.Links.Branch(repo, name), Relationship: "branches",
			Title: name.Short(), Summary: "branch in " + repo.Path()}, nil
	case store.EntityPullRequest:
		p, err := b.devPull(ctx, repo, item{Entity: e})
		if err != nil {
			return jira.RemoteLink{}, err
		}
		return jira.RemoteLink{URL: p.URL, Relationship: "pull requests", Title: p.DisplayID + " " + p.Title,
			Summary: strings.ToLower(p.Status) + " in " + repo.Path(), Resolved: p.Status == "MERGED" || p.Status == "DECLINED"}, nil
	}
	return jira.RemoteLink{}, refusal(fmt.Sprintf("%q is no kind of development information", e.Kind))
}
