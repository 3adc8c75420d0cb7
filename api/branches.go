package api

import (
	"time"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/pulls"
	"gitferry/internal/store"
	"gitferry/internal/weblink"
)

// person is who asks, in the words of package pulls.
func (c *call) person() pulls.Person {
	return pulls.Person{Subject: c.subject, Address: c.echo.Request().RemoteAddr, Request: c.request}
}

// branchIn is a branch to be made at the host. A repeat with the same token
// makes none.
type branchIn struct {
	Source string         `json:"source"`
	Name   string         `json:"name"`
	Issue  ferry.IssueKey `json:"issue,omitempty"`
	Token  string         `json:"client_request_token,omitempty"`
}

func (s *Server) createBranch(c *call, in branchIn) (pulls.Branch, error) {
	return s.Pulls.CreateBranch(c.ctx, c.person(), pulls.NewBranch{Repository: c.repo, Source: in.Source, Name: in.Name, Issue: in.Issue, Token: in.Token})
}

func (s *Server) planDeletion(c *call) (pulls.Deletion, error) {
	return s.Pulls.PlanDeletion(c.ctx, c.repo, c.value("branch"))
}

// deleteBranch deletes the branch that the parameter "branch" names if it still
// stands at "tip", where that is given.
func (s *Server) deleteBranch(c *call) (pulls.Deletion, error) {
	var tip ferry.OID
	if text := c.value("tip"); text != "" {
		var err error
		if tip, err = ferry.ParseOID(text); err != nil {
			return pulls.Deletion{}, badRequest("tip: want the 40 digits of a commit id")
		}
	}
	return s.Pulls.DeleteBranch(c.ctx, c.person(), c.repo, c.value("branch"), tip)
}

// consoleLinks are pages of the AWS console; those that are not asked for, or
// whose console is not known, are missing.
type consoleLinks struct {
	Repository  string `json:"repository,omitempty"`
	Branches    string `json:"branches,omitempty"`
	Pulls       string `json:"pulls,omitempty"`
	Branch      string `json:"branch,omitempty"`
	Commit      string `json:"commit,omitempty"`
	File        string `json:"file,omitempty"`
	PullRequest string `json:"pull_request,omitempty"`
}

// links makes console addresses of what the parameters name.
func (s *Server) links(c *call) (consoleLinks, error) {
	if c.repo.Region == "" { // a single git repository has no console
		return s.hostLinks(c)
	}
	l := codecommit.ConsoleLinks(c.repo.Region, "", c.repo.Name)
	out := consoleLinks{Repository: l.Repository(), Branches: l.Branches(), Pulls: l.PullRequests()}
	branch, commit, path := c.value("branch"), c.value("commit"), c.value("path")
	if commit != "" {
		oid, err := ferry.ParseOID(commit)
		if err != nil {
			return out, badRequest("commit: want the 40 digits of a commit id")
		}
		out.Commit = l.Commit(oid.String())
	}
	if branch != "" {
		out.Branch = l.Branch(branch)
	}
	switch {
	case path != "" && commit != "":
		out.File = l.FileAt(commit, path)
	case path != "" && branch != "":
		out.File = l.FileOn(branch, path)
	}
	if n := c.value("pull_request"); n != "" {
		out.PullRequest = l.PullRequest(n)
	}
	return out, nil
}

// hostLinks makes the same of a single repository's templates.
func (s *Server) hostLinks(c *call) (consoleLinks, error) {
	t, err := weblink.Parse(c.repo.WebLinks)
	if err != nil {
		return consoleLinks{}, err
	}
	l, out := t.Links(), consoleLinks{}
	if commit := c.value("commit"); commit != "" {
		oid, err := ferry.ParseOID(commit)
		if err != nil {
			return out, badRequest("commit: want the 40 digits of a commit id")
		}
		out.Commit = l.Commit(oid.String())
		if path := c.value("path"); path != "" {
			out.File = l.File(weblink.File{Commit: oid.String(), Path: path})
		}
	}
	if branch := c.value("branch"); branch != "" {
		out.Branch = l.Branch(branch)
	}
	if n := c.value("pull_request"); n != "" {
		out.PullRequest = l.PullRequest(n)
	}
	return out, nil
}

// AWSCredential is a person's own access key for an account.
type AWSCredential struct {
	Integration string    `json:"integration"`
	AccessKeyID string    `json:"access_key_id,omitempty"` // missing: none is set up
	ARN         string    `json:"arn,omitempty"`
	CheckedAt   time.Time `json:"checked_at,omitzero"`
	Required    bool      `json:"required"` // the integration's own may not be used for branches and pull requests
}

func (s *Server) listAWSCredentials(c *call) (page[AWSCredential], error) {
	have, err := s.Store.PersonalCredentials(c.ctx, c.subject.User.ID)
	if err != nil {
		return page[AWSCredential]{}, err
	}
	all, err := s.Store.Integrations(c.ctx)
	if err != nil {
		return page[AWSCredential]{}, err
	}
	var out []AWSCredential
	for _, i := range all {
		if i.Kind != ferry.KindCodeCommit || !s.seesIntegration(c, i) {
			continue
		}
		a := AWSCredential{Integration: i.Slug, Required: i.PersonalRequired}
		for _, p := range have {
			if p.Integration == i.ID {
				a.AccessKeyID, a.ARN, a.CheckedAt = p.AccessKeyID, p.ARN, p.CheckedAt
			}
		}
		out = append(out, a)
	}
	return cut(c, out, func(a AWSCredential) AWSCredential { return a })
}

// seesIntegration reports whether the subject may read one of its
// repositories.
func (s *Server) seesIntegration(c *call, i ferry.Integration) bool {
	repos, err := s.Store.Repositories(c.ctx, store.RepositoryFilter{Integration: i.ID})
	if err != nil {
		return false
	}
	for _, r := range repos {
		if c.may(ferry.ActionRead, r.Path()) {
			return true
		}
	}
	return false
}

type awsCredentialIn struct {
	AccessKeyID     string       `json:"access_key_id"`
	SecretAccessKey ferry.Secret `json:"secret_access_key"`
}

// ownIntegration is the account that the path names, if the subject sees it.
func (s *Server) ownIntegration(c *call) (ferry.Integration, error) {
	i, err := s.Store.IntegrationBySlug(c.ctx, c.param("slug"))
	if err == nil && !s.seesIntegration(c, i) {
		err = &ferry.Message{Kind: ferry.ErrNotFound, Text: "there is no such integration, or you may not see it"}
	}
	return i, err
}

func (s *Server) setAWSCredential(c *call, in awsCredentialIn) (AWSCredential, error) {
	i, err := s.ownIntegration(c)
	if err != nil {
		return AWSCredential{}, err
	}
	p, err := s.Pulls.SetPersonal(c.ctx, c.person(), i, in.AccessKeyID, in.SecretAccessKey)
	return AWSCredential{Integration: i.Slug, AccessKeyID: p.AccessKeyID, ARN: p.ARN, CheckedAt: p.CheckedAt, Required: i.PersonalRequired}, err
}

func (s *Server) removeAWSCredential(c *call) (nothing, error) {
	i, err := s.ownIntegration(c)
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, s.Pulls.RemovePersonal(c.ctx, c.person(), i)
}
