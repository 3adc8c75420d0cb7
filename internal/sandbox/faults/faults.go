// Package faults lets the stand-ins of the sandbox be watched and be told to
// fail.
//
// A Book belongs to one stand-in. Its ledger has one entry for each request
// that the stand-in saw, with the answer's status and, in words, what the
// request changed ("effect"), so that a test counts effects and not calls. Its
// rules name requests and what shall go wrong with them: an answer with
// another status or body, a delay, a cut of the connection before or after
// the request took effect, a body that ends too early.
//
// The stand-ins put Wrap around their ordinary faces and mount Handler under
// /_sandbox/; what comes in over the control paths is never entered in the
// ledger and never fails by rule. Sessions that are not HTTP use Begin and
// Take themselves.
package faults

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// maxEntries bounds the ledger; the oldest entries go first.
const maxEntries = 200_000

// An Entry is one request as the ledger keeps it, one JSON object a line.
type Entry struct {
	Seq       int64     `json:"seq"`  // 1, 2, 3 … in order of arrival; never reused
	Time      time.Time `json:"time"` // of arrival
	Method    string    `json:"method"`
	Operation string    `json:"operation,omitempty"` // name of the call, "" where the path says it all
	Path      string    `json:"path"`                // without query
	Status    int       `json:"status"`              // of the answer; 0 while none was sent, and after a cut
	Effect    string    `json:"effect,omitempty"`    // what changed, several separated by "; "
	Fault     string    `json:"fault,omitempty"`     // the rule that was applied, in words
}

// A Rule names requests and what goes wrong with them. Empty members of the
// match fit everything; of several rules the first that fits and is not used
// up is applied.
type Rule struct {
	// Operation, Method and Path match by path.Match patterns, except that a
	// trailing "**" stands for any rest, slashes included.
	Operation string `json:"operation,omitempty"`
	Method    string `json:"method,omitempty"`
	Path      string `json:"path,omitempty"`
	Skip      int    `json:"skip,omitempty"`  // let this many matching requests pass first
	Times     int    `json:"times,omitempty"` // apply this often; 0: without end

	DelayMS    int     `json:"delay_ms,omitempty"`    // wait before anything else, milliseconds, at most 10 minutes
	Drop       string  `json:"drop,omitempty"`        // "before" or "after" the effect: cut the connection
	Status     int     `json:"status,omitempty"`      // answer with this status; the request has no effect
	RetryAfter string  `json:"retry_after,omitempty"` // Retry-After header of that answer
	Body       *string `json:"body,omitempty"`        // body of that answer; with no Status it is 200
	Type       string  `json:"content_type,omitempty"`
	After      bool    `json:"after,omitempty"`    // the answer of Status and Body comes although the request took effect
	Truncate   *int    `json:"truncate,omitempty"` // send only so many bytes of the real answer's body, then cut

	// Hits counts the requests that matched, Applied those that were made to
	// fail. Both are answers of GET faults; PUT ignores them.
	Hits    int `json:"hits"`
	Applied int `json:"applied"`
}

// A Book holds the ledger and the rules of one stand-in. It may be used
// concurrently.
type Book struct {
	now func() time.Time

	mu      sync.Mutex
	seq     int64    // guarded by mu
	entries []*Entry // guarded by mu, the entries themselves too
	rules   []Rule   // guarded by mu
}

// NewBook returns an empty book that takes its times from now; nil stands for
// time.Now.
func NewBook(now func() time.Time) *Book {
	if now == nil {
		now = time.Now
	}
	return &Book{now: now}
}

// A Call is the ledger entry of a request that is being answered. It may be
// used concurrently.
type Call struct {
	book  *Book
	entry *Entry // guarded by book.mu
}

// Begin enters a request into the ledger and returns the handle that completes
// the entry.
func (b *Book) Begin(method, operation, path string) *Call {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq++
	e := &Entry{Seq: b.seq, Time: b.now().UTC(), Method: method, Operation: operation, Path: path}
	if len(b.entries) >= maxEntries {
		b.entries = append(b.entries[:0], b.entries[maxEntries/10:]...)
	}
	b.entries = append(b.entries, e)
	return &Call{book: b, entry: e}
}

// Effect adds to the entry what the request changed. Handlers call it when the
// change is made and before they answer, so that who has the answer finds the
// effect in the ledger.
func (c *Call) Effect(format string, args ...any) {
	c.book.mu.Lock()
	defer c.book.mu.Unlock()
	if c.entry.Effect != "" {
		c.entry.Effect += "; "
	}
	c.entry.Effect += fmt.Sprintf(format, args...)
}

// Status sets the status of the answer.
func (c *Call) Status(code int) {
	c.book.mu.Lock()
	defer c.book.mu.Unlock()
	c.entry.Status = code
}

// Operation sets the name of the call where only its handler can tell it.
func (c *Call) Operation(name string) {
	c.book.mu.Lock()
	defer c.book.mu.Unlock()
	c.entry.Operation = name
}

// Fault notes the rule that was applied.
func (c *Call) Fault(r Rule) {
	c.book.mu.Lock()
	defer c.book.mu.Unlock()
	c.entry.Fault = r.String()
}

type callKey struct{}

// Effect records text as the effect of the request that ctx belongs to: the
// context of a request inside Wrap. Outside of one it does nothing.
func Effect(ctx context.Context, format string, args ...any) {
	if c, ok := ctx.Value(callKey{}).(*Call); ok {
		c.Effect(format, args...)
	}
}

// WithCall returns a context in which Effect writes to c.
func WithCall(ctx context.Context, c *Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// Entries returns a copy of the entries with a higher number than since, in
// order of arrival.
func (b *Book) Entries(since int64) []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := []Entry{}
	for _, e := range b.entries {
		if e.Seq > since {
			list = append(list, *e)
		}
	}
	return list
}

// Clear empties the ledger; the numbers go on.
func (b *Book) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = nil
}

// SetRules replaces all rules. It fails if one cannot be applied, and then
// changes nothing.
func (b *Book) SetRules(rules []Rule) error {
	kept := make([]Rule, len(rules))
	for i, r := range rules {
		if err := r.check(); err != nil {
			return fmt.Errorf("rule %d: %w", i, err)
		}
		r.Hits, r.Applied = 0, 0
		kept[i] = r
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules = kept
	return nil
}

// Rules returns a copy of the rules with their counts.
func (b *Book) Rules() []Rule {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Rule{}, b.rules...)
}

// Take looks for the rule that applies to a request and uses it up by one.
func (b *Book) Take(method, operation, path string) (Rule, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.rules {
		r := &b.rules[i]
		if !fits(r.Method, method) || !fits(r.Operation, operation) || !fits(r.Path, path) {
			continue
		}
		r.Hits++
		if r.Hits <= r.Skip || r.Times > 0 && r.Applied >= r.Times {
			continue
		}
		r.Applied++
		return *r, true
	}
	return Rule{}, false
}

func fits(pattern, s string) bool {
	if pattern == "" || pattern == s {
		return true
	}
	if head, ok := strings.CutSuffix(pattern, "**"); ok {
		return strings.HasPrefix(s, head)
	}
	ok, err := path.Match(pattern, s)
	return err == nil && ok
}

func (r Rule) check() error {
	for _, p := range []string{r.Operation, r.Method, r.Path} {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("pattern %q: %w", p, err)
		}
	}
	switch {
	case r.Drop != "" && r.Drop != "before" && r.Drop != "after":
		return fmt.Errorf(`drop %q: want "before" or "after"`, r.Drop)
	case r.Status != 0 && (r.Status < 200 || r.Status > 599):
		return fmt.Errorf("status %d: want 200 to 599", r.Status)
	case r.DelayMS < 0 || r.DelayMS > int(10*time.Minute/time.Millisecond):
		return fmt.Errorf("delay_ms %d: want 0 to 600000", r.DelayMS)
	case r.Truncate != nil && *r.Truncate < 0:
		return fmt.Errorf("truncate %d: want 0 or more bytes", *r.Truncate)
	}
	return nil
}

// String says in a few words what the rule does, for the ledger.
func (r Rule) String() string {
	var words []string
	if r.DelayMS > 0 {
		words = append(words, fmt.Sprintf("delay %d ms", r.DelayMS))
	}
	switch {
	case r.Drop != "":
		words = append(words, "drop "+r.Drop)
	case r.answers():
		when := "before"
		if r.After {
			when = "after"
		}
		words = append(words, fmt.Sprintf("status %d %s", r.status(), when))
	case r.Truncate != nil:
		words = append(words, fmt.Sprintf("truncate %d", *r.Truncate))
	}
	return strings.Join(words, ", ")
}

// answers reports whether the rule replaces the answer.
func (r Rule) answers() bool { return r.Status != 0 || r.Body != nil }

func (r Rule) status() int {
	if r.Status == 0 {
		return http.StatusOK
	}
	return r.Status
}
