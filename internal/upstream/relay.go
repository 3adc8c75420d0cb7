package upstream

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
)

// maxRequest bounds what a local git may send in one request of a fetch.
const maxRequest = 256 << 20

// Fetch calls fetch with a URL on loopback from which git can fetch the
// target while the call lasts, without holding a credential and without
// resolving a name. protocol is the value for GIT_ALLOW_PROTOCOL that admits
// this URL and no other kind: "http" or "git".
//
// If fetch fails and the upstream was the reason, the error of the upstream
// comes first, with the kinds of Look; else Fetch returns what fetch returned.
func (d *Dialer) Fetch(ctx context.Context, t Target, fetch func(ctx context.Context, remoteURL, protocol string) error) error {
	p, err := parseURL(t.URL, t.PrivateNetwork)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, d.bounds.total)
	defer cancel()
	secret := make([]byte, 16)
	rand.Read(secret)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for a relayed fetch: %w", err)
	}
	r := &relay{d: d, t: t, p: p, path: "/" + hex.EncodeToString(secret)}
	serving, stop := context.WithCancel(ctx)
	protocol, serve := "http", r.serveHTTP
	if p.scheme == "ssh" {
		protocol, serve = "git", r.serveGit
	}
	served := make(chan struct{})
	go func() { // ends when the listener is closed and its connections are
		serve(serving, ln)
		close(served)
	}()
	err = fetch(ctx, protocol+"://"+ln.Addr().String()+r.path, protocol)
	stop()
	ln.Close()
	<-served
	if err == nil {
		return nil
	}
	if f := r.firstFault(); f != nil {
		return fmt.Errorf("%w (%w)", f, err)
	}
	return err
}

// A relay stands between a local git and the upstream during one fetch.
type relay struct {
	d    *Dialer
	t    Target
	p    place
	path string // random: who does not know it gets nothing

	mu    sync.Mutex
	fault error // guarded by mu; the first failure of the upstream
}

func (r *relay) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault == nil {
		r.fault = err
	}
}

func (r *relay) firstFault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fault
}

func (r *relay) knows(path string) bool {
	return subtle.ConstantTimeCompare([]byte(path), []byte(r.path)) == 1
}

func (r *relay) serveHTTP(ctx context.Context, ln net.Listener) {
	var requests sync.WaitGroup
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			requests.Add(1)
			defer requests.Done()
			r.forward(w, req)
		}),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(r.d.log.Handler(), slog.LevelDebug),
	}
	srv.Serve(ln) // ends when Fetch closes ln
	srv.Close()
	requests.Wait()
}

// forward passes one request of a fetch on and its answer back.
func (r *relay) forward(w http.ResponseWriter, req *http.Request) {
	base, suffix, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	if !r.knows("/" + base) {
		http.NotFound(w, req)
		return
	}
	c := call{service: uploadPack, protocol: req.Header.Get("Git-Protocol"), wait: r.d.bounds.firstByte}
	var resp *http.Response
	var err error
	switch {
	case req.Method == http.MethodGet && suffix == "info/refs" && req.URL.RawQuery == "service="+uploadPack:
		resp, err = r.d.advertise(req.Context(), r.t, r.p, uploadPack, c.protocol)
	case req.Method == http.MethodPost && suffix == uploadPack:
		c.method, c.suffix = http.MethodPost, "/"+uploadPack
		c.accept = "application/x-" + uploadPack + "-result"
		c.contentType = "application/x-" + uploadPack + "-request"
		c.encoding = req.Header.Get("Content-Encoding")
		c.body, c.length = http.MaxBytesReader(w, req.Body, maxRequest), req.ContentLength
		resp, err = r.d.do(req.Context(), r.t, r.p, c)
	default:
		http.Error(w, "not part of a fetch", http.StatusForbidden)
		return
	}
	if err != nil {
		r.note(err)
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	w.Header().Set("Cache-Control", "no-cache")
	if err := relayBytes(flushing{w}, resp.Body); err != nil {
		if errors.As(err, new(readError)) {
			r.note(fault(resp.Request.Context(), r.p, uploadPack, err))
		}
		// The answer must not look complete.
		panic(http.ErrAbortHandler)
	}
}

type flushing struct{ w http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = http.NewResponseController(f.w).Flush()
	}
	return n, err
}

// A readError is a failure of the side that is read from.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

// relayBytes copies until the end of r and tells read failures from others.
func relayBytes(w io.Writer, r io.Reader) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return werr
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return readError{err}
		}
	}
}

// serveGit answers as git daemon does, for the target's repository only.
func (r *relay) serveGit(ctx context.Context, ln net.Listener) {
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		conns.Go(func() {
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			defer conn.Close()
			r.serveGitConn(ctx, conn)
		})
	}
}

// serveGitConn joins one connection of a local git with a session upstream.
// The request is "git-upload-pack PATH NUL host=HOST NUL [NUL version=2 NUL]"
// (gitprotocol-pack, "Git Transport").
func (r *relay) serveGitConn(ctx context.Context, conn net.Conn) {
	conn.SetReadDeadline(time.Now().Add(10 * time.Second)) // of the request line
	packets := pktline.NewReader(conn)
	kind, line, err := packets.Read()
	if err != nil || kind != pktline.Data {
		return
	}
	conn.SetReadDeadline(time.Time{})
	request, parameters, _ := strings.Cut(string(line), "\x00")
	path, ok := strings.CutPrefix(request, uploadPack+" ")
	if !ok || !r.knows(strings.TrimSuffix(path, "\n")) {
		return
	}
	protocol := ""
	for parameter := range strings.SplitSeq(parameters, "\x00") {
		if parameter == version2 {
			protocol = version2
		}
	}
	s, err := r.d.openSSH(ctx, r.t, r.p, uploadPack, protocol)
	if err != nil {
		r.refuse(conn, err)
		return
	}
	go func() { // ends when git has said everything, or with conn
		io.Copy(s.stdin, io.LimitReader(packets.Rest(), maxRequest))
		s.stdin.Close()
	}()
	first := &counting{w: conn}
	err = relayBytes(first, s.stdout)
	switch {
	case errors.As(err, new(readError)), err == nil && first.n == 0:
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		err = s.fail(err)
		if first.n == 0 {
			r.refuse(conn, err)
			return
		}
		r.note(err)
	case err != nil: // git went away
		s.fail(err)
	default:
		// A lost connection looks like the end of the stream; how the service
		// ended tells the two apart. It counts only if git fails, too.
		if err := s.finish(); err != nil {
			r.note(err)
		}
	}
}

// refuse shows err to git, which prints it, and notes it for Fetch.
func (r *relay) refuse(conn net.Conn, err error) {
	r.note(err)
	text := "the upstream cannot be reached"
	var message *ferry.Message
	if errors.As(err, &message) {
		text = message.Text
	}
	pktline.WriteError(pktline.NewWriter(conn), text)
}

type counting struct {
	w io.Writer
	n int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
