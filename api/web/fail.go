package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
)

// errorView is the page for a request that failed.
type errorView struct {
	page
	Heading string
	Text    string
	ID      string // for the administrator; empty: nothing to look up
	Signed  bool
}

// fail renders the error page. What has no kind is an internal error outside
// and complete in the log.
func (s *Server) fail(r *request, err error) error {
	if r.Response().Committed {
		return err
	}
	v := errorView{page: s.page(r, "", ""), Signed: r.signedIn()}
	status := http.StatusInternalServerError
	var m *ferry.Message
	var he *echo.HTTPError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		status, v.Heading, v.Text = http.StatusRequestEntityTooLarge, "Too large", "What was sent is larger than this page takes."
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, git.ErrLimit):
		status, v.Heading, v.Text = http.StatusServiceUnavailable, "Too large to show", "Making this page took more time or memory than it may and was stopped. Look at a smaller part, or clone the repository."
	case errors.As(err, &he):
		status, v.Heading = he.Code, http.StatusText(he.Code)
	case errors.Is(err, ferry.ErrNotFound):
		status, v.Heading, v.Text = http.StatusNotFound, "Nothing here", "There is nothing at this address that you may see. It may never have been here, be gone, or belong to somebody else."
	case errors.Is(err, ferry.ErrDenied):
		status, v.Heading, v.Text = http.StatusForbidden, "Not allowed", "Your account may not do this. Ask an administrator for the right."
	case errors.Is(err, ferry.ErrInvalid):
		status, v.Heading, v.Text = http.StatusUnprocessableEntity, "That does not work", "Something in the request is not valid."
	case errors.Is(err, ferry.ErrConflict):
		status, v.Heading, v.Text = http.StatusConflict, "It changed meanwhile", "Somebody else changed this. Load the page again and look before you repeat it."
	case errors.Is(err, ferry.ErrUnavailable):
		status, v.Heading, v.Text = http.StatusServiceUnavailable, "Not reachable now", "What this page needs does not answer. Nothing was changed. Try again in a moment."
	}
	if errors.As(err, &m) {
		v.Text = m.Text
	}
	if status == http.StatusInternalServerError {
		v.Heading = "Something failed on our side"
		v.Text = "Nothing was changed. Try again, or send this id to your administrator."
		v.ID = r.id
		s.Log.Error("page failed", "path", r.Path(), "request_id", r.id, "err", err)
	}
	v.Title = v.Heading
	return s.render(r, status, "error", &v)
}

// text returns what may be shown of an error beside the form that caused it,
// "" if it belongs on the error page.
func text(err error) string {
	var m *ferry.Message
	if errors.As(err, &m) {
		return m.Text
	}
	for _, k := range []error{ferry.ErrInvalid, ferry.ErrConflict, ferry.ErrNotFound, ferry.ErrDenied, ferry.ErrUnavailable} {
		if errors.Is(err, k) {
			return err.Error()
		}
	}
	return ""
}
