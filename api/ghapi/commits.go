package ghapi

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/filelist"
	"gitferry/internal/ghshape"
	"gitferry/internal/git"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// shown completes a commit for the shapes. Jira's connector would carry out
// the commands in messages a second time, so it gets them defused, unless
// Jira is the one who shall do it.
func (s *Server) shown(c *call, row store.Commit, tree ferry.OID) (ghshape.Commit, error) {
	out := ghshape.Commit{Commit: row, Tree: tree}
	var err error
	if out.AuthorUser, err = s.userByEmail(c, row.Author.Email); err != nil {
		return out, err
	}
	if out.CommitterUser, err = s.userByEmail(c, row.Committer.Email); err != nil {
		return out, err
	}
	if c.connector {
		site, err := s.Store.JiraSite(c.ctx)
		if err != nil && !errors.Is(err, ferry.ErrNotFound) {
			return out, err
		}
		if site.Processor != "jira" {
			out.Message = smartcommit.Defuse(out.Message)
		}
	}
	return out, nil
}

// oneCommit reads a commit from the books, or from git if they do not hold
// it: it is reached by a tag only, or was not indexed yet.
func (s *Server) oneCommit(c *call, oid ferry.OID) (ghshape.Commit, error) {
	row, err := s.Store.CommitByOID(c.ctx, c.repo.ID, oid)
	if err == nil {
		files, err := s.Lists.Of(c.ctx, c.repo.ID, oid)
		if err == nil {
			return s.shown(c, row.Commit, files.Tree)
		}
		if !errors.Is(err, ferry.ErrNotFound) {
			return ghshape.Commit{}, err
		}
	} else if !errors.Is(err, ferry.ErrNotFound) {
		return ghshape.Commit{}, err
	}
	if err := s.copied(c); err != nil {
		return ghshape.Commit{}, err
	}
	found, err := s.Git.CommitByOID(c.ctx, s.dir(c), oid)
	if err != nil {
		return ghshape.Commit{}, err
	}
	return s.shown(c, filelist.Row(found), found.Tree)
}

// showAll writes commits that git listed.
func (s *Server) showAll(c *call, list []git.Commit) ([]object, error) {
	out := []object{}
	for _, found := range list {
		shown, err := s.shown(c, filelist.Row(found), found.Tree)
		if err != nil {
			return nil, err
		}
		out = append(out, s.shape.Commit(c.repo, shown))
	}
	return out, nil
}

func (s *Server) commits(c *call) (any, error) {
	oid, err := s.resolve(c, c.query("sha"))
	if err != nil {
		return nil, err
	}
	if err := s.copied(c); err != nil {
		return nil, err
	}
	p := c.page(30, 100)
	h := git.History{Tips: []ferry.OID{oid}, Path: c.query("path"), Skip: p.start(), Max: p.size + 1}
	for name, t := range map[string]*time.Time{"since": &h.Since, "until": &h.Until} {
		if v := c.query(name); v != "" {
			if *t, err = time.Parse(time.RFC3339, v); err != nil {
				return nil, invalid("Commit", name, "want a time such as 2026-01-02T03:04:05Z")
			}
		}
	}
	if h.Author, err = s.address(c, c.query("author")); err != nil {
		return nil, err
	}
	if h.Committer, err = s.address(c, c.query("committer")); err != nil {
		return nil, err
	}
	list, err := s.Git.History(c.ctx, s.dir(c), h)
	if err != nil {
		return nil, err
	}
	more := len(list) > p.size
	s.links(c, p, -1, more)
	return s.showAll(c, list[:min(len(list), p.size)])
}

// address makes what stands in a commit of a log-in name or an address.
func (s *Server) address(c *call, who string) (string, error) {
	if who == "" || strings.Contains(who, "@") {
		return wrapped(who), nil
	}
	u, err := s.Store.UserByName(c.ctx, strings.ToLower(who))
	if errors.Is(err, ferry.ErrNotFound) || err == nil && u.Email == "" {
		return wrapped(who), nil // nobody's address: finds nothing
	}
	return wrapped(u.Email), err
}

func wrapped(email string) string {
	if email == "" {
		return ""
	}
	return "<" + strings.NewReplacer("\n", " ", "\x00", " ").Replace(email) + ">"
}

// A suffix is what may follow a ref below /commits/.
var suffixes = []struct {
	name   string
	handle func(*Server, *call, ferry.OID) (any, error)
}{
	{"/status", (*Server).combinedStatus},
	{"/statuses", nothing},
	{"/check-runs", (*Server).checkRuns},
	{"/comments", (*Server).commitComments},
	{"/pulls", (*Server).pullsOfCommit},
	{"/branches-where-head", (*Server).branchesWhereHead},
}

func nothing(*Server, *call, ferry.OID) (any, error) { return []object{}, nil }

// commit shows one commit, or what belongs to it. The whole path is a ref
// first: suffixes are tried only if it is none.
func (s *Server) commit(c *call) (any, error) {
	name := c.wildcard()
	oid, err := s.resolve(c, name)
	if errors.Is(err, ferry.ErrNotFound) {
		for _, suffix := range suffixes {
			if ref, ok := strings.CutSuffix(name, suffix.name); ok {
				if oid, err = s.resolve(c, ref); err == nil {
					return suffix.handle(s, c, oid)
				}
			}
		}
		return nil, problem(http.StatusUnprocessableEntity, fmt.Sprintf("No commit found for SHA: %.100s", name))
	}
	if err != nil {
		return nil, err
	}
	switch c.format {
	case "sha":
		return text{kind: "application/vnd.github.sha; charset=utf-8", body: []byte(oid.String()), etag: `"` + oid.String() + `"`, format: "sha"}, nil
	case "diff", "patch":
		return s.commitText(c, oid)
	}
	return s.commitFiles(c, oid)
}

const (
	filesPage = 300 // of a commit's files
	maxText   = 9 << 20
)

// commitFiles shows a commit with its files. The patch text is git's; the
// connector does not read it, and gets everything from the books.
func (s *Server) commitFiles(c *call, oid ferry.OID) (any, error) {
	shown, err := s.oneCommit(c, oid)
	if err != nil {
		return nil, err
	}
	files, err := s.Lists.Of(c.ctx, c.repo.ID, oid)
	if err != nil {
		return nil, err
	}
	o := s.shape.Commit(c.repo, shown)
	o["stats"] = object{"additions": files.Added, "deletions": files.Removed, "total": files.Added + files.Removed}
	p := c.page(filesPage, filesPage)
	s.links(c, p, len(files.Files), false)
	start := min(p.start(), len(files.Files))
	part := files.Files[start:min(start+p.size, len(files.Files))]
	var patches []string
	if !c.connector && len(part) > 0 {
		if patches, err = s.patches(c, firstParent(shown), oid, files.Files); err != nil {
			return nil, err
		}
	}
	list := []object{}
	for i, f := range part {
		patch := ""
		if patches != nil {
			patch = patches[start+i]
		}
		list = append(list, s.shape.File(c.repo, oid, f, patch))
	}
	o["files"] = list
	return o, nil
}

// firstParent is zero for a root commit, whose difference is to nothing.
func firstParent(c ghshape.Commit) ferry.OID {
	if len(c.Parents) == 0 {
		return ferry.OID{}
	}
	return c.Parents[0]
}

// commitText is a commit as a difference or as a mail.
func (s *Server) commitText(c *call, oid ferry.OID) (any, error) {
	shown, err := s.oneCommit(c, oid)
	if err != nil {
		return nil, err
	}
	if err := s.copied(c); err != nil {
		return nil, err
	}
	from := firstParent(shown)
	if c.format == "patch" && len(shown.Parents) < 2 {
		return s.mail(c, oid, shown.Parents)
	}
	return s.diff(c, from, oid)
}

func (s *Server) diff(c *call, from, to ferry.OID) (any, error) {
	b, cut, err := s.Git.Patch(c.ctx, s.dir(c), git.Diff{From: from, To: to}, maxText)
	return s.plainText(b, cut, err, "diff")
}

func (s *Server) mail(c *call, tip ferry.OID, not []ferry.OID) (any, error) {
	b, cut, err := s.Git.MailPatches(c.ctx, s.dir(c), tip, not, maxText)
	return s.plainText(b, cut, err, "patch")
}

func (s *Server) plainText(b []byte, cut bool, err error, format string) (any, error) {
	if err != nil {
		return nil, err
	}
	if cut {
		return nil, problem(http.StatusNotAcceptable, "Sorry, the diff exceeded the maximum size.")
	}
	return text{kind: "application/vnd.github." + format + "; charset=utf-8", body: b, format: format}, nil
}

func (s *Server) combinedStatus(c *call, oid ferry.OID) (any, error) {
	at := s.shape.Repo(c.repo) + "/commits/" + oid.String()
	return object{"state": "pending", "sha": oid.String(), "total_count": 0, "statuses": []object{}, "commit_url": at, "url": at + "/status",
		"repository": s.shape.Repository(c.repo, c.repo.IndexedAt, c.rights(c.repo))}, nil
}

func (s *Server) checkRuns(*call, ferry.OID) (any, error) {
	return object{"total_count": 0, "check_runs": []object{}}, nil
}
