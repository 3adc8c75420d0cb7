package web

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/mirror"
)

// viewTime bounds what git may take for one page (security.md, UI-10).
const viewTime = 10 * time.Second

// A place is a commit that a page is about, and how it was named.
type place struct {
	Name string        // short branch or tag name, or a commit id
	Ref  ferry.RefName // empty for a commit id
	OID  ferry.OID     // the commit
}

// Short is how the place is shown.
func (p place) Short() string {
	if p.Ref == "" {
		return p.OID.Short()
	}
	return p.Name
}

// repoHead is what stands above all pages of a repository.
type repoHead struct {
	Repo      ferry.Repository
	Name      string // as lists show it
	Base      string // address of the repository's page
	Tab       string
	State     lozenge
	CheckedAt time.Time
	Stale     string // why upstream does not answer, "" if it does
	Default   string // short name of the main branch, or of what stands in for one that is gone
	MainGone  string // short name of the main branch if it was deleted at the host
	LastMain  place  // its last known tip
	Branches  []string
	Tags      []string
	At        place
	CloneHTTP string
	CloneSSH  string
	Console   string
	MayPush   bool

	view mirror.View
}

// maxSelect bounds the entries of a select of branches or tags.
const maxSelect = 500

// repoHead reads what the frame of a repository's pages shows.
func (s *Server) repoHead(r *request, tab string) (repoHead, error) {
	h := repoHead{Repo: r.repo, Base: repoPath(r.repo), Tab: tab, Console: console(r.repo).Repository(), MayPush: r.can(ferry.ActionPush, r.repo.Path())}
	repos, err := s.readable(r)
	if err != nil {
		return h, err
	}
	h.Name = namesOf(repos)[r.repo.ID]
	if err := s.readRefs(r.ctx(), &h); err != nil {
		return h, err
	}
	h.CheckedAt = h.view.LookedAt
	if h.view.Failure != nil {
		h.Stale = display(text(h.view.Failure), "the upstream does not answer")
	}
	h.State = repoState(r.repo, h.view.Failure, h.view.Copied, len(h.view.Refs) == 0)
	h.CloneHTTP = s.PublicURL + h.Base + ".git"
	if s.SSHHost != "" {
		h.CloneSSH = "ssh://git@" + s.SSHHost + h.Base
	}
	return h, nil
}

// repoRest is repoHead with what * stands for in the address of the page.
func (s *Server) repoRest(r *request, tab string) (h repoHead, rest string, err error) {
	if h, err = s.repoHead(r, tab); err != nil {
		return h, "", err
	}
	rest, err = wildcard(r)
	return h, rest, err
}

// readRefs fills what the mirror knows of h.Repo: refs and the main branch.
func (s *Server) readRefs(ctx context.Context, h *repoHead) (err error) {
	if h.view, err = s.Mirror.View(ctx, h.Repo); err != nil {
		return err
	}
	for _, ref := range h.view.Refs {
		name := ferry.RefName(ref.Name)
		switch {
		case name.IsBranch() && len(h.Branches) < maxSelect:
			h.Branches = append(h.Branches, name.Short())
		case name.IsTag() && len(h.Tags) < maxSelect:
			h.Tags = append(h.Tags, name.Short())
		}
	}
	h.Default = h.mainBranch()
	if i := slices.Index(h.Branches, h.Default); i > 0 { // main first
		h.Branches = slices.Insert(slices.Delete(h.Branches, i, i+1), 0, h.Default)
	}
	gone := ferry.RefName("refs/heads/" + h.Repo.DefaultBranch)
	if h.Repo.DefaultBranch == "" || len(h.Branches) == 0 || !h.view.Copied || !h.lookup(gone).IsZero() {
		return nil
	}
	tip, err := s.Mirror.KeptTip(ctx, h.Repo, gone)
	if err == nil && !tip.IsZero() {
		h.MainGone, h.LastMain = gone.Short(), place{Name: tip.String(), OID: tip}
	}
	return err
}

// mainBranch is the branch against which others are measured: the host's,
// else what HEAD names.
func (h *repoHead) mainBranch() string {
	if h.Repo.DefaultBranch != "" && !h.lookup(ferry.RefName("refs/heads/"+h.Repo.DefaultBranch)).IsZero() {
		return h.Repo.DefaultBranch
	}
	if h.view.Head.IsBranch() && !h.lookup(h.view.Head).IsZero() {
		return h.view.Head.Short()
	}
	if len(h.Branches) > 0 {
		return h.Branches[0]
	}
	return ""
}

// lookup returns the commit of a ref, zero if there is none.
func (h *repoHead) lookup(name ferry.RefName) ferry.OID {
	for _, ref := range h.view.Refs {
		if ref.Name == string(name) {
			if !ref.Peeled.IsZero() {
				return ref.Peeled
			}
			return ref.OID
		}
	}
	return ferry.OID{}
}

// mainPlace is the tip of the main branch; ok is false for an empty repository.
func (h *repoHead) mainPlace() (p place, ok bool) {
	if h.Default == "" {
		return p, false
	}
	name := ferry.RefName("refs/heads/" + h.Default)
	return place{h.Default, name, h.lookup(name)}, true
}

// base is what branches are counted against and compared with: the main
// branch, or the last known tip of one that is gone.
func (h *repoHead) base() (p place, ok bool) {
	if h.MainGone != "" {
		return h.LastMain, true
	}
	return h.mainPlace()
}

// named finds a branch, a tag or a commit by its whole name.
func (s *Server) named(ctx context.Context, h *repoHead, name string) (place, error) {
	for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
		ref := ferry.RefName(prefix + name)
		if oid := h.lookup(ref); !oid.IsZero() {
			return place{name, ref, oid}, nil
		}
	}
	oid, err := s.commitNamed(ctx, h.Repo, name)
	return place{Name: oid.String(), OID: oid}, err
}

// commitNamed finds a commit by its id of 7 to 40 digits.
func (s *Server) commitNamed(ctx context.Context, repo ferry.Repository, id string) (ferry.OID, error) {
	id = strings.ToLower(id)
	if len(id) < 7 || len(id) > 40 || strings.Trim(id, "0123456789abcdef") != "" {
		return ferry.OID{}, ferry.ErrNotFound
	}
	oids, err := s.Git.Abbreviated(ctx, s.Mirror.Path(repo.ID), id)
	if err != nil {
		return ferry.OID{}, notCopied(err)
	}
	if len(oids) != 1 {
		return ferry.OID{}, ferry.ErrNotFound
	}
	return oids[0], nil
}

// notCopied says of a failure of git that the mirror may not be there yet.
func notCopied(err error) error {
	var e *git.ExitError
	if errors.As(err, &e) && strings.Contains(e.Stderr, "not a git repository") {
		return &ferry.Message{Kind: ferry.ErrUnavailable, Cause: err, Text: "The repository is not copied yet. Its files can be read when the copy is complete."}
	}
	return err
}

// split finds the place at the beginning of REF/PATH. The longest name wins.
func (s *Server) split(ctx context.Context, h *repoHead, rest string) (place, string, error) {
	parts := strings.Split(strings.Trim(rest, "/"), "/")
	for n := min(len(parts), 20); n > 0; n-- {
		name := strings.Join(parts[:n], "/")
		for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
			if oid := h.lookup(ferry.RefName(prefix + name)); !oid.IsZero() {
				return place{name, ferry.RefName(prefix + name), oid}, strings.Join(parts[n:], "/"), nil
			}
		}
	}
	oid, err := s.commitNamed(ctx, h.Repo, parts[0])
	if err != nil {
		return place{}, "", err
	}
	return place{Name: oid.String(), OID: oid}, strings.Join(parts[1:], "/"), nil
}

// wildcard returns what a route's * stands for, unescaped.
func wildcard(r *request) (string, error) {
	rest := r.Param("*")
	if r.Request().URL.RawPath == "" {
		return rest, nil
	}
	u, err := url.PathUnescape(rest)
	if err != nil {
		return "", ferry.ErrNotFound
	}
	return u, nil
}
