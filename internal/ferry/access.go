package ferry

import (
	"strings"
	"time"
)

// Level is what a grant allows on the repositories it names.
type Level int

const (
	LevelNone  Level = iota
	LevelRead        // clone, fetch, look at pages
	LevelWrite       // push, create and delete branches other than the default
	LevelAdmin       // force and delete the default branch, purge, settings
)

var levelNames = [...]string{"none", "read", "write", "admin"}

func (l Level) String() string { return levelNames[l] }

// ParseLevel reads "none", "read", "write" or "admin".
func ParseLevel(s string) (Level, error) {
	for i, n := range levelNames {
		if n == s {
			return Level(i), nil
		}
	}
	return 0, &Message{Kind: ErrInvalid, Text: "level " + s + ": want none, read, write or admin"}
}

// MarshalText makes JSON show a level by its name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (l *Level) UnmarshalText(b []byte) error {
	v, err := ParseLevel(string(b))
	if err != nil {
		return err
	}
	*l = v
	return nil
}

// A Grant gives one user a level on all repositories whose path matches Glob.
type Grant struct {
	ID    int64
	User  UserID
	Glob  string // matched against OWNER/NAME: * stays in one part, ** crosses
	Level Level
}

// A User is a person, or a machine, with rights.
type User struct {
	ID       UserID
	Name     string // log-in name, [a-z0-9][a-z0-9._-]{0,38}
	Display  string // shown to people; empty: Name
	Email    string // main address; further ones are aliases
	Aliases  []string
	Admin    bool // manages integrations, users and grants
	Disabled bool
}

// Scope narrows what a token may be used for.
type Scope string

const (
	ScopeRepoRead  Scope = "repo:read"
	ScopeRepoWrite Scope = "repo:write"
	ScopeAPIRead   Scope = "api:read"
	ScopeAPIAdmin  Scope = "api:admin"
	ScopeJiraDVCS  Scope = "jira:dvcs"
)

// A Subject is whoever asks: a user as signed in now, with the grants that
// hold now, and the narrower limits of the credential in use.
// The zero Subject is the anonymous one and may do nothing.
type Subject struct {
	User   User
	Grants []Grant
	// Scopes and Globs limit a token; nil Scopes means the credential is not
	// narrower than its owner (SSH key, web session).
	Scopes []Scope
	Globs  []string
	// Credential says how the subject signed in, for the audit: an SSH
	// fingerprint, "token 12", "session".
	Credential string
	Expires    time.Time // zero: no limit
}

// Action is what a subject asks to do.
type Action string

const (
	ActionRead        Action = "read"         // pages and our own API's reads of a repository
	ActionFetch       Action = "fetch"        // clone and fetch with git
	ActionGitHubRead  Action = "github-read"  // reads in GitHub's shape, which Jira's DVCS connector may make too
	ActionPush        Action = "push"         // create, fast-forward and delete of refs
	ActionRewriteMain Action = "rewrite-main" // force or delete the default branch
	ActionMaintain    Action = "maintain"     // reindex, purge, settings of a repository
	ActionAPIRead     Action = "api-read"     // API reads that name no repository
	ActionAdmin       Action = "admin"        // integrations, users, grants, deliveries
	ActionSelf        Action = "self"         // the user's own keys and tokens
	ActionWho         Action = "who"          // who one is, and lists of what one may read
	ActionJiraHook    Action = "jira-hook"    // calls of the connected Jira's DVCS connector
)

// Check is the one place that decides access: nil allows, ErrDenied refuses.
// path is the repository's OWNER/NAME, empty for actions that name none.
// Everything not allowed is refused.
func Check(s Subject, action Action, path string, now time.Time) error {
	if s.User.ID == 0 || s.User.Disabled || (!s.Expires.IsZero() && !now.Before(s.Expires)) {
		return ErrDenied
	}
	switch action {
	case ActionAdmin:
		// A token for some repositories is never an administrator's.
		if s.User.Admin && s.hasScope(ScopeAPIAdmin) && len(s.Globs) == 0 {
			return nil
		}
		return ErrDenied
	case ActionSelf:
		if s.hasScope(ScopeAPIAdmin) && len(s.Globs) == 0 {
			return nil
		}
		return ErrDenied
	case ActionWho:
		return nil
	case ActionAPIRead:
		if s.hasScope(ScopeAPIRead) || s.hasScope(ScopeAPIAdmin) {
			return nil
		}
		return ErrDenied
	}
	if path == "" {
		return ErrDenied
	}
	need, scopes := LevelAdmin, []Scope{ScopeAPIAdmin}
	switch action {
	case ActionRead:
		need, scopes = LevelRead, []Scope{ScopeRepoRead, ScopeRepoWrite, ScopeAPIRead, ScopeAPIAdmin}
	case ActionFetch:
		need, scopes = LevelRead, []Scope{ScopeRepoRead, ScopeRepoWrite}
	case ActionGitHubRead:
		need, scopes = LevelRead, []Scope{ScopeRepoRead, ScopeRepoWrite, ScopeAPIRead, ScopeAPIAdmin, ScopeJiraDVCS}
	case ActionJiraHook:
		need, scopes = LevelRead, []Scope{ScopeJiraDVCS}
	case ActionPush:
		need, scopes = LevelWrite, []Scope{ScopeRepoWrite}
	case ActionRewriteMain:
		scopes = []Scope{ScopeRepoWrite}
	case ActionMaintain:
	default:
		return ErrDenied
	}
	if !s.hasScope(scopes...) || !s.globAllows(path) || s.LevelOn(path) < need {
		return ErrDenied
	}
	return nil
}

func (s Subject) hasScope(any ...Scope) bool {
	if s.Scopes == nil {
		return true
	}
	for _, have := range s.Scopes {
		for _, want := range any {
			if have == want {
				return true
			}
		}
	}
	return false
}

func (s Subject) globAllows(path string) bool {
	if len(s.Globs) == 0 {
		return true
	}
	for _, g := range s.Globs {
		if MatchGlob(g, path) {
			return true
		}
	}
	return false
}

// LevelOn returns the level that the grants give on the repository at path.
// The most specific matching glob decides; between equally specific ones the
// lower level, so that a refusal beats a permission.
func (s Subject) LevelOn(path string) Level {
	level, best := LevelNone, -1
	for _, g := range s.Grants {
		if !MatchGlob(g.Glob, path) {
			continue
		}
		specific := 2 * len(strings.ReplaceAll(g.Glob, "*", ""))
		if !strings.Contains(g.Glob, "**") {
			specific++
		}
		if specific > best || specific == best && g.Level < level {
			level, best = g.Level, specific
		}
	}
	return level
}

// MaxGlob is the longest glob accepted, in bytes.
const MaxGlob = 256

// MatchGlob reports whether path matches glob from end to end, case sensitive:
// "*" stands for any run of bytes without "/", "**" for any run.
func MatchGlob(glob, path string) bool {
	if len(glob) > MaxGlob {
		return false
	}
	// What stands before the first and behind the last star is compared as it is.
	if i := strings.IndexByte(glob, '*'); i < 0 {
		return glob == path
	} else if !strings.HasPrefix(path, glob[:i]) {
		return false
	} else {
		glob, path = glob[i:], path[i:]
	}
	end := glob[strings.LastIndexByte(glob, '*')+1:]
	path, ok := strings.CutSuffix(path, end)
	if !ok {
		return false
	}
	switch glob = strings.TrimSuffix(glob, end); glob {
	case "*":
		return !strings.Contains(path, "/")
	case "**":
		return true
	}
	// reach[i] says whether the glob read so far matches path[:i].
	reach := make([]bool, len(path)+1)
	reach[0] = true
	for glob != "" {
		star := 0
		for strings.HasPrefix(glob, "*") {
			glob, star = glob[1:], star+1
		}
		if star == 0 {
			for i := len(path); i > 0; i-- {
				reach[i] = reach[i-1] && path[i-1] == glob[0]
			}
			reach[0] = false
			glob = glob[1:]
			continue
		}
		for i := 1; i <= len(path); i++ {
			reach[i] = reach[i] || reach[i-1] && (star > 1 || path[i-1] != '/')
		}
	}
	return reach[len(path)]
}
