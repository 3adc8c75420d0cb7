package codecommit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"

	"gitferry/internal/git"
)

// converse speaks the service's protocol over in and out.
func (s *Server) converse(ctx context.Context, in io.Reader, out io.Writer, ss session) error {
	if ss.service == receivePack {
		if err := s.advertise(ctx, out, ss, false); err != nil {
			return err
		}
		return s.receive(ctx, ss, bufio.NewReaderSize(in, 64<<10), out)
	}
	// git gets a pipe of the system's as input: with any other reader its end
	// would be noticed only after the client's next word.
	pr, pw, err := os.Pipe()
	if err != nil {
		return err
	}
	defer pr.Close()
	args := []string{"upload-pack", "--strict", ss.repository.dir}
	if s.isLikeGit() {
		go func() { // ends when the channel or the pipe closes
			io.Copy(pw, in)
			pw.Close()
		}()
		return s.run(ctx, git.Command{Stdin: pr, Stdout: out, Protocol: ss.protocol, Args: args})
	}
	if err := s.advertise(ctx, out, ss, false); err != nil {
		pw.Close()
		return err
	}
	buffered := bufio.NewReaderSize(in, 64<<10)
	head, err := readWants(buffered)
	var fault protocolFault
	if errors.As(err, &fault) {
		io.WriteString(out, packet("ERR "+string(fault)))
	}
	if err != nil || len(head) <= len(flushPacket) {
		pw.Close()
		return err
	}
	go func() { // ends when the channel or the pipe closes
		defer pw.Close()
		if _, err := pw.Write(head); err == nil {
			io.Copy(pw, buffered)
		}
	}()
	// Its own advertisement is not for the client, who has ours.
	return s.run(ctx, git.Command{Stdin: pr, Stdout: &afterFlush{w: out}, Args: args})
}

// afterFlush passes on what comes after the first flush packet. Packets may be
// cut anywhere by the writes.
type afterFlush struct {
	w    io.Writer
	held []byte
	open bool
}

func (a *afterFlush) Write(p []byte) (int, error) {
	if a.open {
		return a.w.Write(p)
	}
	a.held = append(a.held, p...)
	r := bufio.NewReader(bytes.NewReader(a.held))
	for {
		payload, flush, err := readPacket(r)
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return len(p), nil // the rest of a packet is to come
		case err != nil:
			return 0, err
		case flush:
			a.open = true
			rest := a.held[len(flushPacket):]
			a.held = nil
			if len(rest) > 0 {
				if _, err := a.w.Write(rest); err != nil {
					return 0, err
				}
			}
			return len(p), nil
		}
		a.held = a.held[len(payload)+4:]
	}
}

// muteAfterFlush lets the advertisement through and swallows what follows, for
// a push that takes effect and is never answered.
type muteAfterFlush struct {
	w     io.Writer
	muted bool
}

func (m *muteAfterFlush) Write(p []byte) (int, error) {
	if m.muted {
		return len(p), nil
	}
	m.muted = bytes.HasSuffix(p, []byte(flushPacket))
	return m.w.Write(p)
}
