package main

import (
	"io"
	"net/http"
	"time"
)

// How long a client may take over a request that is not git's (security
// reference, HTTP-7); git's have bounds of their own in proxy.
const (
	readTime  = 30 * time.Second // from the head of the request to the end of its body
	writeTime = 60 * time.Second // from the beginning of the answer to its end
)

// paced bounds the time in which next reads a request and writes its answer.
// What next does in between is its own affair. A handler whose answer has no
// end puts its write deadline off itself.
func paced(read, write time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		// That of the last answer on this connection is over.
		_ = c.SetWriteDeadline(time.Time{})
		end := time.Now().Add(read)
		if r.Body != nil && r.Body != http.NoBody {
			body := &pacedBody{ReadCloser: r.Body, c: c, end: end}
			r.Body = body
			defer func() {
				if !body.ended { // the server reads what next left
					_ = c.SetReadDeadline(end)
				}
			}()
		}
		next.ServeHTTP(&pacedWriter{ResponseWriter: w, c: c, time: write}, r)
	})
}

// pacedBody reads a body until a moment. The deadline goes with the end of the
// body: later it would look as if the client had gone.
type pacedBody struct {
	io.ReadCloser
	c     *http.ResponseController
	end   time.Time
	ended bool
}

func (b *pacedBody) Read(p []byte) (int, error) {
	_ = b.c.SetReadDeadline(b.end)
	n, err := b.ReadCloser.Read(p)
	_ = b.c.SetReadDeadline(time.Time{})
	b.ended = b.ended || err == io.EOF
	return n, err
}

// pacedWriter sets the write deadline when the answer begins.
type pacedWriter struct {
	http.ResponseWriter
	c     *http.ResponseController
	time  time.Duration
	began bool
}

func (w *pacedWriter) begin() {
	if !w.began {
		w.began = true
		_ = w.c.SetWriteDeadline(time.Now().Add(w.time))
	}
}

func (w *pacedWriter) WriteHeader(status int) {
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

func (w *pacedWriter) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController through.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
