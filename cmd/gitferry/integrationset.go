package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"gitferry/api"
	"gitferry/internal/config"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

func integrationSet() *cobra.Command {
	var secrets credentialFlags
	var i config.Integration
	var name, connect, personal, pass, enabled string
	cmd := &cobra.Command{Use: "set SLUG", Short: "change names, credentials, and whether it is enabled", Args: takes("SLUG")}
	cmd.RunE = change("integration.set", func(ctx context.Context, b *books, args []string) error {
		fi, err := b.store.IntegrationBySlug(ctx, args[0])
		if err != nil {
			return err
		}
		for _, f := range []struct {
			text string
			into *string
		}{{name, &fi.Name}, {i.AccessKeyID, &fi.AccessKeyID}, {i.GitUsername, &fi.GitUsername}, {i.SSHKeyID, &fi.SSHKeyID}, {i.HostKey, &fi.HostKey},
			{i.CredentialSource, &fi.CredentialSource}, {i.Profile, &fi.Profile}, {i.RoleARN, &fi.RoleARN}, {i.ExternalID, &fi.ExternalID}, {i.TopicARN, &fi.TopicARN}} {
			if f.text != "" {
				*f.into = f.text
			}
		}
		on := !fi.Disabled
		if err := errors.Join(onOff("connect-new", connect, &fi.ConnectAll),
			onOff("require-own-credentials", personal, &fi.PersonalRequired), onOff("pass-through", pass, &fi.PassThrough), onOff("enabled", enabled, &on)); err != nil {
			return err
		}
		fi.Disabled = !on
		if cmd.Flags().Changed("topic-sha1") {
			fi.TopicSHA1 = i.TopicSHA1
		}
		return setIntegration(ctx, b, fi, i, &secrets)
	})
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "name shown to people")
	f.StringVar(&i.AccessKeyID, "access-key-id", "", "AWS access key id")
	f.StringVar(&i.GitUsername, "git-username", "", "user name for git-auth basic")
	f.StringVar(&i.SSHKeyID, "ssh-key-id", "", "SSH key id that IAM shows, or the user name at another host")
	f.StringVar(&i.HostKey, "host-key", "", "SSH host key of the upstream")
	accountFlags(cmd, &i)
	f.StringVar(&connect, "connect-new", "", "whether repositories that appear later are connected: on or off")
	f.StringVar(&personal, "require-own-credentials", "", "whether branches and pull requests are made with people's own AWS credentials only: on or off")
	f.StringVar(&pass, "pass-through", "", "whether git over HTTPS takes people's own CodeCommit credentials, and those only: on or off")
	f.StringVar(&enabled, "enabled", "", "on or off")
	secrets.register(cmd)
	return cmd
}

// setIntegration writes an integration; secrets that are not given stay.
func setIntegration(ctx context.Context, b *books, fi ferry.Integration, changed config.Integration, flags *credentialFlags) error {
	given, err := flags.read(b, changed)
	if err != nil {
		return err
	}
	var secrets *ferry.Credentials
	if given != (ferry.Credentials{}) {
		have, err := b.store.Credentials(ctx, fi.ID)
		if err != nil {
			return err
		}
		merged := api.MergeCredentials(have, given)
		secrets = &merged
	}
	if err := b.store.UpdateIntegration(ctx, fi, secrets); err != nil {
		return err
	}
	// What these credentials may do is not known yet.
	if _, err := b.store.Enqueue(ctx, store.Job{Integration: fi.ID, Op: store.OpIntegration, Source: "manual", Priority: 24}); err != nil {
		return err
	}
	return b.done(api.IntegrationOf(fi), "%s changed", fi.Slug)
}
