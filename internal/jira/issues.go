package jira

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"gitferry/internal/ferry"
)

// An Issue is what is asked of one: whether it is there and where it stands.
type Issue struct {
	ID      string
	Key     ferry.IssueKey // the present key; differs from the one asked for if the issue moved
	Project string
	Summary string
	Status  Status
	Type    string // name of the issue type: "Bug", "New Feature"
}

// A Status is a workflow status.
type Status struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

var issueFields = []string{"summary", "status", "project", "issuetype"}

type issueJSON struct {
	ID     string `json:"id"`
	Key    string `json:"key"`
	Fields struct {
		Summary string `json:"summary"`
		Status  Status `json:"status"`
		Type    struct {
			Name string `json:"name"`
		} `json:"issuetype"`
		Project struct {
			Key string `json:"key"`
		} `json:"project"`
	} `json:"fields"`
}

func (j issueJSON) issue() Issue {
	return Issue{ID: j.ID, Key: ferry.IssueKey(j.Key), Project: j.Fields.Project.Key,
		Summary: j.Fields.Summary, Status: j.Fields.Status, Type: j.Fields.Type.Name}
}

// Issue returns one issue. A key from before a move finds the issue too. It
// fails with class NotFound if there is none that the account may see.
func (c *Client) Issue(ctx context.Context, key ferry.IssueKey) (Issue, error) {
	var a issueJSON
	err := c.doREST(ctx, call{
		op: "looking up " + string(key), method: http.MethodGet,
		query: url.Values{"fields": {strings.Join(issueFields, ",")}},
		want:  []int{http.StatusOK}, into: &a,
		shape: func() bool { return a.ID != "" && a.Key != "" },
	}, "/issue/"+url.PathEscape(string(key)))
	return a.issue(), err
}

// maxBulk is how many issues one look-up may name: POST /issue/bulkfetch.
const maxBulk = 100

// Issues looks up many issues and returns those found, by the key asked for;
// a moved issue stands under its old key and says its new one. What is not in
// the map does not exist or is not visible.
func (c *Client) Issues(ctx context.Context, keys []ferry.IssueKey) (map[ferry.IssueKey]Issue, error) {
	found := make(map[ferry.IssueKey]Issue, len(keys))
	for len(keys) > 0 {
		n := min(len(keys), maxBulk)
		if err := c.issuesChunk(ctx, keys[:n], found); err != nil {
			return nil, err
		}
		keys = keys[n:]
	}
	return found, nil
}

func (c *Client) issuesChunk(ctx context.Context, keys []ferry.IssueKey, found map[ferry.IssueKey]Issue) error {
	var a struct {
		Issues []issueJSON `json:"issues"`
	}
	k := call{
		op: "looking up issues", method: http.MethodPost, reading: true,
		want: []int{http.StatusOK}, into: &a, shape: func() bool { return a.Issues != nil },
	}
	path := "/issue/bulkfetch"
	asked := make(map[ferry.IssueKey]bool, len(keys))
	list := make([]string, 0, len(keys))
	for _, key := range keys {
		if !asked[key] {
			asked[key] = true
			list = append(list, string(key))
		}
	}
	if c.site.Kind == Cloud {
		k.body = map[string]any{"issueIdsOrKeys": list, "fields": issueFields}
	} else {
		path = "/search"
		// The keys come from ParseIssueKey: letters, digits, _ and one dash.
		// Without validation a key that does not exist is a warning only.
		k.body = map[string]any{
			"jql": `key in ("` + strings.Join(list, `","`) + `")`, "validateQuery": false,
			"fields": issueFields, "startAt": 0, "maxResults": maxBulk,
		}
	}
	if err := c.doREST(ctx, k, path); err != nil {
		return err
	}
	moved := false
	for _, j := range a.Issues {
		issue := j.issue()
		if asked[issue.Key] {
			found[issue.Key] = issue
		} else {
			moved = true // answered to an old key, which is not told
		}
	}
	if !moved {
		return nil
	}
	for key := range asked {
		if _, ok := found[key]; ok {
			continue
		}
		issue, err := c.Issue(ctx, key)
		if classOf(err) == NotFound {
			continue
		}
		if err != nil {
			return err
		}
		found[key] = issue
	}
	return nil
}
