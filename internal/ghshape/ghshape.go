// Package ghshape writes what gitferry knows in the shape of GitHub's REST API,
// version 3: users, repositories, commits, files and pull requests as JSON
// objects with their many addresses.
//
// The one idea is that most of such an object is either an address made from
// the names or a constant that means "we have no such thing", so each shape
// is written out once, as a map, and checked against GitHub's published
// description by the tests of api/ghapi.
//
// api/ghapi answers requests with these shapes and internal/webhook sends
// them. The package only writes what it is given: it reads nothing and decides
// nothing about access.
package ghshape

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"gitferry/internal/ferry"
)

// An Object is a JSON object.
type Object = map[string]any

// A Shape writes objects whose addresses lead to one server.
type Shape struct {
	Public  string // how people reach the server, without a slash at the end
	SSHHost string // host or host:port of the SSH door, "" if it is off
}

// API returns the address of a path below /api/v3, which begins with a slash.
func (s Shape) API(path string) string { return s.Public + "/api/v3" + path }

// Page returns the address of a repository's page.
func (s Shape) Page(r ferry.Repository) string { return s.Public + "/" + r.Path() }

// Repo returns the address of a repository in the API.
func (s Shape) Repo(r ferry.Repository) string { return s.API("/repos/" + r.Path()) }

// Date writes a time as GitHub does: UTC, no fractions, Z. The zero time is
// written as the beginning of 1970: members that need a time have no null.
func Date(t time.Time) string {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// NodeID makes the opaque id of an object, in GitHub's old form.
func NodeID(kind string, id any) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "0%d:%s%v", len(kind), kind, id))
}

// EscapePath escapes a ref or path for an address and keeps its slashes.
// Commas are escaped too: clients split Link headers at them.
func EscapePath(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.ReplaceAll(strings.Join(parts, "/"), ",", "%2C")
}

// SSHURL returns the address of a repository at the SSH door.
func (s Shape) SSHURL(r ferry.Repository) string {
	host := s.SSHHost
	if host == "" {
		host = strings.TrimPrefix(strings.TrimPrefix(s.Public, "https://"), "http://")
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
	}
	if h, port, err := net.SplitHostPort(host); err == nil && port == "22" {
		host = h
	} else if err == nil {
		return "ssh://git@" + host + "/" + r.Path() + ".git"
	}
	return "git@" + host + ":" + r.Path() + ".git"
}
