package jira

import (
	"encoding/json"
	"net/http"
)

// maxCreate is the most issues made by one POST /_sandbox/issues.
const maxCreate = 10_000

// control answers the paths under /_sandbox/: those of package faults and
//
//	GET  /_sandbox/state[?issue=KEY]       the whole state, or one issue
//	POST /_sandbox/issues                  {"project","summary"?,"count"?} or {"key","summary"?} -> 201 {"issues":[{"id","key"}]}
//	POST /_sandbox/issues/{KEY}/move       {"project"} -> 200 {"key"}; the former key goes on to find the issue
//	GET  /_sandbox/settings                Settings
//	PUT  /_sandbox/settings                Settings; members left out get their zero value
//	POST /_sandbox/tokens/expire           ends all access tokens of development tools
func (s *Server) control() http.Handler {
	mux := http.NewServeMux()
	plain := func(h handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, face{}, h) }
	}
	mux.Handle("/_sandbox/", s.book.Handler())
	mux.HandleFunc("GET /_sandbox/state", plain(func(c *call) (reply, error) {
		key := c.query("issue")
		if key == "" {
			return ok(c.st.state(nil)), nil
		}
		is := c.st.issue(key)
		if is == nil {
			return reply{}, refuse(http.StatusNotFound, "no issue %s", key)
		}
		return ok(c.st.state(is)), nil
	}))
	mux.HandleFunc("POST /_sandbox/issues", plain(makeIssues))
	mux.HandleFunc("POST /_sandbox/issues/{issue}/move", plain(moveIssue))
	mux.HandleFunc("GET /_sandbox/settings", plain(func(c *call) (reply, error) { return ok(c.st.settings), nil }))
	mux.HandleFunc("PUT /_sandbox/settings", plain(func(c *call) (reply, error) {
		var in Settings
		if err := json.Unmarshal(c.body, &in); err != nil {
			return reply{}, refuse(http.StatusBadRequest, "reading the settings: %v", err)
		}
		c.st.settings = in
		return noContent(), nil
	}))
	mux.HandleFunc("POST /_sandbox/tokens/expire", plain(func(c *call) (reply, error) {
		clear(c.s.auth.tool)
		return noContent(), nil
	}))
	return mux
}

func makeIssues(c *call) (reply, error) {
	var in struct {
		Project string `json:"project"`
		Key     string `json:"key"`
		Summary string `json:"summary"`
		Count   int    `json:"count"`
	}
	if err := json.Unmarshal(c.body, &in); err != nil {
		return reply{}, refuse(http.StatusBadRequest, "reading the request: %v", err)
	}
	in.Count = max(in.Count, 1)
	var number int64
	if in.Key != "" {
		var good bool
		if in.Project, number, good = splitKey(in.Key); !good || c.st.byKey[in.Key] != nil {
			return reply{}, refuse(http.StatusBadRequest, "key %q is malformed or taken", in.Key)
		}
	}
	if !projectKey.MatchString(in.Project) || in.Count > maxCreate {
		return reply{}, refuse(http.StatusBadRequest, "want a project key of 2 to 10 upper-case letters and digits, and at most %d issues", maxCreate)
	}
	p := c.st.project(in.Project)
	if p == nil {
		p = c.st.addProject(Project{Key: in.Project})
	}
	list := []any{}
	for n := range in.Count {
		summary := in.Summary
		if summary == "" {
			summary = sampleSummary(n)
		}
		last := p.last
		if number > 0 {
			p.last = number - 1
		}
		is := c.st.addIssue(p, summary, c.st.users[0])
		p.last = max(p.last, last)
		list = append(list, object{"id": is.id, "key": is.key})
	}
	return created(object{"issues": list}), nil
}

func moveIssue(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	var in struct {
		Project string `json:"project"`
	}
	if err := json.Unmarshal(c.body, &in); err != nil {
		return reply{}, refuse(http.StatusBadRequest, "reading the request: %v", err)
	}
	p := c.st.project(in.Project)
	if p == nil {
		return reply{}, refuse(http.StatusBadRequest, "no project %q", in.Project)
	}
	c.st.move(is, p)
	return ok(object{"key": is.key}), nil
}
