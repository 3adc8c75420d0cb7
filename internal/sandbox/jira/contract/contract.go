// Package contract checks what a program sends to Jira against the published
// descriptions of Jira's interfaces. It is for tests only.
//
// The idea is that a checker stands between the program and the stand-in
// (package jira): as a RoundTripper inside one process, or as a proxy between
// two. Each request is held against the description of the interface that its
// path belongs to (testdata) and against the rules that no schema can hold; a
// violation fails the test and names the request. The request goes on to Jira
// all the same, so that one test shows all its violations. Answers are left
// alone, since tests make the stand-in send broken ones on purpose; Response
// checks one where that is wanted.
//
// Nothing but tests may import this package.
package contract

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"
)

// maxBody bounds the body of a request that is checked, bytes.
const maxBody = 16 << 20

// An Option changes what a checker expects.
type Option func(*checker)

// CommandsAllowed lets live smart commands in submitted messages pass. Without
// it they are violations, as is right while the product's own executor is on:
// Jira would run them a second time.
func CommandsAllowed() Option { return func(c *checker) { c.commandsAllowed = true } }

// Now gives the checker a clock; without it the time is that of the machine.
func Now(now func() time.Time) Option { return func(c *checker) { c.now = now } }

// Transport returns a RoundTripper that checks each request and then hands it
// to base; nil stands for http.DefaultTransport.
func Transport(t testing.TB, base http.RoundTripper, options ...Option) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{t, base, newChecker(options)}
}

// Proxy starts a server that checks each request and passes it on to target, a
// base URL; it returns its own base URL and ends with the test. A connection
// that the target cuts is cut towards the client too.
func Proxy(t testing.TB, target string, options ...Option) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatalf("proxy target: %v", err)
	}
	own := http.DefaultTransport.(*http.Transport).Clone()
	own.DisableCompression = true
	proxy := &httputil.ReverseProxy{
		Transport: &transport{t, own, newChecker(options)},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // links in answers lead back here
		},
		FlushInterval: -1,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	srv := httptest.NewServer(proxy)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		own.CloseIdleConnections()
	})
	return srv.URL
}

type transport struct {
	t     testing.TB
	base  http.RoundTripper
	check *checker
}

func (tr *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		r.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("reading the request: %w", err)
		}
	}
	if len(body) > maxBody {
		tr.t.Errorf("%s %s: the body is longer than %d bytes", r.Method, r.URL.Path, maxBody)
	}
	for _, violation := range tr.check.request(r, body) {
		tr.t.Errorf("%s %s: %s", r.Method, r.URL.Path, violation)
	}
	out := r.Clone(r.Context())
	out.Body, out.ContentLength = http.NoBody, int64(len(body))
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
	}
	return tr.base.RoundTrip(out)
}
