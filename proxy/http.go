package proxy

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
)

// stallWindow is the time in which a git request must move stallBytes in the
// direction that is its turn (security reference, HTTP-7).
const (
	stallWindow = 60 * time.Second
	stallBytes  = 1 << 10
)

// ServeHTTP answers smart HTTP requests (gitprotocol-http). It is a plain
// handler: nothing that buffers or times out may stand around it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, rest, ok := splitGitPath(r.URL.EscapedPath())
	if !ok {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	// The deadline of the last answer on this connection is over.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	h := &httpGit{s: s, w: w, r: r, path: path}
	defer func() {
		p := recover()
		if p != nil && p != http.ErrAbortHandler {
			s.Log.Error("panic in a git request", "path", path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			p = http.ErrAbortHandler
		}
		// What the server still holds of the answer must go in time, too.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.stallWindow()))
		if p != nil {
			panic(p)
		}
	}()
	err := h.serve(rest)
	if err == nil {
		return
	}
	if h.answered() {
		// The answer has begun: only cutting it tells the client.
		if r.Context().Err() == nil {
			s.Log.Warn("git request failed", "path", path, "err", err)
		}
		panic(http.ErrAbortHandler)
	}
	h.fail(err)
}

// splitGitPath splits an escaped URL path into the repository's part and one
// of the three smart HTTP paths or that of a bundle. ok is false for anything else, the dumb
// protocol included, and for paths that are not in canonical form.
func splitGitPath(p string) (repo, rest string, ok bool) {
	for _, tail := range []string{"info/refs", "git-upload-pack", "git-receive-pack"} {
		if repo, ok = strings.CutSuffix(p, "/"+tail); ok {
			rest = tail
			break
		}
	}
	if !ok {
		repo, rest, ok = splitBundlePath(p)
	}
	if !ok || strings.ContainsAny(repo, "%\\") || strings.Contains(repo, "//") {
		return "", "", false
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(repo, "/"), "/") {
		if part == "" || part == "." || part == ".." {
			return "", "", false
		}
	}
	return repo, rest, true
}

// IsGitPath reports whether a request's escaped path belongs to this door.
func IsGitPath(escaped string) bool {
	_, _, ok := splitGitPath(escaped)
	return ok
}

// httpGit is one request.
type httpGit struct {
	s    *Server
	w    http.ResponseWriter
	r    *http.Request
	path string
	sent *lateWriter
	own  *ownAccess // upstream let them in with credentials of their own
	// allowed are the methods of the path.
	allowed string
}

func (h *httpGit) answered() bool { return h.sent != nil && h.sent.started() }

func (h *httpGit) serve(rest string) error {
	s, r := h.s, h.r
	h.allowed = http.MethodPost
	name, bundle := strings.CutPrefix(rest, bundlePath)
	if rest == "info/refs" || bundle {
		h.allowed = "GET, HEAD"
	}
	subject, err := h.signIn(rest)
	if err != nil {
		return err
	}
	leave, err := s.admitUser(r.Context(), subject)
	if err != nil {
		return err
	}
	defer leave()
	if rest == "info/refs" || bundle {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return methodNotAllowed
		}
		if bundle {
			return h.bundle(subject, name)
		}
		switch service := r.URL.Query().Get("service"); service {
		case "git-upload-pack":
			return h.infoUploadPack(subject)
		case "git-receive-pack":
			return h.infoReceivePack(subject)
		}
		return &ferry.Message{Kind: ferry.ErrDenied, Text: "only git's smart protocol is served here; use git 1.6.6 or newer"}
	}
	if r.Method != http.MethodPost {
		return methodNotAllowed
	}
	if want := "application/x-" + rest + "-request"; r.Header.Get("Content-Type") != want {
		return &statusError{http.StatusUnsupportedMediaType, "want Content-Type " + want}
	}
	body, err := h.body(rest)
	if err != nil {
		return err
	}
	if rest == "git-upload-pack" {
		return h.uploadPack(subject, body)
	}
	return h.receivePack(subject, body)
}

// signIn reads Basic credentials: the password is a token, or they are a
// person's own for upstream. Nobody is let in without.
func (h *httpGit) signIn(rest string) (ferry.Subject, error) {
	user, token, ok := h.r.BasicAuth()
	if bearer, isBearer := strings.CutPrefix(h.r.Header.Get("Authorization"), "Bearer "); isBearer {
		token, ok = bearer, true
	}
	if ok && h.r.TLS == nil && !h.s.TrustClearText(h.r.RemoteAddr) {
		return ferry.Subject{}, &ferry.Message{Kind: ferry.ErrDenied, Text: "credentials are not accepted over clear text; use https"}
	}
	if !ok {
		if !h.s.strangers.knock(h.r.RemoteAddr, false, h.s.now()) {
			return ferry.Subject{}, errKnocking
		}
		return ferry.Subject{}, errSignIn
	}
	if iamUser.MatchString(user) && !isOurs(token) {
		service := rest
		if rest == "info/refs" {
			service = h.r.URL.Query().Get("service")
		} else if strings.HasPrefix(rest, bundlePath) {
			service = "git-upload-pack"
		}
		if service == "git-upload-pack" || service == "git-receive-pack" {
			return h.signInOwn(user, token, service)
		}
		return ferry.Subject{}, errPass
	}
	if !h.s.strangers.mayTry(h.r.RemoteAddr, token, h.s.now()) {
		return ferry.Subject{}, errKnocking
	}
	subject, err := h.s.Store.SubjectByToken(h.r.Context(), token, h.r.RemoteAddr)
	switch {
	case err == nil:
		h.s.strangers.letIn(h.r.RemoteAddr, token, h.s.now())
	case errors.Is(err, ferry.ErrDenied) || errors.Is(err, ferry.ErrNotFound):
		h.s.strangers.knock(h.r.RemoteAddr, true, h.s.now())
		return ferry.Subject{}, errSignIn
	}
	return subject, err
}

// lookUp finds the repository and checks the right to act on it.
func (h *httpGit) lookUp(subject ferry.Subject, action ferry.Action) (ferry.Repository, error) {
	if h.own != nil {
		return h.own.repo, nil
	}
	return h.s.lookUp(h.r.Context(), subject, h.path, action)
}

func (h *httpGit) infoUploadPack(subject ferry.Subject) error {
	repo, err := h.lookUp(subject, ferry.ActionFetch)
	if err != nil {
		return err
	}
	h.w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
	ctx := h.r.Context()
	version := protocolVersion(h.r.Header.Get("Git-Protocol"))
	if version == 2 {
		caps, err := h.s.learnCapabilities(ctx)
		if err != nil {
			return err
		}
		bundle, err := h.s.Mirror.Bundle(ctx, repo)
		if err != nil {
			return err
		}
		shown := caps.v2
		if bundle != "" {
			shown = withBundle(shown)
		}
		_, err = h.w.Write(shown)
		return err
	}
	view, err := h.s.freshen(ctx, repo)
	if err != nil {
		return err
	}
	h.markStale(staleNote(view, h.s.now()))
	var b bytes.Buffer
	if err := pktline.WriteServiceHeader(pktline.NewWriter(&b), "git-upload-pack"); err != nil {
		return err
	}
	if err := h.s.advertise(ctx, &b, view, version); err != nil {
		return err
	}
	_, err = h.w.Write(b.Bytes())
	return err
}

// markStale tells tools that read headers how old the answer is.
func (h *httpGit) markStale(note string) {
	if note != "" {
		h.w.Header().Set("Gitferry-Stale", note)
	}
}

func (h *httpGit) infoReceivePack(subject ferry.Subject) error {
	repo, err := h.lookUp(subject, ferry.ActionPush)
	if err != nil {
		return err
	}
	up, shown, err := h.s.openPush(h.r.Context(), repo, h.own)
	if err != nil {
		return err
	}
	up.Abort()
	if h.own == nil {
		if err := h.s.showed(h.r.Context(), repo, subject, up); err != nil {
			return err
		}
	}
	h.w.Header().Set("Content-Type", "application/x-git-receive-pack-advertisement")
	var b bytes.Buffer
	w := pktline.NewWriter(&b)
	if err := pktline.WriteServiceHeader(w, "git-receive-pack"); err != nil {
		return err
	}
	if err := pktline.WriteAdvertisement(w, shown); err != nil {
		return err
	}
	_, err = h.w.Write(b.Bytes())
	return err
}

func (h *httpGit) uploadPack(subject ferry.Subject, body io.Reader) error {
	repo, err := h.lookUp(subject, ferry.ActionFetch)
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(io.LimitReader(newNegotiation(body), maxRequest+1))
	if err != nil {
		return err
	}
	if len(raw) > maxRequest {
		return &statusError{http.StatusRequestEntityTooLarge, "the request is larger than 10 MiB"}
	}
	h.w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
	h.sent = &lateWriter{w: h.w, window: h.s.stallWindow()}
	h.sent.open()
	ctx := h.r.Context()
	protocol := validProtocol(h.r.Header.Get("Git-Protocol"))
	if protocolVersion(protocol) != 2 {
		opener, first := legacyOpener(raw)
		return h.s.serveFetch(ctx, subject, repo, protocol, raw, &sectionWriter{w: h.sent, opener: opener, notes: movedNotes(h.path, repo)}, first)
	}
	q, err := readRequest(pktline.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return err
	}
	switch q.command {
	case "":
		return nil
	case "ls-refs":
		view, err := h.s.freshen(ctx, repo)
		if err != nil {
			return err
		}
		h.markStale(staleNote(view, h.s.now()))
		return lsRefs(h.sent, q, view)
	case "bundle-uri":
		name, err := h.s.Mirror.Bundle(ctx, repo)
		if err != nil {
			return err
		}
		return bundleURI(pktline.NewWriter(h.sent), name)
	}
	opener, first := "", false
	if q.command == "fetch" {
		opener, first = q.fetchOpener()
	}
	return h.s.serveFetch(ctx, subject, repo, protocol, raw, &sectionWriter{w: h.sent, opener: opener, notes: movedNotes(h.path, repo)}, first)
}

func (h *httpGit) receivePack(subject ferry.Subject, body io.Reader) error {
	repo, err := h.lookUp(subject, ferry.ActionPush)
	if err != nil {
		return err
	}
	p := &push{s: h.s, repo: repo, moved: movedNote(h.path, repo), subject: subject, address: h.r.RemoteAddr, own: h.own, in: pktline.NewReader(body)}
	key, offer := keyOf(repo, subject), pktline.Capabilities(nil)
	if h.own == nil {
		offer = h.s.offers.take(key, h.s.now())
	}
	if offer != nil {
		p.shown = &pktline.Advertisement{Capabilities: offer}
	} else if p.up, p.shown, err = h.s.openPush(h.r.Context(), repo, h.own); err != nil {
		return err
	}
	h.w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
	h.sent = &lateWriter{w: h.w, window: h.s.stallWindow()}
	p.out = h.sent
	err = p.receive(h.r.Context())
	if p.cmds == nil && offer != nil { // git tries its way before a large push
		h.s.offers.put(key, offer, h.s.now())
	}
	h.sent.open()
	return err
}

// body returns the request's body, decoded and bounded.
func (h *httpGit) body(service string) (io.Reader, error) {
	limit := int64(maxRequest + 1)
	if service == "git-receive-pack" {
		limit = h.s.Limits.PackBytes + maxRequest
	}
	raw := &stallReader{r: h.r.Body, c: http.NewResponseController(h.w), window: h.s.stallWindow()}
	switch enc := h.r.Header.Get("Content-Encoding"); enc {
	case "", "identity":
		return io.LimitReader(raw, limit), nil
	case "gzip":
		z, err := gzip.NewReader(raw)
		if err != nil {
			return nil, &statusError{http.StatusBadRequest, "the body is not gzip"}
		}
		return &inflateReader{z: z, raw: raw, left: limit}, nil
	default:
		return nil, &statusError{http.StatusUnsupportedMediaType, "Content-Encoding " + pktline.SanitizeTerminal(enc) + " is not supported"}
	}
}

// stallWindow is stallWindow unless a test made it shorter.
func (s *Server) stallWindow() time.Duration { return cmp.Or(s.Limits.stall, stallWindow) }

// stallReader cuts off a client that drips: of the time spent waiting for it,
// each window must bring stallBytes. Time in which nobody reads does not count.
type stallReader struct {
	r      io.Reader
	c      *http.ResponseController
	window time.Duration
	read   int64

	got    int           // bytes of this window
	waited time.Duration // of this window
}

func (s *stallReader) Read(p []byte) (int, error) {
	start := time.Now()
	_ = s.c.SetReadDeadline(start.Add(s.window - s.waited))
	n, err := s.r.Read(p)
	s.read += int64(n)
	s.got += n
	s.waited += time.Since(start)
	switch {
	case err != nil:
		_ = s.c.SetReadDeadline(time.Time{})
	case s.got >= stallBytes:
		s.got, s.waited = 0, 0
	case s.waited >= s.window:
		err = os.ErrDeadlineExceeded
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("the client sends too slowly: %w", io.ErrUnexpectedEOF)
	}
	return n, err
}

// inflateReader stops a body that inflates more than 200 to 1 beyond its
// first MiB (security reference, HTTP-5).
type inflateReader struct {
	z    *gzip.Reader
	raw  *stallReader
	out  int64
	left int64
}

func (i *inflateReader) Read(p []byte) (int, error) {
	n, err := i.z.Read(p)
	i.out += int64(n)
	if i.left -= int64(n); i.left < 0 || i.out > 1<<20 && i.out > 200*i.raw.read {
		return 0, &statusError{http.StatusRequestEntityTooLarge, "the body inflates to too much"}
	}
	return n, err
}

// A lateWriter keeps what is written until open is called, then writes
// through and flushes: over HTTP/1.1 an answer must not begin before the
// request was read.
type lateWriter struct {
	w      http.ResponseWriter
	window time.Duration // for each write

	mu     sync.Mutex
	opened bool         // guarded by mu
	wrote  bool         // guarded by mu
	held   bytes.Buffer // guarded by mu
}

func (l *lateWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.opened {
		return l.held.Write(p)
	}
	l.wrote = true
	c := http.NewResponseController(l.w)
	_ = c.SetWriteDeadline(time.Now().Add(l.window))
	n, err := l.w.Write(p)
	if err == nil {
		_ = c.Flush()
	}
	return n, err
}

// open lets the answer begin. Calling it again does nothing.
func (l *lateWriter) open() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened {
		return
	}
	l.opened = true
	if l.held.Len() > 0 {
		l.wrote = true
		_, _ = l.w.Write(l.held.Bytes())
		l.held = bytes.Buffer{}
	}
}

func (l *lateWriter) started() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wrote
}

// statusError is an error with an HTTP status of its own.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

var (
	errSignIn        = &statusError{http.StatusUnauthorized, "sign in with your gitferry user name and a token as password"}
	methodNotAllowed = &statusError{http.StatusMethodNotAllowed, "method not allowed"}
)

// fail answers with a status and a text that git shows to its user.
func (h *httpGit) fail(err error) {
	status, text := http.StatusInternalServerError, "internal error; see the server's log"
	var se *statusError
	var m *ferry.Message
	switch {
	case errors.As(err, &se):
		status, text = se.status, se.text
	case errors.As(err, &m):
		status, text = statusOf(m.Kind), m.Text
	case errors.Is(err, ferry.ErrInvalid):
		status, text = http.StatusBadRequest, err.Error()
	case errors.Is(err, context.Canceled):
		return
	case errors.Is(err, io.ErrUnexpectedEOF):
		status, text = http.StatusBadRequest, "the request ended early"
	}
	if errors.Is(err, errBusy) {
		status = http.StatusTooManyRequests
	}
	if status == http.StatusInternalServerError {
		h.s.Log.Error("git request failed", "path", h.path, "err", err)
	}
	header := h.w.Header()
	if status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Basic realm="gitferry", charset="UTF-8"`)
	}
	if status == http.StatusMethodNotAllowed {
		header.Set("Allow", h.allowed)
	}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		header.Set("Retry-After", "10")
	}
	header.Set("Content-Type", "text/plain; charset=utf-8")
	h.w.WriteHeader(status)
	fmt.Fprintf(h.w, "gitferry: %s\n", pktline.SanitizeTerminal(text))
}

// statusOf is the HTTP status of an error's kind.
func statusOf(kind error) int {
	switch {
	case errors.Is(kind, ferry.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(kind, ferry.ErrDenied):
		return http.StatusForbidden
	case errors.Is(kind, ferry.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(kind, ferry.ErrConflict):
		return http.StatusConflict
	case errors.Is(kind, ferry.ErrUnavailable):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// protocolVersion reads the version out of a Git-Protocol value.
func protocolVersion(v string) int {
	for part := range strings.SplitSeq(v, ":") {
		switch part {
		case "version=2":
			return 2
		case "version=1":
			return 1
		}
	}
	return 0
}

// validProtocol returns the Git-Protocol value that may be given to git: one
// of three words, whatever else the client wrote.
func validProtocol(v string) string {
	if n := protocolVersion(v); n > 0 {
		return fmt.Sprintf("version=%d", n)
	}
	return ""
}

// IsLoopback reports whether addr, host:port, is this machine.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
