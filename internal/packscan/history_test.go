package packscan

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gitferry/internal/ferry"
)

// nameOf is an object's name.
func nameOf(kind ObjectType, content []byte) (ferry.OID, error) {
	word := map[ObjectType]string{Commit: "commit", Tag: "tag"}[kind]
	return sha1.Sum(fmt.Appendf(nil, "%s %d\x00%s", word, len(content), content)), nil
}

// history scans a pack and reads its commits and tags.
func history(t *testing.T, p []byte, ofs bool) (names []string, open []ferry.OID, err error) {
	t.Helper()
	var h History
	if _, err := Scan(bytes.NewReader(p), func([]byte) error { return nil }, Limits{AllowOfsDelta: ofs, Each: h.Note}); err != nil {
		t.Fatal(err)
	}
	objects, open, err := h.Objects(bytes.NewReader(p), nameOf)
	for _, o := range objects {
		names = append(names, o.OID.String())
	}
	slices.Sort(names)
	return names, open, err
}

// A History finds every commit and tag that git finds, deltas included, and
// nothing else.
func TestHistoryIsGits(t *testing.T) {
	dir := t.TempDir()
	gitOut(t, dir, nil, "init", "-q", ".")
	long := strings.Repeat("a long message that is much the same in every commit, so that a delta is worth it\n", 20)
	for i := range 30 {
		for _, name := range []string{"a", "b"} {
			gitOut(t, dir, strings.NewReader(strings.Repeat("text\n", 200)+fmt.Sprint(i, name)), "hash-object", "-w", "--stdin")
		}
		gitOut(t, dir, nil, "commit", "-q", "--allow-empty", "-m", fmt.Sprintf("%s%d", long, i))
		gitOut(t, dir, nil, "tag", "-a", "-m", fmt.Sprintf("%s%d", long, i), fmt.Sprintf("v%d", i))
	}
	all := string(gitOut(t, dir, nil, "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"))
	var want []string
	var names strings.Builder
	for line := range strings.Lines(all) {
		name, kind, _ := strings.Cut(strings.TrimSpace(line), " ")
		fmt.Fprintln(&names, name)
		if kind == "commit" || kind == "tag" {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	for _, ofs := range []bool{false, true} {
		args := []string{"pack-objects", "--stdout", "-q", "--window=50", "--depth=50"}
		if ofs {
			args = append(args, "--delta-base-offset")
		}
		p := gitOut(t, dir, strings.NewReader(names.String()), args...)
		got, _, err := history(t, p, ofs)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("offset deltas %t: %d commits and tags, %v, want %d", ofs, len(got), err, len(want))
		}
		result, err := scanAll(t, p, Limits{AllowOfsDelta: true})
		if err != nil || result.Types[Commit] == 30 || result.Types[OfsDelta]+result.Types[RefDelta] == 0 {
			t.Errorf("offset deltas %t: no commit is a delta: %v, %v", ofs, result.Types, err)
		}
	}
}

// What a History cannot know is told: deltas on what lies outside the pack,
// deltas that do not fit, and packs with more than it keeps.
func TestHistoryOfOddPacks(t *testing.T) {
	outside := ferry.OID{1, 2, 3}
	commit := []byte("tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor a <a> 1 +0000\ncommitter a <a> 1 +0000\n\nx\n")
	name, _ := nameOf(Commit, commit)
	refDelta := func(base ferry.OID, delta []byte) []byte {
		return slices.Concat(head(RefDelta, uint64(len(delta)), 0), base[:], deflated(delta, 6))
	}
	size := byte(len(commit))
	if size >= 0x80 {
		t.Fatal("the commit is too long for one digit")
	}
	copyAll := []byte{size, size + 1, 0x80 | 0x10, size, 1, 'y'}
	for _, q := range []struct {
		name    string
		entries [][]byte
		found   int
		open    []ferry.OID
		err     error
	}{
		{"a delta on what is outside", [][]byte{object(Commit, commit), refDelta(outside, copyAll)}, 1, []ferry.OID{outside}, nil},
		{"a delta before its base", [][]byte{refDelta(name, copyAll), object(Commit, commit)}, 2, nil, nil},
		{"the same commit twice", [][]byte{object(Commit, commit), object(Commit, commit)}, 2, nil, nil},
		{"a delta of another base", [][]byte{object(Commit, commit), refDelta(name, []byte{size - 1, 1, 1, 'x'})}, 0, nil, errDelta},
		{"a delta beyond its base", [][]byte{object(Commit, commit), refDelta(name, []byte{size, 2, 0x80 | 1 | 0x10, size - 1, 2})}, 0, nil, errDelta},
		{"a delta of more than it says", [][]byte{object(Commit, commit), refDelta(name, []byte{size, 1, 2, 'x', 'y'})}, 0, nil, errDelta},
		{"a delta that is cut", [][]byte{object(Commit, commit), refDelta(name, []byte{size, 5, 0x80 | 0x7f, 0})}, 0, nil, errDelta},
		{"an operation of nothing", [][]byte{object(Commit, commit), refDelta(name, []byte{size, 1, 0, 0})}, 0, nil, errDelta},
	} {
		names, open, err := history(t, pack(2, uint32(len(q.entries)), q.entries...), false)
		if !errors.Is(err, q.err) || err == nil && (len(names) != q.found || !slices.Equal(open, q.open)) {
			t.Errorf("%s: %d found, open %v, %v, want %d, %v, %v", q.name, len(names), open, err, q.found, q.open, q.err)
		}
	}
	var many [][]byte
	for range maxHistoryObjects + 1 {
		many = append(many, object(Commit, commit))
	}
	if _, _, err := history(t, pack(2, uint32(len(many)), many...), false); !errors.Is(err, ErrHistory) {
		t.Errorf("%d commits: %v, want ErrHistory", len(many), err)
	}
}
