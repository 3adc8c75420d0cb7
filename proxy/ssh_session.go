package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
	"gitferry/mirror"
)

// ServeSSH carries out one git command that came through the SSH door and
// returns its exit status: 0 after a complete exchange, 128 after an error
// that was written to the session's standard error.
func (s *Server) ServeSSH(ctx context.Context, session Session) int {
	err := s.serveSSH(ctx, session)
	if err == nil {
		return 0
	}
	text := "internal error; see the server's log"
	var m *ferry.Message
	switch {
	case errors.As(err, &m):
		text = m.Text
	case errors.Is(err, ferry.ErrInvalid):
		text = err.Error()
	case errors.Is(err, io.ErrUnexpectedEOF), ctx.Err() != nil:
		return 128
	}
	if m == nil {
		s.Log.Error("git command failed", "path", session.Command.Path, "user", session.Subject.User.Name, "err", err)
	}
	fmt.Fprintf(session.Stderr, "gitferry: %s\n", pktline.SanitizeTerminal(text))
	return 128
}

func (s *Server) serveSSH(ctx context.Context, session Session) error {
	leave, err := s.admitUser(ctx, session.Subject)
	if err != nil {
		return err
	}
	defer leave()
	if session.Command.Service == "git-receive-pack" {
		return s.sshReceivePack(ctx, session)
	}
	repo, err := s.lookUp(ctx, session.Subject, session.Command.Path, ferry.ActionFetch)
	if err != nil {
		return err
	}
	for _, line := range movedNotes(session.Command.Path, repo) {
		fmt.Fprintf(session.Stderr, "gitferry: %s\n", line)
	}
	if protocolVersion(session.Protocol) == 2 {
		return s.sshProtocol2(ctx, session, repo)
	}
	view, err := s.freshen(ctx, repo)
	if err != nil {
		return err
	}
	say := func(line string) { fmt.Fprintf(session.Stderr, "gitferry: %s\n", line) }
	if !view.Copied {
		if err := s.copying(ctx, repo, say); err != nil {
			return err
		}
	}
	if note := staleNote(view, s.now()); note != "" {
		say(note)
	}
	release, err := s.admit(ctx, session.Subject, repo)
	if err != nil {
		return err
	}
	defer release()
	s.Metrics.fetched()
	said := newNegotiation(session.Stdin)
	err = s.Mirror.UploadPack(ctx, repo, mirror.UploadPack{Protocol: validProtocol(session.Protocol), Stdin: said, Stdout: session.Stdout})
	return cmp.Or(said.failure(), err) // git then only knows that the client fell silent
}

// sshProtocol2 answers requests of protocol 2 until the client is done.
func (s *Server) sshProtocol2(ctx context.Context, session Session, repo ferry.Repository) error {
	caps, err := s.learnCapabilities(ctx)
	if err != nil {
		return err
	}
	if _, err := session.Stdout.Write(caps.v2); err != nil {
		return err
	}
	said := newNegotiation(session.Stdin)
	in := pktline.NewReader(said)
	told := false
	for {
		said.again()
		q, err := readRequest(in)
		if err != nil || q.command == "" {
			return err
		}
		if q.command == "ls-refs" {
			view, err := s.freshen(ctx, repo)
			if err != nil {
				return err
			}
			if note := staleNote(view, s.now()); note != "" {
				told = true
				fmt.Fprintf(session.Stderr, "gitferry: %s\n", note)
			}
			if err := lsRefs(session.Stdout, q, view); err != nil {
				return err
			}
			continue
		}
		opener, first := "", false
		if q.command == "fetch" {
			opener, first = q.fetchOpener()
		}
		if err := s.serveFetch(ctx, session.Subject, repo, "version=2", q.raw, &sectionWriter{w: session.Stdout, opener: opener, told: told}, first); err != nil {
			return err
		}
	}
}

func (s *Server) sshReceivePack(ctx context.Context, session Session) error {
	repo, err := s.lookUp(ctx, session.Subject, session.Command.Path, ferry.ActionPush)
	if err != nil {
		return err
	}
	up, shown, err := s.openPush(ctx, repo, nil)
	if err != nil {
		return err
	}
	if err := pktline.WriteAdvertisement(pktline.NewWriter(session.Stdout), shown); err != nil {
		up.Abort()
		return err
	}
	p := &push{s: s, repo: repo, moved: movedNote(session.Command.Path, repo), subject: session.Subject, address: session.RemoteAddr, ssh: true,
		in: pktline.NewReader(session.Stdin), out: session.Stdout, up: up, shown: shown}
	return p.receive(ctx)
}
