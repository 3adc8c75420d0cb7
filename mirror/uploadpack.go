package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"path/filepath"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/pktline"
)

// An UploadPack is one answer of git upload-pack on a mirror.
type UploadPack struct {
	Stateless bool   // one request on Stdin, one answer on Stdout
	Protocol  string // validated GIT_PROTOCOL, or ""
	Stdin     io.Reader
	Stdout    io.Writer
	// Admit is called before a git is started, and what it returns when that
	// git has ended; nil: nobody needs to be asked. An answer that is there
	// already, or on its way for somebody else, needs no git.
	Admit func(context.Context) (leave func(), err error)
}

// UploadPack serves objects of repo. Stateless requests that are equal in all
// that matters share one git and its answer (see CacheBytes). It fails with
// *git.ExitError if the client broke the protocol, and with
// io.ErrUnexpectedEOF if it went away.
//
// Below whole answers nothing is shared. git could be told to ask a program of
// ours in place of pack-objects (uploadpack.packObjectsHook), but starting
// gitferry takes 30 ms of processor time, as much as the packs of most fetches,
// and it would help only where requests differ and what is sent does not.
func (d *Dir) UploadPack(ctx context.Context, repo ferry.Repository, u UploadPack) error {
	s, err := d.state(ctx, repo)
	if err != nil {
		return err
	}
	if !u.Stateless || d.CacheBytes == 0 {
		return d.uploadPack(ctx, repo, s, u)
	}
	request, err := io.ReadAll(u.Stdin) // bounded by the caller
	if err != nil {
		return err
	}
	key, ok := s.answerKey(u.Protocol, request)
	if !ok {
		u.Stdin = bytes.NewReader(request)
		return d.uploadPack(ctx, repo, s, u)
	}
	r := d.answers().join(key, func(ctx context.Context, w io.Writer) error {
		return d.uploadPack(ctx, repo, s, UploadPack{Stateless: true, Protocol: u.Protocol, Stdin: bytes.NewReader(request), Stdout: w, Admit: u.Admit})
	})
	defer r.leave()
	return r.copy(ctx, u.Stdout)
}

// answers returns the cache, made at the first use.
func (d *Dir) answers() *cache {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cache == nil {
		d.cache = &cache{dir: filepath.Join(d.Root, cacheDir), max: d.CacheBytes}
	}
	return d.cache
}

// uploadPack runs git upload-pack.
func (d *Dir) uploadPack(ctx context.Context, repo ferry.Repository, s *state, u UploadPack) error {
	if u.Admit != nil {
		leave, err := u.Admit(ctx)
		if err != nil {
			return err
		}
		defer leave()
	}
	args := []string{"upload-pack", "--strict", "--timeout=600"}
	if u.Stateless {
		args = append(args, "--stateless-rpc")
	}
	args = append(args, s.path)
	err := d.Git.Run(ctx, git.Command{Dir: s.path, Args: args, Stdin: u.Stdin, Stdout: u.Stdout, Protocol: u.Protocol,
		Config: UploadPackConfig(u.Protocol)})
	var exit *git.ExitError
	if errors.As(err, &exit) && strings.Contains(exit.Stderr, "hung up unexpectedly") {
		return fmt.Errorf("serving %s: the client hung up: %w", repo.Path(), io.ErrUnexpectedEOF)
	}
	return err
}

// UploadPackConfig returns the settings of upload-pack that depend on the
// protocol. Filters are offered in protocol 2 only: before that, a partial
// clone asks for its missing blobs in a way that is not allowed here, so the
// client is better off with a whole clone.
func UploadPackConfig(protocol string) [][2]string {
	if protocol == "version=2" {
		return nil
	}
	return [][2]string{{"uploadpack.allowFilter", "false"}}
}

// answerKey names the answer to a stateless request. ok is false for requests
// that are not worth keeping or not understood.
//
// An answer follows from the request and the objects, and the history behind
// an object never changes. What else it depends on goes into the key: the refs
// where wants must be refs (protocol 0 and 1) or where the request names some;
// the tags where they travel along; which objects are there where the client
// tells what it has.
func (s *state) answerKey(protocol string, request []byte) (key answerKey, ok bool) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", protocol)
	var refs, tags, objects bool
	if protocol != "version=2" {
		h.Write(request)
		refs, objects = true, true
	} else if refs, tags, objects, ok = hashFetch(h, request); !ok {
		return key, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(h, "generation %d\n", s.generation)
	if objects {
		fmt.Fprintf(h, "objects %d\n", s.grown)
	}
	if refs || tags {
		sums := s.refSums()
		if refs {
			h.Write(sums.refs[:])
		} else {
			h.Write(sums.tags[:])
		}
	}
	key.repo = s.id
	h.Sum(key.request[:0])
	return key, true
}

// hashFetch writes to h what matters of a fetch command of protocol 2
// (gitprotocol-v2) and tells what its answer depends on besides. Who asks,
// "agent" and "session-id", does not matter.
func hashFetch(h hash.Hash, request []byte) (refs, tags, objects, ok bool) {
	r := pktline.NewReader(bytes.NewReader(request))
	delimited := false
	for {
		kind, p, err := r.Read()
		if err != nil {
			return false, false, false, false
		}
		line := string(bytes.TrimSuffix(p, []byte("\n")))
		switch {
		case kind == pktline.Flush:
			return refs, tags, objects, ok
		case kind == pktline.Delim:
			delimited = true
			fmt.Fprint(h, "delim\n")
			continue
		case kind != pktline.Data:
			return false, false, false, false
		case !delimited && line == "command=fetch":
			ok = true
		case !delimited && (strings.HasPrefix(line, "agent=") || strings.HasPrefix(line, "session-id=")):
			continue
		case line == "include-tag":
			tags = true
		case strings.HasPrefix(line, "deepen-not ") || strings.HasPrefix(line, "want-ref "):
			refs = true
		case strings.HasPrefix(line, "have ") || strings.HasPrefix(line, "shallow "):
			objects = true
		}
		fmt.Fprintf(h, "%d %s\n", len(line), line)
	}
}

// refSums are fingerprints of the refs.
type refSums struct {
	of         *pktline.Ref // first element of the list they were made of
	n          int          // its length
	refs, tags [sha256.Size]byte
}

// refSums returns the fingerprints of the refs as they are. They are made anew
// when the sorted list is another one. The caller holds s.mu.
func (s *state) refSums() refSums {
	s.sort()
	if len(s.sorted) == 0 {
		return refSums{}
	}
	if s.sums.of == &s.sorted[0] && s.sums.n == len(s.sorted) {
		return s.sums
	}
	all, tags := sha256.New(), sha256.New()
	for _, r := range s.sorted {
		line := fmt.Appendf(nil, "%s %s\n", r.OID, r.Name)
		all.Write(line)
		if strings.HasPrefix(r.Name, "refs/tags/") {
			tags.Write(line)
		}
	}
	s.sums = refSums{of: &s.sorted[0], n: len(s.sorted)}
	all.Sum(s.sums.refs[:0])
	tags.Sum(s.sums.tags[:0])
	return s.sums
}

// dropAnswers forgets the answers of a mirror whose objects go, or went.
func (d *Dir) dropAnswers(s *state) {
	s.mu.Lock()
	s.generation++
	s.mu.Unlock()
	d.answers().drop(s.id)
}
