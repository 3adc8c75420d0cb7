package web

import (
	"context"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"gitferry/internal/ferry"
)

func emptyNote(f *gitdiff.File, modes string) string {
	switch {
	case f.IsRename:
		return "Renamed without changes."
	case modes != "":
		return "Only the mode changed."
	case f.IsNew:
		return "Empty file."
	case f.IsDelete:
		return "Empty file removed."
	}
	return "No change to show."
}

func submoduleNote(f *gitdiff.File) string {
	var old, now string
	for _, t := range f.TextFragments {
		for _, l := range t.Lines {
			id := strings.TrimSpace(strings.TrimPrefix(l.Line, "Subproject commit "))
			if l.Op == gitdiff.OpDelete {
				old = id
			} else if l.Op == gitdiff.OpAdd {
				now = id
			}
		}
	}
	return "Submodule: " + display(old, "none") + " → " + display(now, "none")
}

// binaryNote gives the sizes of a binary file before and after.
func (s *Server) binaryNote(ctx context.Context, d diffRequest, f *gitdiff.File) string {
	size := func(prefix string) string {
		oid, err := ferry.ParseOID(prefix)
		if err != nil || oid.IsZero() {
			return ""
		}
		b, err := s.Git.BlobByOID(ctx, s.Mirror.Path(d.repo.ID), oid, 0)
		if err != nil {
			return ""
		}
		return bytesText(b.Size)
	}
	before, after := size(f.OldOIDPrefix), size(f.NewOIDPrefix)
	switch {
	case before == "" && after == "":
		return "Binary file."
	case before == "":
		return "Binary file, " + after + "."
	case after == "":
		return "Binary file, was " + before + "."
	}
	return "Binary file, " + before + " → " + after + "."
}
