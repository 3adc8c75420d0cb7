package codecommit

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

const maxControlBody = 1 << 20

// control answers the paths under /_sandbox/, see package faults for the
// ledger and the fault rules:
//
//	GET  state                         everything the stand-in knows, as JSON
//	PUT  deny                          JSON list of actions taken away from all callers,
//	                                   "codecommit:CreateBranch", "sns:*", or for one ref
//	                                   "codecommit:GitPush@refs/heads/main"; [] gives all back
//	PUT  roles                         JSON list of the roles that exist, {"arn":…,"external_id":…}
//	POST capabilities                  {"mode":"codecommit"} or {"mode":"git"}, or the bare word
//	POST notify                        sends a trigger message, see notification
//	PUT  event-targets                 JSON list of topic ARNs that get EventBridge-shaped events
//	POST repositories/NAME/delete      ?region=REGION, default the plain region
//	POST repositories/NAME/rename      {"to":"NEW"}
func (s *Server) control() http.Handler {
	mux := http.NewServeMux()
	book := s.book.Handler()
	mux.Handle("/_sandbox/ledger", book)
	mux.Handle("/_sandbox/faults", book)
	mux.HandleFunc("GET /_sandbox/state", s.showState)
	mux.HandleFunc("PUT /_sandbox/deny", s.putDeny)
	mux.HandleFunc("PUT /_sandbox/roles", s.putRoles)
	mux.HandleFunc("POST /_sandbox/capabilities", s.postCapabilities)
	mux.HandleFunc("POST /_sandbox/notify", s.postNotify)
	mux.HandleFunc("PUT /_sandbox/event-targets", s.putEventTargets)
	mux.HandleFunc("POST /_sandbox/repositories/{name}/delete", func(w http.ResponseWriter, r *http.Request) {
		answerControl(w, s.DeleteRepository(s.controlRegion(r), r.PathValue("name")))
	})
	mux.HandleFunc("POST /_sandbox/repositories/{name}/rename", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ To string }
		if readControl(w, r, &body) {
			answerControl(w, s.RenameRepository(s.controlRegion(r), r.PathValue("name"), body.To))
		}
	})
	return mux
}

func (s *Server) controlRegion(r *http.Request) string {
	if region := r.URL.Query().Get("region"); region != "" {
		return region
	}
	return s.plainRegion(r.PathValue("name"))
}

func readControl(w http.ResponseWriter, r *http.Request, v any) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControlBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		http.Error(w, "reading the body: "+err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

func answerControl(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, errNoRepository):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *Server) putDeny(w http.ResponseWriter, r *http.Request) {
	var actions []string
	if !readControl(w, r, &actions) {
		return
	}
	var list []denial
	for _, a := range actions {
		action, ref, _ := strings.Cut(a, "@")
		list = append(list, denial{action: action, ref: ref})
	}
	s.mu.Lock()
	s.deny = list
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) postCapabilities(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBody))
	if err != nil {
		http.Error(w, "reading the body: "+err.Error(), http.StatusBadRequest)
		return
	}
	body := struct{ Mode string }{strings.TrimSpace(string(text))}
	if strings.HasPrefix(body.Mode, "{") {
		if err := json.Unmarshal(text, &body); err != nil {
			http.Error(w, "reading the body: "+err.Error(), http.StatusBadRequest)
			return
		}
	}
	if body.Mode != "codecommit" && body.Mode != "git" {
		http.Error(w, `mode: want "codecommit" or "git"`, http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.likeGit = body.Mode == "git"
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}
