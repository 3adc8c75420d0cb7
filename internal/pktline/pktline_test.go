package pktline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

// lines makes packets of texts; "0000" and "0001" stand for themselves.
func lines(texts ...string) string {
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, s := range texts {
		switch s {
		case "0000":
			w.Flush()
		case "0001":
			w.Delim()
		default:
			w.Write([]byte(s))
		}
	}
	return b.String()
}

// git runs the real git in dir with a clean environment.
func git(t testing.TB, dir, stdin string, args ...string) (stdout string, err error) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=1700000000 +0000",
		"GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=1700000000 +0000"}
	out, err := cmd.Output()
	return string(out), err
}

// mustGit is git for commands that may not fail.
func mustGit(t testing.TB, dir, stdin string, args ...string) string {
	t.Helper()
	out, err := git(t, dir, stdin, args...)
	if err != nil {
		t.Fatalf("git %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func TestReadPackets(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want string
		err  error
	}{
		{"", "", io.EOF},
		{"0000", "flush", io.EOF},
		{"000100020004", `delim,response-end,data ""`, io.EOF},
		{"0006a\n0000", `data "a\n",flush`, io.EOF},
		{"000Bhello 0", `data "hello 0"`, io.EOF},
		{"0008" + "0000" + "0008" + "PACK", `data "0000",data "PACK"`, io.EOF},
		{"00", "", io.ErrUnexpectedEOF},
		{"0006a", "", io.ErrUnexpectedEOF},
		{"0006", "", io.ErrUnexpectedEOF},
		{"0003", "", ferry.ErrInvalid},
		{"fff1", "", ferry.ErrInvalid},
		{"ffff", "", ferry.ErrInvalid},
		{"00-4", "", ferry.ErrInvalid},
		{"0x10", "", ferry.ErrInvalid},
		{"+004", "", ferry.ErrInvalid},
	} {
		r := NewReader(strings.NewReader(tt.in))
		var got []string
		var err error
		for err == nil {
			var kind Kind
			var p []byte
			if kind, p, err = r.Read(); err == nil {
				s := kind.String()
				if kind == Data {
					s += fmt.Sprintf(" %q", p)
				}
				got = append(got, s)
			}
		}
		if s := strings.Join(got, ","); s != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("reading %q: got %s, %v, want %s, %v", tt.in, s, err, tt.want, tt.err)
		}
	}
	full := "fff0" + strings.Repeat("x", MaxPayload)
	if _, p, err := NewReader(strings.NewReader(full)).Read(); err != nil || len(p) != MaxPayload {
		t.Errorf("largest packet: %d bytes, %v", len(p), err)
	}
	if _, err := NewWriter(io.Discard).Write(make([]byte, MaxPayload+1)); !errors.Is(err, ferry.ErrInvalid) {
		t.Errorf("writing one byte too much: %v", err)
	}
}

// TestReaderWaitsForNothing: a packet is returned although the other side
// has not sent the next one.
func TestReaderWaitsForNothing(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	go w.Write([]byte("0006a\n0000PACK"))
	in := NewReader(r)
	if _, p, err := in.Read(); err != nil || string(p) != "a\n" {
		t.Fatalf("got %q, %v", p, err)
	}
	if kind, _, err := in.Read(); err != nil || kind != Flush {
		t.Fatalf("got %v, %v", kind, err)
	}
	var rest [4]byte
	if _, err := io.ReadFull(in.Rest(), rest[:]); err != nil || string(rest[:]) != "PACK" {
		t.Errorf("rest %q, %v", rest, err)
	}
}

func TestSideband(t *testing.T) {
	var b bytes.Buffer
	s := NewSideband(&b, MaxSideband)
	data := bytes.Repeat([]byte("0123456789"), 20_000)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 50 {
			s.Progress([]byte("working\n"))
		}
	})
	for p := data; len(p) > 0; p = p[min(len(p), 70_000):] {
		s.Data(p[:min(len(p), 70_000)])
	}
	wg.Wait()
	s.Data(nil)
	NewWriter(&b).Flush()
	b.WriteString("behind")

	r := NewReader(&b)
	n := 0
	got, err := io.ReadAll(NewDemux(r, func(p []byte) { n += len(p) }))
	if err != nil || !bytes.Equal(got, data) || n != 50*len("working\n") {
		t.Errorf("got %d bytes and %d of progress, %v", len(got), n, err)
	}
	if rest, _ := io.ReadAll(r.Rest()); string(rest) != "behind" {
		t.Errorf("rest %q", rest)
	}
}

func TestSidebandSizes(t *testing.T) {
	for size, want := range map[int]string{MaxSideband: "fff0", SmallSideband: "03e8", 0: "fff0"} {
		var b bytes.Buffer
		NewSideband(&b, size).Data(make([]byte, 100_000))
		if got := b.String()[:4]; got != want {
			t.Errorf("size %d: first packet %s, want %s", size, got, want)
		}
	}
}

func TestDemuxErrors(t *testing.T) {
	for _, tt := range []struct {
		in     string
		remote string
		err    error
	}{
		{lines("\x01abc"), "", io.ErrUnexpectedEOF},
		{lines("\x01abc", "\x03disk \x1b[31mfull\n"), "disk [31mfull", nil},
		{lines("\x04abc", "0000"), "", ferry.ErrInvalid},
		{lines("", "0000"), "", ferry.ErrInvalid},
		{lines("0001"), "", ferry.ErrInvalid},
	} {
		_, err := io.ReadAll(NewDemux(NewReader(strings.NewReader(tt.in)), nil))
		remote, ok := errors.AsType[*RemoteError](err)
		if ok != (tt.remote != "") || ok && remote.Text != tt.remote || tt.err != nil && !errors.Is(err, tt.err) {
			t.Errorf("%q: %v, want %q or %v", tt.in, err, tt.remote, tt.err)
		}
	}
}

func TestCapabilities(t *testing.T) {
	c := ParseCapabilities(" report-status  symref=HEAD:refs/heads/main symref=X:refs/heads/y agent=git/2 object-format=sha1 empty=")
	if !c.Has("report-status") || c.Has("report") || c.Has("symref=HEAD:refs/heads/main") {
		t.Error("Has")
	}
	if v, ok := c.Value("agent"); v != "git/2" || !ok {
		t.Error("Value(agent)", v, ok)
	}
	if v, ok := c.Value("empty"); v != "" || !ok {
		t.Error("Value(empty)", v, ok)
	}
	if diff := cmp.Diff([]string{"HEAD:refs/heads/main", "X:refs/heads/y"}, c.Values("symref")); diff != "" {
		t.Error("Values", diff)
	}
	if got := c.Intersect("agent", "object-format=sha1", "report-status", "quiet").String(); got != "report-status agent=git/2 object-format=sha1" {
		t.Error("Intersect", got)
	}
	if got := c.Intersect("object-format=sha256"); len(got) != 0 {
		t.Error("Intersect of another value", got)
	}
}

func TestSanitizeTerminal(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext\n":        "plain\ttext\n",
		"\x1b[31mred\x07\x00":  "[31mred",
		"a\r\nb\rc\r":          "a\nb\nc\n",
		"\u202eevil\u2066x":    "evilx",
		"\u0085c1\u009b":       "c1",
		"bad\xff\xc3(":         "bad\ufffd\ufffd(",
		"grüße \U0001f600":     "grüße \U0001f600",
		"\x7f\u200e\u200f\xe2": "\ufffd",
	} {
		if got := SanitizeTerminal(in); got != want {
			t.Errorf("SanitizeTerminal(%q) = %q, want %q", in, got, want)
		}
	}
	if got := oneLine("  grüße\nx ", 3); got != "gr" {
		t.Errorf("oneLine = %q", got)
	}
	if got := oneLine("grüße", 4); got != "grü" {
		t.Errorf("oneLine = %q", got)
	}
}

func FuzzSanitizeTerminal(f *testing.F) {
	f.Add("\x1b]0;title\x07\r\n\u202e\xff")
	f.Fuzz(func(t *testing.T, in string) {
		got := SanitizeTerminal(in)
		for _, r := range got {
			if unicode.IsControl(r) && r != '\n' && r != '\t' || isBidi(r) {
				t.Fatalf("%q holds %U", got, r)
			}
		}
		if !utf8.ValidString(got) || SanitizeTerminal(got) != got {
			t.Fatalf("SanitizeTerminal(%q) = %q is not stable", in, got)
		}
		if s := oneLine(in, 50); len(s) > 50 || strings.ContainsAny(s, "\n\t") || !utf8.ValidString(s) {
			t.Fatalf("oneLine(%q) = %q", in, s)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("0006a\n00000001000200045"))
	f.Add([]byte("001e# service=git-upload-pack\n0000"))
	f.Add([]byte("fff0"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in))
		var b bytes.Buffer
		w := NewWriter(&b)
		for {
			kind, p, err := r.Read()
			if err != nil {
				break
			}
			switch kind {
			case Data:
				w.Write(p)
			case Flush:
				w.Flush()
			case Delim:
				w.Delim()
			case ResponseEnd:
				b.WriteString("0002")
			}
		}
		// What was read is written again, but for the case of the digits.
		if n := b.Len(); n > len(in) || !bytes.EqualFold(b.Bytes(), in[:n]) {
			t.Fatalf("read %q, wrote %q", in, b.Bytes())
		}
		io.Copy(io.Discard, NewDemux(NewReader(bytes.NewReader(in)), nil))
	})
}
