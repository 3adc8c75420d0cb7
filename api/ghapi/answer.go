package ghapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/ghshape"
)

type object = ghshape.Object

// maxAnswer bounds one JSON answer, in bytes (security.md, API-7).
const maxAnswer = 10 << 20

// status is an answer with another status than 200.
type status struct {
	code int
	body any // nil: none
}

// text is an answer that is not JSON.
type text struct {
	kind string // Content-Type
	body []byte
	etag string // with quotes; empty: made from the body
	// format is what the media type header says of it.
	format string
}

// sent is the answer of a handler that wrote its own.
type sent struct{}

// formats are the media types that make a difference, in order of precedence.
var formats = []string{"diff", "patch", "sha", "raw", "html", "object", "text-match"}

// format reads what GitHub's media types ask for:
// application/vnd.github[.v3].FORMAT[+json].
func format(accept []string) string {
	for kind := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, _, _ = strings.Cut(strings.TrimSpace(kind), ";")
		rest, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(kind)), "application/vnd.github.")
		if !ok {
			continue
		}
		rest, _, _ = strings.Cut(strings.TrimPrefix(rest, "v3."), "+")
		if slices.Contains(formats, rest) {
			return rest
		}
	}
	return ""
}

// answer writes what a handler returned, with an ETag where it can be asked
// for again.
func (c *call) answer(v any) error {
	code := http.StatusOK
	if st, ok := v.(status); ok {
		if code, v = st.code, st.body; v == nil {
			return c.echo.NoContent(code)
		}
	}
	t, ok := v.(text)
	if _, own := v.(sent); own {
		return nil
	}
	if !ok {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			return err
		}
		t = text{kind: "application/json; charset=utf-8", body: b.Bytes()}
		if b.Len() > maxAnswer {
			return writeProblem(c, http.StatusUnprocessableEntity, "The answer is too large; ask for smaller pages.", nil)
		}
	}
	if t.format != "" {
		c.header().Set("X-GitHub-Media-Type", "github.v3; param="+t.format)
	}
	if m := c.echo.Request().Method; code == http.StatusOK && (m == http.MethodGet || m == http.MethodHead) && c.route.face != ofOAuth {
		if t.etag == "" {
			sum := sha256.Sum256(t.body)
			t.etag = fmt.Sprintf("%q", fmt.Sprintf("%x", sum[:16]))
		}
		c.header().Set("ETag", t.etag)
		if matches(c.echo.Request().Header.Values("If-None-Match"), t.etag) {
			return c.echo.NoContent(http.StatusNotModified)
		}
	}
	return c.echo.Blob(code, t.kind, t.body)
}

// matches compares ETags weakly (RFC 9110, 13.1.2).
func matches(headers []string, etag string) bool {
	for tag := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || tag == etag {
			return true
		}
	}
	return false
}

// A failure is an answer with a status and words of its own.
type failure struct {
	code    int
	message string
	faults  []object // what was wrong with single fields
}

func (f *failure) Error() string { return f.message }

func problem(code int, message string) error { return &failure{code: code, message: message} }

// invalid refuses one field of a request, in GitHub's form.
func invalid(resource, field, why string) error {
	return &failure{code: http.StatusUnprocessableEntity, message: "Validation Failed",
		faults: []object{{"resource": resource, "field": field, "code": "custom", "message": why}}}
}

var (
	errAnonymous   = problem(http.StatusUnauthorized, "Requires authentication")
	errCredentials = problem(http.StatusUnauthorized, "Bad credentials")
	errEmpty       = problem(http.StatusConflict, "Git Repository is empty.")
	errNotCopied   = problem(http.StatusServiceUnavailable, "The repository is not copied yet; try again later.")
)

// kinds turns error kinds into statuses.
var kinds = []struct {
	kind   error
	status int
	words  string
}{
	{ferry.ErrNotFound, http.StatusNotFound, "Not Found"},
	{ferry.ErrDenied, http.StatusForbidden, "The token may not do this: it needs another scope, or its owner more rights."},
	{ferry.ErrInvalid, http.StatusUnprocessableEntity, "Validation Failed"},
	{ferry.ErrConflict, http.StatusConflict, "Conflict"},
	{ferry.ErrUnavailable, http.StatusServiceUnavailable, "Not available now; try again later."},
}

// fail answers a call that ended with an error.
func (s *Server) fail(c *call, err error) error {
	if c.echo.Response().Committed {
		return nil
	}
	code, words := http.StatusInternalServerError, "Internal error"
	var faults []object
	var f *failure
	var m *ferry.Message
	var tooLarge *http.MaxBytesError
	if errors.As(err, &f) {
		code, words, faults = f.code, f.message, f.faults
	} else if errors.As(err, &tooLarge) {
		code, words = http.StatusRequestEntityTooLarge, "The body is larger than 1 MiB."
	} else {
		for _, k := range kinds {
			if errors.Is(err, k.kind) {
				code, words = k.status, k.words
				if errors.As(err, &m) && code != http.StatusNotFound {
					words = m.Text
				}
				break
			}
		}
	}
	if code == http.StatusInternalServerError {
		s.Log.Error("request failed", "path", c.echo.Path(), "request_id", c.request, "err", err)
	}
	if code == http.StatusForbidden {
		c.header().Set("X-Accepted-OAuth-Scopes", accepted(c.route))
	}
	return writeProblem(c, code, words, faults)
}

// accepted names the scopes of ours with which a route can be used.
func accepted(r *route) string {
	switch {
	case r.hook:
		return "api:admin, jira:dvcs"
	case r.action == ferry.ActionPush:
		return "repo:write"
	case r.action == ferry.ActionAdmin, r.action == ferry.ActionMaintain:
		return "api:admin"
	}
	return "api:read"
}

func writeProblem(c *call, code int, words string, faults []object) error {
	c.header().Del("ETag")
	c.header().Del("Link")
	body := object{"message": words, "documentation_url": c.docs, "status": fmt.Sprint(code)}
	if faults != nil {
		body["errors"] = faults
	}
	if code == http.StatusUnauthorized {
		c.header().Set("WWW-Authenticate", `Basic realm="gitferry"`)
	}
	switch c.route.face {
	case ofOAuth: // a person reads it
		return c.echo.String(code, words+"\n")
	case ofPlugin:
		return c.echo.JSON(code, struct {
			Success bool   `json:"success"`
			Message string `json:"message"`
		}{false, words})
	}
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.echo.Blob(code, "application/json; charset=utf-8", b)
}

// decode reads a JSON body, and nothing but the body, into v. Members that v
// does not have are passed over: clients of GitHub send more than we know.
func (c *call) decode(v any) error {
	b, err := io.ReadAll(http.MaxBytesReader(c.echo.Response(), c.echo.Request().Body, 1<<20))
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return nil // as if it were {}
	}
	if err := json.Unmarshal(b, v); err != nil {
		return problem(http.StatusBadRequest, "Problems parsing JSON")
	}
	return nil
}
