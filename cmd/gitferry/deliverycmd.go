package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitferry/api"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

func deliveryCommand() *cobra.Command {
	var reason string
	var during time.Duration
	pause := &cobra.Command{Use: "pause", Short: "hold back everything for Jira", Args: takes()}
	pause.RunE = change("delivery.pause", func(ctx context.Context, b *books, _ []string) error {
		var until time.Time
		if during > 0 {
			until = time.Now().Add(during)
		}
		if err := b.store.PauseDeliveries(ctx, reason, until); err != nil {
			return err
		}
		return b.done(api.Pause{Paused: true, Reason: reason, Until: until}, "deliveries are paused")
	})
	pause.Flags().StringVar(&reason, "reason", "paused by an operator", "shown to people")
	pause.Flags().DurationVar(&during, "for", 0, "end the pause by itself after this time, at most 24h")
	return noun("delivery", "what Jira shall hear", deliveryList(),
		&cobra.Command{Use: "retry ID…", Short: "make deliveries due now; of a dead command, be sure that it had no effect", Args: takes("ID…"),
			RunE: change("delivery.retry", eachDelivery("due again", func(ctx context.Context, b *books, id string) error {
				return b.store.RetryDelivery(ctx, id)
			}))},
		&cobra.Command{Use: "discard ID…", Short: "end deliveries without Jira having heard of them", Args: takes("ID…"),
			RunE: change("delivery.discard", eachDelivery("discarded", func(ctx context.Context, b *books, id string) error {
				return b.store.DiscardDelivery(ctx, id, "command line")
			}))},
		pause,
		&cobra.Command{Use: "resume", Short: "end a pause", Args: takes(), RunE: change("delivery.resume", func(ctx context.Context, b *books, _ []string) error {
			if err := b.store.ResumeDeliveries(ctx); err != nil {
				return err
			}
			return b.done(api.Pause{}, "deliveries go on")
		})})
}

func deliveryList() *cobra.Command {
	var state, key, repo, before string
	var limit int
	cmd := &cobra.Command{Use: "list", Short: "list deliveries, newest first", Args: takes()}
	cmd.RunE = withBooks(func(ctx context.Context, b *books, _ []string) error {
		f := store.DeliveryFilter{State: state, Limit: limit, Before: before}
		if key != "" {
			k, err := ferry.ParseIssueKey(strings.ToUpper(key))
			if err != nil {
				return err
			}
			f.Key = k
		}
		if repo != "" {
			r, err := b.repository(ctx, repo)
			if err != nil {
				return err
			}
			f.Repository = r.ID
		}
		return listDeliveries(ctx, b, f)
	})
	cmd.Flags().StringVar(&state, "state", "", "only those in this state: pending, retry, verify, waiting, paused, dead, done, skipped")
	cmd.Flags().StringVar(&key, "issue", "", "only those for this issue")
	cmd.Flags().StringVar(&repo, "repo", "", "only those of this repository, OWNER/NAME")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many, at most 1000")
	cmd.Flags().StringVar(&before, "before", "", "go on after the delivery with this cursor")
	return cmd
}

func listDeliveries(ctx context.Context, b *books, f store.DeliveryFilter) error {
	found, err := b.store.Deliveries(ctx, f)
	if err != nil {
		return err
	}
	repos, err := b.store.Repositories(ctx, store.RepositoryFilter{})
	if err != nil {
		return err
	}
	paths := make(map[ferry.RepositoryID]string, len(repos))
	for _, r := range repos {
		paths[r.ID] = r.Path()
	}
	out := make([]listedDelivery, 0, len(found))
	var rows [][]string
	for _, d := range found {
		out = append(out, listedDelivery{api.DeliveryOf(d, paths[d.Repository]), d.Cursor})
		var keys []string
		for _, k := range d.Keys {
			keys = append(keys, string(k))
		}
		rows = append(rows, []string{d.ID, d.Kind, d.State, strings.Join(keys, " "), orDash(paths[d.Repository]), d.EntityID,
			strconv.Itoa(d.Attempts), stamp(d.CreatedAt), orDash(d.Problem)})
	}
	return b.show(out, "ID,KIND,STATE,ISSUES,REPOSITORY,OF,ATTEMPTS,QUEUED,PROBLEM", rows)
}

// listedDelivery is a delivery with the cursor that a next page begins after.
type listedDelivery struct {
	api.Delivery
	Cursor string `json:"cursor"`
}

// eachDelivery does something to each delivery named.
func eachDelivery(done string, do func(ctx context.Context, b *books, id string) error) func(context.Context, *books, []string) error {
	return func(ctx context.Context, b *books, ids []string) error {
		for _, id := range ids {
			if err := do(ctx, b, id); err != nil {
				return fmt.Errorf("delivery %s: %w", id, err)
			}
		}
		return b.done(map[string][]string{"ids": ids}, "%s %s", strings.Join(ids, ", "), done)
	}
}
