package pktline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

const (
	oidA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	oidB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	zero = "0000000000000000000000000000000000000000"
)

func oid(t testing.TB, s string) ferry.OID {
	t.Helper()
	o, err := ferry.ParseOID(s)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestReadAdvertisement(t *testing.T) {
	a, b := oid(t, oidA), oid(t, oidB)
	for _, tt := range []struct {
		name string
		in   string
		want Advertisement
	}{
		{"smart HTTP", lines("# service=git-upload-pack\n", "0000", oidA+" HEAD\x00multi_ack symref=HEAD:refs/heads/main\n", oidA+" refs/heads/main\n", "0000"),
			Advertisement{Refs: []Ref{{"HEAD", a, ferry.OID{}}, {"refs/heads/main", a, ferry.OID{}}}, Capabilities: Capabilities{"multi_ack", "symref=HEAD:refs/heads/main"}}},
		{"peeled tag, version 1, shallow", lines("version 1\n", oidA+" refs/tags/v1\x00side-band-64k", oidB+" refs/tags/v1^{}", "shallow "+oidB, "0000"),
			Advertisement{Version: 1, Refs: []Ref{{"refs/tags/v1", a, b}}, Capabilities: Capabilities{"side-band-64k"}, Shallow: []ferry.OID{b}}},
		{"empty repository", lines(zero+" capabilities^{}\x00report-status delete-refs\n", "0000"),
			Advertisement{Capabilities: Capabilities{"report-status", "delete-refs"}}},
		{"nothing at all", "0000", Advertisement{}},
		{"version 2", lines("version 2\n", "agent=git/2.39.5\n", "fetch=shallow wait-for-done filter\n", "0000"),
			Advertisement{Version: 2, Capabilities: Capabilities{"agent=git/2.39.5", "fetch=shallow wait-for-done filter"}}},
		{"alternates", lines(oidA+" refs/heads/main\x00report-status", oidB+" .have", "0000"),
			Advertisement{Refs: []Ref{{"refs/heads/main", a, ferry.OID{}}}, Capabilities: Capabilities{"report-status"}}},
		{"boundaries in names", lines(oidA+" refs/heads/PACK0000\x00x", oidA+" refs/heads/0000", "0000"),
			Advertisement{Refs: []Ref{{"refs/heads/PACK0000", a, ferry.OID{}}, {"refs/heads/0000", a, ferry.OID{}}}, Capabilities: Capabilities{"x"}}},
	} {
		r := NewReader(strings.NewReader(tt.in + "behind"))
		got, err := ReadAdvertisement(r, Limits{})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, *got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if rest, _ := io.ReadAll(r.Rest()); string(rest) != "behind" {
			t.Errorf("%s: rest %q", tt.name, rest)
		}
	}
}

func TestReadAdvertisementErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string
		want error
	}{
		{"no end", lines(oidA + " HEAD\x00x\n"), io.ErrUnexpectedEOF},
		{"nothing", "", io.ErrUnexpectedEOF},
		{"header only", lines("# service=git-upload-pack\n", "0000"), io.ErrUnexpectedEOF},
		{"foreign text", lines("<html>\n", "0000"), ferry.ErrInvalid},
		{"foreign text without framing", "<html><body>Sign in", ferry.ErrInvalid},
		{"SHA-256", lines(oidA+oidA[:24]+" HEAD\x00object-format=sha256", "0000"), ferry.ErrInvalid},
		{"capabilities later", lines(oidA+" HEAD\x00x\n", oidA+" refs/heads/x\x00y\n", "0000"), ferry.ErrInvalid},
		{"peeled without tag", lines(oidA+" refs/tags/v^{}\x00x\n", "0000"), ferry.ErrInvalid},
		{"ref beside capabilities^{}", lines(zero+" capabilities^{}\x00x\n", oidA+" HEAD", "0000"), ferry.ErrInvalid},
		{"delim", lines(oidA+" HEAD\x00x\n", "0001"), ferry.ErrInvalid},
		{"two headers", lines("# service=a\n", "0000", "# service=b\n", "0000"), ferry.ErrInvalid},
		{"too many", lines(oidA+" HEAD\x00x\n", oidA+" refs/heads/a\n", oidA+" refs/heads/b\n", oidA+" refs/heads/c\n", "0000"), ferry.ErrInvalid},
	} {
		if _, err := ReadAdvertisement(NewReader(strings.NewReader(tt.in)), Limits{Refs: 3}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	in := lines("# service=git-upload-pack\n", "0000", "ERR no such \x1b[1mrepository\n")
	_, err := ReadAdvertisement(NewReader(strings.NewReader(in)), Limits{})
	if remote, ok := errors.AsType[*RemoteError](err); !ok || remote.Text != "no such [1mrepository" {
		t.Errorf("ERR packet: %v", err)
	}
	if _, err := ReadAdvertisement(NewReader(strings.NewReader(in)), Limits{Bytes: 40}); !errors.Is(err, ferry.ErrInvalid) {
		t.Errorf("above the limit of bytes: %v", err)
	}
}

// history makes a repository with two commits, an annotated tag and branches
// whose names look like boundaries.
func history(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	mustGit(t, dir, "", "init", "-q", "-b", "main", ".")
	for i := range 2 {
		if err := os.WriteFile(filepath.Join(dir, "f"), fmt.Appendf(nil, "%d", i), 0o600); err != nil {
			t.Fatal(err)
		}
		mustGit(t, dir, "", "add", ".")
		mustGit(t, dir, "", "commit", "-q", "-m", "DEMO-1 PACK 0000")
	}
	mustGit(t, dir, "", "tag", "-a", "-m", "x", "v1")
	mustGit(t, dir, "", "branch", "PACK")
	mustGit(t, dir, "", "branch", "0000")
	return dir
}

// advertisements are those of the real git, both services and an empty
// repository.
func advertisements(t testing.TB) []string {
	t.Helper()
	dir, empty := history(t), t.TempDir()
	mustGit(t, empty, "", "init", "-q", "-b", "main", ".")
	var all []string
	for _, d := range []string{dir, empty} {
		for _, service := range []string{"upload-pack", "receive-pack"} {
			all = append(all, mustGit(t, d, "", service, "--http-backend-info-refs", "."))
		}
	}
	return all
}

// TestAdvertisementOfGit reads what git writes and writes it the same.
func TestAdvertisementOfGit(t *testing.T) {
	all := advertisements(t)
	for i, in := range all {
		adv, err := ReadAdvertisement(NewReader(strings.NewReader(in)), Limits{})
		if err != nil {
			t.Errorf("%.200q: %v", in, err)
			continue
		}
		if i < 2 && len(adv.Refs) < 4 || i == 3 && len(adv.Capabilities) == 0 {
			t.Errorf("advertisement %d: %+v", i, adv)
		}
		var b bytes.Buffer
		if err := WriteAdvertisement(NewWriter(&b), adv); err != nil {
			t.Fatal(err)
		}
		// git's upload-pack says nothing but a flush for an empty repository.
		if b.String() != in && len(adv.Refs) > 0 {
			t.Errorf("read %q, wrote %q", in, b.String())
		}
	}
}

func FuzzAdvertisement(f *testing.F) {
	for _, in := range advertisements(f) {
		f.Add([]byte(in))
	}
	f.Add([]byte(lines("# service=git-upload-pack\n", "0000", "version 2\n", "agent=x\n", "0000")))
	f.Add([]byte(lines("version 1\n", oidA+" refs/tags/v1\x00a b=c\n", oidB+" refs/tags/v1^{}\n", "shallow "+oidB, "0000")))
	f.Fuzz(func(t *testing.T, in []byte) {
		adv, err := ReadAdvertisement(NewReader(bytes.NewReader(in)), Limits{})
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := WriteAdvertisement(NewWriter(&b), adv); err != nil {
			return // a packet became too long by our line end
		}
		again, err := ReadAdvertisement(NewReader(&b), Limits{})
		if err != nil {
			t.Fatalf("reading %+v again: %v", adv, err)
		}
		if diff := cmp.Diff(adv, again); diff != "" {
			t.Fatalf("round trip:\n%s", diff)
		}
	})
}
