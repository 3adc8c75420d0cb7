package issues

import (
	"context"

	"gitferry/internal/ferry"
)

// Issue asks Jira, within the deadline, for an issue's summary and the name of
// its type.
func (l *Lookup) Issue(ctx context.Context, key ferry.IssueKey) (summary, issueType string, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.Deadline)
	defer cancel()
	client, _, err := l.Sites.Client(ctx)
	if err != nil {
		return "", "", err
	}
	i, err := client.Issue(ctx, key)
	return i.Summary, i.Type, err
}
