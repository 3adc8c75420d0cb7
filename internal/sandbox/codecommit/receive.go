package codecommit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"gitferry/internal/git"
)

const (
	maxUpdates  = 4000   // reference updates in one push; CodeCommit quotas
	maxCommands = 50_000 // that are read at all, so that too many can be refused in words
)

// A push is what a client sends before the pack.
type push struct {
	updates      []refChange // old and new are never "", but zeros
	capabilities string
	options      []string
}

// has reports whether the client chose a capability.
func (p push) has(capability string) bool { return foreign(capability, p.capabilities) == "" }

// wantsPack reports whether a pack follows: not for deletions alone.
func wantsPack(updates []refChange) bool {
	for _, u := range updates {
		if u.new != zeroID {
			return true
		}
	}
	return false
}

var commandLine = regexp.MustCompile(`^([0-9a-f]{40}) ([0-9a-f]{40}) ([^\x00]+)(?:\x00(.*))?$`)

// readPush reads the commands, up to the flush packet, and the push options if
// they were chosen.
func readPush(in *bufio.Reader) (push, error) {
	var p push
	for {
		line, flush, err := readPacket(in)
		switch {
		case err == io.EOF && len(p.updates) == 0:
			return p, nil // a client that only looked
		case err != nil:
			return p, fmt.Errorf("reading commands: %w", err)
		}
		if flush {
			break
		}
		m := commandLine.FindStringSubmatch(strings.TrimSuffix(string(line), "\n"))
		if m == nil {
			return p, protocolFault("protocol error: expected old/new/ref")
		}
		if len(p.updates) == 0 {
			p.capabilities = strings.TrimSpace(m[4])
		}
		p.updates = append(p.updates, refChange{name: m[3], old: m[1], new: m[2]})
		if len(p.updates) > maxCommands {
			return p, protocolFault("too many commands")
		}
	}
	if !p.has("push-options") || len(p.updates) == 0 {
		return p, nil
	}
	for len(p.options) < 1000 {
		line, flush, err := readPacket(in)
		if err != nil {
			return p, fmt.Errorf("reading push options: %w", err)
		}
		if flush {
			return p, nil
		}
		p.options = append(p.options, string(line))
	}
	return p, protocolFault("too many push options")
}

// receive answers one push: it reads everything, refuses what the service
// refuses, has real git do the rest, and reports. A client that breaks off
// before the end of the pack has changed nothing.
func (s *Server) receive(ctx context.Context, ss session, in *bufio.Reader, out io.Writer) error {
	likeGit := s.isLikeGit()
	p, err := readPush(in)
	var fault protocolFault
	if errors.As(err, &fault) {
		_, err := io.WriteString(out, packet("ERR "+string(fault)))
		return err
	}
	if err != nil || len(p.updates) == 0 {
		return err
	}
	if word := foreign(p.capabilities, receiveCapabilities); word != "" && !likeGit {
		_, err := io.WriteString(out, packet("ERR capability "+word+" is not supported"))
		return err
	}
	spool, err := os.CreateTemp(filepath.Join(s.cfg.Dir, "spool"), "push-*")
	if err != nil {
		return fmt.Errorf("making room for a pack: %w", err)
	}
	defer os.Remove(spool.Name())
	defer spool.Close()
	if wantsPack(p.updates) {
		err := spoolPack(in, spool, likeGit)
		var fault packFault
		if errors.As(err, &fault) {
			return p.report(out, string(fault), p.refuse("unpacker error"))
		}
		if err != nil {
			return fmt.Errorf("reading the pack: %w", err)
		}
	}
	if len(p.updates) > maxUpdates {
		return p.report(out, "ok", p.refuse(fmt.Sprintf("too many reference updates, at most %d are allowed in one push", maxUpdates)))
	}
	return s.apply(ctx, ss, p, spool, out)
}

// apply runs git receive-pack for the updates that nothing denies and reports
// on all.
func (s *Server) apply(ctx context.Context, ss session, p push, pack *os.File, out io.Writer) error {
	var granted []refChange
	var refused []string
	for _, u := range p.updates {
		if s.deniedRef("codecommit:GitPush", u.name) {
			refused = append(refused, "ng "+u.name+" You don't have permission to push changes to this branch.\n")
			continue
		}
		granted = append(granted, u)
	}
	unpack := "ok"
	var lines []string
	if len(granted) > 0 {
		var report bytes.Buffer
		_, err := s.change(ctx, ss.repository, ss.caller, func(ctx context.Context) error {
			stdin, err := p.forGit(granted, pack)
			if err != nil {
				return err
			}
			return s.run(ctx, git.Command{Stdin: stdin, Stdout: &report, Args: []string{"receive-pack", "--stateless-rpc", ss.repository.dir}})
		})
		if report.Len() == 0 {
			if err == nil {
				err = errors.New("git gave no report")
			}
			return fmt.Errorf("receiving a push: %w", err)
		}
		if unpack, lines, err = readReport(&report); err != nil {
			return err
		}
	}
	return p.report(out, unpack, append(lines, refused...))
}

// forGit returns what git receive-pack shall read: the granted commands
// without side bands, so that its report comes bare, and the pack.
func (p push) forGit(granted []refChange, pack *os.File) (io.Reader, error) {
	capabilities := []string{"report-status"}
	for word := range strings.FieldsSeq(p.capabilities) {
		switch word {
		case "side-band", "side-band-64k", "report-status", "report-status-v2", "quiet":
		default:
			capabilities = append(capabilities, word)
		}
	}
	var head bytes.Buffer
	for i, u := range granted {
		line := u.old + " " + u.new + " " + u.name
		if i == 0 {
			line += "\x00" + strings.Join(capabilities, " ")
		}
		head.WriteString(packet(line))
	}
	head.WriteString(flushPacket)
	if p.has("push-options") {
		for _, o := range p.options {
			head.WriteString(packet(o))
		}
		head.WriteString(flushPacket)
	}
	if !wantsPack(granted) {
		return &head, nil
	}
	if _, err := pack.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return io.MultiReader(&head, pack), nil
}

// readReport takes git's report apart into the unpack status and the lines of
// the refs.
func readReport(report *bytes.Buffer) (unpack string, lines []string, err error) {
	r := bufio.NewReader(report)
	for {
		line, flush, err := readPacket(r)
		if err != nil {
			return "", nil, fmt.Errorf("reading git's report: %w", err)
		}
		if flush {
			return unpack, lines, nil
		}
		if text, ok := strings.CutPrefix(string(line), "unpack "); ok && unpack == "" {
			unpack = strings.TrimSuffix(text, "\n")
			continue
		}
		lines = append(lines, string(line))
	}
}

// refuse returns report lines that refuse every update.
func (p push) refuse(reason string) []string {
	var lines []string
	for _, u := range p.updates {
		lines = append(lines, "ng "+u.name+" "+reason+"\n")
	}
	return lines
}

// report writes the report-status (gitprotocol-pack, "Report Status"), in side
// band 1 if the client chose side bands, or nothing if it wanted none.
func (p push) report(out io.Writer, unpack string, lines []string) error {
	if !p.has("report-status") && !p.has("report-status-v2") {
		return nil
	}
	var b bytes.Buffer
	b.WriteString(packet("unpack " + unpack + "\n"))
	for _, l := range lines {
		b.WriteString(packet(l))
	}
	b.WriteString(flushPacket)
	if !p.has("side-band-64k") {
		_, err := out.Write(b.Bytes())
		return err
	}
	if err := writeBand(out, 1, b.Bytes()); err != nil {
		return err
	}
	_, err := io.WriteString(out, flushPacket)
	return err
}
