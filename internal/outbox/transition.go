package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gitferry/internal/jira"
	"gitferry/internal/smartcommit"
)

// SettingResolution is the name of the setting, a string, that holds the
// resolution to give where a transition demands one. DefaultResolution if it
// is not set.
const (
	SettingResolution = "jira.resolution"
	DefaultResolution = "Done"
)

// transition moves an issue. Which step is meant is found out when it is
// delivered, since earlier commands change what is open. The text, if there
// is one, becomes a comment by a call of its own: only some screens take it.
type transition struct{ *attempt }

func (transition) safe() bool { return false }

func (c transition) find(ctx context.Context) (string, bool, error) {
	moved, err := c.moved(ctx)
	if err != nil || !moved {
		return "", false, err
	}
	if c.smart.Text == "" {
		return "", true, nil
	}
	return c.findComment(ctx)
}

// moved reports whether an earlier attempt moved the issue: the marker is on
// it, or it stands where that attempt wanted it.
func (c transition) moved(ctx context.Context) (bool, error) {
	m, err := c.client.IssueMarker(ctx, c.action.Key)
	if err != nil || m.ID == c.action.Identity {
		return err == nil, err
	}
	if c.before.Target == "" {
		return false, nil
	}
	issue, err := c.client.Issue(ctx, c.action.Key)
	return err == nil && issue.Status.ID == c.before.Target, err
}

func (c transition) do(ctx context.Context) (string, error) {
	moved := false
	if c.unsure() {
		var err error
		if moved, err = c.moved(ctx); err != nil {
			return "", partial{err}
		}
	}
	if !moved {
		if err := c.move(ctx); err != nil {
			return "", err
		}
	}
	if c.smart.Text == "" {
		return "", nil
	}
	text, err := c.text(ctx, c.smart.Text)
	if err != nil {
		return "", partial{err}
	}
	// Also when nothing was to be moved: the comment must not be made twice.
	if err := c.sending(ctx, c.before.Target); err != nil {
		return "", partial{err}
	}
	id, err := c.client.AddComment(ctx, c.action.Key, text, c.marker())
	if err != nil {
		return "", partial{fmt.Errorf("the issue was moved, the comment was not made: %w", err)}
	}
	return id, nil
}

// move takes the step. A conflict is another change at the same time: look
// again, once.
func (c transition) move(ctx context.Context) error {
	cause, err := c.cause(ctx)
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		step, resolution, err := c.step(ctx)
		if err != nil || step == nil {
			return err
		}
		if err := c.sending(ctx, step.To.ID); err != nil {
			return err
		}
		err = c.client.DoTransition(ctx, c.action.Key, step.ID, resolution, c.marker(), cause)
		var e *jira.Error
		if try == 0 && errors.As(err, &e) && e.Class == jira.Conflict {
			continue
		}
		return err
	}
}

// step finds the transition that the command means, nil if the issue stands
// there already, and the resolution to give.
func (c transition) step(ctx context.Context) (*jira.Transition, string, error) {
	issue, err := c.client.Issue(ctx, c.action.Key)
	if err != nil {
		return nil, "", err
	}
	open, err := c.client.Transitions(ctx, c.action.Key)
	if err != nil {
		return nil, "", err
	}
	choices := make([]smartcommit.OpenTransition, len(open))
	for i, o := range open {
		choices[i] = smartcommit.OpenTransition{ID: o.ID, Name: o.Name, To: o.To.Name}
	}
	match, err := smartcommit.MatchTransition(c.smart.Name, issue.Status.Name, choices)
	if err != nil {
		return nil, "", refusal(err.Error())
	}
	if match.Already {
		return nil, "", nil
	}
	i := slices.IndexFunc(open, func(o jira.Transition) bool { return o.ID == match.Transition.ID })
	resolution, err := c.fields(ctx, open[i])
	return &open[i], resolution, err
}

// fields decides what to give for the fields that the step demands.
func (c transition) fields(ctx context.Context, step jira.Transition) (resolution string, err error) {
	others := slices.DeleteFunc(slices.Clone(step.Required), func(f string) bool { return f == "resolution" })
	if len(others) > 0 {
		return "", refusal(fmt.Sprintf("#%s: the step %q demands fields that a commit cannot give: %s",
			c.smart.Name, step.Name, strings.Join(others, ", ")))
	}
	if len(step.Required) == 0 {
		return "", nil
	}
	want := DefaultResolution
	if err := c.w.Store.Setting(ctx, SettingResolution, &want); err != nil && !isNotFound(err) {
		return "", err
	}
	if len(step.Resolutions) > 0 && !slices.Contains(step.Resolutions, want) {
		return "", refusal(fmt.Sprintf("#%s: the step %q demands a resolution, and %q is none of %s",
			c.smart.Name, step.Name, want, strings.Join(step.Resolutions, ", ")))
	}
	return want, nil
}
