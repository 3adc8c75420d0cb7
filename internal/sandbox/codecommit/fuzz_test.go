package codecommit

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
)

// FuzzGit feeds what a client may send to the parsers of the git side: none
// may panic or keep more than it was given.
func FuzzGit(f *testing.F) {
	id := strings.Repeat("1", 40)
	f.Add([]byte(packet(zeroID+" "+id+" refs/heads/main\x00 report-status push-options") + "0000" + packet("quiet") + "0000"))
	f.Add([]byte(packet("want "+id+" thin-pack\n") + packet("deepen 1\n") + "0000" + packet("done\n")))
	f.Add([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\x30x\x9c\x03\x00\x00\x00\x00\x01" + strings.Repeat("\x00", 20)))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := func() *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }
		if head, err := readWants(in()); err == nil && len(head) > len(b) {
			t.Errorf("readWants returned %d bytes of %d", len(head), len(b))
		}
		if p, err := readPush(in()); err == nil && len(p.updates) > len(b) {
			t.Errorf("readPush returned %d updates of %d bytes", len(p.updates), len(b))
		}
		var out bytes.Buffer
		if err := spoolPack(in(), &out, true); err == nil && !bytes.HasPrefix(b, out.Bytes()) {
			t.Error("spoolPack changed the pack")
		}
		w := &afterFlush{w: io.Discard}
		w.Write(b)
	})
}
