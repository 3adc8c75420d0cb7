package ghapi

import (
	"errors"
	"net/http"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/pulls"
	"gitferry/internal/store"
)

// What is made here is made at the upstream, with the caller's rights.

// person is who asks, in the words of package pulls.
func (c *call) person() pulls.Person {
	return pulls.Person{Subject: c.subject, Address: c.echo.Request().RemoteAddr, Request: c.request}
}

// refused turns what the upstream or the person's rights did not allow into
// GitHub's form.
func refused(resource, field string, err error) error {
	var m *ferry.Message
	if errors.As(err, &m) && (errors.Is(err, ferry.ErrInvalid) || errors.Is(err, ferry.ErrConflict) || errors.Is(err, ferry.ErrNotFound)) {
		return invalid(resource, field, m.Text)
	}
	return err
}

// createRef makes a branch. The upstream makes branches from branches, so the
// commit must be the tip of one.
func (s *Server) createRef(c *call) (any, error) {
	var body struct {
		Ref string `json:"ref"`
		SHA string `json:"sha"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	full, err := ferry.ParseRefName(body.Ref)
	if err != nil || !full.IsBranch() {
		return nil, invalid("Reference", "ref", "want refs/heads/ and the name of a branch")
	}
	oid, err := ferry.ParseOID(body.SHA)
	if err != nil {
		return nil, invalid("Reference", "sha", "want the 40 digits of a commit id")
	}
	refs, err := s.refs(c)
	if err != nil {
		return nil, err
	}
	if _, ok := refs[full]; ok {
		return nil, problem(http.StatusUnprocessableEntity, "Reference already exists")
	}
	source := ferry.RefName("")
	for _, n := range named(refs, "refs/heads/") {
		if commitOf(refs[n]) == oid {
			source = n
			break
		}
	}
	if source == "" {
		return nil, invalid("Reference", "sha", "want the tip of a branch; push other commits with git")
	}
	made, err := s.Pulls.CreateBranch(c.ctx, c.person(), pulls.NewBranch{Repository: c.repo, Source: source.Short(), Name: full.Short()})
	if err != nil {
		return nil, refused("Reference", "ref", err)
	}
	r := refs[source]
	r.Name, r.OID = string(full), made.OID
	return status{http.StatusCreated, s.showRef(c, r)}, nil
}

// createPull opens a pull request.
func (s *Server) createPull(c *call) (any, error) {
	var body struct {
		Title string `json:"title"`
		Head  string `json:"head"`
		Base  string `json:"base"`
		Body  string `json:"body"`
		Draft bool   `json:"draft"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.Draft {
		return nil, invalid("PullRequest", "draft", "the upstream has no drafts")
	}
	if owner, branch, ok := strings.Cut(body.Head, ":"); ok {
		if body.Head = branch; !strings.EqualFold(owner, c.repo.Owner) {
			return nil, invalid("PullRequest", "head", "want a branch of this repository")
		}
	}
	if body.Title == "" || body.Head == "" || body.Base == "" {
		return nil, invalid("PullRequest", "title", "want title, head and base")
	}
	made, err := s.Pulls.CreatePull(c.ctx, c.person(), pulls.NewPull{Repository: c.repo, Source: body.Head, Target: body.Base, Title: body.Title, Description: body.Body})
	if err != nil {
		return nil, refused("PullRequest", "head", err)
	}
	if made.Existing {
		return nil, invalid("PullRequest", "head", "A pull request already exists for "+c.repo.Owner+":"+body.Head+".")
	}
	all, err := s.pullsOf(c, store.PullRequestFilter{Number: made.Number})
	if err != nil {
		return nil, err
	}
	if len(all) == 0 { // the books follow in a moment
		at := s.Now()
		refs, err := s.refs(c)
		if err != nil {
			return nil, err
		}
		source, target := ferry.RefName("refs/heads/"+body.Head), ferry.RefName("refs/heads/"+body.Base)
		all = []store.PullRequest{{Number: made.Number, Title: made.Title, Description: body.Body, Source: source, Destination: target, SourceOID: refs[source].OID,
			DestinationOID: refs[target].OID, Status: "open", Author: c.subject.User.Name, CreatedAt: at, UpdatedAt: at}}
	}
	o, err := s.wholePull(c, all[0])
	return status{http.StatusCreated, o}, err
}
