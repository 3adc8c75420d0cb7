package web

import (
	"bytes"
	"context"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"gitferry/internal/ferry"
)

// A fileStat counts what a commit changed in one file. In a block of changes
// as many lines count as changed as were both removed and added.
type fileStat struct {
	Path, OldPath           string // OldPath: where it was renamed from, else empty
	Change                  string // "added", "modified", "deleted", "renamed"
	Added, Changed, Removed int
	Binary                  bool
}

type objectKey struct {
	repo ferry.RepositoryID
	oid  ferry.OID
}

type pairKey struct {
	repo      ferry.RepositoryID
	base, tip ferry.OID
}

type aheadBehind struct{ Ahead, Behind int }

// maxStatBytes bounds the differences read for one page.
const maxStatBytes = 16 << 20

// fileStats tells what commits changed against their first parents. Commits
// whose differences are too large have no entry. What was counted once is
// remembered: commits do not change.
func (s *Server) fileStats(ctx context.Context, repo ferry.RepositoryID, oids []ferry.OID) (map[ferry.OID][]fileStat, error) {
	all := make(map[ferry.OID][]fileStat, len(oids))
	var missing []ferry.OID
	for _, o := range oids {
		if st, ok := s.stats.Get(objectKey{repo, o}); ok {
			all[o] = st
		} else {
			missing = append(missing, o)
		}
	}
	if len(missing) == 0 {
		return all, nil
	}
	patches, err := s.Git.CommitPatches(ctx, s.Mirror.Path(repo), missing, maxStatBytes)
	if err != nil {
		return all, err
	}
	for o, patch := range patches {
		files, _, err := gitdiff.Parse(bytes.NewReader(patch))
		if err != nil {
			s.Log.Debug("reading a difference", "commit", o, "err", err)
			continue
		}
		st := make([]fileStat, 0, len(files))
		for _, f := range files {
			st = append(st, statOf(f))
		}
		s.stats.Add(objectKey{repo, o}, st)
		all[o] = st
	}
	return all, nil
}

func statOf(f *gitdiff.File) fileStat {
	st := fileStat{Path: f.NewName, Change: "modified", Binary: f.IsBinary}
	switch {
	case f.IsNew:
		st.Change = "added"
	case f.IsDelete:
		st.Path, st.Change = f.OldName, "deleted"
	case f.IsRename, f.IsCopy:
		st.OldPath, st.Change = f.OldName, "renamed"
	}
	for _, t := range f.TextFragments {
		added, removed := 0, 0
		flush := func() {
			both := min(added, removed)
			st.Changed += both
			st.Added += added - both
			st.Removed += removed - both
			added, removed = 0, 0
		}
		for _, l := range t.Lines {
			switch l.Op {
			case gitdiff.OpAdd:
				added++
			case gitdiff.OpDelete:
				removed++
			default:
				flush()
			}
		}
		flush()
	}
	return st
}

// aheadBehindOf counts what tip has and base has not, and the reverse.
func (s *Server) aheadBehindOf(ctx context.Context, repo ferry.RepositoryID, base, tip ferry.OID) (aheadBehind, error) {
	k := pairKey{repo, base, tip}
	if n, ok := s.counts.Get(k); ok {
		return n, nil
	}
	var n aheadBehind
	var err error
	if n.Ahead, n.Behind, err = s.Git.AheadBehind(ctx, s.Mirror.Path(repo), base, tip); err != nil {
		return n, err
	}
	s.counts.Add(k, n)
	return n, nil
}
