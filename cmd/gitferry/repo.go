package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitferry/api"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

func repoCommand() *cobra.Command {
	return noun("repo", "connected repositories",
		repoList(),
		&cobra.Command{Use: "add SLUG/NAME", Short: "connect a repository of an account", Args: takes("SLUG/NAME"), RunE: change("repository.add", addRepository)},
		repoSet(), repoRemove(),
		repoWork("sync", "look at the upstream now and index what moved", store.OpSync),
		repoWork("reindex", "copy what is missing and index anew what is not indexed", store.OpReindex),
		repoWork("purge", "remove objects that no ref reaches, as after a secret was pushed and taken back", store.OpPurge))
}

func repoList() *cobra.Command {
	var slug, state, query string
	cmd := &cobra.Command{Use: "list", Short: "list connected repositories", Args: takes()}
	cmd.RunE = withBooks(func(ctx context.Context, b *books, _ []string) error {
		f := store.RepositoryFilter{State: ferry.RepositoryState(state), Query: query}
		if slug != "" {
			i, err := b.store.IntegrationBySlug(ctx, slug)
			if err != nil {
				return err
			}
			f.Integration = i.ID
		}
		return listRepositories(ctx, b, f)
	})
	cmd.Flags().StringVar(&slug, "integration", "", "only those of this integration")
	cmd.Flags().StringVar(&state, "state", "", "only those that are enabled, disabled or missing")
	cmd.Flags().StringVar(&query, "query", "", "only those whose path holds this text")
	return cmd
}

// listedRepository is a repository with the sizes of its index.
type listedRepository struct {
	api.Repository
	Commits int `json:"commits"`
	Issues  int `json:"issues"`
}

func listRepositories(ctx context.Context, b *books, f store.RepositoryFilter) error {
	repos, err := b.store.Repositories(ctx, f)
	if err != nil {
		return err
	}
	out := make([]listedRepository, 0, len(repos))
	var rows [][]string
	for _, r := range repos {
		l := listedRepository{Repository: api.RepositoryOf(r)}
		if l.Commits, err = b.store.CommitCount(ctx, r.ID); err != nil {
			return err
		}
		if l.Issues, err = b.store.KeyCount(ctx, r.ID); err != nil {
			return err
		}
		out = append(out, l)
		state := string(r.State)
		if r.Degraded != "" {
			state += ", degraded"
		}
		rows = append(rows, []string{r.Path(), state, orDash(r.DefaultBranch), stamp(r.IndexedAt), strconv.Itoa(l.Commits),
			strconv.Itoa(l.Issues), yes(r.SmartCommits)})
	}
	return b.show(out, "REPOSITORY,STATE,DEFAULT BRANCH,INDEXED,COMMITS,ISSUES,SMART COMMITS", rows)
}

func addRepository(ctx context.Context, b *books, args []string) error {
	slug, name, ok := strings.Cut(args[0], "/")
	if !ok {
		return usageError{fmt.Errorf("repository %q: want SLUG/NAME, such as us-east-1/demo", args[0])}
	}
	i, err := b.store.IntegrationBySlug(ctx, slug)
	if err != nil {
		return err
	}
	if i.Kind != ferry.KindCodeCommit {
		return usageError{fmt.Errorf("%s is a single repository; add another one with gitferry integration add --url", slug)}
	}
	c, dialer := b.connector()
	defer dialer.Close()
	if _, err := c.Connect(ctx, i.ID, []string{name}); err != nil {
		return err
	}
	r, err := b.store.RepositoryByPath(ctx, i.Slug, name)
	if err != nil {
		return err
	}
	return b.done(api.RepositoryOf(r), "%s connected", r.Path())
}

func repoSet() *cobra.Command {
	var smartCommits, enabled string
	var fsckIgnore []string
	cmd := &cobra.Command{Use: "set OWNER/NAME", Short: "change what is done with a repository", Args: takes("OWNER/NAME")}
	cmd.RunE = change("repository.set", func(ctx context.Context, b *books, args []string) error {
		r, err := b.repository(ctx, args[0])
		if err != nil {
			return err
		}
		on := r.State == ferry.RepositoryEnabled
		if err := errors.Join(onOff("smart-commits", smartCommits, &r.SmartCommits), onOff("enabled", enabled, &on)); err != nil {
			return err
		}
		if cmd.Flags().Changed("fsck-ignore") {
			r.FsckIgnore = strings.Join(fsckIgnore, " ")
		}
		switch {
		case enabled == "":
		case on:
			r.State = ferry.RepositoryEnabled
		default:
			r.State = ferry.RepositoryDisabled
		}
		if err := b.store.UpdateRepository(ctx, r); err != nil {
			return err
		}
		return b.done(api.RepositoryOf(r), "%s changed", r.Path())
	})
	cmd.Flags().StringVar(&smartCommits, "smart-commits", "", "whether commands in commits are carried out: on or off")
	cmd.Flags().StringVar(&enabled, "enabled", "", "on or off; off stops indexing and git access")
	cmd.Flags().StringSliceVar(&fsckIgnore, "fsck-ignore", nil, "message ids of git fsck that do not refuse the upstream's objects, such as nulInCommit; empty: none")
	return cmd
}

func repoRemove() *cobra.Command {
	var force bool
	var wait time.Duration
	cmd := &cobra.Command{Use: "remove OWNER/NAME", Short: "disconnect a repository: index, mirror and what Jira shows of it go", Args: takes("OWNER/NAME")}
	cmd.RunE = change("repository.remove", func(ctx context.Context, b *books, args []string) error {
		r, err := b.repository(ctx, args[0])
		if err != nil {
			return err
		}
		c, dialer := b.connector()
		defer dialer.Close()
		return b.untilRemoved(ctx, r.Path(), wait, func() (int, error) { return c.Disconnect(ctx, r, force) })
	})
	removalFlags(cmd, &force, &wait)
	return cmd
}

// repoWork makes a command for work on repositories: a running server gets it
// as a job, without one the command does it.
func repoWork(verb, short string, op store.JobOp) *cobra.Command {
	var all bool
	var wait time.Duration
	cmd := &cobra.Command{Use: verb + " OWNER/NAME…", Short: short, Args: cobra.ArbitraryArgs}
	cmd.RunE = change("repository."+verb, func(ctx context.Context, b *books, paths []string) error {
		if all == (len(paths) > 0) {
			return usageError{fmt.Errorf("usage: gitferry repo %s OWNER/NAME…, or --all", verb)}
		}
		repos, err := b.chosen(ctx, paths)
		if err != nil {
			return err
		}
		return b.work(ctx, repos, op, wait)
	})
	cmd.Flags().BoolVar(&all, "all", false, "all enabled repositories")
	cmd.Flags().DurationVar(&wait, "wait", 0, "how long to wait for the running server to finish (default: not at all)")
	return cmd
}

// chosen returns the repositories at paths, or all enabled ones.
func (b *books) chosen(ctx context.Context, paths []string) ([]ferry.Repository, error) {
	if len(paths) == 0 {
		return b.store.Repositories(ctx, store.RepositoryFilter{State: ferry.RepositoryEnabled})
	}
	var repos []ferry.Repository
	for _, p := range paths {
		r, err := b.repository(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		if r.State == ferry.RepositoryDisabled {
			return nil, &ferry.Message{Kind: ferry.ErrConflict, Text: fmt.Sprintf("%s is disabled; run: gitferry repo set %s --enabled on", p, p)}
		}
		repos = append(repos, r)
	}
	return repos, nil
}
