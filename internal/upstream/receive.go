package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
)

// A Push is one session with the receiving side of an upstream: its
// advertisement, then a request that is either sent to its end or cut so that
// the upstream never sees an end, then the report.
//
// The order is Start, writes, Close of the writer, Report; or Send, Report.
// Abort may be called at any time, also after Report, and by any goroutine;
// call it in a defer.
type Push struct {
	// Advertisement is the upstream's of this very session, protocol
	// version 0.
	Advertisement *pktline.Advertisement

	d    *Dialer
	t    Target
	p    place
	ssh  *sshSession     // nil over HTTP
	read *pktline.Reader // over SSH: what follows the advertisement

	mu      sync.Mutex
	body    *pushBody // guarded by mu; set by begin
	aborted bool      // guarded by mu

	abort sync.Once
}

// ReceivePack opens a session for a push and reads the upstream's
// advertisement. ctx bounds that much only; what follows runs under the
// context given to Start or Send. Errors are those of Look.
func (d *Dialer) ReceivePack(ctx context.Context, t Target) (*Push, error) {
	p, err := parseURL(t.URL, t.PrivateNetwork)
	if err != nil {
		return nil, err
	}
	push := &Push{d: d, t: t, p: p}
	if p.scheme == "ssh" {
		s, err := d.openSSH(ctx, t, p, receivePack, "")
		if err != nil {
			return nil, err
		}
		push.ssh, push.read = s, pktline.NewReader(s.stdout)
		if push.Advertisement, err = d.readAdvertisement(push.read); err != nil {
			return nil, s.fail(err)
		}
		if !s.detach() {
			return nil, s.fail(context.Cause(s.ctx))
		}
		return push, nil
	}
	resp, err := d.advertise(ctx, t, p, receivePack, "")
	if err != nil {
		return nil, err
	}
	push.Advertisement, err = d.readAdvertisement(pktline.NewReader(resp.Body))
	if err != nil {
		err = fault(resp.Request.Context(), p, receivePack, err)
	}
	finish(resp, err)
	if err != nil {
		return nil, err
	}
	return push, nil
}

// pushBody is the request of a push on its way.
type pushBody struct {
	ctx    context.Context
	cut    context.CancelCauseFunc
	window time.Duration // for each piece
	w      io.WriteCloser
	pipe   *io.PipeWriter // over HTTP with Start
	answer chan answer    // over HTTP, buffered
	mu     sync.Mutex
	early  error // guarded by mu; an answer that came before the end
}

type answer struct {
	resp *http.Response
	err  error
}

// begin opens the body of the request, unless the push was aborted.
func (p *Push) begin(ctx context.Context) (*pushBody, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.aborted {
		return nil, unavailable(errAborted, "the push to %s was aborted", p.p.host)
	}
	b := &pushBody{answer: make(chan answer, 1), window: p.d.bounds.stallWindow}
	b.ctx, b.cut = context.WithCancelCause(ctx)
	p.body = b
	if p.ssh != nil {
		// The SSH session comes under the request's context. How long a report
		// may take is bounded as a whole: while the upstream unpacks it may be
		// silent.
		p.ssh.attach(b.ctx)
		p.ssh.stdout.least = 0
		b.w = p.ssh.stdin
	}
	return b, nil
}

// writePiece is how much an upstream must take within the stall window.
const writePiece = 32 << 10

// Write sends bytes on. Once the upstream has answered, has stopped reading or
// the link is gone it fails; Report then says what happened.
func (b *pushBody) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		piece := p[:min(len(p), writePiece)]
		timer := time.AfterFunc(b.window, func() { b.cut(errNotRead) })
		var m int
		m, err = b.w.Write(piece)
		timer.Stop()
		n, p = n+m, p[len(piece):]
	}
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.early != nil {
			err = b.early
		}
	}
	return n, err
}

// Close tells the upstream that the request is complete.
func (b *pushBody) Close() error {
	return b.w.Close()
}

// Start opens the request and returns the writer for commands, push options
// and pack, exactly as git sends them behind the advertisement. Closing it
// completes the push: the upstream acts then at the latest. The request lives
// under ctx: give it one that the pusher's own connection does not end.
//
// A failing write is not yet the outcome: call Report, which knows what the
// upstream answered, if it did.
func (p *Push) Start(ctx context.Context) (io.WriteCloser, error) {
	b, err := p.begin(ctx)
	if err != nil || p.ssh != nil {
		return b, err
	}
	r, w := io.Pipe()
	b.w, b.pipe = w, w
	p.post(b, r, -1)
	return b, nil
}

// Send sends a complete request at once, over HTTP with a Content-Length.
// It is meant for small pushes that were held back whole; call Report next.
func (p *Push) Send(ctx context.Context, body []byte) error {
	b, err := p.begin(ctx)
	if err != nil {
		return err
	}
	if p.ssh == nil {
		p.post(b, bytes.NewReader(body), int64(len(body)))
		return nil
	}
	if _, err := b.Write(body); err != nil {
		return fault(p.ssh.ctx, p.p, receivePack, err)
	}
	if err := b.Close(); err != nil {
		return fault(p.ssh.ctx, p.p, receivePack, err)
	}
	return nil
}

// post sends the request over HTTP; the answer arrives in b.answer.
func (p *Push) post(b *pushBody, body io.Reader, length int64) {
	if b.pipe != nil {
		// A transport that waits for the next piece of the body does not see
		// the end of its context; a failing pipe wakes it.
		context.AfterFunc(b.ctx, func() { b.pipe.CloseWithError(errAborted) })
	}
	go func() { // ends with the answer, or with b.ctx
		resp, err := p.d.do(b.ctx, p.t, p.p, call{
			method:      http.MethodPost,
			suffix:      "/" + receivePack,
			service:     receivePack,
			accept:      "application/x-" + receivePack + "-result",
			contentType: "application/x-" + receivePack + "-request",
			body:        body,
			length:      length,
			unpaced:     true,
		})
		if b.pipe != nil {
			b.mu.Lock()
			b.early = err
			if err == nil {
				b.early = unavailable(nil, "%s answered before the push was complete", p.p.host)
			}
			b.mu.Unlock()
			if err != nil {
				body.(*io.PipeReader).CloseWithError(err) // nobody reads the rest
			}
		}
		b.answer <- answer{resp, err}
	}()
}

// Report waits for the upstream's report and returns it, texts as sent.
// progress, if not nil, gets the upstream's messages (band 2) as they come,
// not sanitized and valid during the call only.
//
// ferry.ErrUnavailable means that the outcome is not known: the request may
// have taken effect, and the refs have to be read back. Other kinds are a
// refusal of the whole request. The caller checks that the report speaks of
// its refs, each once.
func (p *Push) Report(progress func([]byte)) (*pktline.Report, error) {
	p.mu.Lock()
	b := p.body
	p.mu.Unlock()
	if b == nil {
		return nil, errors.New("report of a push that was not started")
	}
	defer p.abort.Do(func() {})
	defer b.cut(nil) // the request's context may live long
	timer := time.AfterFunc(p.d.bounds.report, func() { b.cut(errNoAnswer) })
	defer timer.Stop()
	if p.ssh != nil {
		report, err := p.d.readReport(p.read.Rest(), progress)
		if err != nil {
			return nil, p.unknown(p.ssh.fail(err))
		}
		p.ssh.finish()
		return report, nil
	}
	a := <-b.answer
	b.answer <- a // for Abort
	if a.err != nil {
		return nil, p.unknown(a.err)
	}
	report, err := p.d.readReport(a.resp.Body, progress)
	if err != nil {
		err = p.unknown(fault(a.resp.Request.Context(), p.p, receivePack, err))
	}
	finish(a.resp, err)
	return report, err
}

// unknown makes every failure between request and report one whose outcome is
// not known: the end of the caller's own context, and what the server wrote in
// the report's place, whatever its words. Answers by HTTP status came instead
// of the work and keep their kind.
func (p *Push) unknown(err error) error {
	var remote *pktline.RemoteError
	switch {
	case errors.As(err, &remote):
		return unavailable(err, "%s broke off the push: %s", p.p.host, oneLine(remote.Text))
	case errors.Is(err, context.Canceled):
		return unavailable(err, "the push to %s was cut off before its report", p.p.host)
	case p.ssh != nil && !errors.Is(err, ferry.ErrUnavailable):
		return unavailable(err, "the push to %s broke off before its report: %s", p.p.host, oneLine(err.Error()))
	}
	return err
}

// readReport reads a report with or without side bands around it, whichever
// the commands asked for.
func (d *Dialer) readReport(r io.Reader, progress func([]byte)) (*pktline.Report, error) {
	buffered := bufio.NewReader(io.LimitReader(r, d.bounds.answerBytes))
	head, err := buffered.Peek(5)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	packets := pktline.NewReader(buffered)
	if band := head[4]; band > 3 || band == 0 {
		return pktline.ReadReport(packets)
	}
	demux := pktline.NewDemux(packets, progress)
	report, err := pktline.ReadReport(pktline.NewReader(io.LimitReader(demux, d.bounds.reportBytes)))
	if err != nil {
		return nil, err
	}
	// Messages may follow; the report itself is complete and stays valid even
	// if the end of the stream is lost.
	io.Copy(io.Discard, demux)
	return report, nil
}

// Abort cuts the session. If the request was not closed, the upstream never
// sees a proper end and changes nothing. It returns when the cut is made.
// After Report it does nothing.
func (p *Push) Abort() {
	p.abort.Do(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.aborted = true
		if p.ssh != nil {
			p.ssh.cut(errAborted)
			p.ssh.conn.close()
		}
		b := p.body
		if b == nil {
			return
		}
		b.cut(errAborted)
		if b.pipe != nil {
			b.pipe.CloseWithError(errAborted)
		}
		if p.ssh == nil {
			if a := <-b.answer; a.resp != nil {
				a.resp.Body.Close()
			}
			b.answer <- answer{err: unavailable(errAborted, "the push to %s was aborted", p.p.host)}
		}
	})
}
