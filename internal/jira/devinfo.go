package jira

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"time"

	"gitferry/internal/ferry"
)

// Limits of one submission; jira.md 1.4.
const (
	MaxEntities      = 1000 // in one submission
	MaxEntityPerKind = 400  // of one kind, per repository in one submission
	MaxEntityKeys    = 100  // issue keys on one entity
	maxMessage       = 1024
	maxName          = 255
	maxTitle         = 1024
	maxBranchName    = 512
	maxID            = 1024
)

// A Submission is one call's worth of development information.
type Submission struct {
	Repositories []DevRepository `json:"repositories"`
	// PreventTransitions keeps workflow triggers, automation and Jira's own
	// smart commits from running.
	PreventTransitions bool `json:"preventTransitions"`
	// Backfill marks history: slower, with higher rate limits.
	Backfill bool `json:"-"`
	// Properties are stored with the data and can be deleted by; at most 5.
	Properties map[string]string `json:"properties,omitempty"`
}

// A DevRepository holds what is said about one repository.
type DevRepository struct {
	ID           string           `json:"id"`
	Name         string           `json:"name"`
	URL          string           `json:"url"`
	Sequence     int64            `json:"updateSequenceId"`
	Commits      []DevCommit      `json:"commits,omitempty"`
	Branches     []DevBranch      `json:"branches,omitempty"`
	PullRequests []DevPullRequest `json:"pullRequests,omitempty"`
}

// A DevAuthor is who made a commit or pull request.
type DevAuthor struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
}

// A DevCommit is a commit, in a list of its own or as the tip of a branch. It
// is one entity in both places: send the same keys and the same number.
type DevCommit struct {
	ID        string           `json:"id"` // 40 hexadecimal digits
	Sequence  int64            `json:"updateSequenceId"`
	Keys      []ferry.IssueKey `json:"issueKeys"`
	Message   string           `json:"message"`
	Author    DevAuthor        `json:"author"`
	FileCount int              `json:"fileCount"`
	Files     []DevFile        `json:"files,omitempty"` // at most 10
	URL       string           `json:"url"`
	Authored  DevTime          `json:"authorTimestamp"`
	DisplayID string           `json:"displayId"`
	Flags     []string         `json:"flags,omitempty"` // "MERGE_COMMIT"
}

// MergeCommit is the flag of a commit with several parents.
const MergeCommit = "MERGE_COMMIT"

// A DevFile is one changed file of a commit.
type DevFile struct {
	Path    string `json:"path"`
	URL     string `json:"url"`
	Change  string `json:"changeType"` // ADDED COPIED DELETED MODIFIED MOVED UNKNOWN
	Added   int    `json:"linesAdded"`
	Removed int    `json:"linesRemoved"`
}

// A DevBranch is a branch with its tip.
type DevBranch struct {
	ID       string           `json:"id"` // by EntityID
	Sequence int64            `json:"updateSequenceId"`
	Keys     []ferry.IssueKey `json:"issueKeys"`
	Name     string           `json:"name"`
	URL      string           `json:"url"`
	Tip      DevCommit        `json:"lastCommit"`
	NewPull  string           `json:"createPullRequestUrl,omitempty"`
}

// A DevPullRequest is a pull request.
type DevPullRequest struct {
	ID             string           `json:"id"`
	Sequence       int64            `json:"updateSequenceId"`
	Keys           []ferry.IssueKey `json:"issueKeys"`
	Status         string           `json:"status"` // OPEN MERGED DECLINED UNKNOWN
	Title          string           `json:"title"`
	Author         DevAuthor        `json:"author"`
	Comments       int              `json:"commentCount"`
	Source         string           `json:"sourceBranch"`
	SourceURL      string           `json:"sourceBranchUrl,omitempty"` // equal to the branch's URL
	Destination    string           `json:"destinationBranch,omitempty"`
	DestinationURL string           `json:"destinationBranchUrl,omitempty"`
	Updated        DevTime          `json:"lastUpdate"`
	URL            string           `json:"url"`
	DisplayID      string           `json:"displayId"`
	Reviewers      []DevReviewer    `json:"reviewers,omitempty"`
}

// A DevReviewer is somebody whose word on a pull request is asked for or
// given.
type DevReviewer struct {
	Name     string `json:"name,omitempty"`
	Email    string `json:"email,omitempty"` // at most 254 bytes
	Approval string `json:"approvalStatus"`  // APPROVED or UNAPPROVED
}

// A DevTime encodes as ISO 8601 in UTC with milliseconds.
type DevTime struct{ time.Time }

// MarshalJSON gives the form "2026-11-23T10:00:00.000Z".
func (t DevTime) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format("2006-01-02T15:04:05.000Z") + `"`), nil
}

var plainID = regexp.MustCompile(`^[A-Za-z0-9.\-_]+$`)

// EntityID makes an id out of a branch name: the name itself if ids may be
// written so, else "~" and the hexadecimal digits of its bytes. No git name
// holds "~", so no two names meet (atlassian/github-for-jira).
func EntityID(name string) string {
	if plainID.MatchString(name) && len(name) <= maxID {
		return name
	}
	id := "~" + hex.EncodeToString([]byte(name))
	if len(id) > maxID {
		sum := sha256.Sum256([]byte(name))
		id = "~sha256-" + hex.EncodeToString(sum[:])
	}
	return id
}

var cloudKey = regexp.MustCompile(`^[A-Z][A-Z0-9]{1,9}-[1-9][0-9]{0,9}$`)

// CloudKeys returns those keys that Jira Cloud can have, at most
// MaxEntityKeys. One key of another form makes a whole submission fail.
func CloudKeys(keys []ferry.IssueKey) []ferry.IssueKey {
	out := make([]ferry.IssueKey, 0, len(keys))
	for _, k := range keys {
		if cloudKey.MatchString(string(k)) && len(out) < MaxEntityKeys {
			out = append(out, k)
		}
	}
	return out
}

// fit cuts what is longer than the limits, so that a long message does not
// make the whole submission fail.
func (s Submission) fit() {
	for i := range s.Repositories {
		r := &s.Repositories[i]
		r.Name = cut(clean(r.Name), maxName)
		for j := range r.Commits {
			r.Commits[j].fit()
		}
		for j := range r.Branches {
			b := &r.Branches[j]
			b.Name = cut(clean(b.Name), maxBranchName)
			b.Tip.fit()
		}
		for j := range r.PullRequests {
			p := &r.PullRequests[j]
			p.Title = cut(clean(p.Title), maxTitle)
			p.Author = p.Author.fit()
			p.Source, p.Destination = cut(p.Source, maxName), cut(p.Destination, maxName)
			for k := range p.Reviewers {
				who := DevAuthor{Name: p.Reviewers[k].Name, Email: p.Reviewers[k].Email}.fit()
				p.Reviewers[k].Name, p.Reviewers[k].Email = who.Name, cut(who.Email, 254)
			}
		}
	}
}

func (c *DevCommit) fit() {
	c.Message = cut(clean(c.Message), maxMessage)
	c.Author = c.Author.fit()
	c.Files = c.Files[:min(len(c.Files), 10)]
	for i := range c.Files {
		c.Files[i].Path = cut(clean(c.Files[i].Path), maxID)
	}
	if c.Keys == nil {
		c.Keys = []ferry.IssueKey{}
	}
}

func (a DevAuthor) fit() DevAuthor {
	one := func(s string) string { return cut(strings.ReplaceAll(clean(s), "\n", " "), maxName) }
	return DevAuthor{Name: one(a.Name), Email: one(a.Email)}
}
