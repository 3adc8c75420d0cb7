package jira

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/ferry"
)

// ActionProperty is the key of the entity property that marks a comment, a
// worklog or an issue as touched by one action.
const ActionProperty = "gitferry.action"

// A Marker is the value of ActionProperty: the action's id, by which a lost
// answer is found out later, and the commit that caused it.
type Marker struct {
	ID     string `json:"id"`
	Commit string `json:"commit,omitempty"`
}

type property struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

// has reports whether the properties hold the marker of the action id.
func has(ps []property, id string) bool {
	for _, p := range ps {
		var m Marker
		if p.Key == ActionProperty && json.Unmarshal(p.Value, &m) == nil && m.ID == id {
			return true
		}
	}
	return false
}

func (m Marker) properties() []map[string]any {
	return []map[string]any{{"key": ActionProperty, "value": m}}
}

// AddComment adds a comment with its marker and returns its id.
func (c *Client) AddComment(ctx context.Context, key ferry.IssueKey, text Text, m Marker) (string, error) {
	var a struct {
		ID string `json:"id"`
	}
	err := c.doREST(ctx, call{
		op: "adding a comment to " + string(key), method: http.MethodPost,
		body: map[string]any{"body": c.rich(text), "properties": m.properties()},
		want: []int{http.StatusCreated}, into: &a, shape: func() bool { return a.ID != "" },
	}, issuePath(key, "/comment"))
	return a.ID, err
}

// Bounds of the search for a comment.
const (
	commentPage     = 100
	maxCommentPages = 20
	clockAllowance  = 5 * time.Minute // between our clock and Jira's; reliability.md 6.4
)

type commentJSON struct {
	ID         string     `json:"id"`
	Author     Account    `json:"author"`
	Body       any        `json:"body"`
	Created    string     `json:"created"`
	Properties []property `json:"properties"`
}

// FindComment looks for the comment that an earlier AddComment with the same
// arguments may have made at about sent. It returns its id, or "" if there
// is none. The newest 200 comments are always looked at, and older ones back
// to five minutes before sent.
//
// Where the list tells no properties (some Data Center versions) they are
// read one by one for our own comments, and a comment of ours without any,
// with exactly this text, made since sent, counts as found.
func (c *Client) FindComment(ctx context.Context, key ferry.IssueKey, text Text, m Marker, sent time.Time) (string, error) {
	since := sent.Add(-clockAllowance)
	for page := range maxCommentPages {
		var a struct {
			Comments []commentJSON `json:"comments"`
			Total    int           `json:"total"`
		}
		err := c.doREST(ctx, call{
			op: "reading the comments of " + string(key), method: http.MethodGet,
			query: url.Values{"startAt": {strconv.Itoa(page * commentPage)}, "maxResults": {strconv.Itoa(commentPage)},
				"orderBy": {"-created"}, "expand": {"properties"}},
			want: []int{http.StatusOK}, into: &a, shape: func() bool { return a.Comments != nil },
		}, issuePath(key, "/comment"))
		if err != nil {
			return "", err
		}
		older := false
		for _, co := range a.Comments {
			if has(co.Properties, m.ID) {
				return co.ID, nil
			}
			recent := !parseTime(co.Created).Before(since)
			older = older || !recent
			if c.site.Kind == DataCenter && recent && len(co.Properties) == 0 {
				if is, err := c.isComment(ctx, co, text, m); err != nil || is {
					return co.ID, err
				}
			}
		}
		if len(a.Comments) < commentPage || older && page > 0 {
			break
		}
	}
	return "", nil
}

// isComment looks at one comment of Data Center whose properties the list
// did not tell.
func (c *Client) isComment(ctx context.Context, co commentJSON, text Text, m Marker) (bool, error) {
	me, err := c.Myself(ctx)
	if err != nil {
		return false, err
	}
	if !me.Same(co.Author) {
		return false, nil
	}
	var p property
	err = c.doREST(ctx, call{
		op: "reading the mark of comment " + co.ID, method: http.MethodGet,
		want: []int{http.StatusOK}, into: &p, shape: func() bool { return p.Value != nil },
	}, "/comment/"+url.PathEscape(co.ID)+"/properties/"+ActionProperty)
	if err == nil {
		return has([]property{p}, m.ID), nil
	}
	if classOf(err) == NotFound {
		body, _ := co.Body.(string)
		return sameText(body, text.Wiki()), nil
	}
	return false, err
}

// sameText compares stored wiki text with what was sent, apart from what
// servers do to line ends and outer blanks.
func sameText(stored, sent string) bool {
	return strings.TrimSpace(strings.ReplaceAll(stored, "\r\n", "\n")) == strings.TrimSpace(sent)
}

func issuePath(key ferry.IssueKey, rest string) string {
	return "/issue/" + url.PathEscape(string(key)) + rest
}

// timeForm is Jira's own form of a time: an offset without colon, always
// with milliseconds. RFC 3339 is refused on input (jira.md 3.5).
const timeForm = "2006-01-02T15:04:05.000-0700"

// parseTime reads a time stamp of Jira; the zero time if it is not one.
func parseTime(s string) time.Time {
	for _, form := range []string{timeForm, time.RFC3339Nano} {
		if t, err := time.Parse(form, s); err == nil {
			return t
		}
	}
	return time.Time{}
}
