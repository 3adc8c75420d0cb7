package jira

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gitferry/internal/ferry"
)

// A Worklog is time spent on an issue.
type Worklog struct {
	Seconds int       // at least 60
	Started time.Time // to the millisecond; not in the future
	Text    Text      // may be empty
	Marker  Marker
}

// AddWorklog logs time and returns the worklog's id. Data Center has no
// properties on worklogs, so the marker is not stored there.
func (c *Client) AddWorklog(ctx context.Context, key ferry.IssueKey, w Worklog) (string, error) {
	body := map[string]any{
		"timeSpentSeconds": w.Seconds,
		"started":          w.Started.UTC().Format(timeForm),
	}
	if len(w.Text) > 0 {
		body["comment"] = c.rich(w.Text)
	}
	if c.site.Kind == Cloud {
		body["properties"] = w.Marker.properties()
	}
	var a struct {
		ID string `json:"id"`
	}
	err := c.doREST(ctx, call{
		op: "logging time on " + string(key), method: http.MethodPost, body: body,
		want: []int{http.StatusCreated}, into: &a, shape: func() bool { return a.ID != "" },
	}, issuePath(key, "/worklog"))
	return a.ID, err
}

// FindWorklog looks for the worklog that an earlier AddWorklog with the same
// arguments may have made. It returns its id, or "" if there is none. On
// Cloud the marker decides; on Data Center the account, the start, the
// seconds and the text together.
func (c *Client) FindWorklog(ctx context.Context, key ferry.IssueKey, w Worklog) (string, error) {
	started := w.Started.UTC().Truncate(time.Millisecond)
	k := call{op: "reading the worklogs of " + string(key), method: http.MethodGet, want: []int{http.StatusOK}}
	if c.site.Kind == Cloud {
		ms := started.UnixMilli()
		k.query = url.Values{"startedAfter": {strconv.FormatInt(ms-1, 10)}, "startedBefore": {strconv.FormatInt(ms+1, 10)},
			"expand": {"properties"}}
	}
	var a struct {
		Worklogs []struct {
			ID         string     `json:"id"`
			Author     Account    `json:"author"`
			Comment    any        `json:"comment"`
			Started    string     `json:"started"`
			Seconds    int        `json:"timeSpentSeconds"`
			Properties []property `json:"properties"`
		} `json:"worklogs"`
	}
	k.into, k.shape = &a, func() bool { return a.Worklogs != nil }
	if err := c.doREST(ctx, k, issuePath(key, "/worklog")); err != nil {
		return "", err
	}
	var me Account
	for _, l := range a.Worklogs {
		if has(l.Properties, w.Marker.ID) {
			return l.ID, nil
		}
		if c.site.Kind == Cloud || l.Seconds != w.Seconds || !parseTime(l.Started).Equal(started) {
			continue
		}
		if text, _ := l.Comment.(string); !sameText(text, w.Text.Wiki()) {
			continue
		}
		if me == (Account{}) {
			var err error
			if me, err = c.Myself(ctx); err != nil {
				return "", err
			}
		}
		if me.Same(l.Author) {
			return l.ID, nil
		}
	}
	return "", nil
}
