package proxy

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/packscan"
	"gitferry/internal/pktline"
	"gitferry/internal/policy"
	"gitferry/internal/upstream"
	"gitferry/mirror"
)

// offered are the capabilities that a pushing client may be told of, if the
// upstream has them; push-options is our own (design decision D4).
var offered = []string{"report-status", "delete-refs", "side-band-64k", "quiet", "atomic", "ofs-delta", "object-format"}

// pushOptions are the push options that gitferry understands. They are never
// passed on.
var pushOptions = []string{"smart-commits=off", "quiet"}

// receiveCapabilities is what a pushing client is offered.
func receiveCapabilities(up pktline.Capabilities) pktline.Capabilities {
	caps := up.Intersect(offered...)
	if v, ok := caps.Value("object-format"); ok && v != "sha1" {
		caps = slices.DeleteFunc(caps, func(c string) bool { return strings.HasPrefix(c, "object-format=") })
	}
	return append(caps, "push-options", "agent=gitferry")
}

// openPush opens a session with upstream and returns what the client is to be
// shown of it.
func (s *Server) openPush(ctx context.Context, repo ferry.Repository, own *ownAccess) (*upstream.Push, *pktline.Advertisement, error) {
	if repo.State == ferry.RepositoryMissing {
		return nil, nil, &ferry.Message{Kind: ferry.ErrUnavailable, Text: repo.Path() + " is gone at its upstream; it can be read here, not pushed to"}
	}
	if repo.ReadOnly {
		return nil, nil, &ferry.Message{Kind: ferry.ErrDenied, Text: repo.Path() + " takes no pushes here; an administrator made it read-only"}
	}
	if free, err := git.FreeSpace(s.Mirror.Root); err == nil && free < s.Limits.FreeDisk {
		s.Log.Error("pushes are refused: the disk is almost full", "free", free, "floor", s.Limits.FreeDisk)
		return nil, nil, &ferry.Message{Kind: ferry.ErrUnavailable, Text: "gitferry's disk is almost full, so it takes no pushes now; reads go on; ask an administrator"}
	}
	target, err := s.Target(ctx, repo)
	if own != nil {
		target, err = own.target, nil
	}
	if err != nil {
		return nil, nil, err
	}
	up, err := s.Dialer.ReceivePack(ctx, target)
	if own == nil && s.Opened != nil {
		s.Opened(ctx, repo, err)
	}
	if err != nil {
		return nil, nil, s.upstreamProblem(repo, err)
	}
	shown := &pktline.Advertisement{Refs: up.Advertisement.Refs, Capabilities: receiveCapabilities(up.Advertisement.Capabilities)}
	return up, shown, nil
}

// A push is one push on its way.
type push struct {
	s          *Server
	repo       ferry.Repository
	moved      string // see movedNote
	subject    ferry.Subject
	address    string
	own        *ownAccess // nil: upstream knows the integration only
	ssh        bool       // the client's stream stays open behind the pack
	in         *pktline.Reader
	out        io.Writer
	up         *upstream.Push // nil until upstream has answered
	shown      *pktline.Advertisement
	asked      <-chan answered    // upstream's answer to this push, on its way; nil: it is in up
	stopAsking context.CancelFunc // of asked

	name     string // of the quarantine
	cmds     *pktline.Commands
	answer   *answer
	received time.Time
	q        *mirror.Quarantine // nil without a pack
	pack     packscan.Result
	packName string         // in the quarantine, once it is indexed
	stored   *storedPack    // the pack as it came, if it is to be indexed after its release
	synced   <-chan error   // the pack in the quarantine is durable; nil without a pack
	unwatch  func() bool    // ends the watch over the client of a streamed pack; may be nil
	scanned  time.Time      // when the hold began
	held     bytes.Buffer   // the pack so far, while it is small
	spilled  bool           // it is large and lies in the quarantine only
	body     io.WriteCloser // upstream's end of a streamed pack
	wasCut   bool           // the streamed request was cut, a new session is needed
	words    []byte         // upstream's own lines for the pusher
	commits  []git.Commit   // new ones, parents first
	verdict  policy.Verdict
	end      string                        // for Metrics
	forecast <-chan policy.FeedbackOptions // nil: nothing is foretold
}

// errRefused ends a push after the client was told that it is refused. It is
// never nil for a refused push: a nil error of a check lets a push go on.
var errRefused = errors.New("push refused")

// receive reads a push and carries it. What the client must know is written to
// p.out; the error is for the log. A refusal that was told is none.
func (p *push) receive(ctx context.Context) error {
	err := p.receiveAndCarry(ctx)
	if p.cmds != nil {
		p.s.Metrics.pushed(cmp.Or(p.end, pushAborted), p.s.now().Sub(p.received))
	}
	if errors.Is(err, errRefused) {
		return nil
	}
	return err
}

func (p *push) receiveAndCarry(ctx context.Context) error {
	defer p.hangUp()
	p.received = p.s.now()
	p.name = "push-" + strings.ToLower(rand.Text())
	cmds, err := pktline.ReadCommands(p.in, p.s.Limits.Commands)
	if err == io.EOF {
		return nil // looked at the refs and left
	}
	if err != nil {
		return p.broken(err)
	}
	if len(cmds.Updates) == 0 {
		return nil
	}
	p.cmds = cmds
	p.answer = newAnswer(p.out, cmds.Capabilities)
	defer p.answer.stop()
	if p.up == nil {
		p.ask(ctx)
	}
	if err := p.checkCommands(); err != nil {
		p.drain()
		return p.fail(ctx, err)
	}
	if p.up != nil {
		if _, err := p.follow(ctx); err != nil { // bases of thin packs must be there
			p.drain()
			return p.fail(ctx, err)
		}
	}
	keep := false
	if !cmds.DeletesOnly() {
		if p.q, err = p.s.Mirror.Quarantine(ctx, p.repo, p.name); err != nil {
			p.drain()
			return p.fail(ctx, err)
		}
		defer func() {
			if !keep {
				p.q.Remove()
			}
		}()
	}
	defer func() {
		if p.stored != nil {
			p.stored.file.Close()
		}
	}()
	if err := p.gate(ctx); err != nil {
		return err
	}
	keep, err = p.carry(ctx)
	return err
}

// broken answers a client whose commands are out of form or too many. Which
// capabilities it chose is not known then; git takes side bands where they are
// offered.
func (p *push) broken(err error) error {
	var se *statusError
	if errors.As(err, &se) || !errors.Is(err, ferry.ErrInvalid) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err // the body itself is at fault, or its sender is gone
	}
	p.abort()
	p.drain()
	p.s.Log.Info("push refused", "repo", p.repo.Path(), "user", p.subject.User.Name, "reason", err)
	text := "gitferry: " + pktline.SanitizeTerminal(err.Error())
	w := pktline.NewWriter(p.out)
	if !p.shown.Capabilities.Has("side-band-64k") {
		err = w.Printf("ERR %s", text)
	} else if err = pktline.NewSideband(p.out, pktline.MaxSideband).Fatal([]byte(text + "\n")); err == nil {
		err = w.Flush()
	}
	return cmp.Or(err, errRefused)
}

// A refusal is why a push is refused. One that begins with the name of a ref
// and a colon is about that ref.
type refusal string

func (r refusal) Error() string { return string(r) }

func refusef(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

// checkCommands judges what can be judged without objects and without upstream.
func (p *push) checkCommands() error {
	for _, c := range p.cmds.Capabilities {
		name, _, _ := strings.Cut(c, "=")
		known := p.shown.Capabilities.Has(name)
		if _, ok := p.shown.Capabilities.Value(name); !known && !ok && name != "agent" && name != "session-id" && name != "object-format" {
			return refusef("the client uses the capability %.40q, which was not offered", name)
		}
	}
	if v, ok := p.cmds.Capabilities.Value("object-format"); ok && v != "sha1" {
		return refusef("object format %.40q is not supported", v)
	}
	for _, o := range p.cmds.PushOptions {
		if !slices.Contains(pushOptions, o) {
			return refusef("push option %q is not known; known are: %s", o, strings.Join(pushOptions, ", "))
		}
	}
	for _, u := range p.cmds.Updates {
		switch {
		case !u.Name.IsBranch() && !u.Name.IsTag() && !strings.HasPrefix(string(u.Name), "refs/notes/"): // the policy's to allow
			return refusef("%s: only branches and tags can be pushed", u.Name)
		case u.Name.IsBranch() && isHex40(u.Name.Short()):
			return refusef("%s: a branch cannot be named like a commit", u.Name)
		case u.IsDelete() && u.Old.IsZero():
			return refusef("%s: there is no such ref to delete", u.Name)
		}
	}
	return nil
}

// checkOld compares what the client takes the refs for with what upstream
// advertised for this push.
func (p *push) checkOld(adv *pktline.Advertisement) error {
	advertised := make(map[string]ferry.OID, len(adv.Refs))
	for _, r := range adv.Refs {
		advertised[r.Name] = r.OID
	}
	for _, u := range p.cmds.Updates {
		if u.Old != advertised[string(u.Name)] {
			return refusef("%s: it has moved upstream since; fetch first, then push again", u.Name)
		}
	}
	return nil
}

func isHex40(s string) bool {
	_, err := ferry.ParseOID(s)
	return err == nil
}

// follow checks the old values and brings the mirror to the refs that upstream
// advertised for this push: bases of thin packs must be there, and what
// upstream has is not new. moved says that the mirror was elsewhere.
func (p *push) follow(ctx context.Context) (moved bool, err error) {
	if err := p.checkOld(p.up.Advertisement); err != nil {
		return false, err
	}
	if err := p.s.copying(ctx, p.repo, func(line string) { p.answer.say(line) }); err != nil {
		return false, err
	}
	if err := p.s.Mirror.Await(ctx, p.repo); err != nil {
		return false, err
	}
	for range 3 {
		same, err := p.s.Mirror.Has(ctx, p.repo, p.up.Advertisement.Refs)
		if err != nil || same {
			return moved, err
		}
		moved = true
		if _, err := p.s.Mirror.Refresh(ctx, p.repo, 0); err != nil {
			return moved, p.s.upstreamProblem(p.repo, err)
		}
	}
	return moved, nil // upstream moves faster than we look; old values decide
}

// drainLimit is how much of a refused push is read and dropped before the
// answer, so that the client gets to read it.
const drainLimit = 256 << 20

func (p *push) drain() {
	if !p.ssh { // over SSH the client reads while it writes, the door drops the rest
		_, _ = io.CopyN(io.Discard, p.in.Rest(), drainLimit)
	}
}

// refuse tells the client that nothing was done, and why. It returns
// errRefused, or why the client could not be told.
func (p *push) refuse(ctx context.Context, reason string) error {
	p.abort()
	reasons := make(map[ferry.RefName]string)
	named := false
	for _, u := range p.cmds.Updates {
		if strings.HasPrefix(reason, string(u.Name)+": ") {
			reasons[u.Name] = strings.TrimPrefix(reason, string(u.Name)+": ")
			named = true
		}
	}
	for _, u := range p.cmds.Updates {
		switch {
		case !named:
			reasons[u.Name] = reason
		case reasons[u.Name] == "":
			reasons[u.Name] = "not attempted: another ref was refused"
		}
	}
	p.record(ctx, reason)
	return p.refused(reasons)
}

// refused reports a refusal and ends the push.
func (p *push) refused(reasons map[ferry.RefName]string) error {
	return cmp.Or(p.report("ok", reasons), errRefused)
}

// fail tells the client that the push is refused or could not be carried. A
// text meant for people is shown; anything else is an internal error and goes
// to the log. It returns errRefused, or why the client could not be told.
func (p *push) fail(ctx context.Context, err error) error {
	if r, ok := errors.AsType[refusal](err); ok {
		return p.refuse(ctx, string(r))
	}
	p.abort()
	text := "internal error; nothing was pushed, see the server's log"
	var m *ferry.Message
	var se *statusError
	switch {
	case errors.As(err, &m):
		text = m.Text
	case errors.As(err, &se):
		text = se.text
	case errors.Is(err, ferry.ErrInvalid):
		text = err.Error()
	default:
		p.s.Log.Error("carrying a push", "repo", p.repo.Path(), "user", p.subject.User.Name, "err", err)
	}
	p.answer.say(text)
	p.record(ctx, text)
	reasons := make(map[ferry.RefName]string)
	for _, u := range p.cmds.Updates {
		reasons[u.Name] = firstLine(text)
	}
	return cmp.Or(p.report(firstLine(text), reasons), errRefused)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// report writes report-status: refs without a reason are ok.
func (p *push) report(unpack string, reasons map[ferry.RefName]string) error {
	r := &pktline.Report{Unpack: unpack}
	for _, u := range p.cmds.Updates {
		reason, bad := reasons[u.Name]
		reason = strings.ReplaceAll(pktline.SanitizeTerminal(reason), "\n", " ")
		r.Refs = append(r.Refs, pktline.RefStatus{Name: u.Name, OK: !bad, Reason: reason})
	}
	return p.answer.finish(r)
}
