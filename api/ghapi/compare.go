package ghapi

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/ghshape"
	"gitferry/internal/git"
	"gitferry/internal/store"
)

// maxCompared is how many commits a comparison without paging names, the
// newest ones.
const maxCompared = 250

// sides reads BASE...HEAD from the rest of the path. The dots are looked for
// before anything is unescaped: git forbids them in names, so the raw ones
// are those between.
func (s *Server) sides(c *call) (base, head string, err error) {
	raw := c.echo.Param("*")
	b, h, ok := strings.Cut(raw, "...")
	if !ok {
		return "", "", ferry.ErrNotFound
	}
	for _, side := range []*string{&b, &h} {
		if c.echo.Request().URL.RawPath != "" {
			if *side, err = url.PathUnescape(*side); err != nil {
				return "", "", ferry.ErrNotFound
			}
		}
		if owner, name, ok := strings.Cut(*side, ":"); ok {
			if !strings.EqualFold(owner, c.repo.Owner) {
				return "", "", ferry.ErrNotFound
			}
			*side = name
		}
	}
	return b, h, nil
}

func (s *Server) compare(c *call) (any, error) {
	baseName, headName, err := s.sides(c)
	if err != nil {
		return nil, err
	}
	base, err := s.resolve(c, baseName)
	if err != nil {
		return nil, err
	}
	head, err := s.resolve(c, headName)
	if err != nil {
		return nil, err
	}
	if err := s.copied(c); err != nil {
		return nil, err
	}
	dir := s.dir(c)
	fork, err := s.Git.MergeBase(c.ctx, dir, base, head)
	if err != nil {
		return nil, err
	}
	if fork.IsZero() {
		return nil, problem(http.StatusNotFound, fmt.Sprintf("No common ancestor between %s and %s.", baseName, headName))
	}
	switch c.format {
	case "diff":
		return s.diff(c, fork, head)
	case "patch":
		return s.mail(c, head, []ferry.OID{base})
	}
	ahead, behind, err := s.Git.AheadBehind(c.ctx, dir, base, head)
	if err != nil {
		return nil, err
	}
	p := c.page(maxCompared, 100)
	list, err := s.between(c, p, base, head, ahead)
	if err != nil {
		return nil, err
	}
	o, err := s.comparison(c, base, fork, head)
	if err != nil {
		return nil, err
	}
	at := s.shape.Repo(c.repo) + "/compare/" + ghshape.EscapePath(baseName) + "..." + ghshape.EscapePath(headName)
	page := s.shape.Page(c.repo) + "/compare/" + ghshape.EscapePath(baseName) + "..." + ghshape.EscapePath(headName)
	o["url"], o["html_url"], o["diff_url"], o["patch_url"] = at, page, page+".diff", page+".patch"
	o["permalink_url"] = fmt.Sprintf("%s/compare/%s:%s...%s:%s", s.shape.Page(c.repo), c.repo.Owner, base.Short(), c.repo.Owner, head.Short())
	o["status"], o["ahead_by"], o["behind_by"], o["total_commits"], o["commits"] = relation(ahead, behind), ahead, behind, ahead, list
	if p.number == 1 {
		if o["files"], err = s.files(c, fork, head, filesPage); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func relation(ahead, behind int) string {
	switch {
	case ahead == 0 && behind == 0:
		return "identical"
	case behind == 0:
		return "ahead"
	case ahead == 0:
		return "behind"
	}
	return "diverged"
}

// between lists the commits that head has and base has not, oldest first:
// without paging the newest of them, else a page counted from the oldest.
func (s *Server) between(c *call, p page, base, head ferry.OID, total int) ([]object, error) {
	h := git.History{Tips: []ferry.OID{head}, Not: []ferry.OID{base}, Max: maxCompared}
	if p.asked {
		s.links(c, p, total, false)
		end := total - p.start() // from the newest
		h.Skip, h.Max = max(end-p.size, 0), min(p.size, end)
		if h.Max <= 0 {
			return []object{}, nil
		}
	}
	list, err := s.Git.History(c.ctx, s.dir(c), h)
	if err != nil {
		return nil, err
	}
	slices.Reverse(list)
	return s.showAll(c, list)
}

// comparison holds the two commits that every page of it names.
func (s *Server) comparison(c *call, base, fork, head ferry.OID) (object, error) {
	b, err := s.oneCommit(c, base)
	if err != nil {
		return nil, err
	}
	f, err := s.oneCommit(c, fork)
	return object{"base_commit": s.shape.Commit(c.repo, b), "merge_base_commit": s.shape.Commit(c.repo, f)}, err
}

// difference lists the files between two commits.
func (s *Server) difference(c *call, from, to ferry.OID) ([]store.CommitFile, error) {
	change, err := s.Git.Changes(c.ctx, s.dir(c), git.Diff{From: from, To: to})
	if err != nil {
		return nil, err
	}
	files := make([]store.CommitFile, len(change.Files))
	for i, f := range change.Files {
		files[i] = store.CommitFile{Path: f.Path, OldPath: f.OldPath, Status: string(f.Status), Blob: change.Blobs[i], Added: f.Added, Removed: f.Removed, Binary: f.Binary}
	}
	return files, nil
}

// files writes the first files between two commits, with patches.
func (s *Server) files(c *call, from, to ferry.OID, most int) ([]object, error) {
	all, err := s.difference(c, from, to)
	if err != nil {
		return nil, err
	}
	patches, err := s.patches(c, from, to, all)
	if err != nil {
		return nil, err
	}
	out := []object{}
	for i, f := range all[:min(len(all), most)] {
		out = append(out, s.shape.File(c.repo, to, f, patches[i]))
	}
	return out, nil
}
