// Package policy judges a push before the upstream does.
//
// The idea is one pure function: Judge looks at the ref updates and the new
// commits of a push, at the rules of the repository and at what is known of
// the issues that the commits name, and returns a Verdict that holds all that
// there is to say: the faults with every reason, the commands that repair
// them, and for accepted pushes the keys, actions and warnings of each commit.
// Feedback turns a Verdict into the lines that the developer reads.
//
// The door for pushes calls Judge while the end of the pack is held back, and
// Feedback when the outcome is known.
//
// Nothing here asks Jira, git or the books: the caller hands in the commits
// and a function that answers for issues from a cache or within a deadline of
// its own. An issue that could not be asked about is "not checked" and never
// refuses a push. All functions may be called concurrently.
package policy

import (
	"context"
	"fmt"
	"regexp"

	"gitferry/internal/ferry"
	"gitferry/internal/smartcommit"
)

// Rules are what one repository demands of a push. DefaultRules is what holds
// where nobody set anything. The rules for messages look at every new commit,
// whatever ref it comes in by.
type Rules struct {
	// RequireKey: each message names at least one issue.
	RequireKey bool `json:"require_key"`
	// KeyMustExist: the issues that a message names exist in Jira.
	KeyMustExist bool `json:"key_must_exist"`
	// Projects, if any, are the only projects, in upper case, whose issues a
	// message may name.
	Projects []string `json:"projects,omitempty"`
	// MessagePattern, if any, matches somewhere in each message. See
	// CompilePattern.
	MessagePattern *regexp.Regexp `json:"message_pattern,omitempty"`

	// ExemptMerges and ExemptReverts free commits with several parents, and
	// those whose subject git wrote for a revert, from the rules for messages.
	ExemptMerges  bool `json:"exempt_merges"`
	ExemptReverts bool `json:"exempt_reverts"`
	// ExemptUsers are log-in names of pushers whom the rules for messages do
	// not concern.
	ExemptUsers []string `json:"exempt_users,omitempty"`
	// ExemptBranches are globs (ferry.MatchGlob) on short branch names. A
	// commit is free from the rules for messages if all refs of the push that
	// bring it are such branches.
	ExemptBranches []string `json:"exempt_branches,omitempty"`

	// ProtectDefaultBranch refuses forced pushes and deletion of the default
	// branch.
	ProtectDefaultBranch bool `json:"protect_default_branch"`
	// AdminsMayRewrite lets those who have Push.MayRewriteDefault do so all
	// the same.
	AdminsMayRewrite bool `json:"admins_may_rewrite"`

	// RefuseSimilarNames refuses a new branch or tag whose name differs from
	// that of another one only by case or by how Unicode writes its letters:
	// a checkout on a disk that folds names cannot hold both. Otherwise the
	// pusher is warned.
	RefuseSimilarNames bool `json:"refuse_similar_names"`
	// AllowNotes lets refs below refs/notes/ be pushed. The rules for
	// messages do not concern the commits that git notes makes.
	AllowNotes bool `json:"allow_notes"`
}

// DefaultRules demands nothing of messages and protects the default branch.
func DefaultRules() Rules { return Rules{ProtectDefaultBranch: true} }

// MaxPattern is the longest message pattern, in bytes.
const MaxPattern = 1 << 10

// CompilePattern reads a message pattern, a regular expression in Go's (RE2's)
// syntax, which matches in linear time. It fails with ferry.ErrInvalid.
func CompilePattern(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > MaxPattern {
		return nil, fmt.Errorf("message pattern: longer than %d bytes: %w", MaxPattern, ferry.ErrInvalid)
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("message pattern: %w: %w", err, ferry.ErrInvalid)
	}
	return re, nil
}

// Validate checks rules that came from outside. It fails with
// ferry.ErrInvalid and names the rule.
func (r Rules) Validate() error {
	if r.MessagePattern != nil && len(r.MessagePattern.String()) > MaxPattern {
		return fmt.Errorf("message pattern: longer than %d bytes: %w", MaxPattern, ferry.ErrInvalid)
	}
	for _, p := range r.Projects {
		if _, err := ferry.ParseIssueKey(p + "-1"); err != nil {
			return fmt.Errorf("project %.40q: want a project key in upper case, such as DEMO: %w", p, ferry.ErrInvalid)
		}
	}
	for _, g := range r.ExemptBranches {
		if g == "" || len(g) > ferry.MaxGlob {
			return fmt.Errorf("exempt branch %.40q: want a glob of 1 to %d bytes: %w", g, ferry.MaxGlob, ferry.ErrInvalid)
		}
	}
	return nil
}

// judgesMessages reports whether any rule looks at messages.
func (r Rules) judgesMessages() bool {
	return r.RequireKey || r.KeyMustExist || len(r.Projects) > 0 || r.MessagePattern != nil
}

// A Push is what a client wants to have done.
type Push struct {
	Repository ferry.Repository
	Pusher     ferry.User
	// MayRewriteDefault: the pusher has the admin level on the repository.
	MayRewriteDefault bool
	Updates           []Update
	// Existing are the refs that the upstream has.
	Existing []ferry.RefName
	// Commits are those that no ref of the upstream reaches yet, parents
	// before children.
	Commits []Commit
}

// An Update is one ref update of a push. Forced: Old is not among the
// ancestors of New.
type Update struct {
	ferry.RefUpdate
	Forced bool
}

// A Commit is a new commit of a push. Parents is how many it has. Refs are
// the refs of the push that bring it.
type Commit struct {
	OID                     ferry.OID
	Parents                 int
	AuthorName, AuthorEmail string
	Message                 string
	Refs                    []ferry.RefName
}

// IssueState is what is known of an issue in Jira.
type IssueState int

const (
	Unchecked IssueState = iota // nobody could be asked in time
	Exists
	Missing
	Untold // the pusher may not learn it from us (security.md, PUSH-18)
)

// IssueStates answers for issues, from a cache or within a deadline of its
// own; keys that are left out are Unchecked. Of an issue that the pusher may
// not see it must say Untold. It may be nil: nothing is checked.
type IssueStates func(ctx context.Context, keys []ferry.IssueKey) map[ferry.IssueKey]IssueState

// MaxKeys is the most issues of one push that are asked about (security.md,
// JIRA-7).
const MaxKeys = 5000

// A Verdict is what Judge found.
type Verdict struct {
	// Refused: the push must not reach the upstream.
	Refused bool
	// Repository and Updates are those of the push.
	Repository ferry.Repository
	Updates    []Update
	// Refs are the refs with faults, in the order of the updates.
	Refs []RefFault
	// Commits are all new commits, parents before children; Faults picks
	// those with faults.
	Commits []Finding
	// Keys are the issues named in the push, each once, in order of first
	// appearance: those to link, with keys of unknown projects that Jira
	// knows and without missing ones.
	Keys []ferry.IssueKey
	// RefKeys are the issues that the names of branches hold. They were not
	// checked.
	RefKeys map[ferry.RefName][]ferry.IssueKey
	// Missing are issues that do not exist, Unchecked those not asked about.
	Missing, Unchecked []ferry.IssueKey
	// Nearest gives for a missing issue of an unknown project the project
	// whose key is nearest, if one is near.
	Nearest map[ferry.IssueKey]string
	// Notes are further remarks for the pusher, a sentence each.
	Notes []string
}

// A RefFault is a ref update that is refused, with every reason.
type RefFault struct {
	Name    ferry.RefName
	Reasons []string
}

// A Finding is what one commit holds, and every reason why it is refused.
type Finding struct {
	OID     ferry.OID
	Parents int
	Subject string // first line of the message, as it is
	Refs    []ferry.RefName
	Keys    []ferry.IssueKey
	Unknown []ferry.IssueKey
	Actions []smartcommit.Action
	// Warnings are those of smartcommit.Result.
	Warnings []string
	// Exempt: the rules for messages do not concern this commit.
	Exempt bool
	// OffBranch: no branch of the push brings this commit, so that it is
	// neither linked nor are its commands carried out. Actions is empty.
	OffBranch bool
	Reasons   []string // none: the commit is accepted
}

// Faults returns the commits that are refused, parents before children.
func (v Verdict) Faults() []Finding {
	var faults []Finding
	for _, f := range v.Commits {
		if len(f.Reasons) > 0 {
			faults = append(faults, f)
		}
	}
	return faults
}
