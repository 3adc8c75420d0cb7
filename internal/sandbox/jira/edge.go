package jira

import (
	"net/http"
	"strconv"
	"strings"
)

// edge completes the answers that fault rules give to what Jira's edge sends:
// a 429 says why, a redirect leads somewhere.
func (s *Server) edge(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		reason, to := s.site.settings.RateLimitReason, s.site.settings.RedirectTo
		s.mu.Unlock()
		if reason == "" {
			reason = "jira-burst-based"
		}
		if to == "" {
			to = "https://www.atlassian.com/software/site-suspended"
		}
		next.ServeHTTP(&edgeWriter{ResponseWriter: w, reason: reason, to: to}, r)
	})
}

type edgeWriter struct {
	http.ResponseWriter
	reason, to string
}

func (w *edgeWriter) WriteHeader(status int) {
	h := w.Header()
	if status == http.StatusTooManyRequests && h.Get("RateLimit-Reason") == "" {
		h.Set("RateLimit-Reason", w.reason)
		h.Set("X-RateLimit-Remaining", "0")
	}
	if status >= 300 && status < 400 && status != http.StatusNotModified && h.Get("Location") == "" {
		h.Set("Location", w.to)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *edgeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// splitKey takes an issue key apart.
func splitKey(key string) (project string, number int64, good bool) {
	project, digits, found := strings.Cut(key, "-")
	number, err := strconv.ParseInt(digits, 10, 64)
	return project, number, found && err == nil && number > 0 && projectKey.MatchString(project) && digits == strconv.FormatInt(number, 10)
}
