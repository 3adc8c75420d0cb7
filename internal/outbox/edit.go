package outbox

import (
	"context"
	"fmt"
	"strings"

	"gitferry/internal/jira"
	"gitferry/internal/smartcommit"
)

// assignment makes a person the assignee.
type assignment struct{ *attempt }

func (assignment) safe() bool { return true }

func (assignment) find(context.Context) (string, bool, error) { return "", false, nil }

func (c assignment) do(ctx context.Context) (string, error) {
	who := strings.TrimPrefix(c.smart.User, "@")
	if who == "" {
		return "", refusal("#assign: nobody named")
	}
	var account jira.Account
	var err error
	switch {
	case who != "me":
		account, err = c.client.FindUser(ctx, c.address(ctx, who), c.action.Key.Project())
	case !c.named:
		account, err = c.client.Myself(ctx)
	default:
		account, err = c.client.FindUser(ctx, c.address(ctx, c.action.Author.Email), c.action.Key.Project())
	}
	if err != nil {
		return "", err
	}
	if err := c.sending(ctx, ""); err != nil {
		return "", err
	}
	return "", c.client.Assign(ctx, c.action.Key, account)
}

// address puts the main address of a user in the place of one of his aliases,
// under which Jira may not know him.
func (c assignment) address(ctx context.Context, who string) string {
	if !strings.Contains(who, "@") {
		return who
	}
	user, err := c.w.Store.UserByEmail(ctx, who)
	if err != nil || user.Email == "" {
		return who
	}
	return user.Email
}

// edit adds labels or versions.
type edit struct{ *attempt }

func (edit) safe() bool { return true }

func (edit) find(context.Context) (string, bool, error) { return "", false, nil }

func (c edit) do(ctx context.Context) (string, error) {
	e, err := c.edit(ctx)
	if err != nil {
		return "", err
	}
	cause, err := c.cause(ctx)
	if err != nil {
		return "", err
	}
	if err := c.sending(ctx, ""); err != nil {
		return "", err
	}
	return "", c.client.Edit(ctx, c.action.Key, e, cause)
}

func (c edit) edit(ctx context.Context) (jira.Edit, error) {
	switch c.smart.Command {
	case smartcommit.Label:
		for _, l := range c.smart.Labels {
			if l == "" || len(l) > 255 || strings.ContainsAny(l, " \t\n") {
				return jira.Edit{}, refusal(fmt.Sprintf("#label: %.40q cannot be a label", l))
			}
		}
		if len(c.smart.Labels) == 0 {
			return jira.Edit{}, refusal("#label: no label named")
		}
		return jira.Edit{Labels: c.smart.Labels}, nil
	case smartcommit.FixVersion:
		name, err := c.version(ctx)
		return jira.Edit{Fix: []string{name}}, err
	case smartcommit.AffectsVersion:
		name, err := c.version(ctx)
		return jira.Edit{Affected: []string{name}}, err
	}
	return jira.Edit{}, refusal(fmt.Sprintf("%q is no command that can be carried out", c.smart.Command))
}

// version finds the version by its name, if need be without regard to case.
// The issue may have moved, so its present project is asked.
func (c edit) version(ctx context.Context) (string, error) {
	issue, err := c.client.Issue(ctx, c.action.Key)
	if err != nil {
		return "", err
	}
	versions, err := c.client.Versions(ctx, issue.Key.Project())
	if err != nil {
		return "", err
	}
	found := ""
	for _, v := range versions {
		if v.Archived {
			continue
		}
		if v.Name == c.smart.Version {
			return v.Name, nil
		}
		if strings.EqualFold(v.Name, c.smart.Version) {
			found = v.Name
		}
	}
	if found == "" {
		return "", refusal(fmt.Sprintf("%s has no version %.80q that is not archived", issue.Key.Project(), c.smart.Version))
	}
	return found, nil
}
