package faults

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxRulesBody bounds the body of PUT faults.
const maxRulesBody = 4 << 20

// Handler answers the control paths of the book:
//
//	GET    /_sandbox/ledger[?since=SEQ]  NDJSON, one Entry a line
//	DELETE /_sandbox/ledger              empties it
//	GET    /_sandbox/faults              JSON list of Rule with its counts
//	PUT    /_sandbox/faults              replaces the rules by a JSON list of Rule
//	DELETE /_sandbox/faults              removes all rules
func (b *Book) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_sandbox/ledger", b.getLedger)
	mux.HandleFunc("DELETE /_sandbox/ledger", func(w http.ResponseWriter, _ *http.Request) {
		b.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /_sandbox/faults", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(b.Rules())
	})
	mux.HandleFunc("PUT /_sandbox/faults", b.putFaults)
	mux.HandleFunc("DELETE /_sandbox/faults", func(w http.ResponseWriter, _ *http.Request) {
		b.SetRules(nil)
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func (b *Book) getLedger(w http.ResponseWriter, r *http.Request) {
	var since int64
	if s := r.URL.Query().Get("since"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			http.Error(w, "since: want a number", http.StatusBadRequest)
			return
		}
		since = n
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	for _, e := range b.Entries(since) {
		if enc.Encode(e) != nil {
			return // the reader left
		}
	}
}

func (b *Book) putFaults(w http.ResponseWriter, r *http.Request) {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRulesBody))
	dec.DisallowUnknownFields()
	var rules []Rule
	if err := dec.Decode(&rules); err != nil {
		http.Error(w, "reading the list of rules: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := b.SetRules(rules); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Wrap returns next with the book around it: each request is entered in the
// ledger, and the rule that fits it is applied. operation names the call of a
// request for both; nil stands for a function that answers "".
func (b *Book) Wrap(next http.Handler, operation func(*http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := ""
		if operation != nil {
			name = operation(r)
		}
		call := b.Begin(r.Method, name, r.URL.Path)
		r = r.WithContext(WithCall(r.Context(), call))
		rule, ok := b.Take(r.Method, name, r.URL.Path)
		if !ok {
			next.ServeHTTP(&recorder{ResponseWriter: w, call: call}, r)
			return
		}
		call.Fault(rule)
		if rule.DelayMS > 0 && !pause(r, time.Duration(rule.DelayMS)*time.Millisecond) {
			return
		}
		rule.serve(w, r, next, call)
	})
}

// pause waits and reports whether the client is still there.
func pause(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func (r Rule) serve(w http.ResponseWriter, req *http.Request, next http.Handler, call *Call) {
	switch {
	case r.Drop == "before":
		cut(w)
	case r.Drop == "after":
		next.ServeHTTP(newSilence(), req)
		cut(w)
	case r.answers():
		if r.After {
			next.ServeHTTP(newSilence(), req)
		}
		r.answer(w, req, call)
	case r.Truncate != nil:
		t := &truncator{recorder: recorder{ResponseWriter: w, call: call}, left: *r.Truncate}
		next.ServeHTTP(t, req)
		http.NewResponseController(w).Flush()
		cut(w)
	default: // a delay only
		next.ServeHTTP(&recorder{ResponseWriter: w, call: call}, req)
	}
}

func (r Rule) answer(w http.ResponseWriter, req *http.Request, call *Call) {
	// Read what the client still sends, so that it sees the answer and not a
	// broken pipe; a client that sends more than this may see either.
	io.Copy(io.Discard, io.LimitReader(req.Body, 1<<20))
	if r.RetryAfter != "" {
		w.Header().Set("Retry-After", r.RetryAfter)
	}
	if r.Type != "" {
		w.Header().Set("Content-Type", r.Type)
	}
	call.Status(r.status())
	w.WriteHeader(r.status())
	if r.Body != nil {
		io.WriteString(w, *r.Body)
		return
	}
	fmt.Fprintf(w, "%s\n", http.StatusText(r.status()))
}

// cut ends the connection without a proper end of the answer.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the server's own way to cut where hijacking is not possible
	}
	conn.Close()
}

// A recorder passes an answer on and notes its status.
type recorder struct {
	http.ResponseWriter
	call *Call
	done bool // the status is noted
}

func (w *recorder) WriteHeader(code int) {
	if !w.done && code >= 200 {
		w.done = true
		w.call.Status(code)
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *recorder) Write(p []byte) (int, error) {
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush serves callers that ask for an http.Flusher.
func (w *recorder) Flush() { http.NewResponseController(w.ResponseWriter).Flush() }

// A truncator passes the first bytes of a body on and swallows the others.
type truncator struct {
	recorder
	left int
}

func (w *truncator) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	w.left -= n
	if _, err := w.recorder.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// A silence swallows an answer.
type silence struct{ header http.Header }

func newSilence() silence { return silence{http.Header{}} }

func (s silence) Header() http.Header         { return s.header }
func (s silence) Write(p []byte) (int, error) { return len(p), nil }
func (s silence) WriteHeader(int)             {}
func (s silence) Flush()                      {}
