// Package issues answers what Jira knows: which projects there are, whether an
// issue exists, and what a person may see of it. It also changes, for people,
// which issues a commit, branch or pull request belongs to.
//
// The idea is that a push waits for Jira only for a bounded time. Answers come
// from the books where they are fresh; the rest is asked within a deadline and
// written down. A key without an answer is "not checked", never "missing".
//
// The push policy and the index ask through cmd; Run keeps the list of
// projects and the site's settings for time tracking fresh. The package changes
// nothing at Jira.
package issues

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	"gitferry/internal/outbox"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

const (
	// foundFor and missingFor are how long an answer holds.
	foundFor   = 10 * time.Minute
	missingFor = time.Minute
	// projectsEvery is how often the list of projects is read, and no more
	// often than projectsAtMost when something unknown turned up.
	projectsEvery  = 10 * time.Minute
	projectsAtMost = time.Minute
	// retryEvery is how soon a failed look is repeated.
	retryEvery = 5 * time.Second
	// askTimeout bounds one look at the projects.
	askTimeout = 30 * time.Second
)

// A Lookup answers from the books and from Jira. Fill the exported fields.
type Lookup struct {
	Store *store.Store
	Sites *outbox.Sites
	// Deadline bounds the wait for Jira in one States call.
	Deadline time.Duration
	// ProjectsChanged is called after the list of projects changed.
	ProjectsChanged func(context.Context)
	// Queued is called after rows for Jira were written; it must not block. It
	// may be nil.
	Queued func()
	Log    *slog.Logger

	mu     sync.Mutex
	bell   chan struct{}         // guarded by mu; made on first use
	rights map[rightOf]heldRight // guarded by mu
}

// States returns what is known of the keys. Keys that could not be checked in
// time have no entry. It never fails: trouble with Jira is logged.
func (l *Lookup) States(ctx context.Context, keys []ferry.IssueKey) map[ferry.IssueKey]store.Issue {
	known, err := l.Store.IssuesCached(ctx, keys, foundFor)
	if err != nil {
		l.Log.Error("reading the issue cache", "err", err)
		known = nil
	}
	states := make(map[ferry.IssueKey]store.Issue, len(keys))
	var ask []ferry.IssueKey
	for _, k := range keys {
		i, ok := known[k]
		if ok && (i.Exists || time.Since(i.CheckedAt) < missingFor) {
			states[k] = i
		} else {
			ask = append(ask, k)
		}
	}
	if len(ask) == 0 {
		return states
	}
	ctx, cancel := context.WithTimeout(ctx, l.Deadline)
	defer cancel()
	client, _, err := l.Sites.Client(ctx)
	if err != nil {
		return states
	}
	found, err := client.Issues(ctx, ask)
	if err != nil {
		l.Log.Warn("keys not checked at Jira", "keys", len(ask), "err", err)
		return states
	}
	var rows []store.Issue
	for _, k := range ask {
		row := store.Issue{Key: k}
		if i, ok := found[k]; ok {
			row.Exists, row.Summary, row.Status = true, i.Summary, i.Status.Name
			if i.Key != k {
				row.MovedTo = i.Key
			}
		}
		states[k] = row
		rows = append(rows, row)
	}
	if err := l.Store.PutIssues(context.WithoutCancel(ctx), rows); err != nil {
		l.Log.Error("writing the issue cache", "err", err)
	}
	return states
}

// MayKnow tells of which projects a person with these e-mail addresses may
// learn what there is in Jira: those whose issues can be assigned to his
// account, which nobody gets who cannot see them. What could not be asked
// within the deadline is not in the answer.
func (l *Lookup) MayKnow(ctx context.Context, emails []string, projects []string) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, l.Deadline)
	defer cancel()
	client, _, err := l.Sites.Client(ctx)
	if err != nil {
		return nil
	}
	may := make(map[string]bool)
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, project := range projects[:min(len(projects), maxProjects)] {
		asking.Go(func() {
			for _, email := range emails {
				_, err := client.FindUser(ctx, email, project)
				if err != nil && !errors.Is(err, ferry.ErrNotFound) {
					l.Log.Warn("rights not checked at Jira", "project", project, "err", err)
				}
				if err == nil {
					mu.Lock()
					may[project] = true
					mu.Unlock()
					return
				}
			}
		})
	}
	asking.Wait()
	return may
}

// maxProjects bounds the projects that one push asks about.
const maxProjects = 20

// maxForecast is how many issues are asked for their transitions in one push.
const maxForecast = 5

// A Forecast says what is known about the outcome of commands that are about
// to be queued: Fails gives the reason for those that Jira would refuse now.
type Forecast struct {
	Fails map[ferry.IssueKey]map[string]string // issue, name of the transition, reason
}

// Forecast looks at the first transition of each issue, at most five issues,
// within the deadline. What could not be asked in time is left out. Later
// transitions of an issue depend on the first and are not looked at.
func (l *Lookup) Forecast(ctx context.Context, actions []smartcommit.Action) Forecast {
	first := make(map[ferry.IssueKey]string)
	for _, a := range actions {
		if a.Command == smartcommit.Transition && first[a.Key] == "" && len(first) < maxForecast {
			first[a.Key] = a.Name
		}
	}
	f := Forecast{Fails: make(map[ferry.IssueKey]map[string]string)}
	if len(first) == 0 {
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, l.Deadline)
	defer cancel()
	client, _, err := l.Sites.Client(ctx)
	if err != nil {
		return f
	}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for key, name := range first {
		asking.Go(func() {
			if why := refusal(ctx, client, key, name); why != "" {
				mu.Lock()
				defer mu.Unlock()
				f.Fails[key] = map[string]string{name: why}
			}
		})
	}
	asking.Wait()
	return f
}

// refusal says why a transition cannot be taken now, or "".
func refusal(ctx context.Context, client *jira.Client, key ferry.IssueKey, name string) string {
	issue, err := client.Issue(ctx, key)
	if err != nil {
		return ""
	}
	open, err := client.Transitions(ctx, key)
	if err != nil {
		return ""
	}
	choices := make([]smartcommit.OpenTransition, len(open))
	for i, o := range open {
		choices[i] = smartcommit.OpenTransition{ID: o.ID, Name: o.Name, To: o.To.Name}
	}
	if _, err := smartcommit.MatchTransition(name, issue.Status.Name, choices); err != nil {
		return err.Error()
	}
	return ""
}

// Wake asks for an early look at the projects. It does not block.
func (l *Lookup) Wake() {
	select {
	case l.bells() <- struct{}{}:
	default:
	}
}

func (l *Lookup) bells() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bell == nil {
		l.bell = make(chan struct{}, 1)
	}
	return l.bell
}

// Run keeps the projects and the time-tracking settings fresh until ctx ends.
func (l *Lookup) Run(ctx context.Context) error {
	bell := l.bells()
	for {
		wait := projectsEvery
		if err := l.Refresh(ctx); err != nil {
			if ctx.Err() == nil && !errors.Is(err, ferry.ErrNotFound) {
				l.Log.Warn("reading Jira's projects", "err", err)
			}
			wait = retryEvery
		}
		if wait > projectsAtMost {
			if !sleep(ctx, projectsAtMost) {
				return nil
			}
			wait -= projectsAtMost
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-bell:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// sleep waits and reports whether ctx still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// Refresh reads the projects and the time-tracking settings now. It fails with
// ferry.ErrNotFound if no site is connected.
func (l *Lookup) Refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	client, site, err := l.Sites.Client(ctx)
	if err != nil {
		return err
	}
	if site.Kind == "cloud" && site.CloudID == "" {
		if client, site, err = l.learnCloudID(ctx, client, site); err != nil {
			return err
		}
	}
	projects, err := client.Projects(ctx)
	if err != nil {
		return err
	}
	before, _, _, err := l.Store.Projects(ctx)
	if err != nil {
		return err
	}
	if err := l.Store.PutProjects(ctx, projects); err != nil {
		return err
	}
	if c, err := client.Configuration(ctx); err == nil && (c.HoursPerDay != site.HoursPerDay || c.DaysPerWeek != site.DaysPerWeek) {
		site.HoursPerDay, site.DaysPerWeek = c.HoursPerDay, c.DaysPerWeek
		if err := l.Store.SetJiraSite(ctx, site); err != nil {
			return err
		}
	}
	if l.ProjectsChanged != nil && !sameKeys(projects, before) {
		l.ProjectsChanged(ctx)
	}
	return nil
}

// learnCloudID asks the site for its cloud id, which the development
// information API needs, and lets deliveries that waited for it go on.
func (l *Lookup) learnCloudID(ctx context.Context, client *jira.Client, site store.JiraSite) (*jira.Client, store.JiraSite, error) {
	id, err := client.FindCloudID(ctx)
	if err != nil {
		return client, site, err
	}
	site.CloudID = id
	if err := l.Store.SetJiraSite(ctx, site); err != nil {
		return client, site, err
	}
	if err := l.Store.ResumeDeliveries(ctx); err != nil {
		return client, site, err
	}
	return l.Sites.Client(ctx)
}

// sameKeys reports whether two lists hold the same keys in any order.
func sameKeys(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
