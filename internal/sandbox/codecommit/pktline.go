package codecommit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

const (
	maxPacket   = 65516 // payload bytes; gitprotocol-common, "pkt-line Format"
	maxSideband = 65515 // data bytes of a side-band-64k packet
	flushPacket = "0000"
)

// readPacket reads one packet line; flush is true for the flush packet. It
// returns io.EOF only where no packet began.
func readPacket(r *bufio.Reader) (payload []byte, flush bool, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, false, err
	}
	n, err := strconv.ParseUint(string(head[:]), 16, 16)
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("bad packet length %q", head)
	case n == 0:
		return nil, true, nil
	case n < 4 || n > maxPacket+4:
		return nil, false, fmt.Errorf("bad packet length %d", n)
	}
	payload = make([]byte, n-4)
	if _, err := io.ReadFull(r, payload); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, false, err
	}
	return payload, false, nil
}

// packet returns payload as a packet line.
func packet(payload string) string { return fmt.Sprintf("%04x%s", len(payload)+4, payload) }

// writeBand writes data as side-band packets of one band.
func writeBand(w io.Writer, band byte, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), maxSideband)
		if _, err := fmt.Fprintf(w, "%04x%c", n+5, band); err != nil {
			return err
		}
		if _, err := w.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
