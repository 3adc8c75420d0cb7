// Package jira calls Jira Cloud and Jira Data Center: the REST API of issues
// (comments, worklogs, transitions, edits, links, properties) and, on Cloud,
// the development information API.
//
// One Client stands for one site and one set of credentials. It is written
// by hand over net/http, since what matters here is what a failed call means:
// every failure is an *Error whose Class tells whether the call was refused
// for good, may be repeated, or may have taken effect although no answer
// came. The package decides nothing about retries; the outbox does.
//
// Credentials go only to the scheme, host and port they were given for. No
// redirect is followed. A call succeeded only if the status is the expected
// one, the content type is JSON and the body has the expected shape; bodies
// are read up to 10 MiB. Text for people is handed over as plain text and is
// encoded here, as ADF text nodes on Cloud and as neutralised wiki markup on
// Data Center, so that it is never parsed as markup.
//
// The outbox, the page that connects a site and the command line call it.
// It knows nothing of the books, of git or of smart commits. A Client may be
// used by several goroutines at once.
package jira

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"gitferry/internal/ferry"
)

// Kind is the edition of a Jira site.
type Kind string

const (
	Cloud      Kind = "cloud"
	DataCenter Kind = "datacenter"
)

// DefaultDevinfoBase is where Atlassian serves development information, the
// tokens for it and scoped API tokens ("Integrating Jira Software Cloud with
// on-premises tools").
const DefaultDevinfoBase = "https://api.atlassian.com"

// A Site is one Jira with the credentials to reach it.
type Site struct {
	Kind Kind
	// BaseURL is "https://NAME.atlassian.net" or "https://HOST[:PORT][/CONTEXT]".
	// Plain http is accepted towards loopback addresses only.
	BaseURL string
	// CloudID is the site's UUID, which outlives renames. Cloud only.
	CloudID string
	// DevinfoBase is the scheme, host and port of the development information
	// API; empty: DefaultDevinfoBase.
	DevinfoBase string
	// TokenURL gives tokens for client id and secret; empty: DevinfoBase
	// with /oauth/token.
	TokenURL string
	// Email and APIToken sign in to the REST API of Cloud. A token without an
	// e-mail address is sent as a bearer token.
	Email    string
	APIToken ferry.Secret
	// Scoped says that APIToken is a scoped token, which works only at
	// DevinfoBase/ex/jira/CLOUDID and not on the site's own address.
	Scoped bool
	// ClientID and ClientSecret sign in to the development information API.
	ClientID     string
	ClientSecret ferry.Secret
	// PersonalAccessToken signs in to Data Center.
	PersonalAccessToken ferry.Secret
}

// Limits and times of one call.
const (
	maxBody     = 10 << 20         // bytes of an answer; security.md JIRA-2
	callTimeout = 30 * time.Second // one request with its answer
)

// A Client calls one site as one identity.
type Client struct {
	// Product names gitferry and its version in submitted data.
	Product string

	site    Site
	rest    string // base of REST paths, with the API version
	devinfo string // base of development information paths; empty on Data Center
	http    *http.Client
	now     func() time.Time
	token   *tokenSource // shared with the clients made by As
	users   *userCache   // shared with the clients made by As
}

// Options are the parts of a Client that tests and configuration replace.
type Options struct {
	// Transport carries the requests; nil: a transport with bounded times.
	// A site with its own certificate authority gets a transport that knows
	// it; verification is never switched off.
	Transport http.RoundTripper
	Product   string           // empty: "gitferry"
	Now       func() time.Time // nil: time.Now
}

// New returns a client for site. It makes no call. It fails with
// ferry.ErrInvalid if an address is not https, or http to a loopback address.
func New(site Site, o Options) (*Client, error) {
	if site.DevinfoBase == "" {
		site.DevinfoBase = DefaultDevinfoBase
	}
	site.BaseURL = strings.TrimRight(site.BaseURL, "/")
	site.DevinfoBase = strings.TrimRight(site.DevinfoBase, "/")
	if site.TokenURL == "" {
		site.TokenURL = site.DevinfoBase + "/oauth/token"
	}
	for _, u := range []string{site.BaseURL, site.DevinfoBase, site.TokenURL} {
		if err := checkURL(u); err != nil {
			return nil, err
		}
	}
	c := &Client{Product: o.Product, site: site, now: o.Now}
	switch site.Kind {
	case Cloud:
		c.rest = site.BaseURL + "/rest/api/3"
		if site.Scoped {
			c.rest = site.DevinfoBase + "/ex/jira/" + url.PathEscape(site.CloudID) + "/rest/api/3"
		}
		c.devinfo = site.DevinfoBase + "/jira/devinfo/0.1/cloud/" + url.PathEscape(site.CloudID)
	case DataCenter:
		c.rest = site.BaseURL + "/rest/api/2"
	default:
		return nil, fmt.Errorf("jira site of kind %.20q: want cloud or datacenter: %w", site.Kind, ferry.ErrInvalid)
	}
	if c.Product == "" {
		c.Product = "gitferry"
	}
	if c.now == nil {
		c.now = time.Now
	}
	transport := o.Transport
	if transport == nil {
		transport = newTransport()
	}
	c.http = &http.Client{
		Transport:     transport,
		Timeout:       callTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.token = &tokenSource{}
	c.users = &userCache{hits: make(map[string]userHit)}
	return c, nil
}

// As returns a client that acts as another person of the same site, with the
// person's API token (Cloud, with the e-mail address of the account) or
// personal access token (Data Center). Connections and caches are shared.
func (c *Client) As(email string, token ferry.Secret) *Client {
	d := *c
	d.site.Email, d.site.APIToken, d.site.PersonalAccessToken = "", ferry.Secret{}, ferry.Secret{}
	if c.site.Kind == Cloud {
		d.site.Email, d.site.APIToken = email, token
	} else {
		d.site.PersonalAccessToken = token
	}
	return &d
}

// Site returns the site the client was made for.
func (c *Client) Site() Site { return c.site }

// Kind returns the edition of the site.
func (c *Client) Kind() Kind { return c.site.Kind }

// BrowseURL returns the address of an issue's page for people.
func (c *Client) BrowseURL(key ferry.IssueKey) string {
	return c.site.BaseURL + "/browse/" + string(key)
}

// checkURL accepts https addresses, and http ones towards loopback.
func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("jira address %.120q: want https://HOST[:PORT][/PATH]: %w", s, ferry.ErrInvalid)
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("jira address %.120q: want https, or http to a loopback address: %w", s, ferry.ErrInvalid)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// newTransport bounds every wait and keeps few idle connections.
func newTransport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 10 * time.Second
	t.ResponseHeaderTimeout = callTimeout
	t.MaxResponseHeaderBytes = 64 << 10
	t.MaxIdleConnsPerHost = 8
	t.IdleConnTimeout = 60 * time.Second
	return t
}

// tokenSource keeps the short-lived token of the client credentials.
type tokenSource struct {
	mu      sync.Mutex
	text    ferry.Secret // guarded by mu
	expires time.Time    // guarded by mu; renewal is due then
}
