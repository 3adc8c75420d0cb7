package jira

import (
	"context"
	"net/http"
	"net/url"
	"sort"

	"gitferry/internal/ferry"
)

// A Transition is a step that the account may take now. Names are not unique.
type Transition struct {
	ID   string
	Name string
	To   Status
	// Required are the fields on the transition's screen that must be given
	// and have no default, sorted. Resolutions are the names allowed for a
	// required resolution.
	Required    []string
	Resolutions []string
}

// Transitions returns the steps open to the account from the issue's present
// status. None: nothing is possible, or the account may not.
func (c *Client) Transitions(ctx context.Context, key ferry.IssueKey) ([]Transition, error) {
	var a struct {
		Transitions []struct {
			ID        string `json:"id"`
			Name      string `json:"name"`
			To        Status `json:"to"`
			Available *bool  `json:"isAvailable"`
			Fields    map[string]struct {
				Required   bool `json:"required"`
				HasDefault bool `json:"hasDefaultValue"`
				Allowed    []struct {
					Name string `json:"name"`
				} `json:"allowedValues"`
			} `json:"fields"`
		} `json:"transitions"`
	}
	err := c.doREST(ctx, call{
		op: "asking for the transitions of " + string(key), method: http.MethodGet,
		query: url.Values{"expand": {"transitions.fields"}},
		want:  []int{http.StatusOK}, into: &a, shape: func() bool { return a.Transitions != nil },
	}, issuePath(key, "/transitions"))
	if err != nil {
		return nil, err
	}
	var open []Transition
	for _, t := range a.Transitions {
		if t.Available != nil && !*t.Available {
			continue
		}
		o := Transition{ID: t.ID, Name: t.Name, To: t.To}
		for name, f := range t.Fields {
			if !f.Required || f.HasDefault {
				continue
			}
			o.Required = append(o.Required, name)
			if name == "resolution" {
				for _, v := range f.Allowed {
					o.Resolutions = append(o.Resolutions, v.Name)
				}
			}
		}
		sort.Strings(o.Required)
		open = append(open, o)
	}
	return open, nil
}

// A Cause tells an issue's history what made a change; historyMetadata of
// transitions and edits (jira.md 2.1).
type Cause struct {
	Commit   string // full object name
	URL      string // of the commit's page
	Person   string // display name of the author
	Email    string // of the author
	Activity string // such as "Jane Roe in commit 1a2b3c4 (us-east-1/demo)"
}

func (h Cause) json() map[string]any {
	return map[string]any{
		"type": "gitferry:smartcommit", "description": h.Activity, "activityDescription": h.Activity,
		"actor":     map[string]string{"id": h.Email, "displayName": h.Person, "type": "git-author"},
		"generator": map[string]string{"id": "gitferry", "type": "gitferry"},
		"cause":     map[string]string{"id": h.Commit, "type": "commit", "url": h.URL},
	}
}

// DoTransition takes one step. The marker becomes a property of the issue in
// the same call. resolution is sent if not empty. After an unclear outcome,
// IssueMarker and the issue's status tell whether it happened.
func (c *Client) DoTransition(ctx context.Context, key ferry.IssueKey, id, resolution string, m Marker, cause Cause) error {
	body := map[string]any{
		"transition":      map[string]string{"id": id},
		"historyMetadata": cause.json(),
		"properties":      m.properties(),
	}
	if resolution != "" {
		body["fields"] = map[string]any{"resolution": map[string]string{"name": resolution}}
	}
	return c.doREST(ctx, call{
		op: "moving " + string(key), method: http.MethodPost, body: body, want: []int{http.StatusNoContent},
	}, issuePath(key, "/transitions"))
}

// IssueMarker returns the marker of the last transition of ours on the
// issue, the zero Marker if there is none.
func (c *Client) IssueMarker(ctx context.Context, key ferry.IssueKey) (Marker, error) {
	var a struct {
		Value Marker `json:"value"`
	}
	err := c.doREST(ctx, call{
		op: "reading the mark of " + string(key), method: http.MethodGet,
		want: []int{http.StatusOK}, into: &a,
	}, issuePath(key, "/properties/"+ActionProperty))
	if classOf(err) == NotFound {
		return Marker{}, nil
	}
	return a.Value, err
}
