package api

import (
	"errors"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/pulls"
)

// pullIn is a pull request to be opened at the host. A repeat with the same
// token opens none. Without a title one is made of the branches.
type pullIn struct {
	Source      string         `json:"source"`
	Target      string         `json:"target"`
	Title       string         `json:"title,omitempty"`
	Description string         `json:"description,omitempty"`
	Issue       ferry.IssueKey `json:"issue,omitempty"`
	Token       string         `json:"client_request_token,omitempty"`
}

func (s *Server) createPull(c *call, in pullIn) (pulls.Pull, error) {
	return s.Pulls.CreatePull(c.ctx, c.person(), pulls.NewPull{Repository: c.repo, Source: in.Source, Target: in.Target,
		Title: in.Title, Description: in.Description, Issue: in.Issue, Token: in.Token})
}

// preview is what a pull request would bring.
type preview struct {
	pulls.Preview
	Mergeable bool            `json:"mergeable"`
	Commits   []previewCommit `json:"commits"` // newest first, at most 250
	Files     []previewFile   `json:"files"`   // at most 1,000
}

type previewCommit struct {
	OID     ferry.OID `json:"oid"`
	Author  string    `json:"author"`
	At      time.Time `json:"at"`
	Message string    `json:"message"`
}

type previewFile struct {
	Path    string `json:"path"`
	OldPath string `json:"old_path,omitempty"`
	Status  string `json:"status"` // git's letter: A, M, D, R, C, T
	Added   int    `json:"added"`
	Removed int    `json:"removed"`
	Binary  bool   `json:"binary,omitempty"`
}

func (s *Server) previewPull(c *call) (preview, error) {
	p, err := s.Pulls.Preview(c.ctx, c.repo, c.value("source"), c.value("target"))
	out := preview{Preview: p, Mergeable: p.Mergeable(), Commits: []previewCommit{}, Files: []previewFile{}}
	for _, k := range p.Commits {
		out.Commits = append(out.Commits, previewCommit{k.OID, k.AuthorName, k.AuthoredAt, k.Message})
	}
	for _, f := range p.Files {
		out.Files = append(out.Files, previewFile{f.Path, f.OldPath, string(rune(f.Status)), f.Added, f.Removed, f.Binary})
	}
	return out, err
}

// form is what a dialog for a new branch or pull request begins with.
type form struct {
	Token        string           `json:"client_request_token"`
	Repositories []formRepository `json:"repositories"`
	Repository   string           `json:"repository,omitempty"` // chosen or proposed
	Branches     []string         `json:"branches"`             // the main one first
	Source       string           `json:"source,omitempty"`
	Target       string           `json:"target,omitempty"`
	Name         string           `json:"name,omitempty"`  // proposed, of a branch
	Title        string           `json:"title,omitempty"` // proposed, of a pull request
	Credential   pulls.Credential `json:"credential,omitempty"`
}

type formRepository struct {
	Path    string `json:"path"`
	Default bool   `json:"default,omitempty"`
	Why     string `json:"unusable,omitempty"`
}

func formOf(f pulls.Form) form {
	out := form{Token: f.Token, Repositories: []formRepository{}, Branches: list(f.Branches), Source: f.Source, Target: f.Target,
		Name: f.Name, Title: f.Title, Credential: f.Credential}
	if f.Repository.ID != 0 {
		out.Repository = f.Repository.Path()
	}
	for _, r := range f.Repositories {
		out.Repositories = append(out.Repositories, formRepository{r.Repository.Path(), r.Default, r.Why})
	}
	return out
}

// chosen reads the issue key and the parameter "repository" of a form.
func (s *Server) chosen(c *call) (ferry.IssueKey, ferry.RepositoryID, error) {
	key, err := s.visibleKey(c)
	if err != nil || c.value("repository") == "" {
		return key, 0, err
	}
	owner, name, _ := strings.Cut(c.value("repository"), "/")
	repo, err := s.Store.RepositoryByPath(c.ctx, owner, name)
	if err == nil && !c.may(ferry.ActionRead, repo.Path()) {
		err = ferry.ErrNotFound
	}
	if errors.Is(err, ferry.ErrNotFound) {
		err = &ferry.Message{Kind: ferry.ErrNotFound, Text: "there is no such repository, or you may not see it"}
	}
	return key, repo.ID, err
}

func (s *Server) branchForm(c *call) (form, error) {
	key, repo, err := s.chosen(c)
	if err != nil {
		return form{}, err
	}
	f, err := s.Pulls.BranchForm(c.ctx, c.person(), key, repo, c.value("source"))
	return formOf(f), err
}

func (s *Server) pullForm(c *call) (form, error) {
	key, repo, err := s.chosen(c)
	if err != nil {
		return form{}, err
	}
	f, err := s.Pulls.PullForm(c.ctx, c.person(), key, repo, c.value("source"), c.value("target"))
	return formOf(f), err
}
