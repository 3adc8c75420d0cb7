package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"gitferry/internal/failpoint"
	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/packscan"
	"gitferry/internal/pktline"
	"gitferry/internal/policy"
	"gitferry/internal/smartcommit"
)

// gate reads the pack, checks its objects and judges the push. It returns nil
// if the push may be released; otherwise the client has been told.
func (p *push) gate(ctx context.Context) error {
	broken := p.checkObjects(ctx)
	if broken != nil {
		p.abort()
		p.drain()
	}
	p.ready()
	if errors.Is(broken, io.ErrUnexpectedEOF) || broken != nil && ctx.Err() != nil {
		p.s.Log.Info("push ended by the client", "repo", p.repo.Path(), "user", p.subject.User.Name, "err", broken)
		return broken
	}
	moved, err := p.meet(ctx) // upstream's word on the refs goes first
	if err == nil {
		err = broken
	}
	if err == nil && moved { // what was new a moment ago may not be any more
		err = p.checkCommits(ctx)
	}
	if err == nil {
		err = p.judge(ctx)
	}
	if err != nil {
		return p.fail(ctx, err)
	}
	if p.verdict.Refused {
		p.abort()
		return p.refuseByPolicy(ctx)
	}
	return nil
}

// ready lets the answer flow: the client's request was read.
func (p *push) ready() {
	if w, ok := p.out.(*lateWriter); ok {
		w.open()
	}
	p.answer.keepAlive()
}

// checkObjects takes in the pack and lists the new commits. Objects that
// others refer to and that are nowhere fail it, and so do commits in the pack
// that no ref of the push reaches. The pack becomes durable beside that; send
// waits for it.
func (p *push) checkObjects(ctx context.Context) error {
	if p.cmds.DeletesOnly() {
		return nil
	}
	if err := p.checkShallow(ctx); err != nil {
		return err
	}
	read := p.readPack
	if p.s.Limits.IndexAfter {
		read = p.storePack
	}
	if err := read(ctx); err != nil {
		return err
	}
	if err := failpoint.Hit("push.after_pack"); err != nil {
		return err
	}
	if p.stored == nil {
		p.syncPacks()
	}
	return p.checkCommits(ctx)
}

// syncPacks begins to make the indexed pack durable.
func (p *push) syncPacks() {
	synced := make(chan error, 1)
	go func() { synced <- git.SyncPacks(p.q.Objects()) }() // ends by itself
	p.synced = synced
}

// checkCommits lists the new commits and looks for others in the pack.
func (p *push) checkCommits(ctx context.Context) error {
	if p.q == nil {
		return nil
	}
	if p.stored != nil {
		err := p.checkStored(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		// Git's own look at the whole pack decides.
		p.s.Log.Info("indexing a pack before its release", "repo", p.repo.Path(), "reason", err)
		if err := p.indexStored(ctx); err != nil {
			return err
		}
	}
	inPack, err := git.PackObjects(p.q.Objects(), p.packName)
	if err != nil {
		return err
	}
	reached, err := p.listCommits(ctx)
	if err != nil {
		return err
	}
	return p.checkUnreferenced(ctx, inPack, reached)
}

// checkShallow makes sure that the boundaries of a shallow clone are commits
// that upstream has shown us.
func (p *push) checkShallow(ctx context.Context) error {
	kinds, err := p.s.Git.Kinds(ctx, p.q.Mirror(), "", p.cmds.Shallow)
	if err != nil {
		return err
	}
	for _, o := range p.cmds.Shallow {
		if kinds[o] != "commit" {
			return &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf("the clone is shallow at %s, which the upstream does not have; run git fetch --unshallow, then push again", o.Short())}
		}
	}
	return nil
}

// readPack scans the pack, indexes it in the quarantine and, once it is large,
// lets it flow to upstream, all at the same time. The trailer goes to the
// index only.
func (p *push) readPack(client context.Context) error {
	ctx, cancel := context.WithCancel(client)
	defer cancel()
	pr, pw := io.Pipe()
	type outcome struct {
		name string
		err  error
	}
	indexed := make(chan outcome, 1)
	go func() {
		name, err := p.s.Git.IndexPack(ctx, p.q.Mirror(), p.q.Objects(), pr, p.s.Limits.PackBytes)
		pr.CloseWithError(errIndexEnded)
		indexed <- outcome{name, err}
	}()
	result, err := p.scan(client, pw, nil)
	if p.unwatch != nil {
		defer p.unwatch()
	}
	if err != nil && !errors.Is(err, errIndexEnded) {
		pw.CloseWithError(err)
		cancel()
		<-indexed
		return err
	}
	if err == nil {
		_, _ = pw.Write(result.Trailer[:])
		pw.Close()
	}
	done := <-indexed
	if done.err != nil {
		return done.err
	}
	if err != nil {
		return err
	}
	p.pack, p.packName, p.scanned = result, done.name, p.s.now()
	return nil
}

// scan reads the pack to its end, writes what belongs to it to w and lets it
// flow to upstream.
func (p *push) scan(client context.Context, w io.Writer, each func(packscan.Entry)) (packscan.Result, error) {
	limits := packscan.Limits{PackBytes: p.s.Limits.PackBytes, Objects: p.s.Limits.PackObjects,
		ObjectBytes: p.s.Limits.ObjectBytes, TotalInflated: p.s.Limits.InflatedBytes,
		AllowOfsDelta: p.shown.Capabilities.Has("ofs-delta"), Open: p.ssh, Each: each}
	return packscan.Scan(p.in.Rest(), func(b []byte) error {
		if _, err := w.Write(b); err != nil {
			return err
		}
		return p.forward(client, b)
	}, limits)
}

var errIndexEnded = errors.New("git index-pack ended before the pack")

// forward keeps scanned bytes while the pack is small and lets them flow to
// upstream once it is not. With streaming off a large pack is read back from
// the quarantine later.
func (p *push) forward(client context.Context, b []byte) error {
	switch {
	case p.body != nil:
		if _, err := p.body.Write(b); err != nil {
			// Upstream's own word on it comes with the report; the pack is
			// read to its end so that the client can be told.
			p.s.Log.Warn("upstream stopped reading", "repo", p.repo.Path(), "err", err)
			p.cut()
		}
		return nil
	case p.spilled:
		return nil
	}
	p.held.Write(b)
	if int64(p.held.Len()) <= p.s.Limits.StoreBelow {
		return nil
	}
	if !p.s.Limits.Stream {
		p.spilled = true
		p.held = bytes.Buffer{}
		return nil
	}
	if _, err := p.meet(client); err != nil {
		return err
	}
	body, err := p.up.Start(context.Background()) // bound by Abort: not the client's to end
	if err != nil {
		return p.s.upstreamProblem(p.repo, err)
	}
	p.body = body
	// Until the release a client that goes away takes the push along, also
	// while upstream is slow to read.
	p.unwatch = context.AfterFunc(client, p.up.Abort)
	if err := p.writeHead(body); err != nil {
		p.cut()
		return nil
	}
	if _, err := body.Write(p.held.Bytes()); err != nil {
		p.cut()
	}
	p.held = bytes.Buffer{}
	return nil
}

// cut ends a streamed request so that upstream does nothing. The pack will be
// sent anew from the quarantine.
func (p *push) cut() {
	p.up.Abort()
	p.body, p.spilled, p.wasCut = nil, true, true
}

// writeHead writes the commands for upstream: the client's, with the
// capabilities that upstream has, without push options, and without the
// boundaries of a shallow clone: the mirror has what lies behind them, and so
// has upstream, to which a push from here is like one of a whole clone.
func (p *push) writeHead(w io.Writer) error {
	caps := p.cmds.Capabilities.Intersect("report-status", "side-band-64k", "quiet", "atomic", "ofs-delta", "delete-refs")
	if !caps.Has("report-status") {
		caps = append(caps, "report-status")
	}
	if p.shown.Capabilities.Has("side-band-64k") && !caps.Has("side-band-64k") {
		caps = append(caps, "side-band-64k")
	}
	return pktline.WriteCommands(pktline.NewWriter(w), &pktline.Commands{Updates: p.cmds.Updates, Capabilities: caps})
}

// listCommits walks from the new tips, which must be there, to what upstream
// has, and keeps the commits for judgement.
func (p *push) listCommits(ctx context.Context) (map[ferry.OID]bool, error) {
	reached := make(map[ferry.OID]bool)
	p.commits = nil
	walk := git.Walk{NotAll: true, Objects: p.objects(), Strict: true}
	for _, u := range p.cmds.Updates {
		if !u.IsDelete() {
			walk.Tips = append(walk.Tips, u.New)
		}
	}
	err := p.s.Git.Commits(ctx, p.q.Mirror(), walk, func(c git.Commit) error {
		reached[c.OID] = true
		if len(p.commits) >= p.s.Limits.Commits {
			return &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf("more than %d new commits in one push; push them in parts", p.s.Limits.Commits)}
		}
		p.commits = append(p.commits, c)
		return nil
	})
	var exit *git.ExitError
	if errors.As(err, &exit) {
		return nil, &ferry.Message{Kind: ferry.ErrInvalid, Cause: err, Text: "the push lacks objects that its commits need"}
	}
	return reached, err
}

// checkUnreferenced refuses commits that travel in the pack without being
// reached by a ref of the push: upstream would keep them readable by id
// although nobody judged them.
func (p *push) checkUnreferenced(ctx context.Context, inPack []ferry.OID, reached map[ferry.OID]bool) error {
	deltas := p.pack.Types[packscan.OfsDelta] + p.pack.Types[packscan.RefDelta]
	if deltas == 0 {
		n := uint32(0)
		for _, o := range inPack {
			if reached[o] {
				n++
			}
		}
		if n == p.pack.Types[packscan.Commit] {
			return nil
		}
	}
	var loose []ferry.OID
	err := p.s.Git.EachPackKind(ctx, p.q.Mirror(), p.q.Objects(), p.packName, inPack, func(o ferry.OID, kind string) {
		if kind == "commit" && !reached[o] {
			loose = append(loose, o)
		}
	})
	if err != nil {
		return err
	}
	return p.refuseLoose(ctx, loose)
}

// refuseLoose refuses commits of the pack that no ref of the push reaches,
// unless the mirror has them.
func (p *push) refuseLoose(ctx context.Context, loose []ferry.OID) error {
	if len(loose) == 0 {
		return nil
	}
	known, err := p.s.Git.Exists(ctx, p.q.Mirror(), loose)
	if err != nil {
		return err
	}
	for _, o := range loose {
		if !known[o] {
			return &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf("the pack holds commit %s, which no pushed ref reaches", o.Short())}
		}
	}
	return nil
}

// judge asks the rules of the repository.
func (p *push) judge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.s.Limits.JudgeTimeout)
	defer cancel()
	in := policy.Push{Repository: p.repo, Pusher: p.subject.User, Commits: p.judged(),
		MayRewriteDefault: ferry.Check(p.subject, ferry.ActionRewriteMain, p.repo.Path(), p.s.now()) == nil}
	for _, r := range p.shown.Refs {
		in.Existing = append(in.Existing, ferry.RefName(r.Name))
	}
	if in.Repository.DefaultBranch == "" { // born empty: the account's list is read later
		view, err := p.s.Mirror.View(ctx, p.repo)
		if err != nil {
			return err
		}
		in.Repository.DefaultBranch = view.Head.Short()
	}
	parents := make(map[ferry.OID]bool)
	for _, c := range p.commits {
		for _, o := range c.Parents {
			parents[o] = true
		}
	}
	for _, u := range p.cmds.Updates {
		update := policy.Update{RefUpdate: u}
		// With one tip every new commit is an ancestor of it. With several, a
		// child of the old value may belong to another ref of the push.
		grown := parents[u.Old] && len(p.cmds.Updates) == 1
		if u.Name.IsBranch() && !u.IsCreate() && !u.IsDelete() && !grown {
			forward, err := p.s.Git.IsAncestor(ctx, p.s.Mirror.Path(p.repo.ID), p.objects(), u.Old, u.New)
			if err != nil {
				return fmt.Errorf("comparing %s with its old value: %w", u.Name, err)
			}
			update.Forced = !forward
		}
		in.Updates = append(in.Updates, update)
	}
	p.verdict = p.s.Judge(ctx, in)
	if ctx.Err() != nil {
		return &ferry.Message{Kind: ferry.ErrUnavailable, Text: "the push could not be judged in time; try again"}
	}
	p.foretell()
	return nil
}

// foretell starts to ask what will become of the push's commands; feedback
// waits for the answer.
func (p *push) foretell() {
	commands := slices.ContainsFunc(p.verdict.Commits, func(f policy.Finding) bool { return len(f.Actions) > 0 })
	if p.s.Forecast == nil || p.verdict.Refused || !commands || !p.repo.SmartCommits {
		return
	}
	answer := make(chan policy.FeedbackOptions, 1)
	p.forecast = answer
	go func() {
		who, fails := p.s.Forecast(context.Background(), p.subject.User, p.verdict) // bounded by itself
		answer <- policy.FeedbackOptions{ActsAs: func(policy.Finding) string { return who }, Fails: func(a smartcommit.Action) string {
			switch {
			case !p.repo.Allows(a.Key.Project()):
				return p.repo.Path() + " is not associated with the project " + a.Key.Project()
			case fails == nil:
				return ""
			}
			return fails(a)
		}}
	}()
}

// judged makes the new commits ready for judgement: each with the refs of the
// push that bring it.
func (p *push) judged() []policy.Commit {
	at := make(map[ferry.OID]int, len(p.commits))
	out := make([]policy.Commit, len(p.commits))
	for i, c := range p.commits {
		at[c.OID] = i
		out[i] = policy.Commit{OID: c.OID, Parents: len(c.Parents), AuthorName: c.AuthorName, AuthorEmail: c.AuthorEmail, Message: c.Message}
	}
	for _, u := range p.cmds.Updates {
		tip, ok := at[u.New]
		if !ok {
			continue
		}
		// Parents stand before children, so one walk backwards meets every
		// commit that the tip reaches.
		reached := make([]bool, tip+1)
		reached[tip] = true
		for i := tip; i >= 0; i-- {
			if !reached[i] {
				continue
			}
			out[i].Refs = append(out[i].Refs, u.Name)
			for _, parent := range p.commits[i].Parents {
				if j, ok := at[parent]; ok {
					reached[j] = true
				}
			}
		}
	}
	return out
}

// feedback makes the lines for the pusher's terminal.
func (p *push) feedback() []string {
	var o policy.FeedbackOptions
	if p.forecast != nil {
		o = <-p.forecast
	}
	o.BaseURL = p.s.PublicURL
	o.Quiet = slices.Contains(p.cmds.PushOptions, "quiet")
	o.CommandsOff = slices.Contains(p.cmds.PushOptions, "smart-commits=off") || !p.repo.SmartCommits
	lines := policy.Feedback(p.verdict, o)
	if p.moved != "" && !o.Quiet {
		lines = append(lines, p.moved)
	}
	return lines
}

// objects returns the object directory that has the push's commits, or ""
// without a pack.
func (p *push) objects() string {
	switch {
	case p.q == nil:
		return ""
	case p.stored != nil:
		return p.q.File(storedCommits)
	}
	return p.q.Objects()
}

// refuseByPolicy tells the client what broke which rule and how to mend it.
func (p *push) refuseByPolicy(ctx context.Context) error {
	for _, line := range p.feedback() {
		p.answer.say(line)
	}
	reasons := make(map[ferry.RefName]string)
	for _, f := range p.verdict.Refs {
		reasons[f.Name] = joinReasons(f.Reasons)
	}
	for _, u := range p.cmds.Updates {
		if reasons[u.Name] == "" {
			reasons[u.Name] = "not attempted: another ref was refused"
		}
	}
	p.record(ctx, "refused by policy")
	return p.refused(reasons)
}
