package web

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
)

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

// rowNodes is how many elements a row is without its spans.
const rowNodes = 5

// cutRows keeps as many rows as there is room for, in elements of the page,
// says so if some are left out, and returns the room that is left.
func cutRows(rows []diffRow, room int) ([]diffRow, int) {
	for i, r := range rows {
		n := rowNodes
		for _, s := range r.Spans {
			if s.Class != "" || s.Mark {
				n++
			}
		}
		if n > room {
			return append(rows[:i:i], diffRow{Kind: "note", Text: num(len(rows)-i) + " more lines are not shown: the page is as large as a browser copes with. View the file, or clone the repository."}), 0
		}
		room -= n
	}
	return rows, room
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
