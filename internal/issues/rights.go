package issues

import (
	"context"
	"errors"
	"slices"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
)

const (
	// rightFor is how long Jira's answer on a person's rights holds.
	rightFor = time.Minute
	// rightKept is how long an answer counts on while Jira cannot be asked.
	rightKept = time.Hour
	// maxRights bounds the answers in memory.
	maxRights = 10000
)

// A Right is what a person may see of an issue, as Jira says.
type Right struct {
	Known       bool // Jira answered to the person's own token
	See         bool // the issue
	Dev         bool // its development information
	Administers bool // its project
}

type rightOf struct {
	user ferry.UserID
	key  ferry.IssueKey
}

type heldRight struct {
	Right
	at time.Time
}

// Right asks Jira, with the person's own token, what the person may see of an
// issue. An answer holds for a minute. Without a token, without a site, or
// where Jira cannot be asked within the deadline and was not lately, nothing
// is known.
func (l *Lookup) Right(ctx context.Context, user ferry.UserID, key ferry.IssueKey) Right {
	of := rightOf{user, key}
	l.mu.Lock()
	held, ok := l.rights[of]
	l.mu.Unlock()
	age := time.Since(held.at)
	if ok && age < rightFor {
		return held.Right
	}
	client, own, err := l.own(ctx, user)
	if err != nil || !own {
		return Right{}
	}
	ctx, cancel := context.WithTimeout(ctx, l.Deadline)
	defer cancel()
	var right Right
	have, err := client.Permissions(ctx, key)
	var e *jira.Error
	switch {
	case err == nil:
		right = Right{Known: true, See: have[jira.PermissionBrowse], Dev: have[jira.PermissionDevTools], Administers: have[jira.PermissionAdminister]}
	case errors.As(err, &e) && e.Class == jira.NotFound:
		right = Right{Known: true}
	case ok && age < rightKept:
		return held.Right
	default:
		l.Log.Warn("a person's rights on an issue are not known", "issue", key, "err", err)
		return Right{}
	}
	l.hold(of, right)
	return right
}

// own returns the client that acts as a person; own is false if it is the
// service account's, since the person has no token. It fails with
// ferry.ErrNotFound if no site is connected.
func (l *Lookup) own(ctx context.Context, user ferry.UserID) (client *jira.Client, own bool, err error) {
	service, _, err := l.Sites.Client(ctx)
	if err != nil {
		return nil, false, err
	}
	token, email, err := l.Store.JiraToken(ctx, user)
	if errors.Is(err, ferry.ErrNotFound) {
		return service, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return service.As(email, token), true, nil
}

// Hides reports whether Jira hides an issue from a person, or at least its
// development information (product-behaviour.md 22.3). From administrators
// nothing is hidden. Where it is not known what Jira says nothing is either:
// then the repositories that a person may read decide alone. Instead of a key,
// key may be that of a project.
func (l *Lookup) Hides(ctx context.Context, subject ferry.Subject, key ferry.IssueKey) (issue, dev bool) {
	if ferry.Check(subject, ferry.ActionAdmin, "", time.Now()) == nil {
		return false, false
	}
	r := l.Right(ctx, subject.User.ID, key)
	return r.Known && !r.See, r.Known && !(r.See && r.Dev)
}

// Knows reports whether a person may be told what Jira says of an issue, its
// summary and its status: administrators may, and those to whom Jira shows it,
// by an own token or, without one, because issues of the project can be
// assigned to them. What could not be asked is answered with no.
func (l *Lookup) Knows(ctx context.Context, subject ferry.Subject, key ferry.IssueKey) bool {
	if ferry.Check(subject, ferry.ActionAdmin, "", time.Now()) == nil {
		return true
	}
	if r := l.Right(ctx, subject.User.ID, key); r.Known {
		return r.See
	}
	project := key.Project()
	of := rightOf{subject.User.ID, ferry.IssueKey("by e-mail " + project)} // no key looks like that
	l.mu.Lock()
	held, ok := l.rights[of]
	l.mu.Unlock()
	if ok && time.Since(held.at) < rightFor {
		return held.See
	}
	emails := append([]string{subject.User.Email}, subject.User.Aliases...)
	emails = slices.DeleteFunc(emails, func(e string) bool { return e == "" })
	may := l.MayKnow(ctx, emails, []string{project})[project]
	l.hold(of, Right{See: may})
	return may
}

// hold keeps an answer for a while.
func (l *Lookup) hold(of rightOf, r Right) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rights == nil || len(l.rights) >= maxRights {
		l.rights = make(map[rightOf]heldRight)
	}
	l.rights[of] = heldRight{r, time.Now()}
}

// A Hit is an issue that a search found.
type Hit struct {
	Key     ferry.IssueKey
	Summary string
	Status  string
}

// Search finds issues by key, project or words of the summary, at most max,
// within the deadline: as the person where there is an own token, else as the
// service account among the issues that the person may know of. It fails with
// ferry.ErrNotFound if no site is connected.
func (l *Lookup) Search(ctx context.Context, subject ferry.Subject, text string, max int) ([]Hit, error) {
	client, own, err := l.own(ctx, subject.User.ID)
	if err != nil {
		return nil, err
	}
	asking, cancel := context.WithTimeout(ctx, 2*l.Deadline)
	defer cancel()
	found, err := client.SearchIssues(asking, text, max)
	hits := make([]Hit, 0, len(found))
	for _, i := range found {
		if own || l.Knows(ctx, subject, i.Key) {
			hits = append(hits, Hit{i.Key, i.Summary, i.Status.Name})
		}
	}
	return hits, err
}
