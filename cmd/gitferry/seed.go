package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/config"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/proxy"
)

func seedUser(ctx context.Context, a *app, u config.User) error {
	user, err := a.store.UserByName(ctx, u.Name)
	if errors.Is(err, ferry.ErrNotFound) {
		user, err = a.store.AddUser(ctx, u.Ferry())
	} else if err == nil {
		return nil
	}
	if err != nil {
		return err
	}
	for _, line := range u.SSHKeys {
		if _, err := addSSHKey(ctx, a.store, user.ID, "", line); err != nil {
			return err
		}
	}
	return nil
}

// addSSHKey registers a public key as it stands in authorized_keys.
func addSSHKey(ctx context.Context, st *store.Store, user ferry.UserID, name, line string) (store.SSHKey, error) {
	key, comment, err := proxy.ParsePublicKey(line)
	if err != nil {
		return store.SSHKey{}, err
	}
	if name == "" {
		name = comment
	}
	return st.AddSSHKey(ctx, store.SSHKey{User: user, Name: name, Type: key.Type(), Fingerprint: ssh.FingerprintSHA256(key),
		Public: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))})
}

func seedGrant(ctx context.Context, a *app, g config.Grant) error {
	user, err := a.store.UserByName(ctx, g.User)
	if err != nil {
		return err
	}
	level, err := ferry.ParseLevel(g.Level)
	if err != nil {
		return err
	}
	have, err := a.store.Grants(ctx, user.ID)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(have, func(h ferry.Grant) bool { return h.Glob == g.Repositories }) {
		return nil
	}
	_, err = a.store.AddGrant(ctx, ferry.Grant{User: user.ID, Glob: g.Repositories, Level: level})
	return err
}

func seedIntegration(ctx context.Context, a *app, c config.Integration) error {
	i, secrets := c.Ferry()
	if i.Slug == "" {
		i.Slug = i.Region
		if i.Kind == ferry.KindGit {
			u, err := url.Parse(c.URL)
			if err != nil {
				return fmt.Errorf("reading url: %w", err)
			}
			i.Slug = u.Hostname()
		}
	}
	if _, err := a.store.IntegrationBySlug(ctx, i.Slug); !errors.Is(err, ferry.ErrNotFound) {
		return err
	}
	i, err := a.store.AddIntegration(ctx, i, secrets)
	if err != nil {
		return err
	}
	if i.Kind == ferry.KindGit {
		return connectGit(ctx, a.store, i)
	}
	_, err = a.discovery.Look(ctx, i.ID, func(name string) bool { return slices.Contains(c.Repositories, name) })
	if err != nil {
		a.log.Warn("connecting an account", "integration", i.Slug, "err", err)
	}
	return nil
}

// gitRepository is the one repository of a single-repository integration.
func gitRepository(i ferry.Integration) (ferry.Repository, error) {
	name := strings.TrimSuffix(path.Base(strings.TrimRight(i.GitEndpoint, "/")), ".git")
	if k := strings.LastIndexByte(name, ':'); k >= 0 { // user@host:name
		name = name[k+1:]
	}
	name, err := ferry.ParseRepositoryName(name)
	return ferry.Repository{IntegrationID: i.ID, Owner: i.Slug, Name: name, HostID: i.GitEndpoint,
		CloneURL: i.GitEndpoint, State: ferry.RepositoryEnabled, SmartCommits: true}, err
}

// connectGit connects the one repository of a single-repository integration.
func connectGit(ctx context.Context, st *store.Store, i ferry.Integration) error {
	r, err := gitRepository(i)
	if err != nil {
		return err
	}
	if r, err = st.AddRepository(ctx, r); err != nil {
		return err
	}
	_, err = st.Enqueue(ctx, store.Job{Repository: r.ID, Op: store.OpCopy, Source: "initial", Priority: 20})
	return err
}
