package jira

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

// maxWait caps what a server may ask to wait; reliability.md 6.2.
const maxWait = time.Hour

// refused turns an answer with an unwanted status into an Error; the table
// of reliability.md 6.2 with jira.md 1.7, 1.9 and 3.10.
func (c *Client) refused(k call, resp *http.Response, body []byte) *Error {
	e := &Error{Operation: k.op, Status: resp.StatusCode}
	e.Text, e.Fields = refusal(resp, body)
	switch s := resp.StatusCode; {
	case s >= 300 && s < 400:
		e.Class, e.Text = Moved, ""
		if u, err := url.Parse(resp.Header.Get("Location")); err == nil {
			e.Host = excerpt(u.Host)
		}
	case s == http.StatusUnauthorized:
		e.Class = Credentials
	case s == http.StatusForbidden:
		e.Class = Forbidden
		if resp.Header.Get("X-Seraph-LoginReason") == "AUTHENTICATION_DENIED" {
			e.Class, e.Text = Credentials, "Jira asks for a captcha; sign in once with a browser"
		} else if isHTML(resp) {
			e.Class = Credentials
		}
	case s == http.StatusNotFound:
		e.Class = NotFound
	case s == http.StatusConflict && k.changes():
		e.Class = Conflict
	case s == http.StatusRequestEntityTooLarge:
		e.Class = TooLarge
	case s == http.StatusTooManyRequests:
		e.Class = RateLimited
		e.Until, e.Scope = c.limit(resp.Header)
	case s == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
		e.Class, e.Scope = RateLimited, ScopeSite
		e.Until = c.retryAfter(resp.Header)
	case s == http.StatusTooEarly:
		e.Class = Temporary
	case s >= 500 || s == http.StatusRequestTimeout || s == http.StatusConflict || s < 300:
		// A 2xx that is not the expected one says as little as a 500. A
		// conflict while reading passes.
		e.Class = Temporary
		if k.changes() {
			e.Class, e.Effect = Unknown, true
		}
		e.Shape = s < 300
	default: // 400, 405, 410, 422 and the like
		e.Class = Permanent
	}
	return e
}

func isHTML(resp *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return kind == "text/html"
}

// refusal reads the two forms of error bodies: strings on the REST API,
// objects with a message on the development information API.
func refusal(resp *http.Response, body []byte) (string, map[string]string) {
	if isHTML(resp) {
		return "a web page came instead of an answer", nil
	}
	var b struct {
		ErrorMessages   []json.RawMessage `json:"errorMessages"`
		WarningMessages []string          `json:"warningMessages"`
		Errors          map[string]string `json:"errors"`
		Message         string            `json:"message"`
	}
	if len(body) > maxBody || json.Unmarshal(body, &b) != nil {
		return excerpt(string(body[:min(len(body), maxText)])), nil
	}
	var parts []string
	for _, m := range b.ErrorMessages {
		var text string
		var object struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(m, &text) != nil && json.Unmarshal(m, &object) == nil {
			text = object.Message
		}
		if text != "" {
			parts = append(parts, text)
		}
	}
	fields := make([]string, 0, len(b.Errors))
	for f, m := range b.Errors {
		fields = append(fields, f+": "+m)
	}
	sort.Strings(fields)
	parts = append(append(parts, fields...), b.WarningMessages...)
	if b.Message != "" {
		parts = append(parts, b.Message)
	}
	return excerpt(strings.Join(parts, "; ")), b.Errors
}

// limit reads the headers of a 429: until when, and for what; jira.md 1.9.
func (c *Client) limit(h http.Header) (time.Time, Scope) {
	scope := ScopeSite
	switch reason := h.Get("RateLimit-Reason"); {
	case strings.Contains(reason, "per-issue"):
		scope = ScopeIssue
	case strings.Contains(reason, "burst"):
		scope = ScopeEndpoint
	}
	until := c.retryAfter(h)
	if reset, err := time.Parse(time.RFC3339, h.Get("X-RateLimit-Reset")); err == nil && scope == ScopeSite && reset.After(until) {
		until = c.capped(reset)
	}
	return until, scope
}

// retryAfter reads Retry-After in seconds or as an HTTP date; zero if absent.
// A date is measured against the server's own Date, so that a clock that is
// off on either side does not matter.
func (c *Client) retryAfter(h http.Header) time.Time {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseInt(v, 10, 32); err == nil && n >= 0 {
		return c.capped(c.now().Add(time.Duration(n) * time.Second))
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return time.Time{}
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		return c.capped(c.now().Add(t.Sub(date)))
	}
	return c.capped(t)
}

// capped keeps a time given by a server within the next hour.
func (c *Client) capped(t time.Time) time.Time {
	now := c.now()
	if t.Before(now) {
		return now
	}
	if t.After(now.Add(maxWait)) {
		return now.Add(maxWait)
	}
	return t
}
