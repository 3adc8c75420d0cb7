package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitferry/api"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

func keyCommand() *cobra.Command {
	var name string
	add := &cobra.Command{Use: "add USER FILE", Short: "register an SSH public key; - reads standard input", Args: takes("USER", "FILE")}
	add.RunE = change("key.add", func(ctx context.Context, b *books, args []string) error { return addKey(ctx, b, args, name) })
	add.Flags().StringVar(&name, "name", "", "name of the key (default: its comment)")
	return noun("key", "SSH public keys", listOf("list", "list SSH keys", listKeys), add,
		&cobra.Command{Use: "remove ID", Short: "remove an SSH key by its id or fingerprint", Args: takes("ID"), RunE: change("key.remove", removeKey)})
}

// listOf makes a list command that may be narrowed to one user.
func listOf(use, short string, list func(ctx context.Context, b *books, user ferry.UserID, names map[ferry.UserID]string) error) *cobra.Command {
	var user string
	cmd := &cobra.Command{Use: use, Short: short, Args: takes()}
	cmd.RunE = withBooks(func(ctx context.Context, b *books, _ []string) error {
		id, err := b.userID(ctx, user)
		if err != nil {
			return err
		}
		names, err := b.userNames(ctx)
		if err != nil {
			return err
		}
		return list(ctx, b, id, names)
	})
	cmd.Flags().StringVar(&user, "user", "", "only those of this user")
	return cmd
}

func listKeys(ctx context.Context, b *books, user ferry.UserID, names map[ferry.UserID]string) error {
	keys, err := b.store.SSHKeys(ctx, user)
	if err != nil {
		return err
	}
	out := make([]api.SSHKey, 0, len(keys))
	var rows [][]string
	for _, k := range keys {
		out = append(out, api.SSHKeyOf(k, names[k.User]))
		rows = append(rows, []string{strconv.FormatInt(k.ID, 10), names[k.User], orDash(k.Name), k.Type, k.Fingerprint, stamp(k.LastUsedAt)})
	}
	return b.show(out, "ID,USER,NAME,TYPE,FINGERPRINT,LAST USED", rows)
}

func addKey(ctx context.Context, b *books, args []string, name string) error {
	user, err := b.store.UserByName(ctx, args[0])
	if err != nil {
		return err
	}
	in := b.in
	if args[1] != "-" {
		f, err := os.Open(args[1])
		if err != nil {
			return fmt.Errorf("reading the public key: %w", err)
		}
		defer f.Close()
		in = f
	}
	line, err := io.ReadAll(io.LimitReader(in, maxSecretInput))
	if err != nil {
		return fmt.Errorf("reading the public key: %w", err)
	}
	key, err := addSSHKey(ctx, b.store, user.ID, name, string(line))
	if err != nil {
		return err
	}
	return b.done(api.SSHKeyOf(key, user.Name), "key %d added: %s", key.ID, key.Fingerprint)
}

func removeKey(ctx context.Context, b *books, args []string) error {
	keys, err := b.store.SSHKeys(ctx, 0)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if strconv.FormatInt(k.ID, 10) == args[0] || k.Fingerprint == args[0] {
			if err := b.store.RemoveSSHKey(ctx, k.ID); err != nil {
				return err
			}
			return b.done(api.Removal{Removed: true}, "key %d removed", k.ID)
		}
	}
	return fmt.Errorf("key %s: %w", args[0], ferry.ErrNotFound)
}

func tokenCommand() *cobra.Command {
	var name string
	var scopes, globs []string
	var days int
	add := &cobra.Command{Use: "add USER", Short: "make a token and print it, this once", Args: takes("USER")}
	add.RunE = change("token.add", func(ctx context.Context, b *books, args []string) error {
		t := store.Token{Name: name, Globs: globs, ExpiresAt: time.Now().AddDate(0, 0, days)}
		for _, s := range scopes {
			t.Scopes = append(t.Scopes, ferry.Scope(s))
		}
		return addToken(ctx, b, args[0], t)
	})
	add.Flags().StringVar(&name, "name", "command line", "what the token is for")
	add.Flags().StringSliceVar(&scopes, "scope", []string{"repo:read", "repo:write"}, "repo:read, repo:write, api:read, api:admin or jira:dvcs")
	add.Flags().StringSliceVar(&globs, "repo", nil, "globs over OWNER/NAME that narrow the token (default: all that the user may use)")
	add.Flags().IntVar(&days, "days", 90, "days until the token expires, at most 366")
	return noun("token", "tokens for git over HTTP and for the API", listOf("list", "list tokens", listTokens), add,
		&cobra.Command{Use: "remove ID", Short: "revoke a token", Args: takes("ID"), RunE: change("token.remove", removeToken)})
}

func listTokens(ctx context.Context, b *books, user ferry.UserID, names map[ferry.UserID]string) error {
	tokens, err := b.store.Tokens(ctx, user)
	if err != nil {
		return err
	}
	out := make([]api.Token, 0, len(tokens))
	var rows [][]string
	for _, t := range tokens {
		out = append(out, api.TokenOf(t, names[t.User]))
		var scopes []string
		for _, s := range t.Scopes {
			scopes = append(scopes, string(s))
		}
		state := "valid"
		if !t.RevokedAt.IsZero() {
			state = "revoked"
		} else if time.Now().After(t.ExpiresAt) {
			state = "expired"
		}
		rows = append(rows, []string{strconv.FormatInt(t.ID, 10), names[t.User], t.Name, strings.Join(scopes, " "), orDash(strings.Join(t.Globs, " ")),
			state, stamp(t.ExpiresAt), stamp(t.LastUsedAt)})
	}
	return b.show(out, "ID,USER,NAME,SCOPES,REPOSITORIES,STATE,EXPIRES,LAST USED", rows)
}

func addToken(ctx context.Context, b *books, user string, t store.Token) error {
	u, err := b.store.UserByName(ctx, user)
	if err != nil {
		return err
	}
	t.User = u.ID
	text, t, err := b.store.NewToken(ctx, t)
	if err != nil {
		return err
	}
	if b.json {
		return b.printJSON(api.NewToken{Token: api.TokenOf(t, user), Text: text.Reveal()})
	}
	fmt.Fprintf(b.errOut, "token %d of %s, valid until %s; it is not shown again\n", t.ID, user, stamp(t.ExpiresAt))
	_, err = fmt.Fprintln(b.out, text.Reveal())
	return err
}

func removeToken(ctx context.Context, b *books, args []string) error {
	id, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return usageError{fmt.Errorf("token %q: want the number that gitferry token list shows", args[0])}
	}
	if err := b.store.RevokeToken(ctx, id); err != nil {
		return err
	}
	return b.done(api.Removal{Removed: true}, "token %d revoked", id)
}

func grantCommand() *cobra.Command {
	return noun("grant", "what users may do with which repositories", listOf("list", "list grants", listGrants),
		&cobra.Command{Use: "add USER GLOB LEVEL", Short: "give a user none, read, write or admin on repositories; replaces a grant for the same glob",
			Args: takes("USER", "GLOB", "LEVEL"), RunE: change("grant.add", addGrant)},
		&cobra.Command{Use: "remove ID", Short: "take a grant back", Args: takes("ID"), RunE: change("grant.remove", removeGrant)})
}

func listGrants(ctx context.Context, b *books, user ferry.UserID, names map[ferry.UserID]string) error {
	grants, err := b.store.Grants(ctx, user)
	if err != nil {
		return err
	}
	out := make([]api.Grant, 0, len(grants))
	var rows [][]string
	for _, g := range grants {
		out = append(out, api.GrantOf(g, names[g.User]))
		rows = append(rows, []string{strconv.FormatInt(g.ID, 10), names[g.User], g.Glob, g.Level.String()})
	}
	return b.show(out, "ID,USER,REPOSITORIES,LEVEL", rows)
}

func addGrant(ctx context.Context, b *books, args []string) error {
	u, err := b.store.UserByName(ctx, args[0])
	if err != nil {
		return err
	}
	level, err := ferry.ParseLevel(args[2])
	if err != nil {
		return err
	}
	g, err := b.store.AddGrant(ctx, ferry.Grant{User: u.ID, Glob: args[1], Level: level})
	if err != nil {
		return err
	}
	return b.done(api.GrantOf(g, u.Name), "grant %d: %s may %s %s", g.ID, u.Name, g.Level, g.Glob)
}

func removeGrant(ctx context.Context, b *books, args []string) error {
	id, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return usageError{fmt.Errorf("grant %q: want the number that gitferry grant list shows", args[0])}
	}
	if err := b.store.RemoveGrant(ctx, id); err != nil {
		return err
	}
	return b.done(api.Removal{Removed: true}, "grant %d removed", id)
}
