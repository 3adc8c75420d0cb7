package jira

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"gitferry/internal/ferry"
)

// Permissions of a project that decide what a person may see and do here
// (Jira REST API, "Permissions").
const (
	PermissionBrowse     = "BROWSE_PROJECTS"
	PermissionDevTools   = "VIEW_DEV_TOOLS"
	PermissionAdminister = "ADMINISTER_PROJECTS"
)

// Permissions tells which of the three permissions above the account has on
// an issue, or in the project that key names instead. It fails with class
// NotFound if the account may not see it, or there is none. A permission that this Jira does not list is had: without
// Jira Software there are no development tools to hide.
func (c *Client) Permissions(ctx context.Context, key ferry.IssueKey) (map[string]bool, error) {
	asked := []string{PermissionBrowse, PermissionDevTools, PermissionAdminister}
	q := url.Values{"issueKey": {string(key)}}
	if isProject(string(key)) {
		q = url.Values{"projectKey": {string(key)}}
	}
	if c.site.Kind == Cloud { // Data Center takes no list and answers with all
		q.Set("permissions", strings.Join(asked, ","))
	}
	var a struct {
		Permissions map[string]struct {
			Have bool `json:"havePermission"`
		} `json:"permissions"`
	}
	err := c.doREST(ctx, call{
		op: "asking for permissions on " + string(key), method: http.MethodGet, query: q, want: []int{http.StatusOK}, into: &a,
		shape: func() bool { return len(a.Permissions) > 0 },
	}, "/mypermissions")
	if err != nil {
		return nil, err
	}
	have := make(map[string]bool, len(asked))
	for _, p := range asked {
		answer, listed := a.Permissions[p]
		have[p] = answer.Have || !listed && p == PermissionDevTools
	}
	return have, nil
}

// maxWords bounds the words of a search.
const maxWords = 8

// SearchIssues finds issues whose summary holds words that begin as those of
// text do, or that are of the project that text names, those that changed last
// first, at most max. An issue key finds that issue.
func (c *Client) SearchIssues(ctx context.Context, text string, max int) ([]Issue, error) {
	text = strings.TrimSpace(text)
	var found []Issue
	if key, err := ferry.ParseIssueKey(strings.ToUpper(text)); err == nil {
		issue, err := c.Issue(ctx, key)
		if err == nil {
			found = append(found, issue)
		} else if classOf(err) != NotFound {
			return nil, err
		}
		return found, nil
	}
	// Letters and digits only: nothing in it can end the string or mean
	// anything to the search.
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if len(words) == 0 {
		return nil, nil
	}
	words = words[:min(len(words), maxWords)]
	clauses := []string{fmt.Sprintf(`summary ~ "%s*"`, strings.Join(words, "* "))}
	if project := strings.ToUpper(strings.TrimSuffix(text, "-")); len(words) == 1 && isProject(project) {
		// A project that is not there would refuse the whole query.
		clauses = append([]string{fmt.Sprintf(`project = "%s"`, project)}, clauses...)
	}
	for _, clause := range clauses {
		list, err := c.search(ctx, clause+" ORDER BY updated DESC", max-len(found))
		if err != nil && classOf(err) != Permanent {
			return found, err
		}
		for _, issue := range list {
			if len(found) < max && !containsKey(found, issue.Key) {
				found = append(found, issue)
			}
		}
		if len(found) >= max {
			break
		}
	}
	return found, nil
}

func isProject(s string) bool {
	_, err := ferry.ParseIssueKey(s + "-1")
	return err == nil
}

func containsKey(list []Issue, key ferry.IssueKey) bool {
	for _, i := range list {
		if i.Key == key {
			return true
		}
	}
	return false
}

// search runs a query and returns its first page.
func (c *Client) search(ctx context.Context, jql string, max int) ([]Issue, error) {
	var a struct {
		Issues []issueJSON `json:"issues"`
	}
	path := "/search/jql"
	if c.site.Kind == DataCenter {
		path = "/search"
	}
	err := c.doREST(ctx, call{
		op: "searching for issues", method: http.MethodPost, reading: true, want: []int{http.StatusOK}, into: &a,
		body:  map[string]any{"jql": jql, "fields": issueFields, "maxResults": max},
		shape: func() bool { return a.Issues != nil },
	}, path)
	list := make([]Issue, len(a.Issues))
	for i, j := range a.Issues {
		list[i] = j.issue()
	}
	return list, err
}
