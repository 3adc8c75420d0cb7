package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/filelist"
	"gitferry/internal/ghshape"
	"gitferry/internal/git"
	"gitferry/internal/store"
)

const (
	// maxCommits is how many commits one push event names (GitHub's limit).
	maxCommits = 2048
	// maxFiles is how many files of a commit a push event names, of each kind.
	maxFiles = 300
	// maxPayload is the size beyond which a push event names no commits.
	maxPayload = 4 << 20
)

// A writer makes the deliveries of one repository.
type writer struct {
	*Sender
	repo ferry.Repository
}

func wants(h store.Webhook, event string) bool {
	return slices.Contains(h.Events, event) || slices.Contains(h.Events, "*")
}

// movement makes the deliveries for one movement of a ref: of a branch or
// tag that appears or goes there are two, as at GitHub.
func (w writer) movement(ctx context.Context, h store.Webhook, m store.Movement) ([]store.WebhookDelivery, error) {
	if !m.Ref.IsBranch() && !m.Ref.IsTag() {
		return nil, nil
	}
	who, sender, err := w.pusher(ctx, m)
	if err != nil {
		return nil, err
	}
	var rows []store.WebhookDelivery
	add := func(event string, o ghshape.Object) error {
		payload, err := json.Marshal(o)
		rows = append(rows, store.WebhookDelivery{Hook: h.ID, GUID: newGUID(), Event: event, Payload: payload})
		return err
	}
	named := "create"
	if m.New.IsZero() {
		named = "delete"
	}
	if (m.Old.IsZero() || m.New.IsZero()) && wants(h, named) {
		kind := "branch"
		if m.Ref.IsTag() {
			kind = "tag"
		}
		o := ghshape.Object{"ref": m.Ref.Short(), "ref_type": kind, "pusher_type": "user", "repository": w.repository(m.At), "sender": sender}
		if named == "create" {
			o["master_branch"], o["description"] = w.repo.DefaultBranch, nil
		}
		if err := add(named, o); err != nil {
			return nil, err
		}
	}
	if wants(h, "push") {
		o, err := w.push(ctx, m, who, sender)
		if err != nil {
			return nil, err
		}
		if err := add("push", o); err != nil {
			return nil, err
		}
		if last := &rows[len(rows)-1]; len(last.Payload) > maxPayload {
			o["commits"] = []ghshape.Object{}
			if last.Payload, err = json.Marshal(o); err != nil {
				return nil, err
			}
		}
	}
	return rows, nil
}

// pusher says who moved a ref: the user who pushed through this server, else
// the server itself, which found it.
func (w writer) pusher(ctx context.Context, m store.Movement) (who, sender ghshape.Object, err error) {
	bot := ghshape.Object{"name": "gitferry", "email": nil}
	if m.Push == 0 {
		return bot, w.Shape.Bot(), nil
	}
	p, err := w.Store.Push(ctx, m.Push)
	if err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return nil, nil, err
	}
	if err != nil || p.User == 0 {
		return bot, w.Shape.Bot(), nil
	}
	u, err := w.Store.User(ctx, p.User)
	if errors.Is(err, ferry.ErrNotFound) {
		return bot, w.Shape.Bot(), nil
	}
	return ghshape.Object{"name": u.Name, "email": u.Email}, w.Shape.User(u), err
}

func (w writer) repository(moved time.Time) ghshape.Object {
	return w.Shape.Repository(w.repo, moved, ghshape.Rights{Pull: true})
}

func (w writer) push(ctx context.Context, m store.Movement, who, sender ghshape.Object) (ghshape.Object, error) {
	commits, forced, err := w.commits(ctx, m)
	if err != nil {
		return nil, err
	}
	o := ghshape.Object{
		"ref": m.Ref, "before": m.Old.String(), "after": m.New.String(), "base_ref": nil,
		"created": m.Old.IsZero(), "deleted": m.New.IsZero(), "forced": forced,
		"compare":    w.Shape.Page(w.repo) + "/compare/" + m.Old.Short() + "..." + m.New.Short(),
		"repository": w.repository(m.At), "pusher": who, "sender": sender, "commits": commits, "head_commit": nil,
	}
	if m.Old.IsZero() || m.New.IsZero() {
		o["compare"] = w.Shape.Page(w.repo) + "/commits/" + ghshape.EscapePath(m.Ref.Short())
	}
	if n := len(commits); n > 0 && commits[n-1]["id"] == m.New.String() {
		o["head_commit"] = commits[n-1]
	} else if head, err := w.Store.CommitByOID(ctx, w.repo.ID, m.New); err == nil {
		o["head_commit"] = w.commit(head.Commit, store.CommitFiles{})
	} else if !errors.Is(err, ferry.ErrNotFound) {
		return nil, err
	}
	return o, nil
}

// commits lists what a movement brought, oldest first, the newest maxCommits
// of it. What git cannot tell, as when the mirror was made anew without the
// old objects, is left out: the event matters more.
func (w writer) commits(ctx context.Context, m store.Movement) (list []ghshape.Object, forced bool, err error) {
	list = []ghshape.Object{}
	if m.New.IsZero() || !m.Ref.IsBranch() {
		return list, false, nil
	}
	dir := w.Mirror.Path(w.repo.ID)
	not := []ferry.OID{m.Old}
	if m.Old.IsZero() {
		refs, err := w.Store.Refs(ctx, w.repo.ID)
		if err != nil {
			return nil, false, err
		}
		not = not[:0]
		for name, oid := range refs {
			if name.IsBranch() && name != m.Ref {
				not = append(not, oid)
			}
		}
	}
	found, err := w.Git.History(ctx, dir, git.History{Tips: []ferry.OID{m.New}, Not: not, Max: maxCommits})
	if ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	if err != nil {
		w.Log.Warn("listing the commits of a movement", "repo", w.repo.Path(), "ref", m.Ref, "err", err)
		return list, false, nil
	}
	if !m.Old.IsZero() {
		within, err := w.Git.IsAncestor(ctx, dir, "", m.Old, m.New)
		forced = err == nil && !within
	}
	oids := make([]ferry.OID, len(found))
	for i := range found {
		oids[i] = found[i].OID
	}
	files, err := w.Lists.All(ctx, w.repo.ID, oids)
	if err != nil {
		return nil, false, err
	}
	for _, c := range slices.Backward(found) {
		list = append(list, w.commit(filelist.Row(c), files[c.OID]))
	}
	return list, forced, nil
}

func (w writer) commit(c store.Commit, files store.CommitFiles) ghshape.Object {
	added, removed, modified := []string{}, []string{}, []string{}
	for _, f := range files.Files {
		to := &modified
		switch f.Status {
		case "A", "C", "R":
			to = &added
		case "D":
			to = &removed
		}
		if len(*to) < maxFiles {
			*to = append(*to, f.Path)
		}
		if f.Status == "R" && len(removed) < maxFiles {
			removed = append(removed, f.OldPath)
		}
	}
	sha := c.OID.String()
	return ghshape.Object{
		"id": sha, "tree_id": files.Tree.String(), "distinct": true, "message": c.Message, "timestamp": ghshape.Date(c.CommittedAt),
		"url":    w.Shape.Page(w.repo) + "/commit/" + sha,
		"author": ghshape.Object{"name": c.Author.Name, "email": c.Author.Email}, "committer": ghshape.Object{"name": c.Committer.Name, "email": c.Committer.Email},
		"added": added, "removed": removed, "modified": modified,
	}
}

// pulls makes the deliveries for pull requests that are not as the webhook was
// last told, and returns these.
func (w writer) pulls(ctx context.Context, h store.Webhook) (told []store.PullRequest, rows []store.WebhookDelivery, err error) {
	if !wants(h, "pull_request") {
		return nil, nil, nil
	}
	changes, err := w.Store.WebhookPulls(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range changes {
		found, err := w.Store.PullRequests(ctx, store.PullRequestFilter{Repository: w.repo.ID, Number: c.Number})
		if err != nil {
			return nil, nil, err
		}
		if len(found) != 1 {
			continue
		}
		p := found[0]
		told = append(told, p)
		action := actionOf(c, p)
		pull := w.Shape.Pull(w.repo, p, w.repository(p.UpdatedAt), w.Shape.Stranger(p.Author))
		pull["merged"] = p.Merged
		o := ghshape.Object{"action": action, "number": p.Number, "pull_request": pull, "repository": w.repository(p.UpdatedAt), "sender": w.Shape.Stranger(p.Author)}
		if action == "synchronize" {
			o["before"], o["after"] = c.SourceOID.String(), p.SourceOID.String()
		}
		payload, err := json.Marshal(o)
		if err != nil {
			return nil, nil, err
		}
		rows = append(rows, store.WebhookDelivery{Hook: h.ID, GUID: newGUID(), Event: "pull_request", Action: action, Payload: payload})
	}
	return told, rows, nil
}

// actionOf says in GitHub's words what became of a pull request.
func actionOf(before store.PullChange, p store.PullRequest) string {
	switch {
	case p.Status != "open" && before.Status != p.Status:
		return "closed"
	case !before.Known:
		return "opened"
	case before.Status != p.Status:
		return "reopened"
	case before.SourceOID != p.SourceOID:
		return "synchronize"
	}
	return "edited"
}

func (w writer) ping(h store.Webhook) (json.RawMessage, error) {
	return json.Marshal(ghshape.Object{"zen": "Every movement is told.", "hook_id": h.ID, "hook": w.Shape.Hook(w.repo, h),
		"repository": w.repository(time.Time{}), "sender": w.Shape.Bot()})
}
