package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gitferry/api"
	"gitferry/internal/config"
	"gitferry/internal/ferry"
	"gitferry/internal/issues"
	"gitferry/internal/jira"
	"gitferry/internal/outbox"
	"gitferry/internal/store"
)

func jiraCommand() *cobra.Command {
	return noun("jira", "the Jira site",
		&cobra.Command{Use: "show", Short: "show the Jira site", Args: takes(), RunE: withBooks(showJira)},
		jiraSet(),
		&cobra.Command{Use: "check", Short: "sign in to Jira and see what is permitted", Args: takes(), RunE: withBooks(checkJira)},
		&cobra.Command{Use: "remove", Short: "forget the Jira site and its secrets", Args: takes(), RunE: change("jira.remove", removeJira)})
}

func showJira(ctx context.Context, b *books, _ []string) error {
	site, err := b.jiraSite(ctx)
	if err != nil {
		return err
	}
	return b.showSite(site)
}

func (b *books) jiraSite(ctx context.Context) (store.JiraSite, error) {
	site, err := b.store.JiraSite(ctx)
	if errors.Is(err, ferry.ErrNotFound) {
		err = &ferry.Message{Kind: ferry.ErrNotFound, Text: "no Jira site is connected; run: gitferry jira set --help"}
	}
	return site, err
}

func (b *books) showSite(site store.JiraSite) error {
	s := api.JiraSiteOf(site)
	return b.show(s, "SETTING,VALUE", [][]string{
		{"kind", s.Kind}, {"url", s.URL}, {"email", orDash(s.Email)}, {"api token", given(s.APITokenSet)},
		{"client id", orDash(s.ClientID)}, {"client secret", given(s.ClientSecretSet)}, {"personal access token", given(s.PATSet)},
		{"cloud id", orDash(s.CloudID)}, {"smart commits by", s.Processor}, {"hours per day", fmt.Sprint(s.HoursPerDay)},
		{"days per week", fmt.Sprint(s.DaysPerWeek)}, {"problem", orDash(s.Problem)}, {"checked", stamp(s.CheckedAt)},
	})
}

func given(set bool) string {
	if set {
		return "stored"
	}
	return "-"
}

func jiraSet() *cobra.Command {
	var c config.Jira
	var processor string
	var apiToken, clientSecret, pat secretFlag
	cmd := &cobra.Command{Use: "set", Short: "connect a Jira site, or change it", Args: takes(),
		Long: "set connects a Jira site, or changes the one there is: flags that are not given keep what is stored.\n" +
			"Secrets of another address than before are not kept."}
	cmd.RunE = change("jira.set", func(ctx context.Context, b *books, _ []string) error {
		var err error
		if c.APIToken, err = apiToken.read(b, c.Email != ""); err != nil {
			return err
		}
		if c.ClientSecret, err = clientSecret.read(b, c.ClientID != ""); err != nil {
			return err
		}
		if c.PersonalAccessToken, err = pat.read(b, c.Kind == "datacenter"); err != nil {
			return err
		}
		return setJira(ctx, b, c, processor)
	})
	f := cmd.Flags()
	f.StringVar(&c.Kind, "kind", "", "cloud or datacenter")
	f.StringVar(&c.URL, "url", "", "base URL of the site, with its context path if it has one")
	f.StringVar(&c.Email, "email", "", "Cloud: e-mail address of the service account")
	f.StringVar(&c.ClientID, "client-id", "", "Cloud: OAuth client id, for development information")
	f.StringVar(&c.DevinfoURL, "devinfo-url", "", "Cloud: base URL of the development information API (default: Atlassian's)")
	f.StringVar(&c.TokenURL, "token-url", "", "Cloud: OAuth token end point (default: made from devinfo-url)")
	f.StringVar(&processor, "processor", "", "who carries out smart commits: gitferry, jira or off")
	apiToken.register(cmd, "api-token", "API token")
	clientSecret.register(cmd, "client-secret", "client secret")
	pat.register(cmd, "personal-access-token", "personal access token")
	return cmd
}

// setJira writes the site; what is empty in c stays as it is.
func setJira(ctx context.Context, b *books, c config.Jira, processor string) error {
	site, err := b.store.JiraSite(ctx)
	if errors.Is(err, ferry.ErrNotFound) {
		site, err = store.JiraSite{Processor: string(outbox.ProcessorGitferry)}, nil
	}
	if err != nil {
		return err
	}
	for _, f := range []struct {
		text string
		into *string
	}{{c.Kind, &site.Kind}, {c.URL, &site.URL}, {c.Email, &site.Email}, {c.ClientID, &site.ClientID}, {c.DevinfoURL, &site.DevinfoURL}, {c.TokenURL, &site.TokenURL}, {processor, &site.Processor}} {
		if f.text != "" {
			*f.into = f.text
		}
	}
	site.URL = strings.TrimRight(site.URL, "/")
	switch outbox.Processor(site.Processor) {
	case outbox.ProcessorGitferry, outbox.ProcessorJira, outbox.ProcessorOff:
	default:
		return usageError{fmt.Errorf("--processor %q: want gitferry, jira or off", site.Processor)}
	}
	// Empty secrets keep the stored ones where the address allows it.
	site.APIToken, site.ClientSecret, site.PAT = c.APIToken, c.ClientSecret, c.PersonalAccessToken
	if _, err := outbox.NewClient(site, jira.Options{}); err != nil {
		return err
	}
	if err := b.store.SetJiraSite(ctx, site); err != nil {
		return err
	}
	if site, err = b.store.JiraSite(ctx); err != nil {
		return err
	}
	return b.showSite(site)
}

// checkJira signs in, and takes over projects and settings when that works.
func checkJira(ctx context.Context, b *books, _ []string) error {
	if _, err := b.jiraSite(ctx); err != nil {
		return err
	}
	found := probeJira(ctx, b.store)
	if found.ok() {
		lookup := issues.Lookup{Store: b.store, Sites: &outbox.Sites{Store: b.store, Product: "gitferry " + version}, Log: b.log}
		if err := lookup.Refresh(ctx); err != nil {
			found = append(found, failure("jira", "projects", err))
		}
	}
	return b.showFindings(found)
}

func removeJira(ctx context.Context, b *books, _ []string) error {
	if err := b.store.RemoveJiraSite(ctx); err != nil {
		return err
	}
	return b.done(api.Removal{Removed: true}, "the Jira site is forgotten")
}
