package proxy

import (
	"context"
	"slices"
	"sync"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
	"gitferry/internal/upstream"
)

// Over HTTP a push is two requests: git asks for the refs in the first and
// sends commands and pack in the second. Old values are compared with what
// upstream advertises at the second. So that a push does not wait for that
// before its pack is looked at, it is remembered that what the client was shown
// lay in the mirror, so the bases of a thin pack are there, and what it was
// offered. Nothing is sent to upstream, and no verdict falls, before its answer
// to the second request.

const (
	// offerKept is how long git may take between the two requests.
	offerKept = 5 * time.Minute
	// maxOffers bounds how many are remembered.
	maxOffers = 10_000
)

// offers remembers what pushing clients were offered over HTTP.
type offers struct {
	mu   sync.Mutex
	made map[offerKey]offer // guarded by mu
}

// An offerKey says who was offered what.
type offerKey struct {
	repo       ferry.RepositoryID
	user       ferry.UserID
	credential string
}

type offer struct {
	at   time.Time
	caps pktline.Capabilities
}

func keyOf(repo ferry.Repository, subject ferry.Subject) offerKey {
	return offerKey{repo.ID, subject.User.ID, subject.Credential}
}

func (o *offers) put(key offerKey, caps pktline.Capabilities, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.made) >= maxOffers {
		for k, old := range o.made {
			if now.Sub(old.at) > offerKept {
				delete(o.made, k)
			}
		}
	}
	if o.made == nil || len(o.made) >= maxOffers {
		o.made = make(map[offerKey]offer)
	}
	o.made[key] = offer{now, caps}
}

// take returns what was offered for the push that begins, nil if nothing was,
// and forgets it.
func (o *offers) take(key offerKey, now time.Time) pktline.Capabilities {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen, ok := o.made[key]
	delete(o.made, key)
	if !ok || now.Sub(seen.at) > offerKept {
		return nil
	}
	return seen.caps
}

// showed remembers what a client is offered if the mirror has all that it is
// shown.
func (s *Server) showed(ctx context.Context, repo ferry.Repository, subject ferry.Subject, up *upstream.Push) error {
	same, err := s.Mirror.Has(ctx, repo, up.Advertisement.Refs)
	if err == nil && same {
		s.offers.put(keyOf(repo, subject), receiveCapabilities(up.Advertisement.Capabilities), s.now())
	}
	return err
}

// answered is upstream's answer to the opening of a session.
type answered struct {
	up    *upstream.Push
	shown *pktline.Advertisement
	err   error
}

// ask asks upstream for the refs, for this very push. meet waits for the
// answer.
func (p *push) ask(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	asked := make(chan answered, 1)
	go func() { // ends with the answer, or with ctx
		defer cancel()
		var a answered
		a.up, a.shown, a.err = p.s.openPush(ctx, p.repo, p.own)
		asked <- a
	}()
	p.asked, p.stopAsking = asked, cancel
}

// meet waits until upstream has answered this push, checks the old values and
// brings the mirror to what it advertises; moved says that the mirror was
// elsewhere. Once upstream has answered it does nothing.
func (p *push) meet(ctx context.Context) (moved bool, err error) {
	if p.asked == nil {
		return false, nil
	}
	a := <-p.asked
	p.asked = nil
	if a.err != nil {
		return false, a.err
	}
	p.up = a.up
	offered := p.shown.Capabilities
	p.shown = a.shown
	if !slices.Equal(offered, a.shown.Capabilities) {
		return false, &ferry.Message{Kind: ferry.ErrUnavailable, Text: "the upstream offers something else than a moment ago; push again"}
	}
	return p.follow(ctx)
}

// abort cuts the session with upstream, if there is one.
func (p *push) abort() {
	if p.up != nil {
		p.up.Abort()
	}
}

// hangUp ends the session in use and one that is still being opened.
func (p *push) hangUp() {
	p.abort()
	if p.asked == nil {
		return
	}
	p.stopAsking()
	if a := <-p.asked; a.up != nil {
		a.up.Abort()
	}
	p.asked = nil
}
