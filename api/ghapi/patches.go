package ghapi

import (
	"bytes"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/store"
)

const (
	// Beyond these the patch of one file is left out.
	maxPatchBytes = 1 << 20
	maxPatchLines = 20_000
	// maxPatches bounds the text of all files of one answer.
	maxPatches = 6 << 20
)

// patches returns the text of each file of a difference, "" where there is
// none to show. Files are as git listed them, so that the texts stand in the
// same order.
func (s *Server) patches(c *call, from, to ferry.OID, files []store.CommitFile) ([]string, error) {
	if err := s.copied(c); err != nil {
		return nil, err
	}
	b, cut, err := s.Git.Patch(c.ctx, s.dir(c), git.Diff{From: from, To: to}, maxPatches)
	if err != nil {
		return nil, err
	}
	return splitPatches(b, cut, files), nil
}

// splitPatches cuts a patch into its files. The line that begins a file never
// stands within one: there, every line begins with a blank, a sign, "@" or a
// backslash. A file whose type changed has two parts, one that removes and one
// that adds.
func splitPatches(b []byte, cut bool, files []store.CommitFile) []string {
	var parts [][]byte
	for line := range bytes.Lines(b) {
		if bytes.HasPrefix(line, []byte("diff --git ")) {
			parts = append(parts, nil)
		}
		if n := len(parts); n > 0 {
			parts[n-1] = append(parts[n-1], line...)
		}
	}
	if n := len(parts); cut && n > 0 {
		parts = parts[:n-1]
	}
	out := make([]string, len(files))
	next := 0
	for i, f := range files {
		if next >= len(parts) {
			break
		}
		if f.Status == "T" {
			next += 2
			continue
		}
		out[i] = hunks(parts[next])
		next++
	}
	return out
}

// hunks is the text from the first "@@" on, without the last newline.
func hunks(part []byte) string {
	at := bytes.Index(part, []byte("\n@@ "))
	if at < 0 || len(part)-at > maxPatchBytes || bytes.Count(part[at:], []byte("\n")) > maxPatchLines {
		return ""
	}
	return strings.ToValidUTF8(strings.TrimSuffix(string(part[at+1:]), "\n"), "\uFFFD")
}
