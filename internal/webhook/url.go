package webhook

import (
	"context"
	"errors"
	"net/url"
	"path"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// connectorPath is where Jira's DVCS connector waits for calls, below the
// site's base URL; the star is a number.
const connectorPath = "/rest/bitbucket/1.0/repository/*/sync"

// CheckURL says whether a webhook may have this address. With jira it must be
// one of the connected Jira's DVCS connector. Others are https, or http where
// private networks are allowed. It fails with a *ferry.Message of kind
// ferry.ErrInvalid.
func (s *Sender) CheckURL(ctx context.Context, raw string, jira bool) error {
	bad := func(why string) error {
		return &ferry.Message{Kind: ferry.ErrInvalid, Text: "address of a webhook: " + why}
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || len(raw) > 2000:
		return bad("not a URL")
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "", u.Opaque != "":
		return bad("want https://HOST/…")
	case u.User != nil, u.Fragment != "":
		return bad("user names, passwords and fragments are not accepted")
	}
	site, err := s.Store.JiraSite(ctx)
	if err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return err
	}
	ofJira := isConnector(u, site)
	switch {
	case jira && !ofJira:
		return bad("this token may only name the connected Jira's " + connectorPath)
	}
	private, err := s.anyPrivate(ctx)
	if err == nil && u.Scheme == "http" && !ofJira && !private {
		return bad("want https")
	}
	return err
}

// isConnector reports whether u is an address of the site's DVCS connector.
func isConnector(u *url.URL, site store.JiraSite) bool {
	base, err := url.Parse(site.URL)
	if err != nil || base.Host == "" || base.Scheme != u.Scheme || !strings.EqualFold(base.Host, u.Host) || u.RawQuery != "" {
		return false
	}
	rest, ok := strings.CutPrefix(u.EscapedPath(), strings.TrimSuffix(base.EscapedPath(), "/"))
	fits, err := path.Match(connectorPath, rest)
	return ok && fits && err == nil && path.Clean(u.Path) == u.Path
}

// SettingPrivateNetwork is the setting, a boolean, that lets every webhook call
// private addresses, which administrators of single repositories choose.
const SettingPrivateNetwork = "webhooks.private_network"

func (s *Sender) anyPrivate(ctx context.Context) (bool, error) {
	allowed := false
	if err := s.Store.Setting(ctx, SettingPrivateNetwork, &allowed); err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return false, err
	}
	return allowed || s.PrivateNetwork, nil
}

// mayUsePrivate reports whether a webhook may call a private address now.
func (s *Sender) mayUsePrivate(ctx context.Context, h store.Webhook) (bool, error) {
	if private, err := s.anyPrivate(ctx); err != nil || private {
		return private, err
	}
	u, err := url.Parse(h.URL)
	if err != nil {
		return false, nil
	}
	site, err := s.Store.JiraSite(ctx)
	if errors.Is(err, ferry.ErrNotFound) {
		return false, nil
	}
	return isConnector(u, site), err
}
