package web

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
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
		st, ok := s.stats.Get(objectKey{repo, o})
		switch {
		case !ok:
			missing = append(missing, o)
		case st != nil: // nil: it is known to take too long
			all[o] = st
		}
	}
	if len(missing) == 0 {
		return all, nil
	}
	if err := s.countFiles(ctx, repo, missing, all, countTime); err != nil && ctx.Err() == nil {
		// One of them may be made to have no end; the others shall not suffer.
		for _, o := range missing {
			if err := s.countFiles(ctx, repo, []ferry.OID{o}, all, countTime/10); err != nil {
				s.Log.Debug("counting changed lines", "commit", o, "err", err)
				s.stats.Add(objectKey{repo, o}, nil)
			}
		}
	}
	return all, ctx.Err()
}

// countTime bounds the counting of the commits of one page.
const countTime = 2 * time.Second

// countFiles counts commits in one run of git and adds them to all.
func (s *Server) countFiles(ctx context.Context, repo ferry.RepositoryID, oids []ferry.OID, all map[ferry.OID][]fileStat, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	patches, err := s.Git.CommitPatches(ctx, s.Mirror.Path(repo), oids, maxStatBytes)
	if err != nil {
		return err
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
	return nil
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

// holders are the branches and tags that lead to some commits.
type holders struct {
	refs     []ferry.RefName
	tags     []git.Tag
	moreTags bool
	// on names for each commit the branches that hold it: the main one alone
	// if it does, else the others by name.
	on map[ferry.OID][]string
}

// A holderKey is what holders depend on: the commits, and where all refs stand.
type holderKey struct {
	repo ferry.RepositoryID
	sum  [sha256.Size]byte
}

// holdersOf finds the refs that lead to one of the commits. What was found is
// remembered until a ref moves.
func (s *Server) holdersOf(ctx context.Context, repo ferry.Repository, oids []ferry.OID) (holders, error) {
	view, err := s.Mirror.View(ctx, repo)
	if err != nil {
		return holders{}, err
	}
	sum := sha256.New()
	for _, ref := range view.Refs {
		fmt.Fprintf(sum, "%s %s\n", ref.OID, ref.Name)
	}
	for _, o := range oids {
		fmt.Fprintln(sum, o)
	}
	fmt.Fprintln(sum, repo.TagFilter)
	k := holderKey{repo: repo.ID}
	sum.Sum(k.sum[:0])
	if h, ok := s.held.Get(k); ok {
		return h, nil
	}
	var h holders
	if h.refs, _, err = s.Git.RefsContaining(ctx, s.Mirror.Path(repo.ID), oids, maxPanel); err != nil {
		return h, err
	}
	if h.tags, h.moreTags, err = s.panelTags(ctx, repo, oids); err != nil {
		return h, err
	}
	if h.on, err = s.branchesOf(ctx, &repoHead{Repo: repo, view: view}, h.refs, oids); err != nil {
		return h, err
	}
	s.held.Add(k, h)
	return h, nil
}

// panelTags lists the tags that hold one of the commits, newest first, or
// those that the repository's filter lets through, oldest first.
func (s *Server) panelTags(ctx context.Context, repo ferry.Repository, oids []ferry.OID) ([]git.Tag, bool, error) {
	if repo.TagFilter == "" {
		return s.Git.Tags(ctx, s.Mirror.Path(repo.ID), oids, maxTags)
	}
	filter, err := regexp.Compile(repo.TagFilter)
	if err != nil {
		return nil, false, err // checked when it was written
	}
	all, more, err := s.Git.Tags(ctx, s.Mirror.Path(repo.ID), oids, maxTags)
	if err != nil {
		return nil, false, err
	}
	all = slices.DeleteFunc(all, func(t git.Tag) bool { return !filter.MatchString(t.Name.Short()) })
	slices.SortStableFunc(all, func(a, b git.Tag) int { return cmp.Compare(a.At, b.At) })
	return all, more, nil
}

// Bounds of the search for the branches of single commits.
const (
	maxNamed  = 20   // branches looked at
	maxUnique = 2000 // commits of a branch that main does not hold
)

// branchesOf tells which branches hold each commit, with one run of git for
// the main branch and one for each other.
func (s *Server) branchesOf(ctx context.Context, h *repoHead, refs []ferry.RefName, oids []ferry.OID) (map[ferry.OID][]string, error) {
	on := make(map[ferry.OID][]string, len(oids))
	main := h.mainBranch()
	var not []ferry.OID
	if main != "" {
		not = []ferry.OID{h.lookup(ferry.RefName("refs/heads/" + main))}
	}
	beyond := func(tips []ferry.OID) (map[ferry.OID]bool, error) {
		list, err := s.Git.History(ctx, s.Mirror.Path(h.Repo.ID), git.History{Tips: tips, Not: not, Max: maxUnique, ByDate: true})
		set := make(map[ferry.OID]bool, len(list))
		for _, c := range list {
			set[c.OID] = true
		}
		return set, err
	}
	open, err := beyond(oids)
	if err != nil {
		return nil, err
	}
	for _, o := range oids {
		if main != "" && !open[o] {
			on[o] = []string{main}
		}
	}
	if len(on) == len(oids) {
		return on, nil
	}
	for i, ref := range refs {
		if !ref.IsBranch() || ref.Short() == main || i >= maxNamed {
			continue
		}
		set, err := beyond([]ferry.OID{h.lookup(ref)})
		if err != nil {
			return nil, err
		}
		for _, o := range oids {
			if open[o] && set[o] {
				on[o] = append(on[o], ref.Short())
			}
		}
	}
	return on, nil
}
