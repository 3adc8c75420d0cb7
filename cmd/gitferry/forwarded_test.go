package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAsSent(t *testing.T) {
	trusted := []string{"10.0.0.0/8", "192.0.2.9"}
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		proto      string
		want       string
		tls        bool
	}{
		{"a stranger with a header", "203.0.113.5:4000", []string{"198.51.100.1"}, "", "203.0.113.5:4000", false},
		{"a proxy", "10.0.0.1:4000", []string{"198.51.100.1"}, "https", "198.51.100.1:0", true},
		{"a proxy that was spoken to in clear text", "10.0.0.1:4000", []string{"198.51.100.1"}, "http", "198.51.100.1:0", false},
		{"a made-up address before the real one", "10.0.0.1:4000", []string{"127.0.0.1, 198.51.100.1"}, "", "198.51.100.1:0", true},
		{"two proxies, two headers", "10.0.0.1:4000", []string{"127.0.0.1, 198.51.100.1", "192.0.2.9"}, "", "198.51.100.1:0", true},
		{"IPv6", "10.0.0.1:4000", []string{"2001:db8::1"}, "", "[2001:db8::1]:0", true},
		{"nonsense", "10.0.0.1:4000", []string{"alice"}, "", "10.0.0.1:4000", true},
		{"nonsense left of a proxy", "10.0.0.1:4000", []string{"alice, 10.0.0.2"}, "", "10.0.0.2:0", true},
		{"no header", "10.0.0.1:4000", nil, "", "10.0.0.1:4000", true},
		{"mapped", "[::ffff:10.0.0.1]:4000", []string{"::ffff:198.51.100.1"}, "", "198.51.100.1:0", true},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-For"] = c.forwarded
		r.Header.Set("X-Forwarded-Proto", c.proto)
		got := asSent(r, trusted)
		if got.RemoteAddr != c.want || (got.TLS != nil) != c.tls {
			t.Errorf("%s: from %s, TLS %t; want %s, %t", c.name, got.RemoteAddr, got.TLS != nil, c.want, c.tls)
		}
	}
	if r := httptest.NewRequest(http.MethodGet, "/", nil); asSent(r, nil) != r {
		t.Error("a request was changed though nobody is trusted")
	}
}
