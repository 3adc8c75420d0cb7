package pktline

import (
	"bytes"
	"fmt"
	"io"

	"gitferry/internal/ferry"
)

const (
	// MaxCommands is CodeCommit's limit of refs in one push ("Quotas").
	MaxCommands = 4000
	// MaxPushOptions and maxOptionBytes bound the options of one push.
	MaxPushOptions = 1000
	maxOptionBytes = 64 << 10
	// maxShallow bounds the shallow lines of one push.
	maxShallow = 100_000
)

// Commands is the head of a push: the ref updates and what goes with them
// (gitprotocol-pack, "Reference Update Request and Packfile Transfer").
type Commands struct {
	Updates      []ferry.RefUpdate // in the order sent, each ref once
	Capabilities Capabilities      // what the client chose
	Shallow      []ferry.OID       // boundaries of the client's shallow clone
	PushOptions  []string          // only if "push-options" was chosen
}

// DeletesOnly reports whether every update deletes, so that no pack follows.
func (c *Commands) DeletesOnly() bool {
	for _, u := range c.Updates {
		if !u.IsDelete() {
			return false
		}
	}
	return true
}

// ReadCommands reads the commands up to their flush packet and then, if the
// client chose the capability push-options, its options up to theirs. What
// follows, the pack, is at r.Rest. No command at all is a valid list: smart
// HTTP clients probe with a lone flush packet.
//
// max is the most commands accepted, 0 for MaxCommands. Names are checked by
// ferry.ParseRefName. Anything out of form or above a limit fails with
// ferry.ErrInvalid and says why; push certificates are refused. io.EOF means
// that the client left before the first packet, io.ErrUnexpectedEOF later.
func ReadCommands(r *Reader, max int) (*Commands, error) {
	if max == 0 {
		max = MaxCommands
	}
	c := new(Commands)
	seen := make(map[ferry.RefName]bool)
	for packets := 0; ; packets++ {
		kind, p, err := r.Read()
		if err == io.EOF && packets == 0 {
			return nil, err
		} else if err != nil {
			return nil, fmt.Errorf("reading commands: %w", unexpected(err))
		}
		if kind == Flush {
			break
		}
		if kind != Data {
			return nil, fmt.Errorf("reading commands: %s packet: %w", kind, ferry.ErrInvalid)
		}
		if err := c.line(chomp(p), seen, max); err != nil {
			return nil, fmt.Errorf("reading commands: %w", err)
		}
	}
	if len(c.Updates) > 0 && c.Capabilities.Has("push-options") {
		if err := c.readOptions(r); err != nil {
			return nil, fmt.Errorf("reading push options: %w", err)
		}
	}
	return c, nil
}

func (c *Commands) line(line []byte, seen map[ferry.RefName]bool, max int) error {
	if oid, ok := bytes.CutPrefix(line, []byte("shallow ")); ok {
		if len(c.Shallow) >= maxShallow {
			return fmt.Errorf("more than %d shallow lines: %w", maxShallow, ferry.ErrInvalid)
		}
		o, err := ferry.ParseOID(string(oid))
		if err != nil {
			return fmt.Errorf("shallow line: %w", err)
		}
		c.Shallow = append(c.Shallow, o)
		return nil
	}
	if bytes.HasPrefix(line, []byte("push-cert\x00")) {
		return fmt.Errorf("signed pushes are not supported: %w", ferry.ErrInvalid)
	}
	if len(c.Updates) >= max {
		return fmt.Errorf("more than %d refs in one push: %w", max, ferry.ErrInvalid)
	}
	command, caps, has := bytes.Cut(line, []byte{0})
	if has {
		if len(c.Updates) > 0 {
			return fmt.Errorf("capabilities on a later command: %w", ferry.ErrInvalid)
		}
		c.Capabilities = ParseCapabilities(string(caps))
	}
	u, err := parseCommand(command)
	if err != nil {
		return err
	}
	if seen[u.Name] {
		return fmt.Errorf("two commands for %s: %w", u.Name, ferry.ErrInvalid)
	}
	seen[u.Name] = true
	c.Updates = append(c.Updates, u)
	return nil
}

// parseCommand reads "OLD SP NEW SP NAME".
func parseCommand(b []byte) (ferry.RefUpdate, error) {
	if len(b) < 83 || b[40] != ' ' || b[81] != ' ' {
		return ferry.RefUpdate{}, fmt.Errorf("command %.100q: want two object names and a ref name: %w", b, ferry.ErrInvalid)
	}
	prior, err := ferry.ParseOID(string(b[:40]))
	if err != nil {
		return ferry.RefUpdate{}, err
	}
	next, err := ferry.ParseOID(string(b[41:81]))
	if err != nil {
		return ferry.RefUpdate{}, err
	}
	name, err := ferry.ParseRefName(string(b[82:]))
	if err != nil {
		return ferry.RefUpdate{}, err
	}
	return ferry.RefUpdate{Name: name, Old: prior, New: next}, nil
}

func (c *Commands) readOptions(r *Reader) error {
	total := 0
	for {
		kind, p, err := r.Read()
		if err != nil {
			return unexpected(err)
		}
		if kind == Flush {
			return nil
		}
		if kind != Data {
			return fmt.Errorf("%s packet: %w", kind, ferry.ErrInvalid)
		}
		option := chomp(p)
		if total += len(option); total > maxOptionBytes || len(c.PushOptions) >= MaxPushOptions {
			return fmt.Errorf("more than %d options or %d bytes: %w", MaxPushOptions, maxOptionBytes, ferry.ErrInvalid)
		}
		if bytes.ContainsAny(option, "\n\x00") {
			return fmt.Errorf("option %.60q holds a line end or NUL: %w", option, ferry.ErrInvalid)
		}
		c.PushOptions = append(c.PushOptions, string(option))
	}
}

// WriteCommands writes the command list and, if the capability push-options
// is among c.Capabilities, the options, each with its flush packet. It is the
// inverse of ReadCommands.
func WriteCommands(w *Writer, c *Commands) error {
	return w.together(func(w *Writer) error { return writeCommands(w, c) })
}

func writeCommands(w *Writer, c *Commands) error {
	for _, oid := range c.Shallow {
		if err := w.Printf("shallow %s", oid); err != nil {
			return err
		}
	}
	caps := "\x00 " + c.Capabilities.String()
	for _, u := range c.Updates {
		if err := w.Printf("%s %s %s%s", u.Old, u.New, u.Name, caps); err != nil {
			return fmt.Errorf("writing command for %s: %w", u.Name, err)
		}
		caps = ""
	}
	if err := w.Flush(); err != nil || len(c.Updates) == 0 || !c.Capabilities.Has("push-options") {
		return err
	}
	for _, option := range c.PushOptions {
		if err := w.Printf("%s", option); err != nil {
			return fmt.Errorf("writing push option: %w", err)
		}
	}
	return w.Flush()
}
