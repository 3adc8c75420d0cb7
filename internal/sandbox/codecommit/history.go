package codecommit

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/git"
)

// A historyCommit is one line of a history file.
type historyCommit struct {
	N       int         `json:"n"`       // the line's number, from 0
	Parents []int       `json:"parents"` // lines before this one
	When    int64       `json:"when"`    // seconds since 1970
	Zone    string      `json:"tz"`      // "+0200"
	Author  string      `json:"author"`
	Message string      `json:"message"` // without the last newline
	Files   [][2]string `json:"files"`   // status A, M or D and path
}

// Load replays a history file into an empty repository of that name, which it
// makes if there is none: gzip of JSON lines, one commit each, parents before
// children. The last commit becomes refs/heads/main and every other commit
// without children refs/heads/side-1, side-2 and so on, so that all commits
// are reachable. Files get one line of content made of path and number. It
// returns the number of commits.
func (s *Server) Load(ctx context.Context, region, name string, history io.Reader) (int, error) {
	r := s.repository(region, name)
	if r == nil {
		var err error
		if r, err = s.createRepository(region, name, ""); err != nil {
			return 0, err
		}
	}
	z, err := gzip.NewReader(history)
	if err != nil {
		return 0, fmt.Errorf("reading history: %w", err)
	}
	n := 0
	_, err = s.change(ctx, r, s.users[0], func(ctx context.Context) error {
		pr, pw := io.Pipe()
		written := make(chan error, 1)
		go func() { // ends when the history ends or git stops reading
			count, err := writeHistory(pw, io.LimitReader(z, maxHistory))
			n = count
			pw.CloseWithError(err)
			written <- err
		}()
		err := s.run(ctx, git.Command{Dir: r.dir, Stdin: pr, Args: []string{"fast-import", "--quiet", "--force", "--done"}})
		pr.CloseWithError(io.ErrClosedPipe)
		if werr := <-written; werr != nil && err == nil {
			err = werr
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("loading history into %s: %w", name, err)
	}
	return n, nil
}

// writeHistory writes history as a stream for git fast-import.
func writeHistory(out io.Writer, history io.Reader) (int, error) {
	w := bufio.NewWriterSize(out, 256<<10)
	lines := bufio.NewScanner(history)
	lines.Buffer(nil, maxLine)
	var childless []bool
	for lines.Scan() {
		var c historyCommit
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return 0, fmt.Errorf("line %d: %w", len(childless)+1, err)
		}
		if c.N != len(childless) {
			return 0, fmt.Errorf("line %d: has number %d", len(childless)+1, c.N)
		}
		for _, p := range c.Parents {
			if p < 0 || p >= c.N {
				return 0, fmt.Errorf("line %d: parent %d does not come before it", c.N+1, p)
			}
			childless[p] = false
		}
		childless = append(childless, true)
		c.write(w)
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	side := 0
	for n, tip := range childless {
		switch {
		case n == len(childless)-1:
			fmt.Fprintf(w, "reset refs/heads/main\nfrom :%d\n\n", n+1)
		case tip:
			side++
			fmt.Fprintf(w, "reset refs/heads/side-%d\nfrom :%d\n\n", side, n+1)
		}
	}
	io.WriteString(w, "done\n")
	return len(childless), w.Flush()
}

// write writes one commit; marks are line numbers from 1. Errors stay in w.
func (c historyCommit) write(w *bufio.Writer) {
	if len(c.Parents) == 0 {
		// Without a reset a root would get the last commit as its parent.
		io.WriteString(w, "reset refs/heads/main\n\n")
	}
	person := fmt.Sprintf("%s <%s@example.invalid> %d %s\n", c.Author, c.Author, c.When, c.Zone)
	fmt.Fprintf(w, "commit refs/heads/main\nmark :%d\nauthor %scommitter %s", c.N+1, person, person)
	writeData(w, c.Message+"\n")
	for i, p := range c.Parents {
		verb := "merge"
		if i == 0 {
			verb = "from"
		}
		fmt.Fprintf(w, "%s :%d\n", verb, p+1)
	}
	for _, f := range c.Files {
		path := quotePath(f[1])
		if f[0] == "D" {
			fmt.Fprintf(w, "D %s\n", path)
			continue
		}
		fmt.Fprintf(w, "M 100644 inline %s\n", path)
		writeData(w, f[1]+" as of "+strconv.Itoa(c.N)+"\n")
	}
	io.WriteString(w, "\n")
}

func writeData(w io.Writer, text string) { fmt.Fprintf(w, "data %d\n%s\n", len(text), text) }

// quotePath writes a path in git's C style, which fast-import takes for any.
func quotePath(path string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(path) {
		if c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			fmt.Fprintf(&b, "\\%03o", c)
			continue
		}
		b.WriteByte(c)
	}
	b.WriteByte('"')
	return b.String()
}

// person is who an API-made commit is by, in git's raw form.
func person(name, email string, at time.Time) string {
	clean := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r == '<' || r == '>' || r == '\n' || r == 0 {
				return -1
			}
			return r
		}, s)
	}
	return fmt.Sprintf("%s <%s> %d +0000", clean(name), clean(email), at.Unix())
}
