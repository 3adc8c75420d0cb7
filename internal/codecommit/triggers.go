package codecommit

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"

	"gitferry/internal/ferry"
)

// A Trigger makes CodeCommit send a message when refs move.
type Trigger struct {
	Name        string   // 1-100 letters, digits, '.', '_', '-'; unique in the repository
	Destination string   // ARN of a standard SNS topic, or of a function
	CustomData  string   // at most 1,000 characters
	Branches    []string // at most 10; none: all
	Events      []string // "all", or any of updateReference, createReference, deleteReference
}

// MaxTriggers is AWS's limit of triggers in one repository.
const MaxTriggers = 10

// Triggers returns a repository's triggers. It needs
// codecommit:GetRepositoryTriggers.
func (c *Client) Triggers(ctx context.Context, repository string) ([]Trigger, error) {
	out, err := invoke(ctx, c, call{"codecommit:GetRepositoryTriggers", "triggers of " + repository}, c.codecommit.GetRepositoryTriggers,
		&codecommit.GetRepositoryTriggersInput{RepositoryName: aws.String(repository)})
	if err != nil {
		return nil, err
	}
	var list []Trigger
	for _, t := range out.Triggers {
		list = append(list, trigger(t))
	}
	return list, nil
}

func trigger(t types.RepositoryTrigger) Trigger {
	out := Trigger{
		Name: aws.ToString(t.Name), Destination: aws.ToString(t.DestinationArn),
		CustomData: aws.ToString(t.CustomData), Branches: t.Branches,
	}
	for _, e := range t.Events {
		out.Events = append(out.Events, string(e))
	}
	return out
}

// awsTriggers turns triggers into the SDK's. AWS refuses a trigger without a
// list of branches, so an empty list is sent.
func awsTriggers(list []Trigger) []types.RepositoryTrigger {
	out := []types.RepositoryTrigger{}
	for _, t := range list {
		a := types.RepositoryTrigger{
			Name: aws.String(t.Name), DestinationArn: aws.String(t.Destination), CustomData: optional(t.CustomData),
			Branches: append([]string{}, t.Branches...),
			Events:   []types.RepositoryTriggerEventEnum{},
		}
		for _, e := range t.Events {
			a.Events = append(a.Events, types.RepositoryTriggerEventEnum(e))
		}
		out = append(out, a)
	}
	return out
}

// PutTriggers replaces the whole list of a repository's triggers. Prefer
// SetTrigger and RemoveTrigger, which leave those of others alone. It needs
// codecommit:PutRepositoryTriggers.
func (c *Client) PutTriggers(ctx context.Context, repository string, list []Trigger) error {
	_, err := invoke(ctx, c, call{"codecommit:PutRepositoryTriggers", "triggers of " + repository}, c.codecommit.PutRepositoryTriggers,
		&codecommit.PutRepositoryTriggersInput{RepositoryName: aws.String(repository), Triggers: awsTriggers(list)})
	return err
}

// TestTrigger has AWS send a test message through a trigger that need not be
// stored. It fails with ferry.ErrConflict and AWS's words if that does not
// work. It needs codecommit:TestRepositoryTriggers.
func (c *Client) TestTrigger(ctx context.Context, repository string, t Trigger) error {
	what := call{"codecommit:TestRepositoryTriggers", "triggers of " + repository}
	out, err := invoke(ctx, c, what, c.codecommit.TestRepositoryTriggers,
		&codecommit.TestRepositoryTriggersInput{RepositoryName: aws.String(repository), Triggers: awsTriggers([]Trigger{t})})
	if err != nil {
		return err
	}
	for _, f := range out.FailedExecutions {
		return &ferry.Message{Kind: ferry.ErrConflict, Text: fmt.Sprintf("the test of trigger %s of %s failed: %s",
			t.Name, repository, oneLine(aws.ToString(f.FailureMessage)))}
	}
	return nil
}

// WithTrigger puts a trigger into a list, in the place of one of the same name.
// It fails with ferry.ErrConflict if the list is full.
func WithTrigger(repository string, list []Trigger, t Trigger) ([]Trigger, error) {
	for i := range list {
		if list[i].Name == t.Name {
			list[i] = t
			return list, nil
		}
	}
	if len(list) >= MaxTriggers {
		return nil, &ferry.Message{Kind: ferry.ErrConflict, Text: fmt.Sprintf(
			"repository %s has %d triggers already, which is AWS's limit; it is polled instead", repository, len(list))}
	}
	return append(list, t), nil
}

// ChangeTriggers replaces a repository's list of triggers by what change makes
// of it, which must keep those of others as they are. It reads the list again
// after writing, since AWS has no conditional write, and repairs it if somebody
// else wrote at the same time. It reports whether it had to write; change may
// be called several times, and its error ends the call.
func (c *Client) ChangeTriggers(ctx context.Context, repository string, change func([]Trigger) ([]Trigger, error)) (bool, error) {
	for try := range 4 {
		list, err := c.Triggers(ctx, repository)
		if err != nil {
			return false, err
		}
		want, err := change(slices.Clone(list))
		if err != nil {
			return false, err
		}
		if sameTriggers(list, want) {
			return try > 0, nil
		}
		if try == 3 {
			break // only read this time
		}
		if err := c.PutTriggers(ctx, repository, want); err != nil {
			return false, err
		}
	}
	return false, &ferry.Message{Kind: ferry.ErrConflict, Text: fmt.Sprintf(
		"somebody else keeps changing the triggers of %s; try again", repository)}
}

// sameTriggers compares without regard to the order of triggers.
func sameTriggers(a, b []Trigger) bool {
	if len(a) != len(b) {
		return false
	}
	for _, t := range a {
		if !slices.ContainsFunc(b, func(u Trigger) bool {
			return t.Name == u.Name && t.Destination == u.Destination && t.CustomData == u.CustomData &&
				slices.Equal(t.Branches, u.Branches) && slices.Equal(t.Events, u.Events)
		}) {
			return false
		}
	}
	return true
}
