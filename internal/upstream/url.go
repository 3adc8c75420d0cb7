package upstream

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"gitferry/internal/ferry"
)

// codeCommitHost recognizes CodeCommit's git hosts in every partition, VPC
// end points included; group 3 is the region.
var codeCommitHost = regexp.MustCompile(`^(vpce-[a-z0-9-]+\.)?git-codecommit(-fips)?\.([a-z0-9-]+)\.(vpce\.)?(amazonaws\.com(\.cn)?|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov|amazonaws\.eu)$`)

// codeCommitPath is the path of a repository there: no ".git", no slash at
// the end, nothing that needs escaping.
var codeCommitPath = regexp.MustCompile(`^/v1/repos/[A-Za-z0-9._-]{1,100}$`)

// scpForm is user@host:path, which git reads as SSH.
var scpForm = regexp.MustCompile(`^(?:([A-Za-z0-9._+-]+)@)?([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]):([^/].*|/[^/].*)$`)

// CodeCommitRegion returns the region that a CodeCommit git host names, or ""
// if host is none of CodeCommit's.
func CodeCommitRegion(host string) string {
	if m := codeCommitHost.FindStringSubmatch(host); m != nil {
		return m[3]
	}
	return ""
}

// A place is an upstream URL taken apart and found acceptable.
type place struct {
	scheme string // "https", "http" or "ssh"
	host   string // lower case, without port and brackets
	port   string // never empty
	hostIn string // host as it stands in the URL, with its port if it has one
	user   string
	path   string // begins with a slash
	region string // CodeCommit's region, "" for other hosts
}

// address returns host:port for dialling.
func (p place) address() string { return net.JoinHostPort(p.host, p.port) }

// base returns the URL without user, for requests: "https://host/path".
func (p place) base() string {
	return p.scheme + "://" + p.hostIn + (&url.URL{Path: p.path}).EscapedPath()
}

// repository returns the last part of the path, for messages.
func (p place) repository() string { return p.path[strings.LastIndexByte(p.path, '/')+1:] }

// parseURL takes an upstream's address apart. Accepted are https
// and ssh URLs and SSH's short form user@host:path; http only towards this
// machine itself and with private set. Not accepted: other schemes,
// paths, a password, query or fragment in the URL, hosts in unusual spellings,
// and on CodeCommit's hosts anything but /v1/repos/NAME.
// It fails with a *ferry.Message of kind ferry.ErrInvalid.
func parseURL(raw string, private bool) (place, error) {
	bad := func(format string, args ...any) (place, error) {
		return place{}, &ferry.Message{Kind: ferry.ErrInvalid, Text: "git URL: " + fmt.Sprintf(format, args...)}
	}
	if len(raw) > 2048 {
		return bad("longer than 2048 characters")
	}
	for _, r := range raw {
		if r <= 0x20 || r == 0x7f || r == '\\' {
			return bad("holds a blank, a control character or a backslash")
		}
	}
	if strings.HasPrefix(raw, "-") {
		return bad("begins with a dash")
	}
	if !strings.Contains(raw, "://") {
		m := scpForm.FindStringSubmatch(raw)
		if m == nil {
			return bad("want https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH")
		}
		if strings.HasPrefix(m[3], "-") || strings.HasPrefix(m[3], ":") {
			return bad("want https://HOST/PATH or ssh://USER@HOST/PATH; the path begins with a dash or a colon")
		}
		path := m[3]
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		raw = "ssh://" + m[2] + (&url.URL{Path: path}).EscapedPath()
		if m[1] != "" {
			raw = "ssh://" + m[1] + "@" + strings.TrimPrefix(raw, "ssh://")
		}
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" {
		// The parser's own error would repeat the URL, password and all.
		return bad("not readable; want https://HOST/PATH or ssh://USER@HOST/PATH")
	}
	if _, has := u.User.Password(); has {
		return bad("holds a password; leave it out of the URL and enter it in its own field")
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return bad("holds '?' or '#'")
	}
	p := place{
		scheme: u.Scheme,
		host:   strings.ToLower(u.Hostname()),
		port:   u.Port(),
		hostIn: strings.ToLower(u.Host),
		user:   u.User.Username(),
		path:   u.Path,
	}
	if err := checkHost(p.host); err != nil {
		return place{}, err
	}
	switch p.scheme {
	case "https":
		p.port = orDefault(p.port, "443")
	case "ssh":
		p.port = orDefault(p.port, "22")
	case "http":
		if !private || !isLoopbackHost(p.host) {
			return bad("http is not encrypted and is accepted only towards this machine itself; use https")
		}
		p.port = orDefault(p.port, "80")
	default:
		return bad("scheme %.20q is not accepted; use https or ssh", p.scheme)
	}
	if why := pathFault(p.path); why != "" {
		return bad("%s", why)
	}
	if strings.HasPrefix(p.user, "-") || strings.ContainsAny(p.user, ":/@") {
		return bad("the user name is not acceptable")
	}
	p.region = CodeCommitRegion(p.host)
	if p.region != "" && (!codeCommitPath.MatchString(p.path) || strings.HasSuffix(p.path, ".git")) {
		return bad("the path on a CodeCommit host is /v1/repos/NAME, without .git and without a slash at the end")
	}
	return p, nil
}

func pathFault(path string) string {
	if path == "" || path == "/" {
		return "a path to the repository is needed"
	}
	for _, r := range path {
		if r < 0x20 || r == 0x7f || r == '\'' || r == '!' || r == '\\' {
			return "the path holds a character that is not accepted"
		}
	}
	for part := range strings.SplitSeq(path[1:], "/") {
		if part == ".." || part == "." || strings.HasPrefix(part, "-") {
			return `a part of the path is ".", ".." or begins with a dash`
		}
	}
	return ""
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
