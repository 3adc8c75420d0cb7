package issues

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// maxByHand bounds the keys of one change.
const maxByHand = 20

// Associate changes the issues of a commit, branch or pull request by hand and
// reports whether anything changed. Administrators, of gitferry or of the
// repository, may change all; whoever may push changes branches and pull
// requests; an author changes own commits; with an own Jira token,
// administrators of a Jira project change that project's keys. It fails with
// ferry.ErrDenied for others, with ferry.ErrInvalid for an issue that Jira
// does not have or does not show to the person, and with ferry.ErrNotFound if
// the object is not there.
func (l *Lookup) Associate(ctx context.Context, subject ferry.Subject, repo ferry.Repository, o store.Object, add, remove []ferry.IssueKey) (changed bool, err error) {
	o.Repository = repo.ID
	if len(add)+len(remove) == 0 {
		return false, nil
	}
	if len(add)+len(remove) > maxByHand {
		return false, &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf("at most %d issues in one change", maxByHand)}
	}
	all, err := l.mayAll(ctx, subject, repo, o)
	if err != nil {
		return false, err
	}
	for _, k := range add {
		if !repo.Allows(k.Project()) {
			return false, &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf("%s is not associated with the project %s", repo.Path(), k.Project())}
		}
	}
	for _, k := range slices.Concat(add, remove) {
		if !all && !l.Right(ctx, subject.User.ID, k).Administers {
			return false, &ferry.Message{Kind: ferry.ErrDenied, Text: "the issues of this " + objectWord(o.Kind) +
				" may be changed by its author, by whoever administers the repository, and by administrators of the Jira project"}
		}
	}
	if add, err = l.there(ctx, subject, add); err != nil {
		return false, err
	}
	changed, err = l.Store.LinkByHand(ctx, o, subject.User, add, remove)
	if changed && l.Queued != nil {
		l.Queued()
	}
	return changed, err
}

func objectWord(k store.EntityKind) string {
	if k == store.EntityPullRequest {
		return "pull request"
	}
	return string(k)
}

// there checks that the issues exist for the person and returns their present
// keys. What Jira cannot say in time is taken as it is.
func (l *Lookup) there(ctx context.Context, subject ferry.Subject, keys []ferry.IssueKey) ([]ferry.IssueKey, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	states := l.States(ctx, keys)
	out := make([]ferry.IssueKey, 0, len(keys))
	for _, k := range keys {
		right := l.Right(ctx, subject.User.ID, k)
		if s, ok := states[k]; ok && !s.Exists || right.Known && !right.See {
			return nil, &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf("Jira has no issue %s, or does not show it to you", k)}
		} else if s.MovedTo != "" {
			k = s.MovedTo
		}
		out = append(out, k)
	}
	return out, nil
}

// MayAssociate reports whether a person may change at least some issues of an
// object.
func (l *Lookup) MayAssociate(ctx context.Context, subject ferry.Subject, repo ferry.Repository, o store.Object) bool {
	o.Repository = repo.ID
	all, err := l.mayAll(ctx, subject, repo, o)
	if err != nil || all {
		return all
	}
	_, own, err := l.own(ctx, subject.User.ID)
	return err == nil && own && ferry.Check(subject, ferry.ActionSelf, "", time.Now()) == nil
}

// mayAll reports whether a person may change all issues of an object,
// whatever their project.
func (l *Lookup) mayAll(ctx context.Context, subject ferry.Subject, repo ferry.Repository, o store.Object) (bool, error) {
	may := func(a ferry.Action) bool { return ferry.Check(subject, a, repo.Path(), time.Now()) == nil }
	switch {
	case !may(ferry.ActionRead):
		return false, ferry.ErrNotFound
	case may(ferry.ActionAdmin), may(ferry.ActionMaintain):
		return true, nil
	case o.Kind != store.EntityCommit:
		return may(ferry.ActionPush), nil
	case !may(ferry.ActionPush) && !may(ferry.ActionSelf):
		return false, nil // a token for reading only
	}
	oid, err := ferry.ParseOID(o.ID)
	if err != nil {
		return false, ferry.ErrNotFound
	}
	c, err := l.Store.CommitByOID(ctx, repo.ID, oid)
	if err != nil {
		return false, err
	}
	author, err := l.Store.UserByEmail(ctx, c.Author.Email)
	if errors.Is(err, ferry.ErrNotFound) {
		return false, nil
	}
	return err == nil && author.ID == subject.User.ID, err
}
