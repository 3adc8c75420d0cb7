package web

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
)

// Bounds of a page with differences (security.md, UI-10; product-behaviour 13).
const (
	maxDiffFiles  = 300
	maxDiffLines  = 20_000
	maxDiffBytes  = 8 << 20
	maxDiffNodes  = 55_000  // elements of the page (web-ui.md, 13)
	maxFileLines  = 5000    // more are shown only when asked for
	maxFileBytes  = 1 << 20 // of a file whose hidden lines can be shown
	expandStep    = 20      // lines that one click brings
	maxExpansions = 100
	maxPairLine   = 1000 // characters of a line whose changed words are marked
)

// A diffView is the difference between two commits as a page shows it.
type diffView struct {
	Files  []diffFile
	Total  int // files in all
	Sum    fileStat
	Cut    bool // not all files are shown
	Space  bool // white space is ignored
	Toggle string
}

type diffFile struct {
	Index    int
	ID       string // "diff-0"
	Stat     fileStat
	Modes    string // "100644 → 100755", "" if the mode stays
	Note     string // instead of lines: why there are none
	Load     string // address that shows it all the same
	Rows     []diffRow
	ViewHref string // the file as it is afterwards
	LFS      string
}

// A diffRow is a line of a difference, or the place of lines not shown.
type diffRow struct {
	Kind     string // "add", "del", "ctx", "gap", "note"
	Old, New int    // line numbers; 0: none
	Spans    []span
	First    bool // first of a block of its kind
	Hidden   int  // gap: how many lines, 0: not known
	Href     string
	Text     string // note
}

// A diffRequest says what to show and how.
type diffRequest struct {
	repo     ferry.Repository
	from, to ferry.OID
	base     string // address of the repository
	at       string // name of the commit or branch, for links to files
	page     *url.URL
	space    bool
	load     map[int]bool
	expand   map[int][][2]int // by file: ranges of new line numbers
}

// newDiffRequest reads what the address asks for: w=1 ignores white space,
// load=2 shows a large file, expand=2:40-60 shows hidden lines.
func newDiffRequest(r *request, from, to ferry.OID, at string) diffRequest {
	q := r.Request().URL.Query()
	d := diffRequest{repo: r.repo, from: from, to: to, base: repoPath(r.repo), at: at, page: r.Request().URL, space: q.Get("w") != "",
		load: make(map[int]bool), expand: make(map[int][][2]int)}
	for _, v := range q["load"] {
		if n, err := strconv.Atoi(v); err == nil {
			d.load[n] = true
		}
	}
	for i, v := range q["expand"] {
		var file, a, b int
		if n, err := fmt.Sscanf(v, "%d:%d-%d", &file, &a, &b); i < maxExpansions && err == nil && n == 3 && a > 0 && b >= a && b-a < 100_000 {
			d.expand[file] = append(d.expand[file], [2]int{a, b})
		}
	}
	return d
}

// with returns the page's address with a query value added.
func (d diffRequest) with(name, value string) string {
	q := d.page.Query()
	q.Add(name, value)
	return (&url.URL{Path: d.page.Path, RawPath: d.page.RawPath, RawQuery: q.Encode()}).String()
}

// diff makes the view of a difference.
func (s *Server) diff(ctx context.Context, d diffRequest) (diffView, error) {
	v := diffView{Space: d.space}
	q := d.page.Query()
	q.Del("w")
	if !d.space {
		q.Set("w", "1")
	}
	v.Toggle = (&url.URL{Path: d.page.Path, RawPath: d.page.RawPath, RawQuery: q.Encode()}).String()
	dir := s.Mirror.Path(d.repo.ID)
	patch, cut, err := s.Git.Patch(ctx, dir, git.Diff{From: d.from, To: d.to, IgnoreSpace: d.space}, maxDiffBytes)
	if err != nil {
		return v, notCopied(err)
	}
	if cut { // the last file is not whole
		if i := bytes.LastIndex(patch, []byte("\ndiff --git ")); i >= 0 {
			patch = patch[:i+1]
		}
	}
	files, _, err := gitdiff.Parse(bytes.NewReader(patch))
	if err != nil && len(files) == 0 {
		return v, fmt.Errorf("reading a difference: %w", err)
	}
	v.Total, v.Cut = len(files), cut
	if cut {
		names, err := s.Git.DiffFiles(ctx, dir, git.Diff{From: d.from, To: d.to, IgnoreSpace: d.space})
		if err != nil {
			return v, err
		}
		v.Total = len(names)
	}
	if len(files) > maxDiffFiles {
		files, v.Cut = files[:maxDiffFiles], true
	}
	deadline := time.Now().Add(colouringTime)
	lines, room := 0, maxDiffNodes
	for i, f := range files {
		st := statOf(f)
		v.Sum.Added, v.Sum.Changed, v.Sum.Removed = v.Sum.Added+st.Added, v.Sum.Changed+st.Changed, v.Sum.Removed+st.Removed
		out := diffFile{Index: i, ID: "diff-" + strconv.Itoa(i), Stat: st}
		if !f.IsDelete {
			out.ViewHref = d.base + "/blob/" + escapePath(d.at+"/"+f.NewName)
		}
		if f.OldMode != 0 && f.NewMode != 0 && f.OldMode != f.NewMode {
			out.Modes = fmt.Sprintf("%o → %o", f.OldMode, f.NewMode)
		}
		n := 0
		for _, t := range f.TextFragments {
			n += len(t.Lines)
		}
		changed := st.Added + st.Removed + 2*st.Changed
		switch {
		case f.IsBinary:
			out.Note = s.binaryNote(ctx, d, f)
		case changed > maxFileLines && !d.load[i]:
			out.Note, out.Load = plural(changed, "changed line", "changed lines")+".", d.with("load", strconv.Itoa(i))+"#"+out.ID
		case lines+n > maxDiffLines:
			out.Note = "Not shown: a page has at most " + num(maxDiffLines) + " lines. Open the file by itself."
		case f.NewMode&0o170000 == 0o160000 || f.OldMode&0o170000 == 0o160000:
			out.Note = submoduleNote(f)
		case n == 0:
			out.Note = emptyNote(f, out.Modes)
		default:
			lines += n
			out.Rows, room = cutRows(s.rows(ctx, d, i, f, deadline), room)
		}
		v.Files = append(v.Files, out)
	}
	return v, nil
}
