package ferry

import "errors"

// The kinds of errors that callers tell apart with errors.Is. What has no
// kind is an internal error outside and complete in the log.
var (
	ErrNotFound    = errors.New("not found")
	ErrInvalid     = errors.New("invalid")
	ErrDenied      = errors.New("denied")
	ErrConflict    = errors.New("conflict")
	ErrUnavailable = errors.New("unavailable")
)

// A Message is an error whose text may be shown to a person as it is: on a
// developer's terminal, on a page, in an API answer. It holds no secret and
// no internal detail, and says what happened, to what, and what to do next.
type Message struct {
	Kind  error  // one of the kinds above
	Text  string // may hold several lines
	Cause error  // for the log; may be nil
}

func (m *Message) Error() string { return m.Text }

// Unwrap makes errors.Is see both the kind and the cause.
func (m *Message) Unwrap() []error {
	if m.Cause == nil {
		return []error{m.Kind}
	}
	return []error{m.Kind, m.Cause}
}
