// Package codecommit is the sandbox's stand-in for AWS CodeCommit and for what
// gitferry needs beside it: repositories behind git over HTTP and SSH, the
// JSON API, triggers that send signed SNS messages, the SNS topics themselves
// and the caller's identity from STS. One Server plays all regions of one
// account.
//
// The one idea: stock clients must not notice. Requests are checked as the
// real service checks them, signatures included, and what the service refuses
// is refused: by default the git side offers no more than CodeCommit does (no
// protocol version 2, no offset deltas, no atomic pushes, at most 4,000 ref
// updates in a push). Input is checked and answers are shaped by the published
// service model, which is embedded. The objects and refs lie in bare
// repositories that real git reads and writes.
//
// gitferry sandbox starts it; tests drive it over loopback through the same
// faces as any client, watch its ledger and order failures under /_sandbox/
// (package faults). It shares no code with the clients it stands in for, never
// speaks to AWS, and delivers messages to loopback addresses only.
package codecommit

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/git"
	"gitferry/internal/sandbox/faults"
)

// Config says where and as whom the stand-in runs.
type Config struct {
	Dir     string      // directory for the bare repositories, made if missing
	Account string      // 12 digits; default "123456789012"
	Users   []string    // IAM users, each with credentials of its own; default "gitferry"
	Git     *git.Runner // required
	Log     *slog.Logger
	Now     func() time.Time // default time.Now

	// URL is the base under which clients reach Handler, such as
	// "http://127.0.0.1:7081"; it appears in clone URLs and SNS messages.
	// Empty: the Host header of the first request decides.
	URL string
	// RetryDelay is the time between deliveries of an SNS message that fail,
	// unless a delivery policy says otherwise. Default 20 s, as SNS has it.
	RetryDelay time.Duration
}

// Limits of what is read from clients.
const (
	maxAPIBody = 12 << 20 // bytes; CreateCommit carries up to 7 MB of files in base64
	maxHistory = 1 << 30  // bytes of an unpacked history file
	maxLine    = 1 << 20  // bytes of one line of it
)

// A Server plays CodeCommit. It may be used concurrently.
type Server struct {
	cfg     Config
	book    *faults.Book
	hostKey ssh.Signer
	notary  *notary // signs SNS messages
	users   []*identity

	saving sync.Mutex // held while the state is written; taken before mu

	mu          sync.Mutex
	regions     map[string]*region   // guarded by mu, as is everything below the regions
	accessKeys  map[string]*identity // by access key ID; guarded by mu
	deny        []denial             // guarded by mu
	roles       []role               // guarded by mu
	likeGit     bool                 // offer what git can instead of what CodeCommit can; guarded by mu
	url         string               // guarded by mu
	sshAddr     string               // guarded by mu
	queue       []delivery           // messages to send; guarded by mu
	outstanding int                  // deliveries not finished; guarded by mu
	wake        chan struct{}        // has room for one: the queue grew
}

// New returns a server with fresh random credentials. It makes the directory,
// or takes over the repositories of an earlier run in it.
func New(cfg Config) (*Server, error) {
	if cfg.Git == nil {
		return nil, errors.New("codecommit stand-in: no git to run")
	}
	if cfg.Account == "" {
		cfg.Account = "123456789012"
	}
	if len(cfg.Users) == 0 {
		cfg.Users = []string{"gitferry"}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.RetryDelay == 0 {
		cfg.RetryDelay = 20 * time.Second
	}
	dir, err := filepath.Abs(cfg.Dir) // git runs elsewhere
	if err != nil {
		return nil, fmt.Errorf("finding the stand-in's directory: %w", err)
	}
	cfg.Dir = dir
	if err := os.RemoveAll(filepath.Join(dir, "spool")); err != nil { // of a run that was cut off
		return nil, fmt.Errorf("clearing the stand-in's directory: %w", err)
	}
	for _, d := range []string{"repositories", "spool"} {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("making the stand-in's directory: %w", err)
		}
	}
	s := &Server{
		cfg:        cfg,
		book:       faults.NewBook(cfg.Now),
		regions:    map[string]*region{},
		accessKeys: map[string]*identity{},
		url:        cfg.URL,
		wake:       make(chan struct{}, 1),
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a host key: %w", err)
	}
	if s.hostKey, err = ssh.NewSignerFromKey(key); err != nil {
		return nil, fmt.Errorf("making a host key: %w", err)
	}
	if s.notary, err = newNotary(cfg.Now()); err != nil {
		return nil, err
	}
	for _, name := range cfg.Users {
		id, err := newIdentity(cfg.Account, name)
		if err != nil {
			return nil, err
		}
		s.users = append(s.users, id)
		s.accessKeys[id.AccessKeyID] = id
	}
	if err := s.restore(); err != nil {
		return nil, err
	}
	return s, nil
}

// Handler returns the HTTP face: the APIs at POST /, git under /v1/repos/NAME
// and /REGION/v1/repos/NAME, the certificate of the message signer, and the
// control paths under /_sandbox/.
func (s *Server) Handler() http.Handler {
	control := s.control()
	face := s.book.Wrap(http.HandlerFunc(s.face), operationName)
	// No http.ServeMux here: it redirects unclean paths, which git must see
	// answered with 404.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.learnURL(r)
		if strings.HasPrefix(r.URL.Path, "/_sandbox/") {
			control.ServeHTTP(w, r)
			return
		}
		face.ServeHTTP(w, r)
	})
}

// face sorts a request to the side that answers it.
func (s *Server) face(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/":
		s.serveAPI(w, r)
	case r.URL.Path == s.notary.path && r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "application/x-pem-file")
		w.Write(s.notary.certificate)
	default:
		s.serveGit(w, r)
	}
}

// operationName names the call of a request for the ledger and the fault
// rules: the API's operation, or the git service.
func operationName(r *http.Request) string {
	if r.URL.Path == "/" {
		if target := r.Header.Get("X-Amz-Target"); target != "" {
			return target[strings.LastIndexByte(target, '.')+1:]
		}
		return queryAction(r)
	}
	if strings.HasSuffix(r.URL.Path, "/info/refs") {
		return r.URL.Query().Get("service")
	}
	if name := path.Base(r.URL.Path); name == uploadPack || name == receivePack {
		return name
	}
	return ""
}

// learnURL takes the base of our URLs from the first request, when the
// configuration does not say it.
func (s *Server) learnURL(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.url == "" && r.Host != "" {
		s.url = "http://" + r.Host
	}
}

// arn returns the ARN of something in this account.
func (s *Server) arn(service, region, name string) string {
	return fmt.Sprintf("arn:%s:%s:%s:%s:%s", partition(region), service, region, s.cfg.Account, name)
}

func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// newUUID returns a random identifier in the form that AWS uses everywhere.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
