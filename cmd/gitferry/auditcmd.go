package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"gitferry/api"
	"gitferry/internal/store"
)

func auditCommand() *cobra.Command {
	var f store.AuditFilter
	list := &cobra.Command{Use: "list", Short: "list audit events, newest first", Args: takes()}
	list.RunE = withBooks(func(ctx context.Context, b *books, _ []string) error { return listAudit(ctx, b, f) })
	list.Flags().StringVar(&f.Actor, "actor", "", "only those of this actor")
	list.Flags().StringVar(&f.Action, "action", "", "only this action, such as token.add")
	list.Flags().StringVar(&f.Object, "object", "", "only those on this object")
	list.Flags().Int64Var(&f.Before, "before", 0, "only those with a smaller number")
	list.Flags().IntVar(&f.Limit, "limit", 100, "how many, at most 1000")
	return noun("audit", "who did what", list,
		&cobra.Command{Use: "verify", Short: "follow the chain of hashes; fails if a row was changed or taken out", Args: takes(),
			RunE: withBooks(func(ctx context.Context, b *books, _ []string) error {
				n, err := b.store.VerifyAudit(ctx)
				if err != nil {
					return err
				}
				return b.done(map[string]int64{"rows": n}, "%d rows are sound", n)
			})})
}

func listAudit(ctx context.Context, b *books, f store.AuditFilter) error {
	events, err := b.store.AuditEvents(ctx, f)
	if err != nil {
		return err
	}
	out := make([]api.AuditEvent, 0, len(events))
	var rows [][]string
	for _, e := range events {
		out = append(out, api.AuditEventOf(e))
		rows = append(rows, []string{strconv.FormatInt(e.Seq, 10), stamp(e.At), e.Actor, e.Action, orDash(e.Object), e.Result, orDash(e.Reason)})
	}
	return b.show(out, "SEQ,TIME,ACTOR,ACTION,OBJECT,RESULT,REASON", rows)
}
