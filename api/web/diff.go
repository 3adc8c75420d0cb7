package web

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"sort"
	"strconv"
	"strings"
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
	lines := 0
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
		case lines+n > maxDiffLines:
			out.Note = "Not shown: the page has " + num(maxDiffLines) + " lines already. Open the file by itself."
		case changed > maxFileLines && !d.load[i]:
			out.Note, out.Load = plural(changed, "changed line", "changed lines")+".", d.with("load", strconv.Itoa(i))+"#"+out.ID
		case f.NewMode&0o170000 == 0o160000 || f.OldMode&0o170000 == 0o160000:
			out.Note = submoduleNote(f)
		case n == 0:
			out.Note = emptyNote(f, out.Modes)
		default:
			lines += n
			out.Rows = s.rows(ctx, d, i, f, deadline)
		}
		v.Files = append(v.Files, out)
	}
	return v, nil
}

func emptyNote(f *gitdiff.File, modes string) string {
	switch {
	case f.IsRename:
		return "Renamed without changes."
	case modes != "":
		return "Only the mode changed."
	case f.IsNew:
		return "Empty file."
	case f.IsDelete:
		return "Empty file removed."
	}
	return "No change to show."
}

func submoduleNote(f *gitdiff.File) string {
	var old, now string
	for _, t := range f.TextFragments {
		for _, l := range t.Lines {
			id := strings.TrimSpace(strings.TrimPrefix(l.Line, "Subproject commit "))
			if l.Op == gitdiff.OpDelete {
				old = id
			} else if l.Op == gitdiff.OpAdd {
				now = id
			}
		}
	}
	return "Submodule: " + display(old, "none") + " → " + display(now, "none")
}

// binaryNote gives the sizes of a binary file before and after.
func (s *Server) binaryNote(ctx context.Context, d diffRequest, f *gitdiff.File) string {
	size := func(prefix string) string {
		oid, err := ferry.ParseOID(prefix)
		if err != nil || oid.IsZero() {
			return ""
		}
		b, err := s.Git.BlobByOID(ctx, s.Mirror.Path(d.repo.ID), oid, 0)
		if err != nil {
			return ""
		}
		return bytesText(b.Size)
	}
	before, after := size(f.OldOIDPrefix), size(f.NewOIDPrefix)
	switch {
	case before == "" && after == "":
		return "Binary file."
	case before == "":
		return "Binary file, " + after + "."
	case after == "":
		return "Binary file, was " + before + "."
	}
	return "Binary file, " + before + " → " + after + "."
}

// rows makes the lines of one file, with the hidden lines that were asked for.
func (s *Server) rows(ctx context.Context, d diffRequest, index int, f *gitdiff.File, deadline time.Time) []diffRow {
	var content [][]span // of the whole new file, for hidden lines
	if len(d.expand[index]) > 0 && !f.IsDelete {
		if b, err := s.Git.Blob(ctx, s.Mirror.Path(d.repo.ID), d.to, f.NewName, maxFileBytes); err == nil && !b.Truncated {
			content = colour(f.NewName, strings.ToValidUTF8(string(b.Data), "\uFFFD"), deadline)
		}
	}
	g := gaps{d: d, index: index, content: content}
	var rows []diffRow
	oldNext, newNext := 1, 1
	for _, t := range f.TextFragments {
		rows = g.fill(rows, oldNext, newNext, int(t.NewPosition)-1)
		rows = append(rows, fragmentRows(f.NewName, t, deadline)...)
		oldNext, newNext = int(t.OldPosition+t.OldLines), int(t.NewPosition+t.NewLines)
	}
	last := f.TextFragments[len(f.TextFragments)-1]
	if !f.IsNew && !f.IsDelete && last.TrailingContext >= 3 {
		end := 0 // not known
		if content != nil {
			end = len(content)
		}
		rows = g.tail(rows, oldNext, newNext, end)
	}
	return rows
}

// gaps makes the rows between the fragments of one file.
type gaps struct {
	d       diffRequest
	index   int
	content [][]span
}

// fill covers the new lines from newAt to end, the old ones from oldAt on.
func (g gaps) fill(rows []diffRow, oldAt, newAt, end int) []diffRow {
	shift := oldAt - newAt
	ranges := append([][2]int(nil), g.d.expand[g.index]...)
	sort.Slice(ranges, func(i, j int) bool { return ranges[i][0] < ranges[j][0] })
	for _, x := range ranges {
		if g.content == nil {
			break
		}
		a, b := max(x[0], newAt), min(x[1], end, len(g.content))
		if a > b {
			continue
		}
		rows = g.hidden(rows, newAt, a-1)
		for n := a; n <= b; n++ {
			rows = append(rows, diffRow{Kind: "ctx", Old: n + shift, New: n, Spans: g.content[n-1]})
		}
		newAt = b + 1
	}
	return g.hidden(rows, newAt, end)
}

// hidden adds the row that stands for the lines a to b. Its link shows those
// next to what is shown already.
func (g gaps) hidden(rows []diffRow, a, b int) []diffRow {
	if a > b {
		return rows
	}
	from := max(a, b-expandStep+1)
	if len(rows) > 0 && b-a+1 > expandStep { // below shown lines: go on downwards
		return append(rows, g.row(a, min(b, a+expandStep-1), b-a+1))
	}
	return append(rows, g.row(from, b, b-a+1))
}

func (g gaps) row(from, to, hidden int) diffRow {
	return diffRow{Kind: "gap", Hidden: hidden,
		Href: g.d.with("expand", fmt.Sprintf("%d:%d-%d", g.index, from, to)) + fmt.Sprintf("#diff-%d-R%d", g.index, from)}
}

// tail covers what follows the last fragment; end 0: its length is not known.
func (g gaps) tail(rows []diffRow, oldAt, newAt, end int) []diffRow {
	if end > 0 {
		return g.fill(rows, oldAt, newAt, end)
	}
	r := g.row(newAt, newAt+expandStep-1, 0)
	return append(rows, r)
}

// fragmentRows makes the rows of one fragment.
func fragmentRows(name string, t *gitdiff.TextFragment, deadline time.Time) []diffRow {
	var before, after strings.Builder
	for _, l := range t.Lines {
		line := strings.TrimSuffix(l.Line, "\n")
		if l.Op != gitdiff.OpAdd {
			before.WriteString(line + "\n")
		}
		if l.Op != gitdiff.OpDelete {
			after.WriteString(line + "\n")
		}
	}
	olds := colour(name, strings.ToValidUTF8(before.String(), "\uFFFD"), deadline)
	news := colour(name, strings.ToValidUTF8(after.String(), "\uFFFD"), deadline)
	rows := make([]diffRow, 0, len(t.Lines))
	o, n, kind := 0, 0, ""
	for _, l := range t.Lines {
		var row diffRow
		switch l.Op {
		case gitdiff.OpAdd:
			row = diffRow{Kind: "add", New: int(t.NewPosition) + n, Spans: lineOf(news, n)}
			n++
		case gitdiff.OpDelete:
			row = diffRow{Kind: "del", Old: int(t.OldPosition) + o, Spans: lineOf(olds, o)}
			o++
		default:
			row = diffRow{Kind: "ctx", Old: int(t.OldPosition) + o, New: int(t.NewPosition) + n, Spans: lineOf(news, n)}
			o, n = o+1, n+1
		}
		row.First = row.Kind != kind
		kind = row.Kind
		rows = append(rows, row)
		if l.NoEOL() {
			rows = append(rows, diffRow{Kind: "note", Text: "No newline at the end of the file"})
		}
	}
	markPairs(rows)
	return rows
}

func lineOf(lines [][]span, n int) []span {
	if n < len(lines) {
		return lines[n]
	}
	return nil
}

// markPairs marks the changed words where a block of removed lines is
// followed by as many added ones.
func markPairs(rows []diffRow) {
	for i := 0; i < len(rows); {
		dels, adds := i, i
		for dels < len(rows) && rows[dels].Kind == "del" {
			dels++
		}
		adds = dels
		for adds < len(rows) && rows[adds].Kind == "add" {
			adds++
		}
		n := dels - i
		if n > 0 && n == adds-dels {
			for k := range n {
				markPair(&rows[i+k], &rows[dels+k])
			}
		}
		i = max(adds, i+1)
	}
}

func lineText(spans []span) string {
	var b strings.Builder
	for _, s := range spans {
		b.WriteString(s.Text)
	}
	return b.String()
}

// markPair marks what lies between the common beginning and the common end of
// two lines, if they have enough in common.
func markPair(old, now *diffRow) {
	a, b := lineText(old.Spans), lineText(now.Spans)
	if len(a) > maxPairLine || len(b) > maxPairLine {
		return
	}
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	for head > 0 && (head < len(a) && a[head]&0xc0 == 0x80 || head < len(b) && b[head]&0xc0 == 0x80) {
		head-- // not within a character
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	for tail > 0 && (a[len(a)-tail]&0xc0 == 0x80 || b[len(b)-tail]&0xc0 == 0x80) {
		tail--
	}
	common := len(strings.TrimSpace(a[:head])) + len(strings.TrimSpace(a[len(a)-tail:]))
	if 3*common < max(len(a), len(b)) {
		return
	}
	old.Spans = mark(old.Spans, head, len(a)-tail)
	now.Spans = mark(now.Spans, head, len(b)-tail)
}

// mark cuts spans so that the bytes from a to b are marked.
func mark(spans []span, a, b int) []span {
	var out []span
	at := 0
	for _, s := range spans {
		end := at + len(s.Text)
		x, y := min(max(a, at), end)-at, max(min(b, end), at)-at
		for _, p := range []span{{s.Class, s.Text[:x], false}, {s.Class, s.Text[x:max(x, y)], true}, {s.Class, s.Text[max(x, y):], false}} {
			if p.Text != "" {
				out = append(out, p)
			}
		}
		at = end
	}
	return out
}
