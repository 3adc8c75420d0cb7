package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/pktline"
	"gitferry/mirror"
)

// maxRequest bounds a decoded upload-pack request; git's own http-backend has
// the same bound (http.maxRequestBuffer).
const maxRequest = 10 << 20

// freshen asks upstream for its refs if the last look is too old, and returns
// what readers may see now. If upstream cannot be reached in time the mirror
// is served as it is, with View.Failure set.
func (s *Server) freshen(ctx context.Context, repo ferry.Repository) (mirror.View, error) {
	if err := s.Mirror.Await(ctx, repo); err != nil {
		return mirror.View{}, err
	}
	look, cancel := context.WithTimeout(ctx, s.Limits.FreshnessTimeout)
	_, err := s.Mirror.Refresh(look, repo, s.Limits.Freshness)
	cancel()
	if err != nil && ctx.Err() != nil {
		return mirror.View{}, ctx.Err()
	}
	view, viewErr := s.Mirror.View(ctx, repo)
	if viewErr != nil {
		return mirror.View{}, viewErr
	}
	switch {
	case err == nil:
		view.Failure = nil
	case !view.Copied:
		return mirror.View{}, s.upstreamProblem(repo, err)
	default:
		view.Failure = err
		s.Log.Warn("serving a mirror that may be old", "repo", repo.Path(), "looked_at", view.LookedAt, "err", err)
	}
	return view, nil
}

// copying makes sure that repo has a mirror, telling progress while the first
// copy runs.
func (s *Server) copying(ctx context.Context, repo ferry.Repository, progress func(string)) error {
	err := s.Mirror.Copy(ctx, repo, func(line string) {
		progress("copying " + repo.Path() + " from upstream: " + pktline.SanitizeTerminal(line))
	})
	if err != nil {
		return s.upstreamProblem(repo, err)
	}
	return nil
}

// upstreamProblem turns a failure of upstream into a text for developers.
func (s *Server) upstreamProblem(repo ferry.Repository, err error) error {
	var m *ferry.Message
	text := "the upstream of " + repo.Path() + " "
	switch {
	case errors.As(err, &m) && errors.Is(err, ferry.ErrUnavailable):
		text += "cannot be reached now: " + m.Text
	case errors.As(err, &m):
		text += "says no: " + m.Text
	case errors.Is(err, ferry.ErrNotFound):
		text += "has no such repository any more"
	case errors.Is(err, ferry.ErrDenied):
		text += "refuses gitferry's credentials; an administrator must renew them"
	default:
		text += "cannot be reached now; try again later"
	}
	kind := ferry.ErrUnavailable
	if errors.Is(err, ferry.ErrNotFound) {
		kind = ferry.ErrNotFound
	}
	return &ferry.Message{Kind: kind, Text: text, Cause: err}
}

// staleNote is what a reader is told when upstream could not be asked.
func staleNote(v mirror.View, now time.Time) string {
	if v.Failure == nil {
		return ""
	}
	why := "upstream unreachable"
	if bad := (*git.FsckError)(nil); errors.As(v.Failure, &bad) {
		why = "git refuses an object of the upstream: " + bad.String()
	}
	if v.LookedAt.IsZero() {
		return why + "; the age of this state is not known"
	}
	return fmt.Sprintf("%s; state of %s (%s ago)", why,
		v.LookedAt.UTC().Format("2006-01-02 15:04:05 UTC"), now.Sub(v.LookedAt).Round(time.Second))
}

// capabilities are what the local git says it can do, asked once.
type capabilities struct {
	v0 pktline.Capabilities // of a stateless upload-pack, with symref=HEAD:…
	v2 []byte               // the whole capability advertisement of protocol 2
	// empty is whether an empty repository shows its capabilities in protocol
	// 0 and 1; git 2.39 says nothing of one.
	empty bool
}

// learnCapabilities asks git in a scratch repository what upload-pack can do,
// so that advertisements made in-process say exactly the same.
func (s *Server) learnCapabilities(ctx context.Context) (*capabilities, error) {
	s.capsMu.Lock()
	defer s.capsMu.Unlock()
	if s.caps != nil {
		return s.caps, nil
	}
	dir, none := s.Scratch+"/capabilities.git", s.Scratch+"/empty.git"
	for _, d := range []string{dir, none} {
		if err := git.Init(d); err != nil {
			return nil, err
		}
	}
	one := "commit refs/heads/main\ncommitter x <x@localhost> 0 +0000\ndata 0\n\n"
	if err := s.Git.Run(ctx, git.Command{Dir: dir, Args: []string{"fast-import", "--quiet", "--force"}, Stdin: strings.NewReader(one)}); err != nil {
		return nil, fmt.Errorf("asking git what it can do: %w", err)
	}
	args := []string{"upload-pack", "--strict", "--stateless-rpc", "--advertise-refs"}
	nothing, err := s.Git.Output(ctx, git.Command{Dir: none, Args: append(slices.Clone(args), none), Config: mirror.UploadPackConfig("")})
	if err != nil {
		return nil, fmt.Errorf("asking git what it can do: %w", err)
	}
	args = append(args, dir)
	v0, err := s.Git.Output(ctx, git.Command{Dir: dir, Args: args, Config: mirror.UploadPackConfig("")})
	if err != nil {
		return nil, fmt.Errorf("asking git what it can do: %w", err)
	}
	v2, err := s.Git.Output(ctx, git.Command{Dir: dir, Args: args, Protocol: "version=2"})
	if err != nil {
		return nil, fmt.Errorf("asking git what it can do: %w", err)
	}
	adv, err := pktline.ReadAdvertisement(pktline.NewReader(bytes.NewReader(v0)), pktline.Limits{})
	if err != nil {
		return nil, fmt.Errorf("asking git what it can do: %w", err)
	}
	s.caps = &capabilities{v0: adv.Capabilities, v2: v2, empty: string(nothing) != "0000"}
	return s.caps, nil
}

// advertise writes upload-pack's advertisement in protocol 0 or 1 as git's
// stateless upload-pack would, from the refs that are known.
func (s *Server) advertise(ctx context.Context, w io.Writer, view mirror.View, version int) error {
	caps, err := s.learnCapabilities(ctx)
	if err != nil {
		return err
	}
	if len(view.Refs) == 0 && !caps.empty {
		out := pktline.NewWriter(w)
		if version > 0 {
			if err := out.Printf("version %d\n", version); err != nil {
				return err
			}
		}
		return out.Flush()
	}
	symref := ""
	if len(view.Refs) > 0 && view.Refs[0].Name == "HEAD" {
		symref = "symref=HEAD:" + string(view.Head)
	}
	var list pktline.Capabilities
	for _, c := range caps.v0 {
		if strings.HasPrefix(c, "symref=") {
			if c = symref; c == "" {
				continue
			}
		}
		list = append(list, c)
	}
	return pktline.WriteAdvertisement(pktline.NewWriter(w), &pktline.Advertisement{Version: version, Refs: view.Refs, Capabilities: list})
}

// request is one request of protocol 2.
type request struct {
	command string
	args    []string // lines after the delimiter, without line end
	raw     []byte   // the request as sent, for git
}

// readRequest reads one request of protocol 2 up to its flush packet. io.EOF
// or a flush alone means that the client is done: command is empty.
func readRequest(r *pktline.Reader) (request, error) {
	var q request
	var raw bytes.Buffer
	w := pktline.NewWriter(&raw)
	delimited := false
	for {
		kind, p, err := r.Read()
		if err == io.EOF && raw.Len() == 0 {
			return q, nil
		}
		if err != nil {
			return q, fmt.Errorf("reading a request: %w", err)
		}
		if raw.Len()+len(p) > maxRequest {
			return q, &ferry.Message{Kind: ferry.ErrInvalid, Text: "the request is larger than 10 MiB"}
		}
		switch kind {
		case pktline.Flush:
			if raw.Len() > 0 {
				err = w.Flush()
			}
			q.raw = raw.Bytes()
			return q, err
		case pktline.Delim:
			delimited = true
			err = w.Delim()
		case pktline.Data:
			_, err = w.Write(p)
			line := strings.TrimSuffix(string(p), "\n")
			if c, ok := strings.CutPrefix(line, "command="); ok && !delimited {
				q.command = c
			} else if delimited {
				q.args = append(q.args, line)
			}
		default:
			err = fmt.Errorf("reading a request: packet of a kind that does not belong here: %w", ferry.ErrInvalid)
		}
		if err != nil {
			return q, err
		}
	}
}

// has reports whether the request carries the argument exactly.
func (q request) has(arg string) bool {
	for _, a := range q.args {
		if a == arg {
			return true
		}
	}
	return false
}

// hasPrefix reports whether an argument begins with one of the prefixes.
func (q request) hasPrefix(prefixes ...string) bool {
	for _, a := range q.args {
		for _, p := range prefixes {
			if strings.HasPrefix(a, p) {
				return true
			}
		}
	}
	return false
}

// maxPrefixes is the number of ref prefixes beyond which git ignores them all
// (ls-refs.c, TOO_MANY_PREFIXES).
const maxPrefixes = 65536

// lsRefs answers the ls-refs command of protocol 2 from known refs, as git
// would (gitprotocol-v2, "ls-refs"). It writes once, not once a ref.
func lsRefs(out io.Writer, q request, view mirror.View) error {
	var b bytes.Buffer
	w := pktline.NewWriter(&b)
	peel, symrefs := q.has("peel"), q.has("symrefs")
	var prefixes []string
	for _, a := range q.args {
		if p, ok := strings.CutPrefix(a, "ref-prefix "); ok {
			prefixes = append(prefixes, p)
		}
	}
	if len(prefixes) >= maxPrefixes {
		prefixes = nil
	}
	wanted := func(name string) bool {
		for _, p := range prefixes {
			if strings.HasPrefix(name, p) {
				return true
			}
		}
		return len(prefixes) == 0
	}
	born := len(view.Refs) > 0 && view.Refs[0].Name == "HEAD"
	if !born && q.has("unborn") && symrefs && view.Head != "" && wanted("HEAD") {
		if err := w.Printf("unborn HEAD symref-target:%s\n", view.Head); err != nil {
			return err
		}
	}
	for _, ref := range view.Refs {
		if !wanted(ref.Name) {
			continue
		}
		line := ref.OID.String() + " " + ref.Name
		if symrefs && ref.Name == "HEAD" {
			line += " symref-target:" + string(view.Head)
		}
		if peel && !ref.Peeled.IsZero() {
			line += " peeled:" + ref.Peeled.String()
		}
		if err := w.Printf("%s\n", line); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := out.Write(b.Bytes())
	return err
}

// sectionWriter stands between git's answer and the client. Notes are put in
// as progress right after the packet that opens the pack ("packfile" in
// protocol 2, "NAK" before). While the first copy runs, that packet is sent
// early, so that progress can flow; git's own is then dropped.
type sectionWriter struct {
	w      io.Writer
	opener string // "packfile\n", "NAK\n"; empty: no notes are possible
	early  bool   // opener was sent by us
	open   bool   // opener has passed
	head   []byte // bytes of a packet not complete yet
	notes  []string
	told   bool // the client was told already that the state may be old
}

// note sends a line to the client's terminal, now if the pack is open or may
// be opened early, else once it is.
func (s *sectionWriter) note(line string, mayOpen bool) error {
	if s.opener == "" {
		return nil
	}
	if !s.open && mayOpen && !s.early {
		s.early = true
		if err := pktline.NewWriter(s.w).Printf("%s", s.opener); err != nil {
			return err
		}
	}
	if !s.open && !s.early {
		s.notes = append(s.notes, line)
		return nil
	}
	return s.progress(line)
}

func (s *sectionWriter) progress(line string) error {
	return pktline.NewSideband(s.w, pktline.MaxSideband).Progress([]byte("gitferry: " + line + "\n"))
}

// fail ends an answer that was opened early with an error, and reports
// whether it could.
func (s *sectionWriter) fail(text string) bool {
	if !s.early {
		return false
	}
	return pktline.NewSideband(s.w, pktline.MaxSideband).Fatal([]byte("gitferry: "+text+"\n")) == nil
}

func (s *sectionWriter) Write(p []byte) (int, error) {
	if s.open || s.opener == "" {
		return s.w.Write(p)
	}
	s.head = append(s.head, p...)
	for len(s.head) >= 4 && !s.open {
		n := 4
		if _, err := fmt.Sscanf(string(s.head[:4]), "%04x", &n); err != nil || n < 4 {
			n = 4
		}
		if len(s.head) < n {
			break
		}
		packet := s.head[:n]
		s.open = string(packet[4:]) == s.opener
		if !s.open || !s.early {
			if _, err := s.w.Write(packet); err != nil {
				return 0, err
			}
		}
		s.head = s.head[n:]
	}
	if s.open {
		for _, line := range s.notes {
			if err := s.progress(line); err != nil {
				return 0, err
			}
		}
		if _, err := s.w.Write(s.head); err != nil {
			return 0, err
		}
		s.head = nil
	}
	return len(p), nil
}

// serveFetch answers one stateless request for objects: a fetch command of
// protocol 2, or the body of a git-upload-pack POST of protocol 0 and 1.
func (s *Server) serveFetch(ctx context.Context, subject ferry.Subject, repo ferry.Repository, protocol string, raw []byte, out *sectionWriter, mayOpen bool) error {
	s.Metrics.fetched()
	if err := s.Mirror.Await(ctx, repo); err != nil {
		return err
	}
	view, err := s.Mirror.View(ctx, repo)
	if err != nil {
		return err
	}
	if !view.Copied {
		err := s.copying(ctx, repo, func(line string) { _ = out.note(line, mayOpen) })
		if err != nil {
			var m *ferry.Message
			if errors.As(err, &m) && out.fail(m.Text) {
				return nil
			}
			return err
		}
	} else if note := staleNote(view, s.now()); note != "" && !out.told {
		_ = out.note(note, false)
	}
	return s.Mirror.UploadPack(ctx, repo, mirror.UploadPack{Stateless: true, Protocol: protocol, Stdin: bytes.NewReader(raw), Stdout: out,
		Admit: func(ctx context.Context) (func(), error) { return s.admit(ctx, subject, repo) }})
}

// fetchOpener returns the packet that opens the pack in an answer to a fetch
// of protocol 2 and whether it comes first in it.
func (q request) fetchOpener() (opener string, first bool) {
	if q.has("sideband-all") {
		return "", false
	}
	return "packfile\n", q.has("done") && !q.hasPrefix("deepen", "shallow", "want-ref", "packfile-uris")
}

// legacyOpener does the same for the body of a git-upload-pack POST of
// protocol 0 and 1.
func legacyOpener(body []byte) (opener string, first bool) {
	if !bytes.Contains(body[:min(len(body), 1000)], []byte("side-band-64k")) {
		return "", false
	}
	plain := !bytes.Contains(body, []byte("deepen")) && !bytes.Contains(body, []byte("shallow ")) && !bytes.Contains(body, []byte("have "))
	return "NAK\n", plain && bytes.Contains(body, []byte("0009done"))
}
