// Package ferry holds the words that gitferry's packages share: identifiers,
// refs and their movements, repositories, people and the kinds of errors.
//
// The idea is that a value of one of these types is valid by construction:
// whoever holds a RefName, an OID or an IssueKey got it from a constructor
// that checked it, so that no unchecked string reaches a subprocess, a file
// name, SQL, an upstream URL or a page.
//
// The package imports only the standard library, holds no state and does no
// input or output.
package ferry

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Identifiers of rows in the books. Zero means "none".
type (
	RepositoryID  int64
	IntegrationID int64
	UserID        int64
	PushID        int64
)

// An OID names a git object: the 20 bytes of its SHA-1. The zero value stands
// for "no object", as in a ref update that creates or deletes.
type OID [20]byte

// ParseOID reads the 40 lower- or upper-case hexadecimal digits of an object
// name. It fails with ErrInvalid.
func ParseOID(s string) (OID, error) {
	var o OID
	if len(s) != 40 {
		return o, fmt.Errorf("object name %.60q: want 40 hexadecimal digits: %w", s, ErrInvalid)
	}
	if _, err := hex.Decode(o[:], []byte(s)); err != nil {
		return OID{}, fmt.Errorf("object name %.60q: want 40 hexadecimal digits: %w", s, ErrInvalid)
	}
	return o, nil
}

// String returns 40 lower-case hexadecimal digits.
func (o OID) String() string { return hex.EncodeToString(o[:]) }

// Short returns the first 7 digits, as git shows them.
func (o OID) Short() string { return hex.EncodeToString(o[:4])[:7] }

// IsZero reports whether o names no object.
func (o OID) IsZero() bool { return o == OID{} }

// MarshalText makes JSON show an OID as its hexadecimal digits.
func (o OID) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (o *OID) UnmarshalText(b []byte) error {
	v, err := ParseOID(string(b))
	if err != nil {
		return err
	}
	*o = v
	return nil
}

// A RefName is a full ref name such as "refs/heads/main", or "HEAD".
type RefName string

// MaxRefName is the longest ref name accepted, in bytes.
const MaxRefName = 255

// ParseRefName checks a full ref name by the rules of git check-ref-format:
// it is "HEAD" or begins with "refs/", and holds no component that git
// forbids. It fails with ErrInvalid and says which rule was broken.
func ParseRefName(s string) (RefName, error) {
	if s == "HEAD" {
		return RefName(s), nil
	}
	if why := refNameFault(s); why != "" {
		return "", fmt.Errorf("ref name %.80q: %s: %w", s, why, ErrInvalid)
	}
	return RefName(s), nil
}

// refNameFault returns the rule of git-check-ref-format(1) that s breaks, or "".
func refNameFault(s string) string {
	if len(s) > MaxRefName {
		return fmt.Sprintf("longer than %d bytes", MaxRefName)
	}
	if !strings.HasPrefix(s, "refs/") || strings.Count(s, "/") < 2 {
		return `does not begin with "refs/", a kind and a slash`
	}
	for _, r := range s {
		switch {
		case r < 0x20 || r == 0x7f:
			return "holds a control character"
		case strings.ContainsRune(" ~^:?*[\\", r):
			return fmt.Sprintf("holds %q", r)
		case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			return "holds a bidirectional control character"
		}
	}
	switch {
	case strings.Contains(s, ".."):
		return `holds ".."`
	case strings.Contains(s, "@{"):
		return `holds "@{"`
	case strings.HasSuffix(s, "."):
		return "ends with a dot"
	}
	for part := range strings.SplitSeq(s, "/") {
		switch {
		case part == "":
			return "has an empty component"
		case strings.HasPrefix(part, "."):
			return "has a component that begins with a dot"
		case strings.HasSuffix(part, ".lock"):
			return `has a component that ends with ".lock"`
		}
	}
	return ""
}

// Short returns the name without refs/heads/ or refs/tags/.
func (n RefName) Short() string {
	for _, p := range []string{"refs/heads/", "refs/tags/"} {
		if s, ok := strings.CutPrefix(string(n), p); ok {
			return s
		}
	}
	return string(n)
}

// IsBranch reports whether n lies under refs/heads/.
func (n RefName) IsBranch() bool { return strings.HasPrefix(string(n), "refs/heads/") }

// IsTag reports whether n lies under refs/tags/.
func (n RefName) IsTag() bool { return strings.HasPrefix(string(n), "refs/tags/") }

// A RefUpdate moves one ref. Old is zero on create, New is zero on delete.
type RefUpdate struct {
	Name RefName `json:"name"`
	Old  OID     `json:"old"`
	New  OID     `json:"new"`
}

// IsCreate reports whether the update makes the ref.
func (u RefUpdate) IsCreate() bool { return u.Old.IsZero() && !u.New.IsZero() }

// IsDelete reports whether the update removes the ref.
func (u RefUpdate) IsDelete() bool { return u.New.IsZero() }

// An IssueKey names a Jira issue, upper case: "DEMO-1".
type IssueKey string

// ParseIssueKey checks an issue key in upper case: a letter, then letters,
// digits or underscores, at least two characters, a dash and a number of at
// most ten digits without leading zero. It fails with ErrInvalid.
func ParseIssueKey(s string) (IssueKey, error) {
	project, number, ok := strings.Cut(s, "-")
	if ok && validProject(project) && validNumber(number) {
		return IssueKey(s), nil
	}
	return "", fmt.Errorf("issue key %.40q: want a project key, a dash and a number, such as DEMO-1: %w", s, ErrInvalid)
}

func validProject(s string) bool {
	if len(s) < 2 || len(s) > 255 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for _, c := range []byte(s[1:]) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

func validNumber(s string) bool {
	if len(s) < 1 || len(s) > 10 || s[0] == '0' {
		return false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// Project returns the part before the dash.
func (k IssueKey) Project() string {
	p, _, _ := strings.Cut(string(k), "-")
	return p
}

// A Repository is a connected repository: one upstream, one mirror, one index.
type Repository struct {
	ID            RepositoryID
	IntegrationID IntegrationID
	Owner         string // the integration's slug, first part of the path
	Name          string // 1-100 of A-Z a-z 0-9 . _ -, second part of the path
	Region        string // AWS region code, empty for a single git repository
	HostID        string // the repository's id at AWS, stays the same over renames
	CloneURL      string // upstream's URL: https, ssh (http only towards loopback)
	DefaultBranch string // short name, empty while the repository is empty
	State         RepositoryState
	SmartCommits  bool // whether commands in commits are carried out
	// Projects are the keys of the Jira projects that the repository belongs
	// to, sorted, with a blank between them. Empty: all.
	Projects string
	// ReadOnly refuses pushes through gitferry.
	ReadOnly bool
	// TagFilter is a regular expression: only tags whose names match are shown
	// with issues. Empty: the newest ones are.
	TagFilter string
	// WebLinks are the templates of addresses at the host of a single git
	// repository, as package weblink writes them. Empty: none.
	WebLinks string
	// IndexedAt is when the first index was complete; zero before that.
	IndexedAt time.Time
	// Degraded says which object of upstream's git refuses, as "MESSAGE-ID in
	// OID"; what was copied before is served meanwhile. Empty: none.
	Degraded string
	// FsckIgnore are the message ids of git's check, with a space between,
	// that do not refuse an object of upstream's.
	FsckIgnore string
	// CreatedAt is when the repository was made at the host; where that does
	// not say, when it was connected.
	CreatedAt time.Time
}

// Path returns "OWNER/NAME", the repository's name in URLs, grants and lists.
func (r Repository) Path() string { return r.Owner + "/" + r.Name }

// Allows reports whether issues of a Jira project may be shown with the
// repository and hear of it.
func (r Repository) Allows(project string) bool {
	return r.Projects == "" || strings.Contains(" "+r.Projects+" ", " "+project+" ")
}

// ParseProjects reads keys of Jira projects between blanks or commas and
// returns them as in Repository.Projects. It fails with ErrInvalid.
func ParseProjects(s string) (string, error) {
	var keys []string
	for _, k := range strings.FieldsFunc(strings.ToUpper(s), func(c rune) bool { return c == ' ' || c == ',' || c == '\n' || c == '\r' || c == '\t' }) {
		if _, err := ParseIssueKey(k + "-1"); err != nil {
			return "", &Message{Kind: ErrInvalid, Text: fmt.Sprintf("%.60q is not the key of a project", k)}
		}
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return strings.Join(slices.Compact(keys), " "), nil
}

// RepositoryState says what gitferry does with a repository.
type RepositoryState string

const (
	RepositoryEnabled  RepositoryState = "enabled"
	RepositoryDisabled RepositoryState = "disabled" // no indexing, no git access
	RepositoryMissing  RepositoryState = "missing"  // gone upstream: reads only
)

// ParseRepositoryName checks the name of a repository as CodeCommit does:
// 1-100 letters, digits, dots, underscores and dashes (CodeCommit quotas),
// not "." or "..", not ending in ".git" or ".lock", not beginning with a dot
// or dash. It fails with ErrInvalid.
func ParseRepositoryName(s string) (string, error) {
	ok := len(s) >= 1 && len(s) <= 100 && s[0] != '.' && s[0] != '-' &&
		!strings.HasSuffix(s, ".git") && !strings.HasSuffix(s, ".lock")
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			ok = false
		}
	}
	if !ok {
		return "", fmt.Errorf("repository name %.110q: want 1 to 100 letters, digits, '.', '_' or '-': %w", s, ErrInvalid)
	}
	return s, nil
}

// An Integration is one upstream account in one region, or one git URL.
type Integration struct {
	ID   IntegrationID
	Slug string // owner part of its repositories' paths
	Name string // display name
	Kind IntegrationKind
	// Region and Account are AWS's; Account is the 12-digit number, filled by
	// the first successful look.
	Region, Account string
	// GitAuth says how git sessions sign in.
	GitAuth GitAuth
	// Names that go with the secrets; the secrets themselves are sealed in
	// the books and are asked for separately.
	AccessKeyID, GitUsername, SSHKeyID string
	// End points, empty for AWS's own: API, SNS and STS are base URLs, Git is
	// the base under which /v1/repos/NAME lies, for example
	// "https://git-codecommit.us-east-1.amazonaws.com" or "ssh://127.0.0.1:7024".
	APIEndpoint, SNSEndpoint, STSEndpoint, GitEndpoint string
	// HostKey is the pinned SSH host key as in known_hosts without the host:
	// "ssh-ed25519 AAAA…". Empty: CodeCommit's published fingerprints decide.
	HostKey string
	// PrivateNetwork allows loopback and private addresses upstream.
	PrivateNetwork bool
	// CredentialSource says where the access key comes from: "" is the stored
	// one, "environment" AWS's default chain (variables, container, instance
	// role), "profile" the profile of that name in AWS's shared files. The key
	// then assumes RoleARN, if that is set, showing ExternalID.
	CredentialSource, Profile, RoleARN, ExternalID string
	// TopicARN is an SNS topic that an administrator made for the triggers.
	// Empty: gitferry makes its own.
	TopicARN string
	// TopicSHA1 takes messages with the old signature (version 1, SHA-1),
	// which topics have unless they are told otherwise.
	TopicSHA1 bool
	// Projects are those of repositories that are connected later, as in
	// Repository.Projects.
	Projects string
	// ConnectAll connects repositories that appear later by themselves.
	ConnectAll bool
	// PersonalRequired: branches and pull requests are made with people's own
	// AWS credentials only, never with the integration's.
	PersonalRequired bool
	// PassThrough: git over HTTPS takes people's own CodeCommit credentials,
	// and IAM decides what they may do.
	PassThrough bool
	Disabled    bool
	// Problem is the last failure of the integration as a whole, in words.
	Problem string
}

// IntegrationKind tells accounts from single repositories.
type IntegrationKind string

const (
	KindCodeCommit IntegrationKind = "codecommit"
	KindGit        IntegrationKind = "git"
)

// GitAuth is the way git sessions sign in upstream.
type GitAuth string

const (
	GitAuthNone  GitAuth = "none"
	GitAuthBasic GitAuth = "basic" // user name and password (IAM git credentials)
	GitAuthSigV4 GitAuth = "sigv4" // password made from an access key, renewed by itself
	GitAuthSSH   GitAuth = "ssh"
)

// Credentials are the secrets of one integration, opened. They never print.
type Credentials struct {
	SecretAccessKey Secret
	SessionToken    Secret
	GitPassword     Secret
	SSHPrivateKey   Secret // PEM or OpenSSH form
	SSHPassphrase   Secret
}

// A Secret is text that must not reach logs, errors, pages or JSON: whatever
// prints or encodes it shows "[redacted]". Use Reveal where it is needed.
type Secret struct{ text string }

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the text.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.text == "" }

func (s Secret) String() string { return "[redacted]" }

// GoString keeps %#v from showing the text.
func (s Secret) GoString() string { return "[redacted]" }

// MarshalText keeps JSON and slog from showing the text.
func (s Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// UnmarshalText takes text from a request; what comes out again is redacted.
func (s *Secret) UnmarshalText(b []byte) error {
	s.text = string(b)
	return nil
}
