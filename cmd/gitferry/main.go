// Command gitferry serves AWS CodeCommit repositories to git clients through
// local mirrors, carries their pushes to CodeCommit, and tells Jira what the
// commits say. One binary holds the server, its administration and a sandbox
// that makes all of it run with nothing configured.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// Exit codes of the program (design, 3.1).
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 64
	exitVersion     = 65 // data of another version
	exitUnavailable = 69 // something needed is missing
	exitIO          = 74
	exitRunning     = 75 // already running
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run carries out one command line and returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if !errors.Is(err, errSilent) {
		fmt.Fprintf(stderr, "gitferry: %s\n", strings.TrimSpace(err.Error()))
	}
	return exitCode(err)
}

// errSilent ends a command whose output has said everything.
var errSilent = errors.New("failed")

// usageError marks a command line that cannot be understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func exitCode(err error) int {
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, store.ErrNewerSchema):
		return exitVersion
	case errors.Is(err, errRunning):
		return exitRunning
	case errors.Is(err, ferry.ErrUnavailable):
		return exitUnavailable
	case errors.Is(err, ferry.ErrInvalid):
		return exitUsage
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EIO):
		return exitIO
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "gitferry",
		Short:         "git server in front of AWS CodeCommit that feeds Jira",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q; see gitferry --help", args[0])}
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serveCommand(), sandboxCommand(), explainCommand(), versionCommand())
	root.AddCommand(adminCommands()...)
	return root
}
