package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"gitferry/internal/ferry"
)

// signIn says who sent a request: the owner of its token, which comes as
// Bearer or as the password of Basic.
func (s *Server) signIn(r *http.Request) (ferry.Subject, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch strings.ToLower(scheme) {
	case "bearer", "token":
	case "basic":
		_, token, _ = r.BasicAuth()
	default:
		return ferry.Subject{}, echo.NewHTTPError(http.StatusUnauthorized, "send a token in the Authorization header")
	}
	if r.TLS == nil && !s.TrustClearText(r.RemoteAddr) {
		return ferry.Subject{}, echo.NewHTTPError(http.StatusForbidden, "credentials are not accepted over clear text; use https")
	}
	subject, err := s.Store.SubjectByToken(r.Context(), strings.TrimSpace(token), r.RemoteAddr)
	if errors.Is(err, ferry.ErrDenied) || errors.Is(err, ferry.ErrNotFound) {
		return ferry.Subject{}, echo.NewHTTPError(http.StatusUnauthorized, "the token is not valid")
	}
	return subject, err
}
