package codecommit

import (
	"context"
	"errors"
)

// Probe tries the reading operations for real, on one repository of the
// account, and returns what it learned about IAM actions; repository may be
// empty. Writing actions are not tried and stay unknown, as do git's. Give the
// result, completed by what git sessions and earlier failures told, to
// FeatureStates.
func (c *Client) Probe(ctx context.Context, repository string) map[string]State {
	known := make(map[string]State)
	learn := func(action string, err error) {
		switch {
		case err == nil:
			known[action] = StateOK
		case MissingAction(err) != "":
			known[action] = StateMissing
		default:
			known[action] = StateUnknown
		}
	}
	_, err := c.ListRepositories(ctx)
	learn("codecommit:ListRepositories", err)
	if repository == "" {
		return known
	}
	_, _, err = c.BatchGetRepositories(ctx, []string{repository})
	learn("codecommit:BatchGetRepositories", err)
	_, err = c.Triggers(ctx, repository)
	learn("codecommit:GetRepositoryTriggers", err)
	first, err := c.firstPullRequest(ctx, repository)
	learn("codecommit:ListPullRequests", err)
	if first != "" {
		_, err = c.PullRequest(ctx, first)
		learn("codecommit:GetPullRequest", err)
	}
	return known
}

func (c *Client) firstPullRequest(ctx context.Context, repository string) (string, error) {
	for _, open := range []bool{true, false} {
		for id, err := range c.PullRequestIDs(ctx, repository, open) {
			return id, err
		}
	}
	return "", nil
}

// MissingAction returns the IAM action whose absence caused err, or "".
func MissingAction(err error) string {
	var d *AccessDenied
	if errors.As(err, &d) {
		return d.Action
	}
	return ""
}
