package codecommit

import (
	"context"
	"strings"

	"gitferry/internal/git"
)

// A ref is a line of an advertisement.
type ref struct {
	name, oid string
	peeled    string // what an annotated tag leads to in the end, else ""
}

// refs lists a repository's refs in order of name.
func (s *Server) refs(ctx context.Context, r *repository) ([]ref, error) {
	refs, err := s.cfg.Git.Refs(ctx, r.dir)
	if err != nil {
		return nil, err
	}
	list := make([]ref, len(refs))
	for i, f := range refs {
		list[i] = ref{name: string(f.Name), oid: f.OID.String()}
		if !f.Peeled.IsZero() {
			list[i].peeled = f.Peeled.String()
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
