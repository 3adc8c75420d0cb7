package index

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

// change makes the rows for a batch of commits: those that the books do not
// hold yet with links, deliveries and actions, the others as found again.
func (r *run) change(ctx context.Context, g group, batch []git.Commit) (store.Change, error) {
	c := store.Change{Repository: r.repo.ID}
	var known map[ferry.OID]bool
	if !g.history { // the store passes over what it has; nothing of history is found again
		oids := make([]ferry.OID, len(batch))
		for i := range batch {
			oids[i] = batch[i].OID
		}
		var err error
		if known, err = r.x.Store.KnownCommits(ctx, r.repo.ID, oids); err != nil {
			return c, err
		}
	}
	for _, b := range batch {
		parsed := smartcommit.Parse(b.Message, r.settings.Parse)
		row := commitRow(b, parsed, g.history)
		if _, tip := r.tips[b.OID]; tip {
			r.tips[b.OID] = &row
		}
		r.unknown = r.unknown || len(parsed.Unknown) > 0
		if len(parsed.Keys) > 0 {
			c.Entities = append(c.Entities, store.Entity{Repository: r.repo.ID, Kind: store.EntityCommit, EntityID: b.OID.String(),
				Keys: parsed.Keys, Backfill: g.history})
		}
		if known[b.OID] {
			c.Found = append(c.Found, b.OID)
			continue
		}
		c.Commits = append(c.Commits, row)
		if r.runsCommands(g, b) {
			actions, err := actionRows(r.repo.ID, g.push, b, parsed.Actions)
			if err != nil {
				return c, err
			}
			c.Actions = append(c.Actions, actions...)
		}
	}
	return c, nil
}

func commitRow(b git.Commit, parsed smartcommit.Result, initial bool) store.Commit {
	row := store.Commit{OID: b.OID, Parents: b.Parents,
		Author: store.Person{Name: b.AuthorName, Email: b.AuthorEmail}, AuthoredAt: b.AuthoredAt,
		Committer: store.Person{Name: b.CommitterName, Email: b.CommitterEmail}, CommittedAt: b.CommittedAt,
		Message: b.Message, Initial: initial, Unknown: parsed.Unknown}
	for _, k := range parsed.Keys {
		row.Links = append(row.Links, store.Link{Key: k, Reason: "message"})
	}
	return row
}

// runsCommands reports whether the commands of a commit are carried out: not
// in a first index, not where they are switched off, not of old commits.
func (r *run) runsCommands(g group, b git.Commit) bool {
	return !g.history && r.settings.RunCommands && r.repo.SmartCommits && !g.push.NoSmartCommits &&
		r.x.now().Sub(b.CommittedAt) <= r.settings.MaxAge
}

// actionRows makes the actions of a commit. Whoever pushed it through us is
// the one for whom they are done; nobody is for commits found by looking.
func actionRows(repo ferry.RepositoryID, push store.Push, b git.Commit, actions []smartcommit.Action) ([]store.Action, error) {
	var rows []store.Action
	for _, a := range actions {
		command, err := json.Marshal(a)
		if err != nil {
			return nil, fmt.Errorf("commit %s: %w", b.OID.Short(), err)
		}
		rows = append(rows, store.Action{Identity: identity(a, b), Repository: repo, OID: b.OID, Key: a.Key, Ordinal: a.Ordinal,
			Command: command, Author: store.Person{Name: b.AuthorName, Email: b.AuthorEmail}, AuthoredAt: b.AuthoredAt,
			Actor: push.User, Push: push.ID})
	}
	return rows, nil
}

// identity names an action so that amended, rebased, cherry-picked and merged
// copies of a commit name the same one (design decision D6). The store makes it
// unique for each Jira site.
func identity(a smartcommit.Action, b git.Commit) string {
	h := sha256.New()
	for _, part := range []string{string(a.Key), strings.ToLower(b.AuthorEmail), fmt.Sprint(b.AuthoredAt.Unix()), a.Normalised(), fmt.Sprint(a.Ordinal)} {
		fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	return "sc1-" + hex.EncodeToString(h.Sum(nil)[:16])
}

// finish adds what goes with the movement of the refs themselves: branches,
// and commits that no branch holds any more.
func (r *run) finish(ctx context.Context, c *store.Change, g group, now map[ferry.RefName]ferry.OID, parents map[ferry.OID]bool) error {
	c.Updates = g.updates
	if g.push.State != store.PushReleased { // else its own end closes it
		c.Push = g.push.ID
	}
	c.RefLinks = make(map[ferry.RefName][]ferry.IssueKey)
	var moved []ferry.OID // old values that may have been left behind
	for _, u := range g.updates {
		if !u.Name.IsBranch() {
			continue
		}
		if u.IsDelete() && u.Name.Short() == r.repo.DefaultBranch && !u.Old.IsZero() {
			// Branches are counted against it until there is another one.
			if err := r.x.Mirror.KeepTip(ctx, r.repo, u.Name, u.Old); err != nil {
				r.x.Log.Warn("keeping the last tip of a main branch", "repo", r.repo.Path(), "err", err)
			}
		}
		if !u.Old.IsZero() && !parents[u.Old] {
			moved = append(moved, u.Old)
		}
		entity := store.Entity{Repository: r.repo.ID, Kind: store.EntityBranch, EntityID: string(u.Name), Backfill: g.history}
		if !u.IsDelete() {
			c.RefLinks[u.Name] = r.nameKeys(u.Name)
			var err error
			if entity.Keys, err = r.branchKeys(ctx, u.Name, u.New); err != nil {
				return err
			}
			if len(entity.Keys) == 0 && u.IsCreate() {
				continue
			}
		}
		c.Entities = append(c.Entities, entity)
	}
	return r.lost(ctx, c, moved, now)
}

// nameKeys returns the keys in a branch's name.
func (r *run) nameKeys(name ferry.RefName) []ferry.IssueKey {
	o := r.settings.Parse
	o.Kind = smartcommit.Branch
	return smartcommit.Keys(name.Short(), o)
}

// branchKeys returns the keys of a branch: in its name and at its tip.
func (r *run) branchKeys(ctx context.Context, name ferry.RefName, tip ferry.OID) ([]ferry.IssueKey, error) {
	keys, err := r.tipKeys(ctx, tip)
	return union(r.nameKeys(name), keys), err
}

// tipKeys returns the keys of the commit at a branch's tip.
func (r *run) tipKeys(ctx context.Context, oid ferry.OID) ([]ferry.IssueKey, error) {
	if row := r.tips[oid]; row != nil {
		keys := make([]ferry.IssueKey, len(row.Links))
		for i, l := range row.Links {
			keys[i] = l.Key
		}
		return r.x.Store.WithHand(ctx, store.Object{Repository: r.repo.ID, Kind: store.EntityCommit, ID: oid.String()}, keys)
	}
	keys, err := r.x.Store.KeysOf(ctx, r.repo.ID, []ferry.OID{oid})
	return keys[oid], err
}

func union(a, b []ferry.IssueKey) []ferry.IssueKey {
	var out []ferry.IssueKey
	seen := make(map[ferry.IssueKey]bool)
	for _, list := range [][]ferry.IssueKey{a, b} {
		for _, k := range list {
			if !seen[k] {
				seen[k] = true
				out = append(out, k)
			}
		}
	}
	return out
}

// lost finds the commits that only the old values reached, marks them and
// withdraws them from Jira.
func (r *run) lost(ctx context.Context, c *store.Change, moved []ferry.OID, now map[ferry.RefName]ferry.OID) error {
	if len(moved) == 0 {
		return nil
	}
	walk := git.Walk{Tips: moved}
	for name, oid := range now {
		if name.IsBranch() {
			walk.Not = append(walk.Not, oid)
		}
	}
	err := r.x.Git.Commits(ctx, r.x.Mirror.Path(r.repo.ID), walk, func(b git.Commit) error {
		c.Lost = append(c.Lost, b.OID)
		return nil
	})
	if err != nil {
		return err
	}
	keys, err := r.x.Store.KeysOf(ctx, r.repo.ID, c.Lost)
	if err != nil {
		return err
	}
	for _, oid := range c.Lost {
		if len(keys[oid]) > 0 {
			c.Entities = append(c.Entities, store.Entity{Repository: r.repo.ID, Kind: store.EntityCommit, EntityID: oid.String()})
		}
	}
	return nil
}
