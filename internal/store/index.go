package store

import (
	"encoding/json"
	"time"

	"gitferry/internal/ferry"
)

// MaxMessage is how much of a commit message is kept, in bytes.
const MaxMessage = 64 << 10

// A Person is the author or committer of a commit, as git has it.
type Person struct {
	Name  string
	Email string
}

// A Link ties a commit to an issue. Reason says where the key was found, in
// the word of whoever made the link: "message", "branch" or ReasonManual.
type Link struct {
	Key    ferry.IssueKey
	Reason string
}

// ReasonManual is the reason of a link that a person made.
const ReasonManual = "manual"

// A Commit is a commit as the index keeps it.
type Commit struct {
	OID         ferry.OID
	Parents     []ferry.OID
	Author      Person
	AuthoredAt  time.Time
	Committer   Person
	CommittedAt time.Time
	Message     string // longer ones are cut to MaxMessage bytes
	Initial     bool   // seen by a first index: never runs commands
	Links       []Link
	// Unknown are candidates for issue keys whose project Jira does not know
	// yet; see Candidates.
	Unknown []ferry.IssueKey
}

// An IndexedCommit is a commit read back, with the repository it lies in.
type IndexedCommit struct {
	Commit
	Repository ferry.Repository
	Reachable  bool      // some branch or tag still leads to it
	SeenAt     time.Time // when the index first saw it
	Cursor     string    // hand it back as Before to read on after this commit
}

// ActionState is where an action stands in the outbox.
type ActionState string

const (
	ActionPending ActionState = "pending"
	ActionLeased  ActionState = "leased"
	ActionRetry   ActionState = "retry"  // failed for now, has had no effect
	ActionVerify  ActionState = "verify" // may have had its effect: look before sending again
	ActionPaused  ActionState = "paused" // waits for ResumeDeliveries
	ActionDead    ActionState = "dead"   // refused for good; an operator may retry it
	ActionDone    ActionState = "done"
	ActionSkipped ActionState = "skipped" // will not be carried out, and Problem says why
)

// An Action is one command to Jira that must have its effect once.
type Action struct {
	ID         int64
	Identity   string // unique per Jira site (design: exactly once in effect)
	Repository ferry.RepositoryID
	OID        ferry.OID
	Key        ferry.IssueKey
	Ordinal    int             // position of the command in the commit message
	Command    json.RawMessage // a smartcommit.Action
	Author     Person
	AuthoredAt time.Time
	Actor      ferry.UserID // 0: the service account acts
	Push       ferry.PushID // 0: found by sync
	State      ActionState
	Attempts   int
	NextAt     time.Time // not before this time
	SentAt     time.Time // when the latest attempt began, zero: never
	CreatedAt  time.Time
	DoneAt     time.Time
	JiraID     string // what Jira called the comment, worklog, … it made
	Problem    string
	Seq        int64 // order within an issue: smaller goes first; set by the store
}

// EntityState is where a piece of development information stands.
type EntityState string

const (
	EntityPending EntityState = "pending"
	EntityLeased  EntityState = "leased"
	EntityRetry   EntityState = "retry"
	EntityWaiting EntityState = "waiting" // Jira knows none of the keys; see RequeueKey
	EntityDead    EntityState = "dead"
	EntityDone    EntityState = "done"
)

// EntityKind is a kind of development information.
type EntityKind string

const (
	EntityCommit      EntityKind = "commit"
	EntityBranch      EntityKind = "branch"
	EntityPullRequest EntityKind = "pull_request"
)

// An Entity is one commit, branch or pull request as Jira shall show it. Only
// its newest version matters.
type Entity struct {
	ID         int64
	Repository ferry.RepositoryID
	Kind       EntityKind
	EntityID   string           // commit: 40 digits; branch: full ref name; pull request: number
	Keys       []ferry.IssueKey // empty: withdraw it, unless it has keys by hand
	Gone       bool             // withdraw it, whatever people decided
	// Version is the next value of a persistent counter, set by the store:
	// it grows over all entities whatever the clock does.
	Version  int64
	Backfill bool // from a first index: must not fire automation
	State    EntityState
	Attempts int
	NextAt   time.Time
	SentAt   time.Time
	// DeliveredVersion and DeliveredKeys are what Jira took last.
	DeliveredVersion int64
	DeliveredKeys    []ferry.IssueKey
	Problem          string
}

// A Change is everything that follows from one look at a repository: the
// movements of its refs, and what they bring.
type Change struct {
	Repository ferry.RepositoryID
	Updates    []ferry.RefUpdate
	Commits    []Commit
	Lost       []ferry.OID // commits that no ref reaches any more
	Found      []ferry.OID // commits that a ref reaches again
	// RefLinks are the issue keys in the names of branches, replaced as a
	// whole for every ref in the map. Those of deleted refs go by themselves.
	RefLinks map[ferry.RefName][]ferry.IssueKey
	Actions  []Action // in the order in which they shall run
	Entities []Entity
	Indexed  bool         // the first index is complete with this change
	Push     ferry.PushID // set to done (or unknown) with this change; 0: none
	Seen     time.Time    // when the look was; zero: now
	// Next is when a repository whose refs moved is looked at again at the
	// latest, unless it sends notifications; zero: as planned.
	Next time.Time
}

// Applied says what a change brought that was not there before.
type Applied struct {
	Commits   int
	Actions   int // new rows; repeats are not counted
	Entities  int // queued for delivery
	Movements []Movement
}

// A Movement is one entry of the log of ref movements.
type Movement struct {
	Seq        int64 // grows over all repositories
	Repository ferry.RepositoryID
	Ref        ferry.RefName
	Old, New   ferry.OID
	At         time.Time
	Push       ferry.PushID // 0: found by sync
}
