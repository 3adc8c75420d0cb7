package packscan

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pack builds a pack from its entries, with a valid trailer.
func pack(version, count uint32, entries ...[]byte) []byte {
	p := []byte("PACK")
	p = binary.BigEndian.AppendUint32(p, version)
	p = binary.BigEndian.AppendUint32(p, count)
	p = append(p, bytes.Join(entries, nil)...)
	return seal(p)
}

// seal appends the trailer.
func seal(p []byte) []byte {
	sum := sha1.Sum(p)
	return append(bytes.Clone(p), sum[:]...)
}

// object is an entry of the given type and content.
func object(kind ObjectType, content []byte) []byte {
	return append(head(kind, uint64(len(content)), 0), deflated(content, zlib.DefaultCompression)...)
}

// head encodes type and size, with so many superfluous zero digits.
func head(kind ObjectType, size uint64, padding int) []byte {
	b := []byte{byte(kind)<<4 | byte(size&15)}
	for size >>= 4; size > 0; size >>= 7 {
		b = append(b, byte(size&0x7f))
	}
	for range padding {
		b = append(b, 0)
	}
	for i := range b[:len(b)-1] {
		b[i] |= 0x80
	}
	return b
}

// deflated is content as a zlib stream.
func deflated(content []byte, level int) []byte {
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, level)
	if err != nil {
		panic(err) // a level of this file
	}
	w.Write(content)
	w.Close()
	return b.Bytes()
}

// raw is content as a deflate stream without the zlib frame.
func raw(content []byte) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		panic(err) // the level is valid
	}
	w.Write(content)
	w.Close()
	return b.Bytes()
}

// withDictionary is content as a zlib stream that asks for a dictionary.
func withDictionary(content []byte) []byte {
	dict := []byte("a dictionary that both sides would have to know")
	var b bytes.Buffer
	w, err := zlib.NewWriterLevelDict(&b, zlib.DefaultCompression, dict)
	if err != nil {
		panic(err) // the level is valid
	}
	w.Write(content)
	w.Close()
	return b.Bytes()
}

// checksum appends the Adler-32 of content to a deflate stream behind a zlib
// header.
func checksum(deflate, content []byte) []byte {
	b := append([]byte{0x78, 0x9c}, deflate...)
	return binary.BigEndian.AppendUint32(b, adler32.Checksum(content))
}

// cleanEnv keeps the machine's git settings out.
func cleanEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=core.fsync", "GIT_CONFIG_VALUE_0=none",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=1700000000 +0000",
		"GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=1700000000 +0000"}
}

// gitOut runs git and returns its standard output.
func gitOut(t testing.TB, dir string, stdin io.Reader, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, cleanEnv(), stdin
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

// runGit runs git for its exit status.
func runGit(dir string, args ...string) error {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = dir, cleanEnv()
	return cmd.Run()
}

// A judge asks git index-pack about packs, in an empty repository.
type judge struct {
	dir string
}

func newJudge(t testing.TB) *judge {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "judge.git")
	gitOut(t, ".", nil, "init", "-q", "--bare", dir)
	return &judge{dir: dir}
}

// verdict is what git makes of a pack.
type verdict struct {
	accepted bool
	later    bool  // rejected, but only when the deltas were resolved
	end      int64 // if accepted: where the pack ends, trailer included
	stderr   string
	signal   bool // died by a signal
	cpu      time.Duration
}

// ask runs index-pack --stdin --fix-thin on the pack and forgets the result.
func (j *judge) ask(t testing.TB, p []byte) verdict {
	t.Helper()
	in, w, err := os.Pipe() // of a file git says more: it refuses trailing bytes
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	written := make(chan struct{})
	go func() {
		w.Write(p)
		w.Close()
		close(written)
	}()
	cmd := exec.Command("git", "index-pack", "--stdin", "--fix-thin")
	cmd.Dir, cmd.Env, cmd.Stdin = j.dir, cleanEnv(), in
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	unread, _ := io.Copy(io.Discard, in)
	<-written
	v := verdict{accepted: err == nil, stderr: stderr.String()}
	v.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		v.signal = !exit.Exited()
	} else if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"unresolved delta", "failed to apply delta", "delta base", "already resolved"} {
		v.later = v.later || !v.accepted && strings.Contains(v.stderr, text)
	}
	if v.accepted {
		// "pack TAB hash LF", then what index-pack had read and not used.
		line := len("pack\t") + 40 + 1
		if stdout.Len() < line {
			t.Fatalf("index-pack printed %q", stdout.Bytes())
		}
		v.end = int64(len(p)) - unread - int64(stdout.Len()-line)
	}
	stored, err := filepath.Glob(filepath.Join(j.dir, "objects/pack/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range stored {
		os.Remove(f)
	}
	return v
}

// scanAll scans p and checks what must hold for every input: what was
// forwarded is a prefix of p, and on success all of it but the trailer.
func scanAll(t testing.TB, p []byte, l Limits) (Result, error) {
	t.Helper()
	var sent int
	result, err := Scan(bytes.NewReader(p), func(b []byte) error {
		if sent+len(b) > len(p) || !bytes.Equal(b, p[sent:sent+len(b)]) {
			t.Fatalf("forwarded bytes differ at offset %d", sent)
		}
		sent += len(b)
		return nil
	}, l)
	if err == nil && (int64(sent) != result.Bytes || sent+trailerLength != len(p) ||
		!bytes.Equal(result.Trailer[:], p[sent:])) {
		t.Fatalf("forwarded %d bytes of a pack of %d, result %+v", sent, len(p), result)
	}
	return result, err
}
