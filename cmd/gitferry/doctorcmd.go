package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"gitferry/internal/doctor"
	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/store"
	"gitferry/mirror"
)

func doctorCommand() *cobra.Command {
	var deep bool
	cmd := booksFlags(&cobra.Command{Use: "doctor", Short: "find out whether everything agrees; exit 0 only if it does", Args: takes()})
	cmd.RunE = withBooks(func(ctx context.Context, b *books, _ []string) error { return diagnose(ctx, b, deep) })
	cmd.Flags().BoolVar(&deep, "deep", false, "compare with the upstreams too")
	return cmd
}

// diagnose reports the state of the books and, if deep, whether upstreams,
// mirrors, index and deliveries are equal.
func diagnose(ctx context.Context, b *books, deep bool) error {
	report := doctor.Report{Consistent: true, Repositories: []doctor.Repository{}, Faults: []string{}}
	if deep {
		var err error
		if report, err = compareAll(ctx, b); err != nil {
			return err
		}
	}
	faults, err := bookFaults(ctx, b.store)
	if err != nil {
		return err
	}
	report.Faults = append(report.Faults, faults...)
	report.Consistent = report.Consistent && len(faults) == 0
	if b.json {
		err = b.printJSON(report)
	} else if deep || !report.Consistent {
		_, err = fmt.Fprint(b.out, report)
	} else {
		_, err = fmt.Fprintln(b.out, "the books are sound; run gitferry doctor --deep to compare them with the upstreams")
	}
	if err == nil && !report.Consistent {
		err = errSilent
	}
	return err
}

func compareAll(ctx context.Context, b *books) (doctor.Report, error) {
	home, err := os.MkdirTemp("", "gitferry-doctor-")
	if err != nil {
		return doctor.Report{}, err
	}
	defer os.RemoveAll(home)
	g, err := git.New(ctx, home)
	if err != nil {
		return doctor.Report{}, err
	}
	c, dialer := b.connector()
	defer dialer.Close()
	d := doctor.Doctor{Store: b.store, Dialer: dialer, Target: c.discovery.Target,
		Mirror: &mirror.Dir{Root: b.cfg.DataDir, Git: g, Dialer: dialer, Target: c.discovery.Target, Log: b.log}}
	return d.Deep(ctx)
}

// bookFaults looks at the file, the audit's chain and what the integrations
// and the Jira site last said.
func bookFaults(ctx context.Context, st *store.Store) ([]string, error) {
	var faults []string
	if err := st.Check(ctx); err != nil {
		faults = append(faults, "the database is not sound: "+err.Error())
	}
	if _, err := st.VerifyAudit(ctx); err != nil {
		if !errors.Is(err, store.ErrCorrupt) {
			return nil, err
		}
		faults = append(faults, "the audit was changed: "+err.Error())
	}
	integrations, err := st.Integrations(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range integrations {
		if i.Problem != "" && !i.Disabled {
			faults = append(faults, i.Slug+": "+i.Problem)
		}
	}
	site, err := st.JiraSite(ctx)
	if err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return nil, err
	}
	if site.Problem != "" {
		faults = append(faults, "Jira: "+site.Problem)
	}
	repos, err := st.Repositories(ctx, store.RepositoryFilter{})
	if err != nil {
		return nil, err
	}
	for _, r := range repos {
		if r.State == ferry.RepositoryMissing {
			faults = append(faults, r.Path()+": gone at the upstream")
		}
		if r.Degraded != "" && r.State == ferry.RepositoryEnabled {
			faults = append(faults, r.Path()+": degraded: git refuses an object of the upstream: "+r.Degraded)
		}
	}
	return faults, nil
}
