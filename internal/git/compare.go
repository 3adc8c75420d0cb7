package git

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/ferry"
)

// MergeBase returns the best common ancestor of two commits, zero if they
// have none.
func (r *Runner) MergeBase(ctx context.Context, dir string, a, b ferry.OID) (ferry.OID, error) {
	out, err := r.Output(ctx, Command{Dir: dir, Args: []string{"merge-base", a.String(), b.String()}})
	if e, ok := err.(*ExitError); ok && e.Code == 1 {
		return ferry.OID{}, nil
	}
	if err != nil {
		return ferry.OID{}, fmt.Errorf("looking for a common ancestor: %w", err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return ferry.ParseOID(line)
}

// AheadBehind counts the commits that tip has and base has not, and the other
// way round.
func (r *Runner) AheadBehind(ctx context.Context, dir string, base, tip ferry.OID) (ahead, behind int, err error) {
	out, err := r.Output(ctx, Command{Dir: dir, Args: []string{"rev-list", "--left-right", "--count", base.String() + "..." + tip.String()}})
	if err != nil {
		return 0, 0, fmt.Errorf("counting commits: %w", err)
	}
	if _, err := fmt.Sscanf(string(out), "%d\t%d", &behind, &ahead); err != nil {
		return 0, 0, fmt.Errorf("counting commits: answer %.40q not understood", out)
	}
	return ahead, behind, nil
}

// A History says which commits to list, newest first.
type History struct {
	Tips []ferry.OID
	Not  []ferry.OID // nor what these reach
	Path string      // only commits that touch it; empty: all
	// Author and Committer, if not empty, must stand in that line of the
	// commit, "Name <address>", as they are.
	Author, Committer string
	// Since and Until are bounds by commit date, zero for none. Clocks differ:
	// commits behind an older one are found all the same.
	Since, Until time.Time
	Skip         int
	Max          int
	// ByDate orders by commit date alone, for which git need not walk the
	// whole history first; where clocks differed a parent may come before its
	// child.
	ByDate bool
}

// History lists commits, children before parents unless ByDate.
func (r *Runner) History(ctx context.Context, dir string, l History) ([]Commit, error) {
	path, err := ParsePath(l.Path)
	if err != nil {
		return nil, err
	}
	args := []string{"rev-list", "--no-commit-header", "--format=" + commitFormat, "--encoding=UTF-8",
		"--skip=" + strconv.Itoa(l.Skip), "--max-count=" + strconv.Itoa(l.Max), "--fixed-strings"}
	if !l.ByDate {
		args = append(args, "--topo-order")
	}
	if l.Author != "" {
		args = append(args, "--author="+l.Author)
	}
	if l.Committer != "" {
		args = append(args, "--committer="+l.Committer)
	}
	if !l.Since.IsZero() {
		args = append(args, fmt.Sprintf("--since-as-filter=@%d", l.Since.Unix()))
	}
	if !l.Until.IsZero() {
		args = append(args, fmt.Sprintf("--min-age=%d", l.Until.Unix()))
	}
	for _, o := range l.Tips {
		args = append(args, o.String())
	}
	for _, o := range l.Not {
		args = append(args, "^"+o.String())
	}
	args = append(args, "--")
	if path != "" {
		args = append(args, path)
	}
	out, err := r.Output(ctx, Command{Dir: dir, Args: args, Env: literal})
	if err != nil {
		return nil, fmt.Errorf("listing commits: %w", notThere(err, path))
	}
	var list []Commit
	err = parseCommits(bufio.NewReader(bytes.NewReader(out)), func(c Commit) error {
		list = append(list, c)
		return nil
	})
	return list, err
}

// CommitByOID reads one commit. It fails with ferry.ErrNotFound if there is
// none of that name.
func (r *Runner) CommitByOID(ctx context.Context, dir string, oid ferry.OID) (Commit, error) {
	kinds, err := r.Kinds(ctx, dir, "", []ferry.OID{oid})
	if err != nil {
		return Commit{}, err
	}
	if kinds[oid] != "commit" {
		return Commit{}, fmt.Errorf("commit %s: %w", oid.Short(), ferry.ErrNotFound)
	}
	list, err := r.History(ctx, dir, History{Tips: []ferry.OID{oid}, Max: 1, ByDate: true})
	if err != nil || len(list) == 0 {
		return Commit{}, fmt.Errorf("reading commit %s: %w", oid.Short(), err)
	}
	return list[0], nil
}

// Abbreviated returns the commits whose names begin with prefix, 4 to 40
// hexadecimal digits, at most 10.
func (r *Runner) Abbreviated(ctx context.Context, dir, prefix string) ([]ferry.OID, error) {
	if len(prefix) < 4 || len(prefix) > 40 || strings.Trim(prefix, "0123456789abcdef") != "" {
		return nil, fmt.Errorf("short commit id %.45q: want 4 to 40 hexadecimal digits: %w", prefix, ferry.ErrInvalid)
	}
	lines, _, err := r.records(ctx, Command{Dir: dir, Args: []string{"rev-parse", "--disambiguate=" + prefix}}, '\n', 100)
	if err != nil {
		return nil, fmt.Errorf("looking for %s: %w", prefix, err)
	}
	var all []ferry.OID
	for _, line := range lines {
		if o, err := ferry.ParseOID(line); err == nil {
			all = append(all, o)
		}
	}
	kinds, err := r.Kinds(ctx, dir, "", all)
	if err != nil {
		return nil, err
	}
	var commits []ferry.OID
	for _, o := range all {
		if kinds[o] == "commit" && len(commits) < 10 {
			commits = append(commits, o)
		}
	}
	return commits, nil
}

// RefsContaining returns the branches and tags that reach one of the commits,
// at most max of each kind, branches first; more says that there are others.
func (r *Runner) RefsContaining(ctx context.Context, dir string, oids []ferry.OID, max int) (refs []ferry.RefName, more bool, err error) {
	if len(oids) == 0 {
		return nil, false, nil
	}
	for _, kind := range []string{"refs/heads", "refs/tags"} {
		args := []string{"for-each-ref", "--format=%(refname)", "--count=" + strconv.Itoa(max+1)}
		for _, o := range oids {
			args = append(args, "--contains="+o.String())
		}
		out, err := r.Output(ctx, Command{Dir: dir, Args: append(args, kind)})
		if err != nil {
			return nil, false, fmt.Errorf("looking for refs: %w", err)
		}
		n := 0
		for line := range strings.Lines(string(out)) {
			if n++; n > max {
				more = true
				break
			}
			if name, err := ferry.ParseRefName(strings.TrimSuffix(line, "\n")); err == nil {
				refs = append(refs, name)
			}
		}
	}
	return refs, more, nil
}

// A Tag is a tag with who made it and when: for an annotated tag the tagger,
// otherwise the committer of what it points at.
type Tag struct {
	Name    ferry.RefName
	Commit  ferry.OID // what it peels to
	Who     string
	Email   string
	At      int64 // Unix seconds
	Subject string
}

// Tags lists tags, newest first, at most max. If oids are given, only tags
// that reach one of them.
func (r *Runner) Tags(ctx context.Context, dir string, oids []ferry.OID, max int) (tags []Tag, more bool, err error) {
	const format = "%(refname)%00%(objectname)%00%(*objectname)%00%(creatordate:unix)%00%(taggername)%00%(taggeremail:trim)%00%(committername)%00%(committeremail:trim)%00%(subject)"
	args := []string{"for-each-ref", "--sort=-creatordate", "--format=" + format, "--count=" + strconv.Itoa(max+1)}
	for _, o := range oids {
		args = append(args, "--contains="+o.String())
	}
	out, err := r.Output(ctx, Command{Dir: dir, Args: append(args, "refs/tags")})
	if err != nil {
		return nil, false, fmt.Errorf("listing tags: %w", err)
	}
	for line := range strings.Lines(strings.ToValidUTF8(string(out), "\uFFFD")) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\x00")
		if len(f) != 9 {
			continue
		}
		if len(tags) == max {
			return tags, true, nil
		}
		t := Tag{Name: ferry.RefName(f[0]), Who: f[4], Email: f[5], Subject: f[8]}
		if t.Who == "" {
			t.Who, t.Email = f[6], f[7]
		}
		name := f[1]
		if f[2] != "" {
			name = f[2]
		}
		if t.Commit, err = ferry.ParseOID(name); err != nil {
			return nil, false, err
		}
		t.At, _ = strconv.ParseInt(f[3], 10, 64) // zero for a tag of something without a date
		tags = append(tags, t)
	}
	return tags, false, nil
}
