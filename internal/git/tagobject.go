package git

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/ferry"
)

// A TagObject is an annotated tag.
type TagObject struct {
	Name        string
	Object      ferry.OID // what it points at
	Kind        string    // of Object: "commit", "tree", "blob" or "tag"
	TaggerName  string
	TaggerEmail string
	TaggedAt    time.Time
	Message     string // with a signature, if there is one
}

// TagObject reads an annotated tag (gitformat-signature, "tag"). It fails with
// ferry.ErrNotFound if there is no tag object of that name.
func (r *Runner) TagObject(ctx context.Context, dir string, oid ferry.OID) (TagObject, error) {
	var t TagObject
	kinds, err := r.Kinds(ctx, dir, "", []ferry.OID{oid})
	if err != nil {
		return t, err
	}
	if kinds[oid] != "tag" {
		return t, fmt.Errorf("tag %s: %w", oid.Short(), ferry.ErrNotFound)
	}
	out, err := r.Output(ctx, Command{Dir: dir, Args: []string{"cat-file", "tag", oid.String()}})
	if err != nil {
		return t, fmt.Errorf("reading tag %s: %w", oid.Short(), err)
	}
	head, body, _ := bytes.Cut(bytes.ToValidUTF8(out, []byte("\uFFFD")), []byte("\n\n"))
	t.Message = strings.TrimRight(string(body[:min(len(body), MaxMessage)]), "\n")
	for line := range strings.Lines(string(head)) {
		word, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch word {
		case "object":
			if t.Object, err = ferry.ParseOID(value); err != nil {
				return t, err
			}
		case "type":
			t.Kind = value
		case "tag":
			t.Name = value
		case "tagger":
			name, rest, _ := strings.Cut(value, " <")
			email, at, _ := strings.Cut(rest, "> ")
			seconds, _, _ := strings.Cut(at, " ")
			n, _ := strconv.ParseInt(seconds, 10, 64) // zero for what is no time
			t.TaggerName, t.TaggerEmail, t.TaggedAt = name, email, time.Unix(n, 0).UTC()
		}
	}
	return t, nil
}

// TreeOf returns the tree of a commit, or the tree itself. It fails with
// ferry.ErrNotFound for anything else.
func (r *Runner) TreeOf(ctx context.Context, dir string, at ferry.OID) (ferry.OID, error) {
	out, err := r.Output(ctx, Command{Dir: dir, Stdin: strings.NewReader(at.String() + "^{tree}\n"),
		Args: []string{"cat-file", "--batch-check=%(objectname) %(objecttype)"}})
	if err != nil {
		return ferry.OID{}, fmt.Errorf("looking for the tree of %s: %w", at.Short(), err)
	}
	name, kind, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if kind != "tree" {
		return ferry.OID{}, fmt.Errorf("the tree of %s: %w", at.Short(), ferry.ErrNotFound)
	}
	return ferry.ParseOID(name)
}

// WholeTree lists everything in a commit or tree, directories before what lies
// in them; names are paths from the root. At most max entries come back; more
// says that there are others.
func (r *Runner) WholeTree(ctx context.Context, dir string, at ferry.OID, max int) (entries []TreeEntry, more bool, err error) {
	out, more, err := r.records(ctx, Command{Dir: dir, Args: []string{"ls-tree", "-r", "-t", "-z", "-l", "--end-of-options", at.String()}}, 0, max)
	if err != nil {
		return nil, false, notThere(err, "")
	}
	entries, err = parseTree(out)
	return entries, more, err
}
