package pktline

import (
	"bytes"
	"fmt"
	"strings"

	"gitferry/internal/ferry"
)

// A Ref is one line of an advertisement.
type Ref struct {
	Name   string    // as sent, not checked; "HEAD" or "refs/…"
	OID    ferry.OID // what the ref points to
	Peeled ferry.OID // for annotated tags the object at the end, else zero
}

// An Advertisement is what a git server says first: its refs and what it can.
type Advertisement struct {
	Version      int // 0, 1 or 2; version 2 has capabilities only
	Refs         []Ref
	Capabilities Capabilities
	Shallow      []ferry.OID // boundaries of a shallow repository
}

// Limits bounds an advertisement. Zero members stand for the defaults.
type Limits struct {
	Refs  int   // refs and shallow lines together; default 1,000,000
	Bytes int64 // of payload; default 256 MiB
}

func (l Limits) orDefault() Limits {
	if l.Refs == 0 {
		l.Refs = 1_000_000
	}
	if l.Bytes == 0 {
		l.Bytes = 256 << 20
	}
	return l
}

// ReadAdvertisement reads an advertisement of either service in protocol
// version 0, 1 or 2 up to its flush packet (gitprotocol-pack, "Reference
// Discovery"; gitprotocol-v2, "Capability Advertisement"). The header
// "# service=…" of smart HTTP is skipped if it is there. ".have" lines, which
// name objects and no ref, are dropped.
//
// An "ERR" packet gives a *RemoteError. What breaks the format or the limits
// fails with ferry.ErrInvalid; a stream that ends early with
// io.ErrUnexpectedEOF.
func ReadAdvertisement(r *Reader, limits Limits) (*Advertisement, error) {
	p := advertisementParser{limits: limits.orDefault(), first: true}
	for {
		kind, line, err := r.Read()
		if err != nil {
			return nil, fmt.Errorf("reading advertisement: %w", unexpected(err))
		}
		switch {
		case kind == Flush && p.header:
			p.header = false // ends the header of smart HTTP
		case kind == Flush:
			return &p.adv, nil
		case kind != Data:
			return nil, fmt.Errorf("reading advertisement: %s packet: %w", kind, ferry.ErrInvalid)
		default:
			if err := p.line(line); err != nil {
				return nil, fmt.Errorf("reading advertisement: %w", err)
			}
		}
	}
}

type advertisementParser struct {
	limits   Limits
	adv      Advertisement
	first    bool // no line of the advertisement itself was read
	header   bool // between "# service=" and its flush
	headed   bool // there was a header
	caps     bool // the capabilities were read
	noRefs   bool // "capabilities^{}" was read
	lines    int
	consumed int64
}

func (p *advertisementParser) line(payload []byte) error {
	line := chomp(payload)
	if p.consumed += int64(len(payload)); p.consumed > p.limits.Bytes {
		return fmt.Errorf("longer than %d bytes: %w", p.limits.Bytes, ferry.ErrInvalid)
	}
	if text, ok := bytes.CutPrefix(line, []byte("ERR ")); ok {
		return newRemoteError(text)
	}
	if p.header {
		return fmt.Errorf("line %.60q in the service header: %w", line, ferry.ErrInvalid)
	}
	if p.first && !p.headed && bytes.HasPrefix(line, []byte("# service=")) {
		p.header, p.headed = true, true
		return nil
	}
	first := p.first
	p.first = false
	if first {
		switch string(line) {
		case "version 1":
			p.adv.Version = 1
			return nil
		case "version 2":
			p.adv.Version = 2
			return nil
		}
	}
	if p.lines++; p.lines > p.limits.Refs {
		return fmt.Errorf("more than %d lines: %w", p.limits.Refs, ferry.ErrInvalid)
	}
	if p.adv.Version == 2 {
		if len(line) == 0 || bytes.IndexByte(line, 0) >= 0 {
			return fmt.Errorf("capability line %.60q: %w", line, ferry.ErrInvalid)
		}
		p.adv.Capabilities = append(p.adv.Capabilities, string(line))
		return nil
	}
	if oid, ok := bytes.CutPrefix(line, []byte("shallow ")); ok {
		o, err := ferry.ParseOID(string(oid))
		if err != nil {
			return fmt.Errorf("shallow line: %w", err)
		}
		p.adv.Shallow = append(p.adv.Shallow, o)
		return nil
	}
	return p.ref(line)
}

// ref reads "OID SP NAME" with, on the first such line, NUL and capabilities.
func (p *advertisementParser) ref(line []byte) error {
	line, caps, has := bytes.Cut(line, []byte{0})
	if has {
		if p.caps {
			return fmt.Errorf("capabilities on a later line: %w", ferry.ErrInvalid)
		}
		p.adv.Capabilities = ParseCapabilities(string(caps))
	}
	p.caps = true // only the first line of refs may carry them
	if len(line) < 42 || line[40] != ' ' {
		return fmt.Errorf("ref line %.80q: want an object name, a space and a ref name: %w", line, ferry.ErrInvalid)
	}
	oid, err := ferry.ParseOID(string(line[:40]))
	if err != nil {
		return fmt.Errorf("ref line: %w", err)
	}
	name := string(line[41:])
	if p.noRefs || name == noRefsName && (!oid.IsZero() || len(p.adv.Refs) > 0) {
		return fmt.Errorf("ref line %.80q beside %s: %w", name, noRefsName, ferry.ErrInvalid)
	}
	if name == noRefsName {
		p.noRefs = true
		return nil
	}
	if strings.ContainsAny(name, "\n\x00") {
		return fmt.Errorf("ref line %.80q: line end in the name: %w", name, ferry.ErrInvalid)
	}
	if name == ".have" {
		return nil
	}
	if tag, ok := strings.CutSuffix(name, "^{}"); ok {
		if n := len(p.adv.Refs); n > 0 && p.adv.Refs[n-1].Name == tag && p.adv.Refs[n-1].Peeled.IsZero() {
			p.adv.Refs[n-1].Peeled = oid
			return nil
		}
		return fmt.Errorf("ref line %.80q does not follow its tag: %w", name, ferry.ErrInvalid)
	}
	p.adv.Refs = append(p.adv.Refs, Ref{Name: name, OID: oid})
	return nil
}

// noRefsName carries the capabilities where there is no ref to carry them.
const noRefsName = "capabilities^{}"

// WriteServiceHeader writes what smart HTTP puts in front of an
// advertisement: "# service=git-upload-pack" and a flush packet.
func WriteServiceHeader(w *Writer, service string) error {
	if err := w.Printf("# service=%s\n", service); err != nil {
		return err
	}
	return w.Flush()
}

// WriteAdvertisement writes an advertisement with its flush packet, without
// the header of smart HTTP. It is the inverse of ReadAdvertisement.
func WriteAdvertisement(w *Writer, adv *Advertisement) error {
	return w.together(func(w *Writer) error { return writeAdvertisement(w, adv) })
}

func writeAdvertisement(w *Writer, adv *Advertisement) error {
	if adv.Version > 0 {
		if err := w.Printf("version %d\n", adv.Version); err != nil {
			return err
		}
	}
	if adv.Version == 2 {
		for _, item := range adv.Capabilities {
			if err := w.Printf("%s\n", item); err != nil {
				return err
			}
		}
		return w.Flush()
	}
	if err := writeRefs(w, adv); err != nil {
		return err
	}
	for _, oid := range adv.Shallow {
		if err := w.Printf("shallow %s\n", oid); err != nil {
			return err
		}
	}
	return w.Flush()
}

func writeRefs(w *Writer, adv *Advertisement) error {
	caps := "\x00" + adv.Capabilities.String()
	if len(adv.Refs) == 0 {
		return w.Printf("%s %s%s\n", ferry.OID{}, noRefsName, caps)
	}
	for _, ref := range adv.Refs {
		if err := w.Printf("%s %s%s\n", ref.OID, ref.Name, caps); err != nil {
			return fmt.Errorf("advertising %.80q: %w", ref.Name, err)
		}
		caps = ""
		if !ref.Peeled.IsZero() {
			if err := w.Printf("%s %s^{}\n", ref.Peeled, ref.Name); err != nil {
				return err
			}
		}
	}
	return nil
}
