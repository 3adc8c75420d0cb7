package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"gitferry/internal/smartcommit"
)

func explainCommand() *cobra.Command {
	var asJSON bool
	var projects, kind string
	cmd := &cobra.Command{
		Use:   "explain [TEXT…]",
		Short: "say what a commit message or branch name would do in Jira",
		Long: "explain reads a commit message or branch name, from its arguments or from standard input,\n" +
			"and says which issues it links and which commands it holds. It needs no server and no Jira.\n" +
			"With --json and no TEXT it reads one JSON object a line and writes one a line.",
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := explainOptions(projects, kind)
			if err != nil {
				return err
			}
			if asJSON && len(args) == 0 {
				return smartcommit.Explain(cmd.InOrStdin(), cmd.OutOrStdout(), o)
			}
			text := strings.Join(args, " ")
			if len(args) == 0 {
				b, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), smartcommit.MaxMessage+1))
				if err != nil {
					return err
				}
				text = string(b)
			}
			if asJSON {
				line, err := json.Marshal(map[string]string{"id": "", "message": text})
				if err != nil {
					return err
				}
				return smartcommit.Explain(bytes.NewReader(line), cmd.OutOrStdout(), o)
			}
			return smartcommit.ExplainText(cmd.OutOrStdout(), "", text, o)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "read and write JSON, one object a line")
	cmd.Flags().StringVar(&projects, "projects", "", "known project keys, separated by commas, or '*' for every project")
	cmd.Flags().StringVar(&kind, "kind", "commit", "what the text is: commit or branch")
	return cmd
}

func explainOptions(projects, kind string) (smartcommit.Options, error) {
	o := smartcommit.Options{Kind: smartcommit.Kind(kind)}
	if o.Kind != smartcommit.Commit && o.Kind != smartcommit.Branch {
		return o, usageError{fmt.Errorf("--kind %q: want commit or branch", kind)}
	}
	switch projects {
	case "":
	case "*":
		o.All = true
	default:
		o.Projects = make(map[string]bool)
		for p := range strings.SplitSeq(projects, ",") {
			o.Projects[strings.ToUpper(strings.TrimSpace(p))] = true
		}
	}
	return o, nil
}
