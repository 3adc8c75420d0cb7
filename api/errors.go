package api

import (
	"crypto/rand"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"gitferry/internal/ferry"
)

// A problem is an error answer (RFC 9457, application/problem+json).
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Code      string `json:"code"` // of the status, for programs: "not_found"
	Detail    string `json:"detail,omitempty"`
	RequestID string `json:"request_id"`
}

// kinds turns error kinds into statuses.
var kinds = []struct {
	kind   error
	status int
}{
	{ferry.ErrNotFound, http.StatusNotFound},
	{ferry.ErrInvalid, http.StatusUnprocessableEntity},
	{ferry.ErrDenied, http.StatusForbidden},
	{ferry.ErrConflict, http.StatusConflict},
	{ferry.ErrUnavailable, http.StatusServiceUnavailable},
}

// fail answers a request whose handler returned an error.
func (s *Server) fail(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := problem{Type: "about:blank", Status: http.StatusInternalServerError}
	if p.RequestID, _ = c.Get(requestKey).(string); p.RequestID == "" {
		p.RequestID = rand.Text()
		c.Response().Header().Set("X-Request-Id", p.RequestID)
	}
	var m *ferry.Message
	var he *echo.HTTPError
	switch {
	case errors.As(err, &he):
		p.Status = he.Code
		p.Detail, _ = he.Message.(string)
	case errors.As(err, &m):
		p.Detail = m.Text
	}
	for _, k := range kinds {
		if p.Status == http.StatusInternalServerError && errors.Is(err, k.kind) {
			p.Status = k.status
		}
	}
	if p.Status == http.StatusInternalServerError {
		s.Log.Error("request failed", "path", c.Path(), "request_id", p.RequestID, "err", err)
	}
	if p.Status == http.StatusUnauthorized {
		c.Response().Header().Set("WWW-Authenticate", `Bearer realm="gitferry"`)
	}
	p.Title = http.StatusText(p.Status)
	p.Code = strings.ReplaceAll(strings.ToLower(p.Title), " ", "_")
	c.Response().Header().Set("Content-Type", "application/problem+json")
	if err := c.JSON(p.Status, p); err != nil {
		s.Log.Debug("answering", "err", err)
	}
}
