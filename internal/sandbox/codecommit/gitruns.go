package codecommit

import (
	"context"
	"strings"

	"gitferry/internal/git"
)

// A ref is a line of for-each-ref.
type ref struct {
	name, oid string
	peeled    string // the commit of an annotated tag, else ""
}

// refs lists a repository's refs in order of name.
func (s *Server) refs(ctx context.Context, r *repository) ([]ref, error) {
	out, err := s.git(ctx, r, "for-each-ref", "--format=%(objectname) %(*objectname) %(refname)")
	if err != nil {
		return nil, err
	}
	var list []ref
	for line := range strings.SplitSeq(out, "\n") {
		f := strings.SplitN(line, " ", 3)
		if len(f) == 3 {
			list = append(list, ref{oid: f[0], peeled: f[1], name: f[2]})
		}
	}
	return list, nil
}

// run runs git without its calls to fsync: what a stand-in holds must outlive
// a crash of the process, not one of the machine.
func (s *Server) run(ctx context.Context, c git.Command) error {
	c.Config = append(c.Config, [2]string{"core.fsync", "none"})
	return s.cfg.Git.Run(ctx, c)
}

// output is run for commands whose standard output is wanted, at most 64 MiB.
func (s *Server) output(ctx context.Context, c git.Command) ([]byte, error) {
	c.Config = append(c.Config, [2]string{"core.fsync", "none"})
	return s.cfg.Git.Output(ctx, c)
}

// git runs git in the repository and returns its standard output, trimmed.
func (s *Server) git(ctx context.Context, r *repository, args ...string) (string, error) {
	out, err := s.output(ctx, git.Command{Dir: r.dir, Args: args})
	return strings.TrimSpace(string(out)), err
}
