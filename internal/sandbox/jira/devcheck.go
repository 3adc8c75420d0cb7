package jira

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Limits of a submission (Jira Software Cloud description of the development
// information API; vendor guidance).
const (
	maxRepositories      = 100
	maxEntitiesPerList   = 400
	maxEntitiesInRequest = 1000
	maxKeys              = 500
	maxFiles             = 10
	shownMessage         = 1024 // characters of a message that Jira keeps and reads
)

var (
	devID    = regexp.MustCompile(`^[A-Za-z0-9 ~.\-_]+$`)
	cloudKey = regexp.MustCompile(`^[A-Z][A-Z0-9]{1,9}-[1-9][0-9]{0,9}$`)
)

type devBody struct {
	Repositories       []devRepositoryBody `json:"repositories"`
	PreventTransitions bool                `json:"preventTransitions"`
	OperationType      string              `json:"operationType"`
	Properties         map[string]string   `json:"properties"`
	ProviderMetadata   struct {
		Product string `json:"product"`
	} `json:"providerMetadata"`
}

type devRepositoryBody struct {
	ID                *string           `json:"id"`
	Name              *string           `json:"name"`
	Description       *string           `json:"description"`
	ForkOf            *string           `json:"forkOf"`
	URL               *string           `json:"url"`
	Avatar            *string           `json:"avatar"`
	AvatarDescription *string           `json:"avatarDescription"`
	Sequence          *int64            `json:"updateSequenceId"`
	Commits           []json.RawMessage `json:"commits"`
	Branches          []json.RawMessage `json:"branches"`
	PullRequests      []json.RawMessage `json:"pullRequests"`

	commits, branches, pullRequests []devEntityBody // filled by check
}

// own returns the members of the repository itself as JSON.
func (r devRepositoryBody) own() map[string]json.RawMessage {
	o := map[string]json.RawMessage{"updateSequenceId": json.RawMessage(fmt.Sprint(*r.Sequence))}
	for name, v := range map[string]*string{
		"id": r.ID, "name": r.Name, "description": r.Description, "forkOf": r.ForkOf,
		"url": r.URL, "avatar": r.Avatar, "avatarDescription": r.AvatarDescription,
	} {
		if v != nil {
			o[name], _ = json.Marshal(*v) // a string always encodes
		}
	}
	return o
}

// devEntityBody holds the members of all three kinds; check says which belong
// to which.
type devEntityBody struct {
	ID           *string   `json:"id"`
	Sequence     *int64    `json:"updateSequenceId"`
	IssueKeys    *[]string `json:"issueKeys"`
	Associations *[]struct {
		Type   string   `json:"associationType"`
		Values []string `json:"values"`
	} `json:"associations"`
	URL       *string    `json:"url"`
	DisplayID *string    `json:"displayId"`
	Author    *devPerson `json:"author"`

	Hash      *string   `json:"hash"`
	Flags     []string  `json:"flags"`
	Message   *string   `json:"message"`
	FileCount *int      `json:"fileCount"`
	Files     []devFile `json:"files"`
	Authored  *string   `json:"authorTimestamp"`

	Name                 *string        `json:"name"`
	CreatePullRequestURL *string        `json:"createPullRequestUrl"`
	LastCommit           *devEntityBody `json:"lastCommit"`

	Status               *string     `json:"status"`
	Title                *string     `json:"title"`
	CommentCount         *int        `json:"commentCount"`
	SourceBranch         *string     `json:"sourceBranch"`
	SourceBranchURL      *string     `json:"sourceBranchUrl"`
	DestinationBranch    *string     `json:"destinationBranch"`
	DestinationBranchURL *string     `json:"destinationBranchUrl"`
	LastUpdate           *string     `json:"lastUpdate"`
	Reviewers            []devPerson `json:"reviewers"`
}

type devPerson struct {
	Name           string `json:"name"`
	Email          string `json:"email"`
	Username       string `json:"username"`
	AccountID      string `json:"accountId"`
	ApprovalStatus string `json:"approvalStatus"`
	URL            string `json:"url"`
	Avatar         string `json:"avatar"`
}

type devFile struct {
	Path         *string `json:"path"`
	URL          *string `json:"url"`
	ChangeType   *string `json:"changeType"`
	LinesAdded   *int    `json:"linesAdded"`
	LinesRemoved *int    `json:"linesRemoved"`
}

// keys returns the issue keys of an entity, whichever form they came in.
func (e devEntityBody) keys() []string {
	var keys []string
	if e.IssueKeys != nil {
		keys = *e.IssueKeys
	}
	if e.Associations != nil {
		for _, a := range *e.Associations {
			keys = append(keys, a.Values...)
		}
	}
	return keys
}

// rawLastCommit returns the last commit of a branch as JSON.
func (e devEntityBody) rawLastCommit() json.RawMessage {
	raw, err := json.Marshal(e.LastCommit)
	if err != nil {
		panic(fmt.Sprintf("encoding a commit: %v", err)) // strings and numbers only
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		panic(fmt.Sprintf("reading a commit back: %v", err)) // written above
	}
	for k, v := range all {
		if string(v) == "null" {
			delete(all, k)
		}
	}
	raw, _ = json.Marshal(all) // raw JSON by string
	return raw
}

// A check collects what is wrong with a submission.
type check struct{ faults []string }

func (k *check) fail(format string, args ...any) {
	k.faults = append(k.faults, fmt.Sprintf(format, args...))
}

func (k *check) text(where string, s *string, required bool, longest int) {
	switch {
	case s == nil && required:
		k.fail("%s: must not be null", where)
	case s != nil && len([]rune(*s)) > longest:
		k.fail("%s: length must be at most %d", where, longest)
	}
}

func (k *check) address(where string, s *string, required bool) {
	k.text(where, s, required, 2000)
	if s == nil || *s == "" && !required {
		return
	}
	if u, err := url.Parse(*s); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		k.fail("%s: must be an http or https address", where)
	}
}

func (k *check) id(where string, s *string, sequence *int64) {
	if s == nil || len(*s) > 1024 || !devID.MatchString(*s) {
		k.fail("%s.id: must have 1 to 1024 of the characters A-Z a-z 0-9 blank ~ . - _", where)
	}
	if sequence == nil || *sequence < 0 {
		k.fail("%s.updateSequenceId: must be a number of 0 or more", where)
	}
}

func (k *check) when(where string, s *string) {
	if s == nil {
		k.fail("%s: must not be null", where)
	} else if _, err := time.Parse(time.RFC3339, *s); err != nil {
		k.fail("%s: must be a time in ISO 8601", where)
	}
}

func (k *check) count(where string, n *int) {
	if n == nil || *n < 0 {
		k.fail("%s: must be a number of 0 or more", where)
	}
}

func (k *check) oneOf(where string, s *string, words ...string) {
	if s == nil || !slices.Contains(words, *s) {
		k.fail("%s: must be one of %s", where, strings.Join(words, ", "))
	}
}

// check returns what makes the whole submission unacceptable.
func (b *devBody) check() []string {
	k := &check{}
	if n := len(b.Repositories); n < 1 || n > maxRepositories {
		k.fail("repositories: must have 1 to %d elements", maxRepositories)
	}
	if b.OperationType != "" {
		k.oneOf("operationType", &b.OperationType, "NORMAL", "BACKFILL")
	}
	if len(b.Properties) > 5 {
		k.fail("properties: at most 5")
	}
	for name, v := range b.Properties {
		if name == "" || strings.HasPrefix(name, "_") || strings.Contains(name, ":") || len(name) > 255 || len(v) > 255 {
			k.fail("properties: key or value of '%s' is not valid", name)
		}
	}
	seen, entities := map[string]bool{}, 0
	for i := range b.Repositories {
		r := &b.Repositories[i]
		where := fmt.Sprintf("repositories[%d]", i)
		r.check(k, where)
		entities += len(r.Commits) + len(r.Branches) + len(r.PullRequests)
		if r.ID != nil && seen[*r.ID] {
			k.fail("%s.id: '%s' is given twice", where, *r.ID)
		} else if r.ID != nil {
			seen[*r.ID] = true
		}
	}
	if entities > maxEntitiesInRequest {
		k.fail("the request has %d entities; at most %d", entities, maxEntitiesInRequest)
	}
	return k.faults
}

func (r *devRepositoryBody) check(k *check, where string) {
	k.id(where, r.ID, r.Sequence)
	k.text(where+".name", r.Name, true, 255)
	k.address(where+".url", r.URL, true)
	k.text(where+".description", r.Description, false, 1024)
	k.text(where+".forkOf", r.ForkOf, false, 1024)
	k.address(where+".avatar", r.Avatar, false)
	k.text(where+".avatarDescription", r.AvatarDescription, false, 1024)
	r.commits = k.entities(where+".commits", r.Commits, (*check).commit)
	r.branches = k.entities(where+".branches", r.Branches, (*check).branch)
	r.pullRequests = k.entities(where+".pullRequests", r.PullRequests, (*check).pullRequest)
}
