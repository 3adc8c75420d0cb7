package outbox

import (
	"context"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	"gitferry/internal/smartcommit"
)

// A command is one kind of effect on an issue.
type command interface {
	// safe reports whether doing it twice does no harm.
	safe() bool
	// find looks for the effect of an earlier attempt.
	find(ctx context.Context) (id string, found bool, err error)
	// do brings the effect about; it calls attempt.sending before the first
	// call that changes something.
	do(ctx context.Context) (id string, err error)
}

func (t *attempt) command() command {
	switch t.smart.Command {
	case smartcommit.Comment:
		return comment{t}
	case smartcommit.Worklog:
		return worklog{t}
	case smartcommit.Transition:
		return transition{t}
	case smartcommit.Assign:
		return assignment{t}
	default:
		return edit{t}
	}
}

// text returns what the person wrote, below a line that says who, where the
// service account acts for the person.
func (t *attempt) text(ctx context.Context, words string) (jira.Text, error) {
	if !t.named {
		return jira.Text{{Text: words}}, nil
	}
	repo, err := t.w.Store.Repository(ctx, t.action.Repository)
	if isNotFound(err) {
		repo = ferry.Repository{}
	} else if err != nil {
		return nil, err
	}
	text := jira.Text{{Text: t.person() + " in commit "}}
	if repo.ID == 0 { // disconnected since
		text = append(text, jira.Span{Text: t.action.OID.Short()})
	} else {
		text = append(text,
			jira.Span{Text: t.action.OID.Short(), Link: t.w.Links.Commit(repo, t.action.OID)},
			jira.Span{Text: " (" + repo.Path() + ")"})
	}
	if words != "" {
		text = append(text, jira.Span{Text: "\n" + words})
	}
	return text, nil
}

// person is the name of the commit's author, for people.
func (t *attempt) person() string {
	for _, s := range []string{t.action.Author.Name, t.action.Author.Email} {
		if s != "" {
			return s
		}
	}
	return "Somebody"
}

func (t *attempt) marker() jira.Marker {
	return jira.Marker{ID: t.action.Identity, Commit: t.action.OID.String()}
}

func (t *attempt) cause(ctx context.Context) (jira.Cause, error) {
	c := jira.Cause{Commit: t.action.OID.String(), Person: t.action.Author.Name, Email: t.action.Author.Email,
		Activity: t.person() + " in commit " + t.action.OID.Short()}
	repo, err := t.w.Store.Repository(ctx, t.action.Repository)
	if isNotFound(err) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	c.URL = t.w.Links.Commit(repo, t.action.OID)
	c.Activity += " (" + repo.Path() + ")"
	return c, nil
}

type comment struct{ *attempt }

func (comment) safe() bool { return false }

func (c comment) find(ctx context.Context) (string, bool, error) { return c.findComment(ctx) }

func (c comment) do(ctx context.Context) (string, error) {
	if c.smart.Text == "" {
		return "", refusal("#comment: nothing to say")
	}
	text, err := c.text(ctx, c.smart.Text)
	if err != nil {
		return "", err
	}
	if err := c.sending(ctx, ""); err != nil {
		return "", err
	}
	return c.client.AddComment(ctx, c.action.Key, text, c.marker())
}

// findComment looks for the comment of this action.
func (t *attempt) findComment(ctx context.Context) (string, bool, error) {
	text, err := t.text(ctx, t.smart.Text)
	if err != nil {
		return "", false, err
	}
	id, err := t.client.FindComment(ctx, t.action.Key, text, t.marker(), t.sentAt())
	return id, id != "", err
}

type worklog struct{ *attempt }

func (worklog) safe() bool { return false }

func (c worklog) find(ctx context.Context) (string, bool, error) {
	l, err := c.worklog(ctx)
	if err != nil {
		return "", false, err
	}
	id, err := c.client.FindWorklog(ctx, c.action.Key, l)
	return id, id != "", err
}

func (c worklog) do(ctx context.Context) (string, error) {
	l, err := c.worklog(ctx)
	if err != nil {
		return "", err
	}
	if err := c.sending(ctx, ""); err != nil {
		return "", err
	}
	return c.client.AddWorklog(ctx, c.action.Key, l)
}

// worklog is the same for each attempt, so that it can be found again: its
// start is the author date, or if that lies in the future the time at which
// the action was queued.
func (t *attempt) worklog(ctx context.Context) (jira.Worklog, error) {
	days, hours := t.site.DaysPerWeek, t.site.HoursPerDay
	if days <= 0 {
		days = 5
	}
	if hours <= 0 {
		hours = 8
	}
	seconds := t.smart.Seconds(days, hours)
	if seconds < 60 {
		return jira.Worklog{}, refusal("#time: the duration is less than a minute")
	}
	if float64(seconds) > smartcommit.MaxWorklog*days*hours*3600 {
		return jira.Worklog{}, refusal("#time: more than 4 weeks in one command")
	}
	started := t.action.AuthoredAt
	if started.After(t.action.CreatedAt) {
		started = t.action.CreatedAt
	}
	var text jira.Text
	if t.named || t.smart.Text != "" {
		var err error
		if text, err = t.text(ctx, t.smart.Text); err != nil {
			return jira.Worklog{}, err
		}
	}
	return jira.Worklog{Seconds: seconds, Started: started.Truncate(time.Millisecond), Text: text, Marker: t.marker()}, nil
}
