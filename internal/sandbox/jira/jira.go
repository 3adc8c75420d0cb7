// Package jira is the sandbox's stand-in for Jira: one site in memory that
// answers as Jira Cloud at the root and as Jira Data Center below /dc.
//
// The idea is that both faces, the development information API and Jira's own
// smart-commit processor work on the same issues, so that a test or a person
// looks at one place to see what arrived, how often and from whom. Each
// request is entered in a ledger with its effects, and rules make chosen
// requests fail (package faults); both, the whole state and a few settings are
// reached under /_sandbox/.
//
// Paths:
//
//	/oauth/token, /_edge/tenant_info            credentials of development tools
//	/jira/devinfo/0.1/cloud/{cloudId}/…         development information
//	/rest/api/3/…, /rest/api/2/…                Cloud, Basic with a classic API token
//	/ex/jira/{cloudId}/rest/api/3/…             Cloud, scoped API token
//	/dc/rest/api/2/…                            Data Center, Bearer or Basic
//	/rest/api/2/… with Bearer                   Data Center without context path
//	/dc/rest/bitbucket/1.0/repository/{id}/sync hook of the DVCS connector
//	/, /browse/{KEY}                            pages for people
//	/_sandbox/…                                 control, see control.go
//
// It shares no code with the clients it is used to test: the native
// smart-commit processor in native.go in particular is a reading of its own.
// Where Atlassian's documents leave a question open, the comments say which
// answer was chosen.
package jira

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"sync"
	"time"

	"gitferry/internal/sandbox/faults"
)

// A Config says what the stand-in holds. The zero value is a site with the
// sample projects DEMO and OPS.
type Config struct {
	Log *slog.Logger     // nil: no log
	Now func() time.Time // nil: time.Now

	// BaseURL is the site's address in links, without a slash at the end.
	// Empty: taken from the Host header of each request.
	BaseURL string
	// Projects are made in addition to DEMO and OPS.
	Projects []Project
	// Empty leaves DEMO and OPS out.
	Empty bool
	// Users are made in addition to alice, bob, root and the service account.
	Users []User
	// Settings are those the site starts with; they can be changed later at
	// /_sandbox/settings.
	Settings Settings
}

// A Project is a Jira project made at the start.
type Project struct {
	Key    string // 2 to 10 upper-case letters and digits
	Name   string // empty: the key
	Issues int    // this many issues, numbered from 1
}

// A User is a person with an account on the site.
type User struct {
	Name      string // log-in name on Data Center, unique
	Display   string // empty: Name
	Email     string
	HideEmail bool // Cloud answers leave the address out
	Inactive  bool
}

// Settings change how the site behaves.
type Settings struct {
	// NativeOff switches Jira's own smart-commit processor off. Otherwise it
	// runs the commands in messages of new commits that arrive with
	// preventTransitions false, as Jira Cloud always does.
	NativeOff bool `json:"native_off"`
	// TimeTrackingOff makes worklogs fail.
	TimeTrackingOff bool `json:"time_tracking_off"`
	// DevinfoDelayMS is how long new development information stays invisible
	// after its 202, in milliseconds.
	DevinfoDelayMS int `json:"devinfo_delay_ms"`
	// FailEntities names development entities, by id, that are refused one by
	// one in a 202 answer, with the message to give.
	FailEntities map[string]string `json:"fail_entities,omitempty"`
	// PerIssueLimit enforces Jira Cloud's limit of 20 writes to one issue in
	// 2 seconds and 100 in 30 seconds.
	PerIssueLimit bool `json:"per_issue_limit"`
	// RateLimitReason is the RateLimit-Reason header of answers 429; empty
	// stands for "jira-burst-based".
	RateLimitReason string `json:"rate_limit_reason,omitempty"`
	// RedirectTo is the Location of answers 302 and the like that a fault rule
	// gives; empty stands for the page of a suspended site.
	RedirectTo string `json:"redirect_to,omitempty"`
}

// Credentials open the stand-in. They are random for each Server.
type Credentials struct {
	Email               string `json:"email"`                 // of the service account
	APIToken            string `json:"api_token"`             // classic, on the site's address
	ScopedAPIToken      string `json:"scoped_api_token"`      // below /ex/jira/{cloudId}
	ClientID            string `json:"client_id"`             // development information
	ClientSecret        string `json:"client_secret"`         // development information
	PersonalAccessToken string `json:"personal_access_token"` // Data Center
	CloudID             string `json:"cloud_id"`
	// People holds each person's own tokens by user name.
	People map[string]PersonCredentials `json:"people"`
}

// PersonCredentials are one person's own tokens.
type PersonCredentials struct {
	Email               string `json:"email"`
	APIToken            string `json:"api_token"`
	ScopedAPIToken      string `json:"scoped_api_token"`
	PersonalAccessToken string `json:"personal_access_token"`
}

// A Server is one stand-in. It may be used concurrently.
type Server struct {
	log  *slog.Logger
	now  func() time.Time
	base string
	book *faults.Book

	handler http.Handler

	mu   sync.Mutex
	site *site    // guarded by mu, with everything it reaches
	auth access   // guarded by mu
	kept *os.File // guarded by mu; nil: nothing is kept
}

// serviceAccount is the user name of the account that gitferry acts with.
const serviceAccount = "gitferry"

// New returns a stand-in with fresh credentials. It panics on a project key or
// user that is given twice or malformed, since that is a mistake in the
// program.
func New(cfg Config) *Server {
	s := &Server{log: cfg.Log, now: cfg.Now, base: cfg.BaseURL}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.book = faults.NewBook(s.now)
	s.site = newSite(s.now, cfg)
	s.auth = newAccess(s.site)
	s.handler = s.routes()
	return s
}

// Handler returns all faces and the control paths.
func (s *Server) Handler() http.Handler { return s.handler }

// Book returns the ledger and the fault rules, for callers in the same process.
func (s *Server) Book() *faults.Book { return s.book }

// Credentials returns what opens the faces.
func (s *Server) Credentials() Credentials {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.auth.credentials
	c.People = maps.Clone(c.People)
	return c
}

// Change applies f to the settings.
func (s *Server) Change(f func(*Settings)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.site.settings)
}

// State returns what GET /_sandbox/state answers: the whole state as JSON.
func (s *Server) State() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	if err := encode(&b, s.site.state(nil)); err != nil {
		panic(fmt.Sprintf("encoding the state: %v", err)) // it holds JSON values only
	}
	return b.Bytes()
}

// randomText returns n random bytes as hexadecimal digits.
func randomText(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// randomUUID returns a random UUID (RFC 9562, version 4).
func randomUUID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
