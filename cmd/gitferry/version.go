package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"gitferry/api"
	"gitferry/internal/git"
	"gitferry/internal/store"
)

// version and commit are set at build time (-ldflags "-X main.version=…").
var (
	version = "dev"
	commit  = ""
)

// versionsWith tells what runs here, with the version of git.
func versionsWith(git string) api.Versions {
	return api.Versions{Version: version, Commit: revision(), Go: runtime.Version(), SQLite: store.SQLiteVersion(), Git: git}
}

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "version", Short: "print the versions of gitferry and of what it uses", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versionsWith("not found")
			dir, err := os.MkdirTemp("", "gitferry-version-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			if g, err := git.New(cmd.Context(), dir); err == nil {
				v.Git = g.Version()
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(v)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "gitferry %s (%s)\n%s, git %s, SQLite %s\n", v.Version, v.Commit, v.Go, v.Git, v.SQLite)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// revision is the commit that the binary was built from, if it is known.
func revision() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown"
}
