package jira

import (
	"context"
	"net/http"
	"net/url"

	"gitferry/internal/ferry"
)

// A RemoteLink is shown below an issue's links. This is how commits become
// visible on Data Center, which has no call for development information.
type RemoteLink struct {
	GlobalID     string // at most 255 characters; the same id updates the link
	URL          string
	Title        string
	Summary      string
	Relationship string
	Resolved     bool // shown struck through
}

// PutRemoteLink makes the link or, if the issue has one with its global id,
// replaces it. It may be repeated.
func (c *Client) PutRemoteLink(ctx context.Context, key ferry.IssueKey, l RemoteLink) error {
	var a struct {
		ID int64 `json:"id"`
	}
	return c.doREST(ctx, call{
		op: "linking " + string(key), method: http.MethodPost,
		body: map[string]any{
			"globalId":     l.GlobalID,
			"application":  map[string]string{"type": "gitferry", "name": "gitferry"},
			"relationship": l.Relationship,
			"object": map[string]any{"url": l.URL, "title": cut(clean(l.Title), 255), "summary": cut(clean(l.Summary), 255),
				"status": map[string]any{"resolved": l.Resolved}},
		},
		want: []int{http.StatusOK, http.StatusCreated}, into: &a, shape: func() bool { return a.ID != 0 },
	}, issuePath(key, "/remotelink"))
}

// DeleteRemoteLink removes the link with the global id; one that is not
// there is no error.
func (c *Client) DeleteRemoteLink(ctx context.Context, key ferry.IssueKey, globalID string) error {
	err := c.doREST(ctx, call{
		op: "removing a link of " + string(key), method: http.MethodDelete,
		query: url.Values{"globalId": {globalID}}, want: []int{http.StatusNoContent},
	}, issuePath(key, "/remotelink"))
	if classOf(err) == NotFound {
		return nil
	}
	return err
}
