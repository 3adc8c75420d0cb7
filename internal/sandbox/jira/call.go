package jira

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/sandbox/faults"
)

// maxBody bounds the body of a request, bytes. Atlassian does not publish its
// limit; what is longer is answered with 413.
const maxBody = 8 << 20

// A face is one of the forms in which the site answers.
type face struct {
	dc     bool   // Data Center; else Cloud
	adf    bool   // rich text is an ADF document (version 3); else wiki markup
	scoped bool   // below /ex/jira/{cloudId}
	site   string // path of the site: "" or "/dc" or "/ex/jira/{cloudId}"
	rest   string // path of the REST API: site and "/rest/api/N"
}

// A call is one request while it is answered, under Server.mu.
type call struct {
	s    *Server
	st   *site
	r    *http.Request
	face face
	user *user // nil: anonymous
	body []byte
	base string // scheme and host of links
}

// A reply is a good answer; without body nothing is sent after the header.
type reply struct {
	status int
	body   any
}

func ok(body any) reply      { return reply{http.StatusOK, body} }
func created(body any) reply { return reply{http.StatusCreated, body} }
func noContent() reply       { return reply{status: http.StatusNoContent} }

// A handler answers one operation; its error is a *refusal.
type handler func(*call) (reply, error)

// A refusal is an answer that says no.
type refusal struct {
	status int
	body   any    // JSON; nil: text
	text   string // plain text
	header http.Header
}

func (f *refusal) Error() string { return fmt.Sprintf("status %d: %v%s", f.status, f.body, f.text) }

// errorCollection is Jira's error body.
type errorCollection struct {
	Messages []string          `json:"errorMessages"`
	Errors   map[string]string `json:"errors"`
}

// refuse returns an answer with one general message.
func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, body: errorCollection{[]string{fmt.Sprintf(format, args...)}, map[string]string{}}}
}

// refuseField returns a 400 that names a field.
func refuseField(field, format string, args ...any) error {
	return refuseFields(map[string]string{field: fmt.Sprintf(format, args...)})
}

func refuseFields(fields map[string]string) error {
	return &refusal{status: http.StatusBadRequest, body: errorCollection{[]string{}, fields}}
}

// effect writes what the call changed into the ledger.
func (c *call) effect(format string, args ...any) { faults.Effect(c.r.Context(), format, args...) }

// self returns the absolute address of a path of the call's REST API.
func (c *call) self(format string, args ...any) string {
	return c.base + c.face.rest + fmt.Sprintf(format, args...)
}

// decode reads the JSON body into v.
func (c *call) decode(v any) error {
	if media, _, _ := strings.Cut(c.r.Header.Get("Content-Type"), ";"); strings.TrimSpace(media) != "application/json" {
		return &refusal{status: http.StatusUnsupportedMediaType, text: "Unsupported Media Type"}
	}
	if err := json.Unmarshal(c.body, v); err != nil {
		return refuse(http.StatusBadRequest, "INVALID_INPUT: %v", err)
	}
	return nil
}

// issue returns the issue of the path.
func (c *call) issue() (*issue, error) {
	if is := c.st.issue(c.r.PathValue("issue")); is != nil {
		c.mayChange(is)
		return is, nil
	}
	return nil, refuse(http.StatusNotFound, "Issue does not exist or you do not have permission to see it.")
}

// mayChange notes what the path names as changed, unless the request only
// reads.
func (c *call) mayChange(v any) {
	if c.r.Method != http.MethodGet {
		c.st.touch(v)
	}
}

// query returns a parameter of the address.
func (c *call) query(name string) string { return c.r.URL.Query().Get(name) }

// expands reports whether the expand parameter names what.
func (c *call) expands(what string) bool { return contains(c.query("expand"), what) }

// contains reports whether a comma separated list holds word.
func contains(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(w) == word {
			return true
		}
	}
	return false
}

// page reads startAt and maxResults; the latter is usual if left out and never
// more than most.
func (c *call) page(usual, most int) (start, size int, err error) {
	if start, err = c.number("startAt", 0); err != nil {
		return 0, 0, err
	}
	if size, err = c.number("maxResults", usual); err != nil {
		return 0, 0, err
	}
	return start, min(size, most), nil
}

func (c *call) number(name string, usual int) (int, error) {
	v := c.query(name)
	if v == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, refuse(http.StatusBadRequest, "%s: %q is not a number of 0 or more", name, v)
	}
	return n, nil
}

// cutPage returns the elements of one page.
func cutPage[T any](list []T, start, size int) []T {
	start = min(start, len(list))
	return list[start:min(start+size, len(list))]
}

// jiraTime is how Jira writes times: milliseconds and an offset without colon.
const jiraTime = "2006-01-02T15:04:05.000-0700"

func stamp(t time.Time) string { return t.UTC().Format(jiraTime) }

func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func parseForm(body []byte) (url.Values, error) { return url.ParseQuery(string(body)) }

// serve answers a request by h under the lock and writes the answer after it.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, f face, h handler) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		status := http.StatusBadRequest
		if errors.As(err, new(*http.MaxBytesError)) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "reading the body: "+err.Error(), status)
		return
	}
	c := &call{s: s, r: r, face: f, body: body, base: s.base}
	if c.base == "" {
		c.base = "http://" + r.Host
	}
	status, kind, answer := c.answer(w.Header(), h)
	if answer != nil {
		w.Header().Set("Content-Type", kind)
	}
	w.WriteHeader(status)
	w.Write(answer)
}

// answer runs h under the lock and encodes what it returned before the lock is
// given up. answer is nil where there is no body.
func (c *call) answer(header http.Header, h handler) (status int, kind string, answer []byte) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.st = c.s.site
	rep, err := h(c)
	if broken := c.s.save(); broken != nil {
		err = broken
	}
	if no := (*refusal)(nil); errors.As(err, &no) {
		for k, v := range no.header {
			header[k] = v
		}
		if no.body == nil {
			return no.status, "text/plain; charset=utf-8", []byte(no.text + "\n")
		}
		rep = reply{no.status, no.body}
	} else if err != nil {
		c.s.log.Error("answering", "path", c.r.URL.Path, "err", err)
		return http.StatusInternalServerError, "text/plain; charset=utf-8", []byte("internal error\n")
	}
	if c.face.dc {
		name := "anonymous"
		if c.user != nil {
			name = c.user.Name
		}
		header.Set("X-AUSERNAME", name)
	}
	if rep.body == nil {
		return rep.status, "", nil
	}
	var b bytes.Buffer
	if err := encode(&b, rep.body); err != nil {
		c.s.log.Error("encoding an answer", "path", c.r.URL.Path, "err", err)
		return http.StatusInternalServerError, "text/plain; charset=utf-8", []byte("internal error\n")
	}
	return rep.status, "application/json;charset=UTF-8", b.Bytes()
}
