package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gitferry/api"
	"gitferry/internal/ferry"
)

func userCommand() *cobra.Command {
	return noun("user", "people and machines with rights",
		&cobra.Command{Use: "list", Short: "list users", Args: takes(), RunE: withBooks(listUsers)},
		userAdd(), userSet(),
		&cobra.Command{Use: "remove NAME", Short: "remove a user with keys, tokens and grants", Args: takes("NAME"), RunE: change("user.remove", removeUser)},
		jiraTokenSet())
}

func listUsers(ctx context.Context, b *books, _ []string) error {
	users, err := b.store.Users(ctx)
	if err != nil {
		return err
	}
	out := make([]api.User, 0, len(users))
	var rows [][]string
	for _, u := range users {
		out = append(out, api.UserOf(u))
		state := "enabled"
		if u.Disabled {
			state = "disabled"
		}
		rows = append(rows, []string{u.Name, orDash(u.Display), orDash(u.Email), orDash(strings.Join(u.Aliases, " ")), yes(u.Admin), state})
	}
	return b.show(out, "NAME,DISPLAY,EMAIL,ALIASES,ADMIN,STATE", rows)
}

func userAdd() *cobra.Command {
	var u ferry.User
	cmd := &cobra.Command{Use: "add NAME", Short: "add a user", Args: takes("NAME")}
	cmd.RunE = change("user.add", func(ctx context.Context, b *books, args []string) error {
		u.Name = args[0]
		made, err := b.store.AddUser(ctx, u)
		if err != nil {
			return err
		}
		return b.done(api.UserOf(made), "user %s added", made.Name)
	})
	cmd.Flags().StringVar(&u.Display, "display", "", "name shown to people")
	cmd.Flags().StringVar(&u.Email, "email", "", "main e-mail address, by which commits are known to be this user's")
	cmd.Flags().StringSliceVar(&u.Aliases, "alias", nil, "further e-mail addresses")
	cmd.Flags().BoolVar(&u.Admin, "admin", false, "may manage integrations, users and grants")
	return cmd
}

func userSet() *cobra.Command {
	var display, email, admin, enabled string
	var aliases []string
	cmd := &cobra.Command{Use: "set NAME", Short: "change a user", Args: takes("NAME")}
	cmd.RunE = change("user.set", func(ctx context.Context, b *books, args []string) error {
		u, err := b.store.UserByName(ctx, args[0])
		if err != nil {
			return err
		}
		given := cmd.Flags().Changed
		if given("display") {
			u.Display = display
		}
		if given("email") {
			u.Email = email
		}
		if given("alias") {
			u.Aliases = aliases
		}
		on := !u.Disabled
		if err := onOff("admin", admin, &u.Admin); err != nil {
			return err
		}
		if err := onOff("enabled", enabled, &on); err != nil {
			return err
		}
		u.Disabled = !on
		if err := b.store.UpdateUser(ctx, u); err != nil {
			return err
		}
		return b.done(api.UserOf(u), "user %s changed", u.Name)
	})
	cmd.Flags().StringVar(&display, "display", "", "name shown to people")
	cmd.Flags().StringVar(&email, "email", "", "main e-mail address")
	cmd.Flags().StringSliceVar(&aliases, "alias", nil, "further e-mail addresses, in place of the present ones")
	cmd.Flags().StringVar(&admin, "admin", "", "on or off")
	cmd.Flags().StringVar(&enabled, "enabled", "", "on or off; off disables keys and tokens as well")
	return cmd
}

func removeUser(ctx context.Context, b *books, args []string) error {
	u, err := b.store.UserByName(ctx, args[0])
	if err != nil {
		return err
	}
	if err := b.store.RemoveUser(ctx, u.ID); err != nil {
		return err
	}
	return b.done(api.UserOf(u), "user %s removed", u.Name)
}

// jiraTokenSet stores a person's own Jira token, with which that person's
// smart commits act.
func jiraTokenSet() *cobra.Command {
	var token secretFlag
	var email string
	var remove bool
	cmd := &cobra.Command{Use: "jira-token NAME", Short: "set the personal Jira token with which a user's smart commits act", Args: takes("NAME")}
	cmd.RunE = change("user.jira-token", func(ctx context.Context, b *books, args []string) error {
		u, err := b.store.UserByName(ctx, args[0])
		if err != nil {
			return err
		}
		secret, err := token.read(b, !remove)
		if err != nil {
			return err
		}
		if remove {
			secret = ferry.Secret{}
		} else if secret.IsZero() {
			return usageError{fmt.Errorf("give the token with --jira-token-file or $%s", token.variable)}
		}
		if email == "" {
			email = u.Email
		}
		if err := b.store.SetJiraToken(ctx, u.ID, secret, email); err != nil {
			return err
		}
		return b.done(api.UserOf(u), "Jira token of %s changed", u.Name)
	})
	token.register(cmd, "jira-token", "personal Jira token")
	cmd.Flags().StringVar(&email, "email", "", "e-mail address of the Jira account (default: the user's)")
	cmd.Flags().BoolVar(&remove, "remove", false, "forget the token")
	return cmd
}
