package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gitferry/internal/config"
	"gitferry/internal/ferry"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

// adminCommands are the commands on what the books hold. They work while the
// server runs and while it does not: they open the books themselves, and leave
// what only a server can do to it as a job.
func adminCommands() []*cobra.Command {
	return []*cobra.Command{checkCommand(), doctorCommand(), integrationCommand(), repoCommand(), userCommand(), keyCommand(), tokenCommand(),
		grantCommand(), deliveryCommand(), jiraCommand(), auditCommand(), backupCommand(), restoreCommand()}
}

// books are the open books with what a command needs around them.
type books struct {
	cfg    *config.Config
	store  *store.Store
	log    *slog.Logger
	json   bool // answers are for programs
	in     io.Reader
	out    io.Writer
	errOut io.Writer
}

// noun groups the verbs on one kind of thing.
func noun(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q; see gitferry %s --help", use+" "+args[0], use)}
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(verbs...)
	for _, v := range verbs {
		booksFlags(v)
	}
	return cmd
}

// booksFlags adds the flags that every command on the books has.
func booksFlags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().String("config", "", "configuration file (default gitferry.yaml, if it is there)")
	cmd.Flags().Bool("json", false, "print JSON")
	return cmd
}

// takes checks the number of arguments; names are shown when it is wrong, and
// a last name that ends in "…" may be repeated.
func takes(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		open := len(names) > 0 && strings.HasSuffix(names[len(names)-1], "…")
		if len(given) == len(names) || open && len(given) > len(names) {
			return nil
		}
		return usageError{fmt.Errorf("usage: %s %s; see %s --help", cmd.CommandPath(), strings.Join(names, " "), cmd.CommandPath())}
	}
}

// withBooks makes the body of a command that works on the open books.
func withBooks(do func(ctx context.Context, b *books, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		file, err := cmd.Flags().GetString("config")
		if err != nil {
			return err
		}
		cfg, err := config.Load(file, os.Environ())
		if err != nil {
			return err
		}
		b := &books{cfg: cfg, in: cmd.InOrStdin(), out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr()}
		if b.json, err = cmd.Flags().GetBool("json"); err != nil {
			return err
		}
		b.log = slog.New(slog.NewTextHandler(b.errOut, &slog.HandlerOptions{Level: slog.LevelWarn}))
		if b.store, err = openStore(cmd.Context(), cfg, b.log); err != nil {
			return err
		}
		defer b.store.Close()
		return do(cmd.Context(), b, args)
	}
}

// change makes the body of a command that changes something: it is audited
// with its arguments and flags, which hold no secret, whether it succeeds or
// not.
func change(action string, do func(ctx context.Context, b *books, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		var flags []string
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if f.Name != "config" && f.Name != "json" {
				flags = append(flags, "--"+f.Name+"="+f.Value.String())
			}
		})
		return withBooks(func(ctx context.Context, b *books, args []string) error {
			err := do(ctx, b, args)
			e := store.AuditEvent{Action: action, Object: strings.Join(args, " "), Detail: strings.Join(flags, " ")}
			return errors.Join(err, b.audit(ctx, e, err))
		})(cmd, args)
	}
}

// audit writes what was done, by the person at this terminal.
func (b *books) audit(ctx context.Context, e store.AuditEvent, failure error) error {
	e.Actor, e.Credential, e.Result = "command line", "local", "ok"
	if u, err := user.Current(); err == nil {
		e.Actor = "command line (" + u.Username + ")"
	}
	if failure != nil {
		e.Result, e.Reason = "failed", failure.Error()
	}
	return b.store.Audit(context.WithoutCancel(ctx), e)
}

// show prints v as JSON, or the rows as a table for people.
func (b *books) show(v any, header string, rows [][]string) error {
	if b.json {
		return b.printJSON(v)
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(b.out, "none")
		return err
	}
	w := tabwriter.NewWriter(b.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(strings.Split(header, ","), "\t"))
	for _, row := range rows {
		for i := range row {
			row[i] = smartcommit.OneLine(row[i])
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

func (b *books) printJSON(v any) error {
	enc := json.NewEncoder(b.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// done tells what was done: v for programs, the sentence for people.
func (b *books) done(v any, format string, values ...any) error {
	if b.json {
		return b.printJSON(v)
	}
	_, err := fmt.Fprintf(b.out, format+"\n", values...)
	return err
}

// userNames returns the names of all users by id.
func (b *books) userNames(ctx context.Context) (map[ferry.UserID]string, error) {
	users, err := b.store.Users(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[ferry.UserID]string, len(users))
	for _, u := range users {
		names[u.ID] = u.Name
	}
	return names, nil
}

// userID returns the id of the user named, or 0 for "".
func (b *books) userID(ctx context.Context, name string) (ferry.UserID, error) {
	if name == "" {
		return 0, nil
	}
	u, err := b.store.UserByName(ctx, name)
	return u.ID, err
}

// repository finds a connected repository by OWNER/NAME.
func (b *books) repository(ctx context.Context, path string) (ferry.Repository, error) {
	owner, name, ok := strings.Cut(path, "/")
	if !ok {
		return ferry.Repository{}, usageError{fmt.Errorf("repository %q: want OWNER/NAME, such as us-east-1/demo", path)}
	}
	return b.store.RepositoryByPath(ctx, owner, name)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func yes(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
