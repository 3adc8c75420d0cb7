package jira

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"gitferry/internal/ferry"
)

// Class says what a failed call means for the one who made it.
type Class int

const (
	// Permanent: refused; the same call will be refused again.
	Permanent Class = iota + 1
	// NotFound: the issue, or what else was named, does not exist or is not
	// visible. Keys can be created right after a push, so one later try is
	// worth it.
	NotFound
	// Forbidden: 403; this item is refused, or all are if nothing succeeds.
	Forbidden
	// TooLarge: 413; a smaller batch may pass.
	TooLarge
	// Conflict: 409; read again, then once more.
	Conflict
	// Credentials: the sign-in is not accepted, or a login page came instead
	// of an answer. Nothing will succeed until a person acts.
	Credentials
	// Moved: the site answered with a redirect, which is never followed.
	Moved
	// Temporary: the call had no effect and may be repeated.
	Temporary
	// Unknown: the call may have taken effect; look before repeating.
	Unknown
	// RateLimited: no effect; not before Until, within Scope.
	RateLimited
)

var classNames = [...]string{"", "permanent", "not found", "forbidden", "too large", "conflict", "credentials", "moved", "temporary", "unknown", "rate limited"}

func (c Class) String() string { return classNames[c] }

// Scope is how far a rate limit reaches.
type Scope string

const (
	ScopeSite     Scope = "site"     // all calls to the site
	ScopeIssue    Scope = "issue"    // writes to this issue
	ScopeEndpoint Scope = "endpoint" // this kind of call
)

// An Error is a call that did not succeed.
type Error struct {
	Class     Class
	Operation string // such as "adding a comment to DEMO-1"
	Status    int    // HTTP status, 0 if no answer came
	// Text is what Jira said, at most 2 KiB without control characters. It
	// is in the caller's language: show it, never match on it.
	Text string
	// Fields are the messages that Jira tied to fields.
	Fields map[string]string
	// Until is when a rate limit ends by the server's word; zero: not said.
	Until time.Time
	Scope Scope // of a rate limit
	// Host is where a moved site pointed to.
	Host string
	// Effect says that the call may have changed something: always so for
	// Unknown, and for Credentials if a page came instead of an answer.
	Effect bool
	// Shape says that the status was good and the body was not.
	Shape bool

	cause error
}

// Error says what was called and how it ended.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Operation)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": Jira answered %d", e.Status)
	}
	if e.Class == Moved && e.Host != "" {
		fmt.Fprintf(&b, ": site moved to %s", e.Host)
	}
	if e.Text != "" {
		b.WriteString(": " + e.Text)
	} else if e.cause != nil {
		b.WriteString(": " + e.cause.Error())
	}
	return b.String()
}

// Unwrap gives the ferry kind of the class, and the cause if there is one.
func (e *Error) Unwrap() []error {
	kind := ferry.ErrUnavailable
	switch e.Class {
	case Permanent, TooLarge:
		kind = ferry.ErrInvalid
	case NotFound:
		kind = ferry.ErrNotFound
	case Forbidden, Credentials:
		kind = ferry.ErrDenied
	case Conflict:
		kind = ferry.ErrConflict
	}
	if e.cause == nil {
		return []error{kind}
	}
	return []error{kind, e.cause}
}

// maxText bounds what is kept of a refusal; reliability.md 6.1.
const maxText = 2 << 10

// excerpt makes text from outside fit for a log line and a page.
func excerpt(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	s = strings.TrimSpace(s)
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText-3], "") + "…"
	}
	return s
}

// classOf returns the class of a call's error, 0 for nil.
func classOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return 0
}
