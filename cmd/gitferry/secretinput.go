package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"gitferry/internal/ferry"
)

// maxSecretInput is the longest secret read from outside, in bytes.
const maxSecretInput = 64 << 10

// A secretFlag is a secret that a command may need. It is read from the file
// that the flag names ("-" is standard input), else from the variable, else
// asked for at a terminal; never from the command line itself, which others
// on the machine can read.
type secretFlag struct {
	what     string // for the prompt: "secret access key"
	variable string // "GITFERRY_SECRET_ACCESS_KEY"
	file     string // value of the flag
}

// register adds the flag --NAME-file; the variable is GITFERRY_NAME, which is
// no setting's.
func (s *secretFlag) register(cmd *cobra.Command, name, what string) {
	s.what, s.variable = what, "GITFERRY_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	cmd.Flags().StringVar(&s.file, name+"-file", "", fmt.Sprintf("file with the %s; - reads standard input (default: $%s)", what, s.variable))
}

// read returns the secret, empty if it is not given. ask says that it is
// needed: at a terminal it is asked for.
func (s *secretFlag) read(b *books, ask bool) (ferry.Secret, error) {
	switch {
	case s.file == "-":
		return readSecret(b.in, s.what)
	case s.file != "":
		f, err := os.Open(s.file)
		if err != nil {
			return ferry.Secret{}, fmt.Errorf("reading the %s: %w", s.what, err)
		}
		defer f.Close()
		return readSecret(f, s.what)
	case os.Getenv(s.variable) != "":
		return ferry.NewSecret(os.Getenv(s.variable)), nil
	}
	if f, ok := b.in.(*os.File); ask && ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprintf(b.errOut, "%s: ", s.what)
		text, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(b.errOut)
		return ferry.NewSecret(string(text)), err
	}
	return ferry.Secret{}, nil
}

func readSecret(r io.Reader, what string) (ferry.Secret, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxSecretInput+1))
	if err != nil {
		return ferry.Secret{}, fmt.Errorf("reading the %s: %w", what, err)
	}
	if len(text) > maxSecretInput {
		return ferry.Secret{}, usageError{errors.New("the " + what + " is longer than 64 KiB")}
	}
	// Keys keep their inner line ends; what an editor adds at the end goes.
	return ferry.NewSecret(strings.TrimRight(string(text), "\r\n")), nil
}
