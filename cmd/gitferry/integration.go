package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitferry/api"
	"gitferry/internal/config"
	"gitferry/internal/discovery"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

func integrationCommand() *cobra.Command {
	return noun("integration", "upstream accounts, and single git repositories",
		&cobra.Command{Use: "list", Short: "list integrations", Args: takes(), RunE: withBooks(listIntegrations)},
		integrationAdd(), integrationSet(),
		&cobra.Command{Use: "sync SLUG", Short: "read the account's list of repositories now", Args: takes("SLUG"),
			RunE: change("integration.sync", syncIntegration)},
		integrationRemove())
}

func listIntegrations(ctx context.Context, b *books, _ []string) error {
	all, err := b.store.Integrations(ctx)
	if err != nil {
		return err
	}
	out := make([]api.Integration, 0, len(all))
	var rows [][]string
	for _, i := range all {
		repos, err := b.store.Repositories(ctx, store.RepositoryFilter{Integration: i.ID})
		if err != nil {
			return err
		}
		out = append(out, api.IntegrationOf(i))
		state := "enabled"
		if i.Disabled {
			state = "disabled"
		}
		rows = append(rows, []string{i.Slug, i.Name, string(i.Kind), orDash(i.Region), orDash(i.Account), string(i.GitAuth), state,
			strconv.Itoa(len(repos)), orDash(i.Problem)})
	}
	return b.show(out, "SLUG,NAME,KIND,REGION,ACCOUNT,AUTH,STATE,REPOSITORIES,PROBLEM", rows)
}

// credentialFlags are the secrets of an integration.
type credentialFlags struct {
	secretKey, sessionToken, gitPassword, sshKey, sshPassphrase secretFlag
}

func (f *credentialFlags) register(cmd *cobra.Command) {
	f.secretKey.register(cmd, "secret-access-key", "secret access key")
	f.sessionToken.register(cmd, "session-token", "AWS session token")
	f.gitPassword.register(cmd, "git-password", "git password")
	f.sshKey.register(cmd, "ssh-private-key", "SSH private key")
	f.sshPassphrase.register(cmd, "ssh-passphrase", "passphrase of the SSH key")
}

// read returns the secrets that are given. At a terminal it asks for those
// that the names beside them call for.
func (f *credentialFlags) read(b *books, i config.Integration) (c ferry.Credentials, err error) {
	for _, s := range []struct {
		flag   *secretFlag
		needed bool
		into   *ferry.Secret
	}{
		{&f.secretKey, i.AccessKeyID != "", &c.SecretAccessKey},
		{&f.sessionToken, false, &c.SessionToken},
		{&f.gitPassword, i.GitUsername != "", &c.GitPassword},
		{&f.sshKey, false, &c.SSHPrivateKey},
		{&f.sshPassphrase, false, &c.SSHPassphrase},
	} {
		if *s.into, err = s.flag.read(b, s.needed); err != nil {
			return c, err
		}
	}
	return c, nil
}

func integrationAdd() *cobra.Command {
	var i config.Integration
	var secrets credentialFlags
	var connect string
	cmd := &cobra.Command{Use: "add", Short: "connect an account in a region, or one git repository by its URL", Args: takes()}
	cmd.RunE = change("integration.add", func(ctx context.Context, b *books, _ []string) error {
		return addIntegration(ctx, b, i, &secrets, connect)
	})
	f := cmd.Flags()
	f.StringVar(&i.Region, "region", "", "AWS region code")
	f.StringVar(&i.URL, "url", "", "clone URL of a single git repository, instead of a region")
	f.StringVar(&i.Slug, "slug", "", "first part of the repositories' paths (default: the region, or the host of the URL)")
	f.StringVar(&i.Name, "name", "", "name shown to people")
	f.StringVar(&i.Auth, "git-auth", "", "how git signs in: none, basic, sigv4 or ssh (default: by the credentials given)")
	f.StringVar(&i.AccessKeyID, "access-key-id", "", "AWS access key id")
	f.StringVar(&i.GitUsername, "git-username", "", "user name for git-auth basic")
	f.StringVar(&i.SSHKeyID, "ssh-key-id", "", "SSH key id that IAM shows, or the user name at another host")
	f.StringVar(&i.HostKey, "host-key", "", "SSH host key of the upstream, as in known_hosts without the host")
	accountFlags(cmd, &i)
	f.StringVar(&i.APIEndpoint, "api-endpoint", "", "base URL of the CodeCommit API (default: AWS's own)")
	f.StringVar(&i.SNSEndpoint, "sns-endpoint", "", "base URL of the SNS API (default: AWS's own)")
	f.StringVar(&i.STSEndpoint, "sts-endpoint", "", "base URL of the STS API (default: AWS's own)")
	f.StringVar(&i.GitEndpoint, "git-endpoint", "", "base URL of git (default: AWS's own)")
	f.BoolVar(&i.PrivateNetwork, "private-network", false, "allow loopback and private addresses")
	f.StringVar(&connect, "connect", "all", "repositories to connect: all (those that appear later too), none, or names separated by commas")
	secrets.register(cmd)
	return cmd
}

// accountFlags say where credentials come from and which topic is used.
func accountFlags(cmd *cobra.Command, i *config.Integration) {
	f := cmd.Flags()
	f.StringVar(&i.CredentialSource, "credential-source", "", "where the access key comes from instead: environment or profile")
	f.StringVar(&i.Profile, "profile", "", "profile of AWS's shared files, for --credential-source profile")
	f.StringVar(&i.RoleARN, "role-arn", "", "role that the access key assumes")
	f.StringVar(&i.ExternalID, "external-id", "", "external id to show when the role is assumed")
	f.StringVar(&i.TopicARN, "topic-arn", "", "existing SNS topic for the triggers (default: gitferry makes its own)")
	f.BoolVar(&i.TopicSHA1, "topic-sha1", false, "take messages with the old signature (version 1)")
}

func addIntegration(ctx context.Context, b *books, i config.Integration, flags *credentialFlags, connect string) error {
	secrets, err := flags.read(b, i)
	if err != nil {
		return err
	}
	i.SecretAccessKey, i.SessionToken, i.GitPassword = secrets.SecretAccessKey, secrets.SessionToken, secrets.GitPassword
	i.SSHPrivateKey, i.SSHPassphrase = secrets.SSHPrivateKey, secrets.SSHPassphrase
	var names []string
	if connect != "all" && connect != "none" {
		names = strings.Split(connect, ",")
		i.Repositories = names
	}
	fi, secrets := i.Ferry()
	fi.ConnectAll = fi.Kind == ferry.KindCodeCommit && connect == "all"
	c, dialer := b.connector()
	defer dialer.Close()
	fi, found, err := c.Add(ctx, fi, secrets, names)
	if err != nil {
		return err
	}
	return b.done(api.IntegrationOf(fi), "%s added; %s", fi.Slug, foundText(found))
}

// checkIntegration checks what was given as the configuration file would be.
func checkIntegration(i ferry.Integration, c ferry.Credentials, names []string) error {
	in := config.Integration{Slug: i.Slug, Name: i.Name, Kind: string(i.Kind), Region: i.Region, Auth: string(i.GitAuth),
		AccessKeyID: i.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken,
		GitUsername: i.GitUsername, GitPassword: c.GitPassword, SSHKeyID: i.SSHKeyID, SSHPrivateKey: c.SSHPrivateKey, SSHPassphrase: c.SSHPassphrase,
		HostKey: i.HostKey, APIEndpoint: i.APIEndpoint, SNSEndpoint: i.SNSEndpoint, STSEndpoint: i.STSEndpoint, GitEndpoint: i.GitEndpoint, PrivateNetwork: i.PrivateNetwork, Repositories: names,
		CredentialSource: i.CredentialSource, Profile: i.Profile, RoleARN: i.RoleARN, ExternalID: i.ExternalID, TopicARN: i.TopicARN, TopicSHA1: i.TopicSHA1}
	if i.Kind == ferry.KindGit {
		in.URL, in.GitEndpoint = i.GitEndpoint, ""
	}
	cfg := config.Default()
	cfg.Integrations = []config.Integration{in}
	err := cfg.Validate()
	var m *ferry.Message
	if errors.As(err, &m) {
		text := strings.NewReplacer("integrations[0].", "", "integrations[0]: ", "").Replace(m.Text)
		return &ferry.Message{Kind: ferry.ErrInvalid, Text: text}
	}
	return err
}

// nameIntegration fills slug and name where they are not given.
func nameIntegration(i ferry.Integration) (ferry.Integration, error) {
	host := ""
	if i.Kind == ferry.KindGit {
		u, err := url.Parse(i.GitEndpoint)
		if err != nil {
			return i, fmt.Errorf("reading the URL: %w", ferry.ErrInvalid)
		}
		host = strings.ToLower(u.Hostname())
	}
	if i.Slug == "" {
		i.Slug = i.Region + host
	}
	if i.Name == "" {
		i.Name = host
		if i.Kind == ferry.KindCodeCommit {
			i.Name = "CodeCommit " + i.Region
		}
	}
	return i, nil
}

func foundText(f discovery.Found) string {
	text := fmt.Sprintf("%d connected", len(f.Added))
	for _, more := range []struct {
		n    int
		what string
	}{{len(f.Renamed), "renamed"}, {len(f.Missing), "missing"}, {len(f.Unconnected), "not connected"}} {
		if more.n > 0 {
			text += fmt.Sprintf(", %d %s", more.n, more.what)
		}
	}
	if len(f.Unconnected) > 0 {
		text += " (" + strings.Join(f.Unconnected[:min(10, len(f.Unconnected))], ", ") + ")"
	}
	return text
}

func syncIntegration(ctx context.Context, b *books, args []string) error {
	i, err := b.store.IntegrationBySlug(ctx, args[0])
	if err != nil {
		return err
	}
	c, dialer := b.connector()
	defer dialer.Close()
	found, err := c.discovery.Look(ctx, i.ID, nil)
	if err != nil {
		return err
	}
	return b.done(api.FoundOf(found), "%s: %s", i.Slug, foundText(found))
}

func integrationRemove() *cobra.Command {
	var force bool
	var wait time.Duration
	cmd := &cobra.Command{Use: "remove SLUG", Short: "disconnect an integration: index, mirrors and what Jira shows of it go", Args: takes("SLUG")}
	cmd.RunE = change("integration.remove", func(ctx context.Context, b *books, args []string) error {
		i, err := b.store.IntegrationBySlug(ctx, args[0])
		if err != nil {
			return err
		}
		c, dialer := b.connector()
		defer dialer.Close()
		return b.untilRemoved(ctx, i.Slug, wait, func() (int, error) { return c.DisconnectAll(ctx, i, force) })
	})
	removalFlags(cmd, &force, &wait)
	return cmd
}

func removalFlags(cmd *cobra.Command, force *bool, wait *time.Duration) {
	cmd.Flags().BoolVar(force, "force", false, "do not withdraw from Jira what it shows")
	cmd.Flags().DurationVar(wait, "wait", time.Minute, "how long to wait for Jira to take the withdrawals")
}

// onOff sets a switch from "on" or "off"; "" leaves it.
func onOff(flag, value string, into *bool) error {
	switch value {
	case "":
	case "on", "off":
		*into = value == "on"
	default:
		return usageError{fmt.Errorf("--%s %q: want on or off", flag, value)}
	}
	return nil
}
