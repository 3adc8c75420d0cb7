package jira

import (
	"context"
	"net/http"
	"net/url"

	"gitferry/internal/ferry"
)

// An Edit adds to an issue and removes nothing. Adding what is there already
// changes nothing, so an edit may be repeated.
type Edit struct {
	Labels   []string // without blanks, at most 255 characters
	Fix      []string // names of versions that exist
	Affected []string
}

// Edit makes the additions in one call.
func (c *Client) Edit(ctx context.Context, key ferry.IssueKey, e Edit, cause Cause) error {
	update := map[string][]map[string]any{}
	for _, l := range e.Labels {
		update["labels"] = append(update["labels"], map[string]any{"add": l})
	}
	for _, v := range e.Fix {
		update["fixVersions"] = append(update["fixVersions"], map[string]any{"add": map[string]string{"name": v}})
	}
	for _, v := range e.Affected {
		update["versions"] = append(update["versions"], map[string]any{"add": map[string]string{"name": v}})
	}
	return c.doREST(ctx, call{
		op: "editing " + string(key), method: http.MethodPut, want: []int{http.StatusNoContent},
		body: map[string]any{"update": update, "historyMetadata": cause.json()},
	}, issuePath(key, ""))
}

// A Version of a project.
type Version struct {
	Name     string `json:"name"`
	Archived bool   `json:"archived"`
	Released bool   `json:"released"`
}

// Versions returns the versions of a project.
func (c *Client) Versions(ctx context.Context, project string) ([]Version, error) {
	var a []Version
	err := c.doREST(ctx, call{
		op: "listing the versions of " + project, method: http.MethodGet,
		want: []int{http.StatusOK}, into: &a, shape: func() bool { return a != nil },
	}, "/project/"+url.PathEscape(project)+"/versions")
	return a, err
}

// Assign makes account the assignee.
func (c *Client) Assign(ctx context.Context, key ferry.IssueKey, account Account) error {
	body := map[string]string{"accountId": account.ID}
	if c.site.Kind == DataCenter {
		body = map[string]string{"name": account.Name}
	}
	return c.doREST(ctx, call{
		op: "assigning " + string(key), method: http.MethodPut, body: body, want: []int{http.StatusNoContent},
	}, issuePath(key, "/assignee"))
}
