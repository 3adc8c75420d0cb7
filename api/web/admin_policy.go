package web

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/policy"
)

// maxDryRun bounds the commits of a dry run.
const maxDryRun = 500

type policyView struct {
	page
	Section string
	Rules   policyForm
	Repos   []ferry.Repository
	Try     ferry.RepositoryID
	Result  *dryRun
	Problem string
}

// policyForm are the rules as fields.
type policyForm struct {
	RequireKey, KeyMustExist, ExemptMerges, ExemptReverts, ProtectDefault, AdminsMayRewrite, RefuseSimilar, AllowNotes bool
	Projects, Pattern, ExemptUsers, ExemptBranches                                                                     string
}

type dryRun struct {
	Path    string
	Branch  string
	Looked  int
	Refused int
	Rows    []dryRow
}

type dryRow struct {
	commitRow
	Reasons []string
}

// maxDryRows bounds the refused commits that are listed.
const maxDryRows = 100

func policyFormOf(r policy.Rules) policyForm {
	f := policyForm{RequireKey: r.RequireKey, KeyMustExist: r.KeyMustExist, ExemptMerges: r.ExemptMerges, ExemptReverts: r.ExemptReverts,
		ProtectDefault: r.ProtectDefaultBranch, AdminsMayRewrite: r.AdminsMayRewrite, RefuseSimilar: r.RefuseSimilarNames, AllowNotes: r.AllowNotes, Projects: strings.Join(r.Projects, " "),
		ExemptUsers: strings.Join(r.ExemptUsers, " "), ExemptBranches: strings.Join(r.ExemptBranches, " ")}
	if r.MessagePattern != nil {
		f.Pattern = r.MessagePattern.String()
	}
	return f
}

// words reads a list separated by blanks, commas or lines.
func words(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return c == ' ' || c == ',' || c == '\n' || c == '\r' || c == '\t' })
}

func readPolicy(r *request) (policyForm, policy.Rules, error) {
	f := policyForm{RequireKey: r.ticked("require_key"), KeyMustExist: r.ticked("key_must_exist"), ExemptMerges: r.ticked("exempt_merges"),
		ExemptReverts: r.ticked("exempt_reverts"), ProtectDefault: r.ticked("protect_default"), AdminsMayRewrite: r.ticked("admins_may_rewrite"),
		RefuseSimilar: r.ticked("refuse_similar_names"), AllowNotes: r.ticked("allow_notes"),
		Projects: strings.ToUpper(r.form("projects")), Pattern: r.FormValue("pattern"), ExemptUsers: r.form("exempt_users"), ExemptBranches: r.form("exempt_branches")}
	rules := policy.Rules{RequireKey: f.RequireKey, KeyMustExist: f.KeyMustExist, ExemptMerges: f.ExemptMerges, ExemptReverts: f.ExemptReverts,
		ProtectDefaultBranch: f.ProtectDefault, AdminsMayRewrite: f.AdminsMayRewrite, RefuseSimilarNames: f.RefuseSimilar, AllowNotes: f.AllowNotes, Projects: words(f.Projects), ExemptUsers: words(f.ExemptUsers), ExemptBranches: words(f.ExemptBranches)}
	if f.Pattern != "" {
		p, err := policy.CompilePattern(f.Pattern)
		if err != nil {
			return f, rules, err
		}
		rules.MessagePattern = p
	}
	return f, rules, rules.Validate()
}

func (s *Server) policyView(r *request, f policyForm) (policyView, error) {
	v := policyView{page: s.page(r, "Push policy", "admin"), Section: "policy", Rules: f}
	var err error
	v.Repos, err = s.readable(r)
	return v, err
}

// adminPolicy shows the rules for pushes.
func (s *Server) adminPolicy(r *request) error {
	rules, err := s.Policy(r.ctx())
	if err != nil {
		return err
	}
	v, err := s.policyView(r, policyFormOf(rules))
	if err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "admin_policy", &v)
}

func (s *Server) adminPolicyPost(r *request) error {
	f, rules, err := readPolicy(r)
	if err != nil {
		return s.policyRefused(r, f, err)
	}
	if r.form("do") == "try" {
		return s.tryPolicy(r, f, rules)
	}
	if err := s.SetPolicy(r.ctx(), rules); err != nil {
		return err
	}
	s.audit(r, "policy.update", "push policy", "")
	return s.done(r, "/admin/policy", "Saved. The rules hold for the next push.")
}

func (s *Server) policyRefused(r *request, f policyForm, err error) error {
	v, viewErr := s.policyView(r, f)
	if viewErr != nil {
		return viewErr
	}
	if v.Problem = text(err); v.Problem == "" {
		return err
	}
	return s.render(r, http.StatusUnprocessableEntity, "admin_policy", &v)
}

// tryPolicy judges the newest commits of a repository by rules that are not
// saved.
func (s *Server) tryPolicy(r *request, f policyForm, rules policy.Rules) error {
	v, err := s.policyView(r, f)
	if err != nil {
		return err
	}
	ids := formIDs(r, "repo")
	i := slices.IndexFunc(v.Repos, func(repo ferry.Repository) bool { return len(ids) == 1 && int64(repo.ID) == ids[0] })
	if i < 0 {
		v.Problem = "Choose a repository for the dry run."
		return s.render(r, http.StatusUnprocessableEntity, "admin_policy", &v)
	}
	repo := v.Repos[i]
	v.Try = repo.ID
	ctx, cancel := context.WithTimeout(r.ctx(), viewTime)
	defer cancel()
	trial, err := s.TryPolicy(ctx, repo, r.subject.User, rules)
	if err != nil {
		if v.Problem = text(err); v.Problem == "" {
			return err
		}
		return s.render(r, http.StatusUnprocessableEntity, "admin_policy", &v)
	}
	rows, err := s.gitRows(ctx, repo, trial.Commits)
	if err != nil {
		return err
	}
	byOID := make(map[ferry.OID]commitRow, len(rows))
	for _, row := range rows {
		byOID[row.OID] = row
	}
	v.Result = &dryRun{Path: repo.Path(), Branch: trial.Branch, Looked: len(trial.Commits), Refused: len(trial.Faults)}
	for _, fault := range trial.Faults[:min(len(trial.Faults), maxDryRows)] {
		v.Result.Rows = append(v.Result.Rows, dryRow{byOID[fault.OID], fault.Reasons})
	}
	return s.render(r, http.StatusOK, "admin_policy", &v)
}

// A PolicyTrial is what rules would have said to the newest commits of a main
// branch, had somebody pushed them together.
type PolicyTrial struct {
	Branch  string       // short name
	Commits []git.Commit // that were judged, newest first; at most 500
	Faults  []policy.Finding
}

// TryPolicy judges the newest commits of a repository's main branch by rules
// that need not hold, as if pusher pushed them. It fails with
// ferry.ErrConflict while there is no commit.
func (s *Server) TryPolicy(ctx context.Context, repo ferry.Repository, pusher ferry.User, rules policy.Rules) (PolicyTrial, error) {
	h := repoHead{Repo: repo}
	if err := s.readRefs(ctx, &h); err != nil {
		return PolicyTrial{}, err
	}
	tip, ok := h.mainPlace()
	if !ok {
		return PolicyTrial{}, &ferry.Message{Kind: ferry.ErrConflict, Text: repo.Path() + " has no commit yet."}
	}
	list, err := s.Git.History(ctx, s.Mirror.Path(repo.ID), git.History{Tips: []ferry.OID{tip.OID}, Max: maxDryRun})
	if err != nil {
		return PolicyTrial{}, notCopied(err)
	}
	options, err := s.ParseOptions(ctx)
	if err != nil {
		return PolicyTrial{}, err
	}
	push := policy.Push{Repository: repo, Pusher: pusher, Updates: []policy.Update{{RefUpdate: ferry.RefUpdate{Name: tip.Ref, New: tip.OID}}}}
	for _, c := range slices.Backward(list) { // parents before children
		push.Commits = append(push.Commits, policy.Commit{OID: c.OID, Parents: len(c.Parents), AuthorName: c.AuthorName, AuthorEmail: c.AuthorEmail, Message: c.Message, Refs: []ferry.RefName{tip.Ref}})
	}
	faults := policy.Judge(ctx, push, rules, s.issueStates, options).Faults()
	slices.Reverse(faults)
	return PolicyTrial{Branch: h.Default, Commits: list, Faults: faults}, nil
}

// issueStates answers the policy's question from the books or from Jira.
func (s *Server) issueStates(ctx context.Context, keys []ferry.IssueKey) map[ferry.IssueKey]policy.IssueState {
	states := make(map[ferry.IssueKey]policy.IssueState, len(keys))
	for k, i := range s.Issues.States(ctx, keys) {
		states[k] = policy.Missing
		if i.Exists {
			states[k] = policy.Exists
		}
	}
	return states
}
