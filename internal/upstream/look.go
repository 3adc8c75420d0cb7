package upstream

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
)

const version2 = "version=2"

const maxRefName = 1 << 10 // bytes

func (d *Dialer) lookHTTP(ctx context.Context, t Target, p place) (*pktline.Advertisement, error) {
	resp, err := d.advertise(ctx, t, p, uploadPack, version2)
	if err != nil {
		return nil, err
	}
	adv, err := d.readAdvertisement(pktline.NewReader(resp.Body))
	if err != nil {
		err = fault(resp.Request.Context(), p, uploadPack, err) // before the answer is closed
	}
	finish(resp, err)
	if err != nil {
		return nil, err
	}
	if adv.Version != 2 {
		return adv, nil
	}
	request, err := lsRefs(adv.Capabilities, d.userAgent)
	if err != nil {
		return nil, fault(ctx, p, uploadPack, err)
	}
	resp, err = d.do(ctx, t, p, call{
		method:      http.MethodPost,
		suffix:      "/" + uploadPack,
		service:     uploadPack,
		accept:      "application/x-" + uploadPack + "-result",
		contentType: "application/x-" + uploadPack + "-request",
		protocol:    version2,
		body:        bytes.NewReader(request),
		length:      int64(len(request)),
		wait:        d.bounds.firstByte,
	})
	if err != nil {
		return nil, err
	}
	err = d.readRefs(pktline.NewReader(resp.Body), adv)
	if err != nil {
		err = fault(resp.Request.Context(), p, uploadPack, err)
	}
	finish(resp, err)
	if err != nil {
		return nil, err
	}
	return adv, nil
}

// finish closes an answer; after a complete one it first reads to the end, so
// that the connection can be used again.
func finish(resp *http.Response, err error) {
	if err == nil {
		io.CopyN(io.Discard, resp.Body, 4<<10) // what is longer is not worth keeping the connection
	}
	resp.Body.Close()
}

func (d *Dialer) readAdvertisement(r *pktline.Reader) (*pktline.Advertisement, error) {
	adv, err := pktline.ReadAdvertisement(r, d.bounds.refs)
	if err != nil {
		return nil, err
	}
	for _, ref := range adv.Refs {
		if len(ref.Name) > maxRefName {
			return nil, fmt.Errorf("ref name of %d bytes: %w", len(ref.Name), ferry.ErrInvalid)
		}
	}
	if format, ok := adv.Capabilities.Value("object-format"); ok && format != "sha1" {
		return nil, &ferry.Message{Kind: ferry.ErrInvalid, Text: "the repository uses the object format " + oneLine(format) + "; only sha1 is supported"}
	}
	return adv, nil
}

// lsRefs makes the request of protocol version 2 for all refs
// (gitprotocol-v2, "ls-refs").
func lsRefs(caps pktline.Capabilities, agent string) ([]byte, error) {
	features, ok := caps.Value("ls-refs")
	if !ok {
		return nil, fmt.Errorf("no ls-refs among the capabilities: %w", ferry.ErrInvalid)
	}
	var b bytes.Buffer
	w := pktline.NewWriter(&b)
	lines := []string{"command=ls-refs"}
	if caps.Has("agent") && agent != "" {
		lines = append(lines, "agent="+agent)
	}
	if caps.Has("object-format") {
		lines = append(lines, "object-format=sha1")
	}
	for _, l := range lines {
		if err := w.Printf("%s\n", l); err != nil {
			return nil, err
		}
	}
	if err := w.Delim(); err != nil {
		return nil, err
	}
	arguments := []string{"peel", "symrefs"}
	if strings.Contains(features, "unborn") {
		arguments = append(arguments, "unborn")
	}
	for _, a := range arguments {
		if err := w.Printf("%s\n", a); err != nil {
			return nil, err
		}
	}
	err := w.Flush()
	return b.Bytes(), err
}

// readRefs reads the answer to ls-refs into adv.
func (d *Dialer) readRefs(r *pktline.Reader, adv *pktline.Advertisement) error {
	var size int64
	for {
		kind, line, err := r.Read()
		switch {
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case kind == pktline.Flush:
			return nil
		case kind != pktline.Data:
			return fmt.Errorf("%s packet among refs: %w", kind, ferry.ErrInvalid)
		}
		if size += int64(len(line)); size > d.bounds.refs.Bytes || len(adv.Refs) >= d.bounds.refs.Refs {
			return fmt.Errorf("more than %d refs or %d bytes: %w", d.bounds.refs.Refs, d.bounds.refs.Bytes, ferry.ErrInvalid)
		}
		if err := readRef(strings.TrimSuffix(string(line), "\n"), adv); err != nil {
			return err
		}
	}
}

func readRef(line string, adv *pktline.Advertisement) error {
	if text, ok := strings.CutPrefix(line, "ERR "); ok {
		return &pktline.RemoteError{Text: pktline.SanitizeTerminal(text)}
	}
	fields := strings.Split(line, " ")
	if len(fields) < 2 || fields[1] == "" || len(fields[1]) > maxRefName {
		return fmt.Errorf("ref line %.80q: %w", line, ferry.ErrInvalid)
	}
	ref := pktline.Ref{Name: fields[1]}
	unborn := fields[0] == "unborn"
	var err error
	if !unborn {
		if ref.OID, err = ferry.ParseOID(fields[0]); err != nil {
			return err
		}
	}
	for _, attribute := range fields[2:] {
		if to, ok := strings.CutPrefix(attribute, "symref-target:"); ok {
			adv.Capabilities = append(adv.Capabilities, "symref="+ref.Name+":"+to)
		}
		if peeled, ok := strings.CutPrefix(attribute, "peeled:"); ok {
			if ref.Peeled, err = ferry.ParseOID(peeled); err != nil {
				return err
			}
		}
	}
	if !unborn {
		adv.Refs = append(adv.Refs, ref)
	}
	return nil
}

func (d *Dialer) lookSSH(ctx context.Context, t Target, p place) (*pktline.Advertisement, error) {
	s, err := d.openSSH(ctx, t, p, uploadPack, version2)
	if err != nil {
		return nil, err
	}
	r := pktline.NewReader(s.stdout)
	adv, err := d.readAdvertisement(r)
	if err == nil && adv.Version == 2 {
		var request []byte
		if request, err = lsRefs(adv.Capabilities, d.userAgent); err == nil {
			if _, err = s.stdin.Write(request); err == nil {
				err = d.readRefs(r, adv)
			}
		}
	}
	if err != nil {
		return nil, s.fail(err)
	}
	// A flush says that nothing is wanted, in both versions.
	io.WriteString(s.stdin, "0000")
	s.finish()
	return adv, nil
}
