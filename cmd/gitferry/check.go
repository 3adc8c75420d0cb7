package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"gitferry/api"
	"gitferry/internal/codecommit"
	"gitferry/internal/config"
	"gitferry/internal/discovery"
	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/outbox"
	"gitferry/internal/store"
)

// A finding is one line of a check.
type finding = api.Finding

const (
	stateOK     = "ok"
	stateFailed = "failed"
)

type findings []finding

// ok reports whether all that is needed works.
func (f findings) ok() bool {
	for _, x := range f {
		if x.Needed && x.State == stateFailed {
			return false
		}
	}
	return true
}

func success(area, what, detail string) finding {
	return finding{Area: area, What: what, State: stateOK, Needed: true, Detail: detail}
}

func failure(area, what string, err error) finding {
	return finding{Area: area, What: what, State: stateFailed, Needed: true, Detail: err.Error()}
}

func checkCommand() *cobra.Command {
	return booksFlags(&cobra.Command{Use: "check", Short: "check configuration, git, credentials, permissions, Jira and disk", Args: takes(),
		RunE: withBooks(func(ctx context.Context, b *books, _ []string) error {
			c, dialer := b.connector()
			defer dialer.Close()
			return b.showFindings(checkAll(ctx, b.cfg, c))
		})})
}

// checkAll checks everything that gitferry stands on.
func checkAll(ctx context.Context, cfg *config.Config, c connector) findings {
	found := findings{success("configuration", "read", "data in "+cfg.DataDir), checkGit(ctx), checkDisk(cfg), checkBooks(ctx, c.store)}
	found = append(found, checkIntegrations(ctx, c)...)
	return append(found, probeJira(ctx, c.store)...)
}

// showFindings prints findings and fails if something needed does not work.
func (b *books) showFindings(found findings) error {
	var rows [][]string
	for _, f := range found {
		rows = append(rows, []string{f.Area, f.What, f.State, orDash(strings.Join(f.Actions, " ")), orDash(f.Detail)})
	}
	report := api.CheckReport{OK: found.ok(), Findings: found}
	if err := b.show(report, "AREA,WHAT,STATE,ACTIONS,DETAIL", rows); err != nil {
		return err
	}
	for _, f := range found {
		if f.Policy != "" && !b.json {
			fmt.Fprintf(b.out, "\n%s: this policy grants what is missing for %q:\n%s\n", f.Area, f.What, f.Policy)
		}
	}
	if !found.ok() {
		return fmt.Errorf("%w: %w", errSilent, ferry.ErrUnavailable)
	}
	return nil
}

func checkGit(ctx context.Context) finding {
	dir, err := os.MkdirTemp("", "gitferry-check-")
	if err != nil {
		return failure("git", "version", err)
	}
	defer os.RemoveAll(dir)
	g, err := git.New(ctx, dir)
	if err != nil {
		return failure("git", "version", err)
	}
	return success("git", "version", g.Version())
}

// checkDisk compares the free space with the floor below which pushes are
// refused.
func checkDisk(cfg *config.Config) finding {
	var fs unix.Statfs_t
	if err := unix.Statfs(cfg.DataDir, &fs); err != nil {
		return failure("disk", "free space", err)
	}
	free, floor := fs.Bavail*uint64(fs.Bsize), uint64(cfg.Gate.Limits.FreeDisk)
	if free < floor {
		return failure("disk", "free space", fmt.Errorf("%d MiB are free on %s; below %d MiB pushes are refused", free>>20, filepath.Clean(cfg.DataDir), floor>>20))
	}
	return success("disk", "free space", fmt.Sprintf("%d MiB", free>>20))
}

func checkBooks(ctx context.Context, st *store.Store) finding {
	if err := st.Check(ctx); err != nil {
		return failure("books", "sound", err)
	}
	return success("books", "sound", "")
}

// checkIntegrations signs in to every account and tries what may be tried.
func checkIntegrations(ctx context.Context, c connector) findings {
	all, err := c.store.Integrations(ctx)
	if err != nil {
		return findings{failure("integrations", "list", err)}
	}
	var found findings
	for _, i := range all {
		if i.Disabled {
			found = append(found, finding{Area: i.Slug, What: "credentials", State: "unknown", Detail: "the integration is disabled"})
			continue
		}
		repos, err := c.store.Repositories(ctx, store.RepositoryFilter{Integration: i.ID, State: ferry.RepositoryEnabled, Limit: 1})
		if err != nil {
			found = append(found, failure(i.Slug, "repositories", err))
			continue
		}
		if i.Kind == ferry.KindCodeCommit {
			found = append(found, checkAccount(ctx, c, i, repos)...)
			continue
		}
		found = append(found, checkLook(ctx, c, i.Slug, repos))
	}
	return found
}

// checkLook signs in with git to the first repository.
func checkLook(ctx context.Context, c connector, slug string, repos []ferry.Repository) finding {
	if len(repos) == 0 {
		return finding{Area: slug, What: "git", State: "unknown", Detail: "no repository is enabled"}
	}
	target, err := c.discovery.Target(ctx, repos[0])
	if err != nil {
		return failure(slug, "git", err)
	}
	adv, err := c.discovery.Dialer.Look(ctx, target)
	if err != nil {
		return failure(slug, "git", err)
	}
	return success(slug, "git", fmt.Sprintf("%d refs in %s", len(adv.Refs), repos[0].Path()))
}

// checkAccount checks identity, the permissions matrix and git.
func checkAccount(ctx context.Context, c connector, i ferry.Integration, repos []ferry.Repository) findings {
	client, err := c.discovery.Client(ctx, i)
	if err != nil {
		return findings{failure(i.Slug, "credentials", err)}
	}
	who, err := client.Identity(ctx)
	if err != nil {
		return findings{failure(i.Slug, "credentials", err)}
	}
	found := findings{success(i.Slug, "credentials", who.ARN)}
	if len(repos) > 0 {
		look := checkLook(ctx, c, i.Slug, repos)
		found = append(found, look)
		if look.State == stateOK {
			c.discovery.Git(ctx, repos[0], discovery.GitPull, nil)
		}
	}
	if err := c.discovery.Probe(ctx, i); err != nil {
		return append(found, failure(i.Slug, "permissions", err))
	}
	// What the server learned in use is in the table too.
	table, err := c.discovery.Permissions(ctx, i)
	if err != nil {
		return append(found, failure(i.Slug, "permissions", err))
	}
	for _, f := range table.Features {
		line := finding{Area: i.Slug, What: f.Name, State: string(f.State), Actions: f.Actions}
		if f.State == codecommit.StateMissing {
			line.Detail = "missing: " + strings.Join(f.Missing, " ")
			line.Policy = codecommit.PolicyDocument(f.Missing, i.Region, who.Account)
		}
		found = append(found, line)
	}
	return append(found, checkTriggers(ctx, c.store, i))
}

// checkTriggers tells whether AWS tells of movements at once.
func checkTriggers(ctx context.Context, st *store.Store, i ferry.Integration) finding {
	line := finding{Area: i.Slug, What: "Notifications", State: stateOK}
	s, err := st.TriggerSetup(ctx, i.ID)
	switch {
	case errors.Is(err, ferry.ErrNotFound):
		line.State, line.Detail = "unknown", "not set up yet; the server does that"
	case err != nil:
		line.State, line.Detail = stateFailed, err.Error()
	case s.State == store.TriggersConfirmed:
		line.Detail = s.Problem
	case s.State == store.TriggersPending:
		line.State, line.Detail = "unknown", "the subscription waits to be confirmed since "+s.AskedAt.Format(time.RFC3339)
	default:
		line.State, line.Detail = "missing", s.Problem
	}
	return line
}

// probeJira signs in to Jira and asks for what the commands need.
func probeJira(ctx context.Context, st *store.Store) findings {
	sites := &outbox.Sites{Store: st, Product: "gitferry " + version}
	client, site, err := sites.Client(ctx)
	if errors.Is(err, ferry.ErrNotFound) {
		return findings{{Area: "jira", What: "site", State: "unknown", Detail: "none is connected; run: gitferry jira set --help"}}
	}
	if err != nil {
		return findings{failure("jira", "site", err)}
	}
	p, err := client.Probe(ctx)
	if err != nil {
		return findings{failure("jira", "sign-in", err)}
	}
	found := findings{success("jira", "sign-in", fmt.Sprintf("%s at %s, Jira %s", p.Account.Display, site.URL, p.Server.Version))}
	if len(p.Missing) > 0 {
		found = append(found, finding{Area: "jira", What: "permissions", State: "missing", Detail: "in no project: " + strings.Join(p.Missing, " ")})
	} else {
		found = append(found, success("jira", "permissions", ""))
	}
	switch {
	case site.Kind != "cloud":
	case site.ClientID == "":
		found = append(found, finding{Area: "jira", What: "development information", State: "missing", Detail: "no client id; run: gitferry jira set --client-id ID"})
	case p.Devinfo != nil:
		found = append(found, failure("jira", "development information", p.Devinfo))
	default:
		found = append(found, success("jira", "development information", ""))
	}
	return found
}
