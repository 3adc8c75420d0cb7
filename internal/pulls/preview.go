package pulls

import (
	"context"
	"fmt"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
)

// Bounds of a preview.
const (
	previewCommits   = 250
	previewFiles     = 1000
	previewConflicts = 100
	previewTime      = 20 * time.Second
)

// A Preview is what a pull request from Source to Target would bring.
type Preview struct {
	Source    string           `json:"source"`
	Target    string           `json:"target"`
	SourceOID ferry.OID        `json:"source_oid"`
	TargetOID ferry.OID        `json:"target_oid"`
	MergeBase ferry.OID        `json:"merge_base"` // zero: no common history
	Ahead     int              `json:"ahead"`      // commits that the source has and the target lacks
	Behind    int              `json:"behind"`
	Commits   []git.Commit     `json:"-"`          // newest first, at most 250
	Files     []git.FileChange `json:"-"`          // since the merge base, at most 1,000
	FileCount int              `json:"file_count"` // of all
	// Conflicts are paths that a merge could not put together by itself, at
	// most 100. Without common history nothing is tried.
	Conflicts     []string `json:"conflicts"`
	MoreConflicts bool     `json:"more_conflicts"`
}

// Mergeable reports whether a merge needs no hands.
func (p Preview) Mergeable() bool { return !p.MergeBase.IsZero() && len(p.Conflicts) == 0 }

// Preview compares two branches of a repository in its mirror, as last
// refreshed. It fails with ferry.ErrNotFound if one is gone.
func (h *Host) Preview(ctx context.Context, repo ferry.Repository, source, target string) (Preview, error) {
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	p := Preview{Source: source, Target: target, Conflicts: []string{}}
	refs, err := h.Mirror.Refs(ctx, repo)
	if err != nil {
		return p, err
	}
	for name, oid := range map[string]*ferry.OID{source: &p.SourceOID, target: &p.TargetOID} {
		if *oid = refs[ferry.RefName("refs/heads/"+name)]; oid.IsZero() {
			return p, &ferry.Message{Kind: ferry.ErrNotFound, Text: fmt.Sprintf("%s has no branch %.80s; reload and choose again", repo.Path(), name)}
		}
	}
	if source == target {
		return p, &ferry.Message{Kind: ferry.ErrInvalid, Text: "source and target are the same branch; choose two"}
	}
	dir := h.Mirror.Path(repo.ID)
	if p.Ahead, p.Behind, err = h.Git.AheadBehind(ctx, dir, p.TargetOID, p.SourceOID); err != nil {
		return p, err
	}
	if p.MergeBase, err = h.Git.MergeBase(ctx, dir, p.TargetOID, p.SourceOID); err != nil {
		return p, err
	}
	if p.Commits, err = h.Git.History(ctx, dir, git.History{Tips: []ferry.OID{p.SourceOID}, Not: []ferry.OID{p.TargetOID}, Max: previewCommits}); err != nil {
		return p, err
	}
	from := p.MergeBase
	if from.IsZero() {
		from = p.TargetOID
	}
	files, err := h.Git.DiffFiles(ctx, dir, git.Diff{From: from, To: p.SourceOID})
	if err != nil {
		return p, err
	}
	p.FileCount, p.Files = len(files), files[:min(len(files), previewFiles)]
	if p.MergeBase.IsZero() || p.Ahead == 0 {
		return p, nil
	}
	conflicts, more, err := h.Git.MergeConflicts(ctx, dir, p.TargetOID, p.SourceOID, previewConflicts)
	if len(conflicts) > 0 {
		p.Conflicts, p.MoreConflicts = conflicts, more
	}
	return p, err
}
