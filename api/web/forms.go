package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"gitferry/internal/ferry"
)

// errForged answers a form that another site may have sent.
var errForged = &ferry.Message{Kind: ferry.ErrDenied, Text: "This form did not come from a page of this server. Open the page again and send it from there."}

// checkForm refuses changes that another site makes a browser send. Where the
// browser says neither where the form came from nor how, a signed-in form
// needs its token as well.
func (s *Server) checkForm(r *request) error {
	req := r.Request()
	if err := s.origin.Check(req); err != nil {
		return errForged
	}
	if r.cookie != "" && req.Header.Get("Sec-Fetch-Site") == "" && req.Header.Get("Origin") == "" && !formTokenFits(r.cookie, r.FormValue("_token")) {
		return errForged
	}
	return nil
}

func formMAC(cookie string) []byte {
	m := hmac.New(sha256.New, []byte(cookie))
	m.Write([]byte("form"))
	return m.Sum(nil)
}

// newFormToken makes a token for forms of a session. Each is masked anew, so
// that compressed pages do not give it away.
func newFormToken(cookie string) string {
	if cookie == "" {
		return ""
	}
	b := make([]byte, 2*sha256.Size)
	rand.Read(b[:sha256.Size]) // never fails (crypto/rand)
	subtle.XORBytes(b[sha256.Size:], b[:sha256.Size], formMAC(cookie))
	return base64.RawURLEncoding.EncodeToString(b)
}

func formTokenFits(cookie, token string) bool {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != 2*sha256.Size {
		return false
	}
	mac := make([]byte, sha256.Size)
	subtle.XORBytes(mac, b[:sha256.Size], b[sha256.Size:])
	return hmac.Equal(mac, formMAC(cookie))
}

// A flash is what the next page says about a change.
type flash struct {
	Kind  string // "ok", "warn" or "bad"
	Text  string
	Lines []string // for the terminal
	Href  string   // a page at AWS, "" if there is none
}

// done ends a change: the page at target says text.
func (s *Server) done(r *request, target, text string) error {
	return s.doneWith(r, target, flash{Kind: "ok", Text: text})
}

func (s *Server) doneWith(r *request, target string, f flash) error {
	if r.session.ID != 0 && f.Text != "" {
		b, err := json.Marshal(f)
		if err != nil {
			return err
		}
		if err := s.Store.SetFlash(r.ctx(), r.session.ID, string(b)); err != nil {
			return err
		}
	}
	return r.Redirect(http.StatusSeeOther, target)
}

// takeFlash returns what the page shall say and forgets it.
func (s *Server) takeFlash(r *request) *flash {
	if r.session.Flash == "" || r.Request().Method != http.MethodGet {
		return nil
	}
	var f flash
	if err := json.Unmarshal([]byte(r.session.Flash), &f); err != nil {
		return nil
	}
	if err := s.Store.SetFlash(r.ctx(), r.session.ID, ""); err != nil {
		s.Log.Warn("forgetting a message", "err", err)
	}
	r.session.Flash = ""
	return &f
}

// safeNext returns where a log-in may lead: a path on this server, parsed and
// written anew, else "/" (security.md, UI-8).
func safeNext(next string) string {
	if len(next) > 2048 || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.Contains(next, `\`) {
		return "/"
	}
	// A control byte may be written as it is or escaped, here or in what
	// follows a second reading.
	for plain, i := next, 0; ; i++ {
		if hasControl(plain) || strings.HasPrefix(plain, "//") || strings.Contains(plain, `\`) {
			return "/"
		}
		again, err := url.PathUnescape(plain)
		if err != nil || again == plain || i == 3 {
			break
		}
		plain = again
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.HasPrefix(u.Path, "//") || strings.HasPrefix(u.Path, "/login") {
		return "/"
	}
	u.Fragment = ""
	if out := u.String(); strings.HasPrefix(out, "/") && !strings.HasPrefix(out, "//") {
		return out
	}
	return "/"
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < 0x20 || c == 0x7f })
}
