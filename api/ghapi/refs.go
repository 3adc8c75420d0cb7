package ghapi

import (
	"net/http"
	"slices"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/ghshape"
	"gitferry/internal/pktline"
)

// refs are the refs of the call's repository as known now, by name. It fails
// with errNotCopied while the upstream was not looked at.
func (s *Server) refs(c *call) (map[ferry.RefName]pktline.Ref, error) {
	view, err := s.Mirror.View(c.ctx, c.repo)
	if err != nil {
		return nil, err
	}
	if len(view.Refs) == 0 && !view.Copied && view.LookedAt.IsZero() {
		return nil, errNotCopied
	}
	refs := make(map[ferry.RefName]pktline.Ref, len(view.Refs))
	for _, r := range view.Refs {
		refs[ferry.RefName(r.Name)] = r
	}
	delete(refs, "HEAD")
	return refs, nil
}

// commitOf is the commit that a ref leads to.
func commitOf(r pktline.Ref) ferry.OID {
	if !r.Peeled.IsZero() {
		return r.Peeled
	}
	return r.OID
}

// resolve finds the commit that a branch, a tag, or a commit's id of at least
// 7 digits names; empty is the default branch. It fails with ferry.ErrNotFound
// and, if the repository holds nothing at all, with errEmpty.
func (s *Server) resolve(c *call, name string) (ferry.OID, error) {
	// A whole id that the books know needs no look at refs.
	oid, oidErr := ferry.ParseOID(name)
	if oidErr == nil {
		known, err := s.Store.KnownCommits(c.ctx, c.repo.ID, []ferry.OID{oid})
		if err != nil || known[oid] {
			return oid, err
		}
	}
	refs, err := s.refs(c)
	if err != nil {
		return ferry.OID{}, err
	}
	if len(refs) == 0 {
		return ferry.OID{}, errEmpty
	}
	if name == "" || name == "HEAD" {
		name = s.mainBranch(c, refs)
	}
	for _, n := range []ferry.RefName{ferry.RefName("refs/heads/" + name), ferry.RefName("refs/tags/" + name), ferry.RefName(name)} {
		if r, ok := refs[n]; ok {
			return commitOf(r), nil
		}
	}
	if short, ok := strings.CutPrefix(name, "heads/"); ok {
		if r, ok := refs[ferry.RefName("refs/heads/"+short)]; ok {
			return commitOf(r), nil
		}
	}
	return s.commitNamed(c, name)
}

// commitNamed finds a commit by an id of 7 to 40 digits.
func (s *Server) commitNamed(c *call, id string) (ferry.OID, error) {
	id = strings.ToLower(id)
	if len(id) < 7 || len(id) > 40 || strings.Trim(id, "0123456789abcdef") != "" {
		return ferry.OID{}, ferry.ErrNotFound
	}
	if err := s.copied(c); err != nil {
		return ferry.OID{}, err
	}
	found, err := s.Git.Abbreviated(c.ctx, s.dir(c), id)
	if err != nil {
		return ferry.OID{}, err
	}
	if len(found) != 1 {
		return ferry.OID{}, ferry.ErrNotFound
	}
	return found[0], nil
}

// copied fails while git has nothing to read.
func (s *Server) copied(c *call) error {
	view, err := s.Mirror.View(c.ctx, c.repo)
	if err == nil && !view.Copied {
		return errNotCopied
	}
	return err
}

// mainBranch is the short name of the default branch.
func (s *Server) mainBranch(c *call, refs map[ferry.RefName]pktline.Ref) string {
	for _, name := range []string{c.repo.DefaultBranch, "main", "master"} {
		if _, ok := refs[ferry.RefName("refs/heads/"+name)]; ok && name != "" {
			return name
		}
	}
	if all := named(refs, "refs/heads/"); len(all) > 0 {
		return all[0].Short()
	}
	return ""
}

// named returns the names below a prefix, in order.
func named(refs map[ferry.RefName]pktline.Ref, prefix string) []ferry.RefName {
	var all []ferry.RefName
	for n := range refs {
		if strings.HasPrefix(string(n), prefix) {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all
}

func (s *Server) branches(c *call) (any, error) {
	refs, err := s.refs(c)
	if err != nil {
		return nil, err
	}
	all := named(refs, "refs/heads/")
	if c.query("protected") == "true" {
		all = nil
	}
	return cut(s, c, all, func(n ferry.RefName) object { return s.shortBranch(c, n, commitOf(refs[n])) }), nil
}

func (s *Server) shortBranch(c *call, n ferry.RefName, oid ferry.OID) object {
	sha := oid.String()
	return object{"name": n.Short(), "protected": false, "commit": object{"sha": sha, "url": s.shape.Repo(c.repo) + "/commits/" + sha}}
}

func (s *Server) branch(c *call) (any, error) {
	refs, err := s.refs(c)
	if err != nil {
		return nil, err
	}
	name := c.wildcard()
	r, ok := refs[ferry.RefName("refs/heads/"+name)]
	if !ok {
		return nil, problem(http.StatusNotFound, "Branch not found")
	}
	shown, err := s.oneCommit(c, commitOf(r))
	if err != nil {
		return nil, err
	}
	at := s.shape.Repo(c.repo) + "/branches/" + ghshape.EscapePath(name)
	return object{"name": name, "commit": s.shape.Commit(c.repo, shown), "protected": false, "protection": object{"enabled": false},
		"protection_url": at + "/protection",
		"_links":         object{"self": at, "html": s.shape.Page(c.repo) + "/tree/" + ghshape.EscapePath(name)}}, nil
}

// branchesWhereHead lists the branches that a commit is the tip of.
func (s *Server) branchesWhereHead(c *call, oid ferry.OID) (any, error) {
	refs, err := s.refs(c)
	if err != nil {
		return nil, err
	}
	out := []object{}
	for _, n := range named(refs, "refs/heads/") {
		if commitOf(refs[n]) == oid {
			out = append(out, s.shortBranch(c, n, oid))
		}
	}
	return out, nil
}

func (s *Server) tags(c *call) (any, error) {
	refs, err := s.refs(c)
	if err != nil {
		return nil, err
	}
	all := named(refs, "refs/tags/")
	slices.Reverse(all)
	at := s.shape.Repo(c.repo)
	return cut(s, c, all, func(n ferry.RefName) object {
		sha, ref := commitOf(refs[n]).String(), ghshape.EscapePath(string(n))
		return object{"name": n.Short(), "node_id": s.refNode(c, n), "zipball_url": at + "/zipball/" + ref, "tarball_url": at + "/tarball/" + ref,
			"commit": object{"sha": sha, "url": at + "/commits/" + sha}}
	}), nil
}

func (s *Server) refNode(c *call, n ferry.RefName) string {
	return ghshape.NodeID("Ref", itoa(int64(c.repo.ID))+":"+string(n))
}

// showRef writes a ref with the object it points at; a branch can only point
// at a commit, a tag with a second name points at a tag object.
func (s *Server) showRef(c *call, r pktline.Ref) object {
	kind, sha := "commit", r.OID.String()
	if !r.Peeled.IsZero() {
		kind = "tag"
	}
	at := s.shape.Repo(c.repo) + "/git/"
	name := ferry.RefName(r.Name)
	return object{"ref": r.Name, "node_id": s.refNode(c, name), "url": at + "refs/" + ghshape.EscapePath(strings.TrimPrefix(r.Name, "refs/")),
		"object": object{"type": kind, "sha": sha, "url": at + kind + "s/" + sha}}
}

func (s *Server) gitRef(c *call) (any, error) {
	refs, err := s.refs(c)
	if err != nil {
		return nil, err
	}
	if len(refs) == 0 {
		return nil, errEmpty
	}
	r, ok := refs[ferry.RefName("refs/"+c.wildcard())]
	if !ok {
		return nil, ferry.ErrNotFound
	}
	return s.showRef(c, r), nil
}

func (s *Server) matchingRefs(c *call) (any, error) {
	refs, err := s.refs(c)
	if err != nil {
		return nil, err
	}
	if len(refs) == 0 {
		return nil, errEmpty
	}
	return cut(s, c, named(refs, "refs/"+c.wildcard()), func(n ferry.RefName) object { return s.showRef(c, refs[n]) }), nil
}

// oldRefs is an older form: one object if one ref has that very name, else a
// list by prefix.
func (s *Server) oldRefs(c *call) (any, error) {
	refs, err := s.refs(c)
	if err != nil {
		return nil, err
	}
	if r, ok := refs[ferry.RefName("refs/"+c.wildcard())]; ok {
		return s.showRef(c, r), nil
	}
	if len(named(refs, "refs/"+c.wildcard())) == 0 {
		return nil, ferry.ErrNotFound
	}
	return s.matchingRefs(c)
}
