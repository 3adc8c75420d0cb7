package jira

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
)

// A call is one request and what its answer must look like.
type call struct {
	op     string // for errors: "adding a comment to DEMO-1"
	method string
	url    string
	query  url.Values
	body   any // encoded as JSON; nil: none
	// want are the statuses of success. into receives the JSON of the answer;
	// nil: the body is not looked at beyond its size.
	want []int
	into any
	// shape reports whether into holds what a good answer must hold.
	shape func() bool
	// auth signs the request; nil: anonymous.
	auth func(*http.Request)
	// reading marks a call that changes nothing although it is a POST.
	reading bool
}

// changes reports whether the call may have an effect at Jira.
func (k *call) changes() bool { return k.method != http.MethodGet && !k.reading }

// do makes the call once. Every error it returns is an *Error.
func (c *Client) do(ctx context.Context, k call) error {
	req, sent, err := k.request(ctx, c.Product)
	if err != nil {
		return &Error{Class: Permanent, Operation: k.op, Text: "cannot be sent", cause: err}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return k.broken(err, sent.Load())
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	ok := false
	for _, s := range k.want {
		ok = ok || s == resp.StatusCode
	}
	if !ok {
		return c.refused(k, resp, body)
	}
	if err != nil {
		return k.broken(fmt.Errorf("reading the answer: %w", err), true)
	}
	return k.accept(resp, body)
}

// request builds the HTTP request. The flag tells, after a failure, whether
// any of it reached the connection.
func (k *call) request(ctx context.Context, product string) (*http.Request, *atomic.Bool, error) {
	target := k.url
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	var body io.Reader
	if k.body != nil {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(k.body); err != nil {
			return nil, nil, err
		}
		body = bytes.NewReader(b.Bytes())
	}
	sent := new(atomic.Bool)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// From here on bytes may have left.
		WroteHeaders: func() { sent.Store(true) },
	})
	req, err := http.NewRequestWithContext(ctx, k.method, target, body)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", product)
	if k.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if k.method != http.MethodGet {
		req.Header.Set("X-Atlassian-Token", "no-check") // or Data Center takes the call for a browser's
	}
	if k.auth != nil {
		k.auth(req)
	}
	return req, sent, nil
}

// broken is the error of a call without a whole answer.
func (k *call) broken(err error, sent bool) *Error {
	e := &Error{Class: Temporary, Operation: k.op, cause: withoutURL(err)}
	if sent && k.changes() {
		e.Class, e.Effect = Unknown, true
	}
	return e
}

// withoutURL drops the address that net/http puts before every error; the
// operation says as much, and addresses may hold what people typed.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// accept checks the answer behind a good status.
func (k *call) accept(resp *http.Response, body []byte) error {
	if k.into == nil {
		return nil
	}
	bad := func(text string) *Error {
		e := &Error{Class: Temporary, Operation: k.op, Status: resp.StatusCode, Text: text, Shape: true}
		if k.changes() {
			e.Class, e.Effect = Unknown, true
		}
		return e
	}
	if len(body) > maxBody {
		return bad("the answer is larger than 10 MiB")
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind == "text/html" {
		return &Error{Class: Credentials, Operation: k.op, Status: resp.StatusCode, Shape: true,
			Text: "a web page came instead of an answer; sign in again or look for a proxy in between", Effect: k.changes()}
	}
	if kind != "application/json" {
		return bad(fmt.Sprintf("the answer is of type %.60q, not JSON", kind))
	}
	if err := json.Unmarshal(body, k.into); err != nil {
		return bad("the answer is not the JSON expected")
	}
	if k.shape != nil && !k.shape() {
		return bad("the answer lacks what it must hold")
	}
	return nil
}
