package proxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gitferry/internal/failpoint"
	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
	"gitferry/internal/store"
)

const (
	// reportTimeout bounds the wait for upstream's report after the release.
	reportTimeout = 10 * time.Minute
	// settleFor is how long a push whose outcome was lost is looked up before
	// the client is told that it is not known.
	settleFor = 10 * time.Second
	// indexWait is how long the answer waits for the books.
	indexWait = 2 * time.Second
)

// carry releases an approved push to upstream and makes mirror and books
// follow what upstream took. From the release on it runs to its end whether or
// not the client is there. keep says that the quarantine is needed later.
func (p *push) carry(client context.Context) (keep bool, err error) {
	ctx := context.WithoutCancel(client)
	p.s.pushes.Add(1)
	defer p.s.pushes.Done()
	release, err := p.s.Mirror.Hold(client, p.repo)
	if err != nil {
		return false, p.fail(ctx, err)
	}
	defer func() {
		if release != nil {
			release()
		}
	}()
	if p.q != nil && p.q.Outdated() {
		return false, p.fail(ctx, &ferry.Message{Kind: ferry.ErrUnavailable, Text: "objects were removed from the mirror while the push was checked; nothing was pushed, push again"})
	}
	if err := p.restart(ctx); err != nil { // now that the wait for others is over
		return false, p.fail(ctx, err)
	}
	if err := p.stillAllowed(ctx); err != nil {
		return false, p.fail(ctx, err)
	}
	row := p.row()
	id, err := p.s.Store.ReleasePush(ctx, row)
	if err != nil {
		return false, p.fail(ctx, fmt.Errorf("recording the release of a push: %w", err))
	}
	row.ID = id
	if err := failpoint.Hit("push.after_released"); err != nil {
		return true, p.unknown(row, err)
	}
	report, err := p.send(ctx)
	if err != nil && errors.Is(err, errNotSent) {
		abortErr := p.s.Store.AbortPush(ctx, id, err.Error())
		return false, errors.Join(p.fail(ctx, err), abortErr)
	}
	if hit := failpoint.Hit("push.after_report"); hit != nil {
		err = hit
	}
	var results []store.PushResult
	if err == nil {
		results, err = p.readResults(report)
	}
	if err != nil {
		p.s.Log.Warn("outcome of a push was lost, reading upstream's refs back", "repo", p.repo.Path(), "push", id, "err", err)
		said := err
		results, err = p.s.settle(ctx, p.repo, row, settleFor)
		explain(results, said)
	}
	if err != nil {
		return true, p.unknown(row, err)
	}
	if err := p.s.Store.ResolvePush(ctx, id, results); err != nil {
		return true, p.unknown(row, err)
	}
	row.Results = results
	if err := failpoint.Hit("push.after_resolved"); err != nil {
		p.s.settleLater(p.repo, row)
		return true, p.tell(results, err)
	}
	// The mirror follows before the answer, so that the pusher's next fetch
	// sees the push; where a pack has yet to be indexed that fetch waits. The
	// books get a moment; they catch up by themselves.
	wait, arrived := indexWait, func() {}
	if p.stored != nil {
		keep = true
		if p.pack.Bytes > p.s.Limits.StoreBelow {
			wait = 0
		}
		if arrived, err = p.s.Mirror.Expect(ctx, p.repo); err != nil {
			p.s.settleLater(p.repo, row)
			return true, p.tell(results, err)
		}
	} else if err := p.s.apply(ctx, p.repo, row, p.q); err != nil {
		p.s.settleLater(p.repo, row)
		return true, p.tell(results, err)
	}
	unlock := release
	release = nil
	booked := make(chan error, 1)
	p.s.pushes.Add(1)
	go func() {
		defer p.s.pushes.Done()
		defer unlock()
		var err error
		if p.stored != nil {
			err = p.s.apply(ctx, p.repo, row, p.q)
			arrived()
		}
		if err == nil {
			err = p.s.book(ctx, p.repo, row, p.commits)
		}
		if err != nil {
			p.s.Log.Error("booking an accepted push", "repo", p.repo.Path(), "push", id, "err", err)
			p.s.settleLater(p.repo, row)
		}
		booked <- err
		p.s.audit(ctx, p.repo, row)
	}()
	select {
	case <-booked:
	case <-time.After(wait):
	}
	return keep, p.tell(results, nil)
}

// explain gives refs that were not taken the reason that upstream gave in
// place of a report, such as that the credentials may not push.
func explain(results []store.PushResult, said error) {
	var remote *pktline.RemoteError
	var m *ferry.Message
	why := ""
	switch {
	case errors.As(said, &remote):
		why = remote.Text
	case !errors.Is(said, ferry.ErrUnavailable) && errors.As(said, &m):
		why = pktline.SanitizeTerminal(m.Text)
	default:
		return
	}
	for i := range results {
		if results[i].Outcome == store.OutcomeRejected {
			results[i].Reason = "upstream: " + why
		}
	}
}

// row is what the books are told of the push.
func (p *push) row() store.Push {
	r := store.Push{Repository: p.repo.ID, User: p.subject.User.ID, Credential: p.subject.Credential, Address: p.address,
		Updates: p.cmds.Updates, ReceivedAt: p.received, ReleasedAt: p.s.now()}
	for _, o := range p.cmds.PushOptions {
		r.NoSmartCommits = r.NoSmartCommits || o == "smart-commits=off"
	}
	if p.q != nil {
		r.Quarantine = p.q.Name()
	}
	return r
}

// record notes a push that was not released.
func (p *push) record(ctx context.Context, reason string) {
	r := p.row()
	r.Quarantine, r.Reason, r.ReleasedAt = "", reason, time.Time{}
	p.end = pushRefused
	if _, err := p.s.Store.RecordRefusedPush(context.WithoutCancel(ctx), r); err != nil {
		p.s.Log.Error("recording a refused push", "repo", p.repo.Path(), "err", err)
	}
	p.s.audit(context.WithoutCancel(ctx), p.repo, r)
	p.s.Log.Info("push refused", "repo", p.repo.Path(), "user", p.subject.User.Name, "reason", reason)
}

// restart opens a new session with upstream if the streamed one was cut, and
// makes sure that the refs are where the client saw them.
func (p *push) restart(ctx context.Context) error {
	if p.body != nil && p.s.now().Sub(p.scanned) > p.s.Limits.MaxHold {
		p.cut()
	}
	if !p.wasCut {
		return nil
	}
	up, _, err := p.s.openPush(ctx, p.repo, p.own)
	if err != nil {
		return err
	}
	if err := p.checkOld(up.Advertisement); err != nil {
		up.Abort()
		return err
	}
	p.up = up
	return nil
}

// stillAllowed checks the right to push once more: a large push may have been
// under way for long, and rights that were taken away meanwhile are gone.
// With credentials of the pusher's own, upstream decides that by itself.
func (p *push) stillAllowed(ctx context.Context) error {
	if p.own != nil {
		return nil
	}
	now, err := p.s.Store.Renew(ctx, p.subject)
	if err == nil {
		err = ferry.Check(now, ferry.ActionPush, p.repo.Path(), p.s.now())
	}
	if errors.Is(err, ferry.ErrDenied) {
		return &ferry.Message{Kind: ferry.ErrDenied, Cause: err, Text: "your right to push to " + p.repo.Path() + " was taken away while the push was under way"}
	}
	return err
}

// errNotSent says that upstream cannot have acted: no end was sent.
var errNotSent = &ferry.Message{Kind: ferry.ErrUnavailable, Text: "the connection to the upstream was lost before the push was complete; nothing was pushed, push again"}

// notSent is errNotSent with upstream's own word on it, if it was one.
func notSent(why error) error {
	var m *ferry.Message
	if errors.Is(why, ferry.ErrUnavailable) || !errors.As(why, &m) {
		return errNotSent
	}
	return &ferry.Message{Kind: m.Kind, Cause: errNotSent, Text: "upstream: " + m.Text}
}

// send lets the held end go, or all of a push that was held whole, and waits
// for upstream's report.
func (p *push) send(ctx context.Context) (*pktline.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, p.up.Abort)()
	if p.synced != nil {
		if err := <-p.synced; err != nil {
			p.s.Log.Error("keeping a pushed pack", "repo", p.repo.Path(), "err", err)
			return nil, &ferry.Message{Kind: ferry.ErrUnavailable, Cause: errNotSent, Text: "the pack could not be kept; nothing was pushed, push again"}
		}
	}
	body := p.body
	switch {
	case body != nil:
	case p.spilled:
		var err error
		if body, err = p.up.Start(ctx); err != nil {
			return nil, notSent(err)
		}
		if err := p.resend(body); err != nil {
			p.s.Log.Warn("sending a stored push", "repo", p.repo.Path(), "err", err)
			if _, why := p.up.Report(nil); why != nil { // upstream's own word, if it had one
				err = why
			}
			p.up.Abort()
			return nil, notSent(err)
		}
	default:
		var b bytes.Buffer
		if err := p.writeHead(&b); err != nil {
			return nil, notSent(err)
		}
		if p.q != nil {
			b.Write(p.held.Bytes())
			b.Write(p.pack.Trailer[:])
		}
		if err := p.up.Send(ctx, b.Bytes()); err != nil {
			return nil, err
		}
		return p.up.Report(p.relay)
	}
	if _, err := body.Write(p.pack.Trailer[:]); err != nil {
		p.s.Log.Warn("sending the end of a push", "repo", p.repo.Path(), "err", err)
	}
	if err := body.Close(); err != nil {
		p.s.Log.Warn("sending the end of a push", "repo", p.repo.Path(), "err", err)
	}
	return p.up.Report(p.relay)
}

// resend writes the commands and the pack as it was received, without its
// trailer: git index-pack keeps the received bytes between the header and what
// it appends to complete a thin pack.
func (p *push) resend(w io.Writer) error {
	if err := p.writeHead(w); err != nil {
		return err
	}
	if p.stored != nil {
		_, err := io.Copy(w, io.NewSectionReader(p.stored.file, 0, p.pack.Bytes))
		return err
	}
	f, err := os.Open(filepath.Join(p.q.Objects(), "pack", "pack-"+p.packName+".pack"))
	if err != nil {
		return err
	}
	defer f.Close()
	var head [12]byte // signature, version, count of objects; gitformat-pack
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return err
	}
	binary.BigEndian.PutUint32(head[8:], p.pack.Objects)
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err = io.CopyN(w, f, p.pack.Bytes-int64(len(head)))
	return err
}

// relay hands upstream's own words to the client, after our lines.
func (p *push) relay(text []byte) { p.words = append(p.words, text...) }

// readResults takes upstream's report by our list: a ref that it does not
// name, names twice or that we did not ask for makes the outcome unknown.
func (p *push) readResults(report *pktline.Report) ([]store.PushResult, error) {
	status := make(map[ferry.RefName]pktline.RefStatus, len(report.Refs))
	for _, r := range report.Refs {
		if _, twice := status[r.Name]; twice {
			return nil, fmt.Errorf("upstream reported %s twice: %w", r.Name, ferry.ErrUnavailable)
		}
		status[r.Name] = r
	}
	if len(status) > len(p.cmds.Updates) {
		return nil, fmt.Errorf("upstream reported refs that were not pushed: %w", ferry.ErrUnavailable)
	}
	var results []store.PushResult
	for _, u := range p.cmds.Updates {
		r, ok := status[u.Name]
		switch {
		case report.Unpack != "ok":
			results = append(results, store.PushResult{Name: u.Name, Outcome: store.OutcomeRejected, Reason: "upstream: unpack " + report.Unpack})
		case !ok:
			return nil, fmt.Errorf("upstream did not report %s: %w", u.Name, ferry.ErrUnavailable)
		case r.OK:
			results = append(results, store.PushResult{Name: u.Name, Outcome: store.OutcomeOK})
		default:
			results = append(results, store.PushResult{Name: u.Name, Outcome: store.OutcomeRejected, Reason: "upstream: " + r.Reason})
		}
	}
	return results, nil
}

// tell answers the client after upstream's word on each ref is known. Trouble
// of our own after that does not turn an accepted push into a failure.
func (p *push) tell(results []store.PushResult, trouble error) error {
	if trouble != nil {
		p.s.Log.Error("following an accepted push", "repo", p.repo.Path(), "err", trouble)
	}
	reasons := make(map[ferry.RefName]string)
	unpack := "ok"
	accepted := false
	for _, r := range results {
		switch r.Outcome {
		case store.OutcomeOK:
			accepted = true
		case store.OutcomeRejected:
			reasons[r.Name] = r.Reason
			if why, ok := strings.CutPrefix(r.Reason, "upstream: unpack "); ok {
				unpack = why
			}
		default:
			reasons[r.Name] = r.Reason
		}
	}
	p.end = pushRejected
	if accepted {
		p.end = pushAccepted
		for _, line := range p.feedback() {
			p.answer.say(line)
		}
	}
	if len(p.words) > 0 {
		p.answer.relay(p.words)
	}
	p.s.Log.Info("push carried", "repo", p.repo.Path(), "user", p.subject.User.Name, "refs", len(results), "refused", len(reasons),
		"commits", len(p.commits), "took", p.s.now().Sub(p.received))
	return p.report(unpack, reasons)
}

// unknown answers a client whose push was released and whose outcome cannot be
// read back yet. It is settled in the background.
func (p *push) unknown(row store.Push, cause error) error {
	p.end = pushUnknown
	p.s.Log.Error("outcome of a push is not known yet", "repo", p.repo.Path(), "push", row.ID, "err", cause)
	p.s.settleLater(p.repo, row)
	p.answer.say("the connection to the upstream was lost after the push was sent; whether it took effect is not known yet")
	p.answer.say("fetch in a minute and look; if the commits are not there, push again")
	reasons := make(map[ferry.RefName]string)
	for _, u := range p.cmds.Updates {
		reasons[u.Name] = "outcome unknown: connection to the upstream lost"
	}
	return p.report("ok", reasons)
}

// joinReasons makes one line of several reasons.
func joinReasons(reasons []string) string {
	if len(reasons) == 0 {
		return "refused by policy"
	}
	return strings.Join(reasons, "; ")
}
