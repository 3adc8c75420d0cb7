package config

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"gitferry/internal/ferry"
)

func (k checker) doors() {
	k.address("http.listen", k.HTTP.Listen)
	if k.SSH.Listen != "off" {
		k.address("ssh.listen", k.SSH.Listen)
	}
	if (k.HTTP.TLSCert == "") != (k.HTTP.TLSKey == "") {
		k.bad("http.tls_cert", "certificate and key belong together; give both http.tls_cert and http.tls_key, or neither")
	}
	if k.HTTP.TLSCert == "" && len(k.HTTP.TrustedProxies) == 0 && !isLoopback(k.HTTP.Listen) {
		k.bad("http.listen", "%s is open to the network without TLS, where nobody could sign in; give http.tls_cert and http.tls_key, name the proxy that ends TLS in http.trusted_proxies, or listen on 127.0.0.1", k.HTTP.Listen)
	}
	if k.HTTP.PublicURL != "" {
		u := k.url("http.public_url", k.HTTP.PublicURL, "https", "http")
		if u != nil && strings.Trim(u.Path, "/") != "" {
			k.bad("http.public_url", "gitferry is served at the root of a host; leave out %s", u.Path)
		}
	}
	for i, p := range k.HTTP.TrustedProxies {
		if _, err := ParseNetwork(p); err != nil {
			k.bad(fmt.Sprintf("http.trusted_proxies[%d]", i), "%v", err)
		}
	}
	if k.Upstream.LookTimeout <= 0 {
		k.bad("upstream.look_timeout", "must be longer than 0s")
	}
	if k.Upstream.Poll > 0 && k.Upstream.PollMax < k.Upstream.Poll {
		k.bad("upstream.poll_max", "must not be shorter than upstream.poll")
	}
	if k.PassThrough.OfflineGrace > Duration(time.Hour) {
		k.bad("pass_through.offline_grace", "must not be longer than 1h")
	}
	if k.Upstream.List < Duration(time.Second) {
		k.bad("upstream.list", "must be 1s or longer")
	}
}

// ParseNetwork reads an IP address or a network in CIDR form, as in
// http.trusted_proxies; an address is the network that holds only it.
func ParseNetwork(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%.60q is neither an address nor a network; write for example 10.0.0.7 or 10.0.0.0/24: %w", s, ferry.ErrInvalid)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func (k checker) gate() {
	g := k.Gate
	for _, d := range []struct {
		key   string
		value Duration
	}{{"gate.max_hold", g.MaxHold}, {"gate.check_timeout", g.CheckTimeout}} {
		if d.value <= 0 {
			k.bad(d.key, "must be longer than 0s")
		}
	}
	for _, l := range []struct {
		key   string
		value int64
	}{
		{"commands", g.Limits.Commands}, {"pack_bytes", int64(g.Limits.PackBytes)}, {"objects", g.Limits.Objects},
		{"object_bytes", int64(g.Limits.ObjectBytes)}, {"inflated_bytes", int64(g.Limits.InflatedBytes)}, {"commits", g.Limits.Commits},
	} {
		if l.value <= 0 {
			k.bad("gate.limits."+l.key, "must be larger than 0")
		}
	}
	if g.StoreBelow > g.Limits.PackBytes && g.Limits.PackBytes > 0 {
		k.bad("gate.store_below", "%s is more than gate.limits.pack_bytes, %s; use gate.stream: false to store every pack", g.StoreBelow, g.Limits.PackBytes)
	}
}

// maxPattern bounds policy.message_pattern, in bytes.
const maxPattern = 1 << 10

var projectKey = regexp.MustCompile(`^[A-Z][A-Z0-9_]+$`)

func (k checker) policy() {
	p := k.Policy
	if len(p.MessagePattern) > maxPattern {
		k.bad("policy.message_pattern", "is longer than %d bytes", maxPattern)
	} else if _, err := regexp.Compile(p.MessagePattern); err != nil {
		k.bad("policy.message_pattern", "%v; see the RE2 syntax", err)
	}
	for i, project := range p.Projects {
		if !projectKey.MatchString(project) {
			k.bad(fmt.Sprintf("policy.projects[%d]", i), "%.40q is no project key; write upper-case letters, digits or underscores, such as DEMO", project)
		}
	}
	for i, glob := range p.ExemptBranches {
		if glob == "" || len(glob) > ferry.MaxGlob {
			k.bad(fmt.Sprintf("policy.exempt_branches[%d]", i), "want 1 to %d bytes", ferry.MaxGlob)
		}
	}
}

func (k checker) oidc() {
	o := k.OIDC
	if o.Issuer == "" {
		return
	}
	k.endpoint("oidc.issuer", o.Issuer, o.PrivateNetwork, "https")
	if o.ClientID == "" {
		k.bad("oidc.client_id", "empty; write the id under which gitferry is registered at the provider")
	}
	if o.Label == "" || len(o.Label) > 60 {
		k.bad("oidc.label", "want 1 to 60 bytes")
	}
	for i, d := range o.Domains {
		if !strings.Contains(d, ".") || strings.ContainsAny(d, "@/ ") {
			k.bad(fmt.Sprintf("oidc.domains[%d]", i), "%.60q is no domain; write what stands after the @, such as example.com", d)
		}
	}
}

func (k checker) jira() {
	j := k.Jira
	for _, u := range []struct{ key, value string }{{"jira.url", j.URL}, {"jira.devinfo_url", j.DevinfoURL}, {"jira.token_url", j.TokenURL}} {
		if u.value == "" {
			continue
		}
		if parsed := k.url(u.key, u.value, "https", "http"); parsed != nil && parsed.Scheme == "http" && !isLoopback(net.JoinHostPort(parsed.Hostname(), "0")) {
			k.bad(u.key, "credentials would cross the network in clear text; use https")
		}
	}
	if j.Kind != "" && j.URL == "" {
		k.bad("jira.url", "empty; write the base URL of the site, such as https://example.atlassian.net")
	}
	switch {
	case j.Kind == "" && j.URL != "":
		k.bad("jira.kind", "empty; write cloud for a site at atlassian.net, else datacenter")
	case j.Kind == "cloud" && j.APIToken.IsZero():
		k.bad("jira.api_token", "empty; make an API token for the service account and give it in jira.api_token_file")
	case j.Kind == "datacenter" && j.PersonalAccessToken.IsZero():
		k.bad("jira.personal_access_token", "empty; make a personal access token for the service account and give it in jira.personal_access_token_file")
	}
	if (j.ClientID == "") != j.ClientSecret.IsZero() {
		k.bad("jira.client_id", "id and secret belong together; give both jira.client_id and jira.client_secret, or neither")
	}
	if k.SmartCommits.Processor == "gitferry" && k.SmartCommits.MaxAge <= 0 {
		k.bad("smart_commits.max_age", "must be longer than 0s; use smart_commits.processor: off to carry out no commands")
	}
}
