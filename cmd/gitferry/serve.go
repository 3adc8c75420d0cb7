package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"gitferry/api"
	"gitferry/api/web"
	"gitferry/internal/config"
	"gitferry/internal/failpoint"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/proxy"
)

const (
	drainReads  = 30 * time.Second // running reads after a stop
	drainPushes = 60 * time.Second // released pushes after a stop
)

func serveCommand() *cobra.Command {
	var file, readyFile, failpoints string
	cmd := &cobra.Command{
		Use: "serve", Short: "run the server", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file, os.Environ())
			if err != nil {
				return err
			}
			if err := armFailpoints(cfg, failpoints); err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, readyFile, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (default gitferry.yaml, if it is there)")
	cmd.Flags().StringVar(&readyFile, "ready-file", "", "write addresses as JSON when all listeners accept")
	cmd.Flags().StringVar(&failpoints, "failpoints", "", "arm failpoints, in a data directory marked for tests only")
	_ = cmd.Flags().MarkHidden("failpoints")
	return cmd
}

// testMark is a file whose presence in a data directory allows failpoints.
const testMark = "gitferry-test-data"

func armFailpoints(cfg *config.Config, spec string) error {
	if spec == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, testMark)); err != nil {
		return usageError{fmt.Errorf("--failpoints needs a data directory marked with a file %s", testMark)}
	}
	return failpoint.Arm(spec)
}

// newLog makes the logger that the configuration asks for.
func newLog(cfg *config.Config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Log.Level)) // checked when loaded
	o := &slog.HandlerOptions{Level: level}
	if cfg.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// serve runs a server until ctx ends.
func serve(ctx context.Context, cfg *config.Config, readyFile string, stderr io.Writer) error {
	log := newLog(cfg, stderr)
	for _, name := range config.UnknownVariables(os.Environ()) {
		log.Warn("a variable belongs to no setting; is it misspelt?", "variable", name)
	}
	s, err := startServer(ctx, cfg, false, log)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.api.FirstRun(ctx); err != nil {
		return err
	}
	ready := s.ready()
	if readyFile != "" {
		if err := writeReady(readyFile, ready); err != nil {
			return err
		}
	}
	log.Info("ready", "http", s.publicURL, "ssh", ready.SSH, "data", cfg.DataDir)
	return s.run(ctx)
}

// server is an app with its listeners.
type server struct {
	*app
	lock io.Closer
	http net.Listener
	ssh  net.Listener // nil: off
	door *proxy.SSHDoor
	tls  *tls.Config // nil: clear text
	api  *api.Server
}

// startServer opens data and listeners; nothing runs yet. sandboxed says that
// the data is the sandbox's, which serve refuses.
func startServer(ctx context.Context, cfg *config.Config, sandboxed bool, log *slog.Logger) (_ *server, err error) {
	if err := openData(cfg); err != nil {
		return nil, err
	}
	s := &server{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.lock, err = lockInstance(cfg); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(cfg.DataDir), sandboxMark)); err == nil && !sandboxed {
		return nil, usageError{fmt.Errorf("%s is the sandbox's; give serve a data directory of its own", cfg.DataDir)}
	}
	st, err := openStore(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	s.app = &app{cfg: cfg, store: st}
	if s.http, err = listen(cfg.HTTP.Listen); err != nil {
		return nil, err
	}
	if cfg.SSH.Listen != "off" {
		if s.ssh, err = listen(cfg.SSH.Listen); err != nil {
			return nil, err
		}
	}
	if cfg.HTTP.TLSCert != "" {
		cert, err := tls.LoadX509KeyPair(cfg.HTTP.TLSCert, cfg.HTTP.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("reading the TLS certificate: %w", err)
		}
		s.tls = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	}
	if s.app, err = newApp(ctx, cfg, st, s.address(cfg), log); err != nil {
		st.Close()
		return nil, err
	}
	if err := seed(ctx, s.app); err != nil {
		return nil, err
	}
	if s.ssh != nil {
		if s.door, err = sshDoor(ctx, s.app, s.sshHost()); err != nil {
			return nil, err
		}
		s.proxy.SSHHost = s.sshHost()
	}
	s.api = api.New(api.Config{Config: web.Config{Store: st, Mirror: s.mirror, Git: s.git, Index: s.index, Outbox: s.outbox, Discovery: s.discovery,
		Issues: s.issues, Pulls: s.pulls, Dialer: s.dialer, PublicURL: s.publicURL, SSHHost: s.sshHost(), Version: version, TrustClearText: s.trustClearText,
		Connections: s.connector(), AddSSHKey: s.addKey, Policy: s.rules, SetPolicy: s.setPolicy, ParseOptions: s.readingOptions,
		Webhooks: s.webhooks, DataDir: cfg.DataDir, OIDC: oidcOf(cfg.OIDC), Components: sandboxed, Log: log},
		Triggers: s.triggers, PullRequestHint: s.pullRequestHint, GitHub: s.github(s.sshHost()),
		Check: s.check, Backup: s.backupNow, Versions: versionsWith(s.git.Version()), Registry: s.registry, Stopping: ctx.Done()})
	return s, s.recover(ctx)
}

// recover puts right what an earlier process left unfinished.
func (s *server) recover(ctx context.Context) error {
	unresolved, err := s.store.UnresolvedPushes(ctx)
	if err != nil {
		return err
	}
	keep := make(map[string]bool)
	for _, p := range unresolved {
		if p.Quarantine != "" {
			keep[p.Quarantine] = true
		}
	}
	if err := s.mirror.CleanUp(keep); err != nil {
		return err
	}
	s.proxy.Recover(ctx, unresolved)
	return nil
}

func listen(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, &ferry.Message{Kind: ferry.ErrUnavailable, Cause: err, Text: fmt.Sprintf("cannot listen on %s: %v", addr, err)}
	}
	return ln, nil
}

// address is how people reach the pages.
func (s *server) address(cfg *config.Config) string {
	if cfg.HTTP.PublicURL != "" {
		return strings.TrimSuffix(cfg.HTTP.PublicURL, "/")
	}
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
	}
	return scheme + "://" + s.http.Addr().String()
}

// sshHost is how developers reach the SSH door: "host" or "host:port".
func (s *server) sshHost() string {
	if s.ssh == nil {
		return ""
	}
	if s.cfg.SSH.PublicHost != "" {
		return s.cfg.SSH.PublicHost
	}
	return s.ssh.Addr().String()
}

// run serves until ctx ends, then lets what runs finish within bounds.
func (s *server) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.serveHTTP(ctx) })
	if s.ssh != nil {
		g.Go(func() error { return s.door.Run(ctx, s.ssh) })
	}
	for _, component := range []func(context.Context) error{s.index.Run, s.outbox.Run, s.issues.Run, s.discovery.Run, s.pulls.Run, s.lists.Run, s.webhooks.Run, s.prune} {
		g.Go(func() error { return component(ctx) })
	}
	err := g.Wait()
	drain, cancel := context.WithTimeout(context.Background(), drainPushes)
	defer cancel()
	s.proxy.Drain(drain)
	return err
}

// oidcOf is the provider of the configuration as the pages want it.
func oidcOf(c config.OIDC) web.OIDC {
	return web.OIDC{Issuer: c.Issuer, ClientID: c.ClientID, ClientSecret: c.ClientSecret, Label: c.Label, Claim: c.Claim, Domains: c.Domains,
		Create: c.Create, PrivateNetwork: c.PrivateNetwork}
}

// serveHTTP serves git and everything else on one listener until ctx ends.
func (s *server) serveHTTP(ctx context.Context) error {
	other := paced(readTime, writeTime, s.api)
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = asSent(r, s.cfg.HTTP.TrustedProxies)
			if proxy.IsGitPath(r.URL.EscapedPath()) {
				s.proxy.ServeHTTP(w, r)
				return
			}
			other.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ConnState:         limitConns(maxHTTPConns),
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		TLSConfig:         s.tls,
	}
	failed := make(chan error, 1)
	go func() {
		if s.tls != nil {
			failed <- srv.ServeTLS(s.http, "", "")
		} else {
			failed <- srv.Serve(s.http)
		}
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainReads)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		return srv.Close()
	}
	return nil
}

func (s *server) close() {
	for _, ln := range []net.Listener{s.http, s.ssh} {
		if ln != nil {
			ln.Close()
		}
	}
	if s.app != nil {
		if s.dialer != nil {
			s.dialer.Close()
		}
		s.store.Close()
		s.git.Close()
	}
	if s.lock != nil {
		s.lock.Close()
	}
}

// readyInfo is the content of the ready file (design, 3.2).
type readyInfo struct {
	HTTP            string      `json:"http"`
	SSH             string      `json:"ssh,omitempty"`
	CodeCommit      string      `json:"codecommit,omitempty"`
	CodeCommitSSH   string      `json:"codecommit_ssh,omitempty"`
	Jira            string      `json:"jira,omitempty"`
	AdminToken      string      `json:"admin_token,omitempty"`
	Users           []readyUser `json:"users,omitempty"`
	Repositories    []string    `json:"repositories,omitempty"`
	JiraCredentials any         `json:"jira_credentials,omitempty"`
	AWSCredentials  any         `json:"aws_credentials,omitempty"`
	PID             int         `json:"pid"`
}

type readyUser struct {
	Name       string `json:"name"`
	Password   string `json:"password"`
	Token      string `json:"token"`
	SSHKeyFile string `json:"ssh_key_file"`
	Rights     string `json:"rights"`
}

func (s *server) ready() readyInfo {
	info := readyInfo{HTTP: s.http.Addr().String(), PID: os.Getpid()}
	if s.ssh != nil {
		info.SSH = s.ssh.Addr().String()
	}
	return info
}

// writeReady writes the ready file in one step, readable by its owner only:
// it may hold tokens.
func writeReady(path string, info readyInfo) error {
	b, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	part := path + ".part"
	if err := os.WriteFile(part, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the ready file: %w", err)
	}
	return os.Rename(part, path)
}

// trustedProxy reports whether a peer, host:port, is in one of the networks.
func trustedProxy(networks []string, peer string) bool {
	addr, err := netip.ParseAddrPort(peer)
	if err != nil {
		return false
	}
	for _, n := range networks {
		if p, err := config.ParseNetwork(n); err == nil && p.Contains(addr.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// seed adds what the configuration file gives and the books lack.
func seed(ctx context.Context, a *app) error {
	for _, u := range a.cfg.Users {
		if err := seedUser(ctx, a, u); err != nil {
			return fmt.Errorf("adding user %s: %w", u.Name, err)
		}
	}
	for _, g := range a.cfg.Grants {
		if err := seedGrant(ctx, a, g); err != nil {
			return fmt.Errorf("adding a grant of %s: %w", g.User, err)
		}
	}
	for _, i := range a.cfg.Integrations {
		if err := seedIntegration(ctx, a, i); err != nil {
			return fmt.Errorf("adding integration %s: %w", i.Slug, err)
		}
	}
	return seedJira(ctx, a)
}

func seedJira(ctx context.Context, a *app) error {
	j := a.cfg.Jira
	if j.Kind == "" {
		return nil
	}
	site := store.JiraSite{Kind: j.Kind, URL: j.URL, Email: j.Email, ClientID: j.ClientID, DevinfoURL: j.DevinfoURL, TokenURL: j.TokenURL,
		APIToken: j.APIToken, ClientSecret: j.ClientSecret, PAT: j.PersonalAccessToken, Processor: a.cfg.SmartCommits.Processor}
	before, err := a.store.JiraSite(ctx)
	if err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return err
	}
	site.CloudID, site.HoursPerDay, site.DaysPerWeek = before.CloudID, before.HoursPerDay, before.DaysPerWeek
	return a.store.SetJiraSite(ctx, site)
}
