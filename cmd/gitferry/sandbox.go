package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"gitferry/api/web"
	"gitferry/internal/config"
	"gitferry/internal/failpoint"
	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/sandbox/codecommit"
	"gitferry/internal/sandbox/jira"
	"gitferry/internal/store"
)

// sandboxOptions are the flags of the sandbox command.
type sandboxOptions struct {
	data, http, ssh, codecommit, codecommitSSH, jira string
	readyFile, load, edition, gitAuth, failpoints    string
	empty                                            bool
	settings                                         string
}

func sandboxCommand() *cobra.Command {
	var o sandboxOptions
	cmd := &cobra.Command{
		Use: "sandbox", Short: "run server, stand-in CodeCommit and stand-in Jira on loopback, with nothing to configure", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return sandbox(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "", "data directory (default: a new temporary directory, removed at the end)")
	f.StringVar(&o.http, "http", "127.0.0.1:7080", "address of the server")
	f.StringVar(&o.ssh, "ssh", "127.0.0.1:7022", "address of the server's SSH door")
	f.StringVar(&o.codecommit, "codecommit", "127.0.0.1:7081", "address of the stand-in CodeCommit")
	f.StringVar(&o.codecommitSSH, "codecommit-ssh", "127.0.0.1:7024", "address of the stand-in CodeCommit's SSH door")
	f.StringVar(&o.jira, "jira", "127.0.0.1:7082", "address of the stand-in Jira")
	f.StringVar(&o.readyFile, "ready-file", "", "write addresses and credentials as JSON when all listeners accept")
	f.StringVar(&o.load, "load", "", "replay a history file into a repository before the start")
	f.BoolVar(&o.empty, "empty", false, "start without sample repositories and issues")
	f.StringVar(&o.edition, "jira-edition", "cloud", "which Jira the server talks to: cloud or datacenter")
	f.StringVar(&o.gitAuth, "git-auth", "sigv4", "how the server signs in at CodeCommit's git: sigv4, basic or ssh")
	f.StringVar(&o.settings, "config", "", "configuration file for everything but data, listeners, Jira, users and integrations")
	f.StringVar(&o.failpoints, "failpoints", "", "arm failpoints")
	_ = f.MarkHidden("failpoints")
	return cmd
}

// sandboxMark marks a data directory as the sandbox's: serve does not take it,
// and the sandbox takes no other.
const sandboxMark = "gitferry-sandbox-data"

const (
	sandboxAccount = "123456789012"
	ownerDirectory = 0o700
)

// sandboxUsers are the people of the sandbox.
var sandboxUsers = []struct {
	name, display, rights string
	level                 ferry.Level
	admin                 bool
}{
	{"alice", "Alice Archer", "write", ferry.LevelWrite, false},
	{"bob", "Bob Baker", "read", ferry.LevelRead, false},
	{"root", "Root Admin", "admin", ferry.LevelAdmin, true},
}

// sandbox runs everything until ctx ends.
func sandbox(ctx context.Context, o sandboxOptions, stdout, stderr io.Writer) error {
	cfg, temporary, err := sandboxConfig(o)
	if err != nil {
		return err
	}
	if temporary {
		defer os.RemoveAll(cfg.DataDir)
	}
	log := newLog(cfg, stderr)
	if o.failpoints != "" {
		if err := failpoint.Arm(o.failpoints); err != nil {
			return usageError{err}
		}
	}
	in, err := newStandIns(ctx, o, cfg, log)
	if err != nil {
		return err
	}
	defer in.close()
	g, running := errgroup.WithContext(ctx)
	in.run(running, g)
	s, err := startServer(ctx, cfg, true, log)
	if err != nil {
		return err
	}
	s.webhooks.PrivateNetwork = true // everything is on loopback here
	defer s.close()
	info, err := in.connect(ctx, s, o)
	if err != nil {
		return err
	}
	g.Go(func() error { return s.run(running) })
	if o.readyFile != "" {
		if err := writeReady(o.readyFile, info); err != nil {
			return err
		}
	}
	printTour(stdout, info, s.publicURL)
	return g.Wait()
}

// sandboxConfig makes the configuration of the sandbox's server.
func sandboxConfig(o sandboxOptions) (cfg *config.Config, temporary bool, err error) {
	if cfg, err = config.Load(o.settings, os.Environ()); err != nil {
		return nil, false, err
	}
	for _, addr := range []string{o.http, o.ssh, o.codecommit, o.codecommitSSH, o.jira} {
		host, _, err := net.SplitHostPort(addr)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, false, usageError{fmt.Errorf("%s: the sandbox listens on loopback only, such as 127.0.0.1:7080", addr)}
		}
	}
	dir := o.data
	if dir == "" {
		if dir, err = os.MkdirTemp("", "gitferry-sandbox-"); err != nil {
			return nil, false, err
		}
		temporary = true
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, false, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, false, err
	}
	_, markErr := os.Stat(filepath.Join(dir, sandboxMark))
	if len(entries) > 0 && markErr != nil {
		return nil, false, usageError{fmt.Errorf("%s holds something that is not a sandbox's data; give an empty directory", dir)}
	}
	if err := os.MkdirAll(dir, ownerDirectory); err != nil {
		return nil, false, err
	}
	for _, mark := range []string{sandboxMark, testMark} {
		if err := os.WriteFile(filepath.Join(dir, mark), nil, 0o600); err != nil {
			return nil, false, err
		}
	}
	cfg.DataDir = filepath.Join(dir, "server")
	cfg.MasterKeyFile = ""
	if err := os.MkdirAll(cfg.DataDir, ownerDirectory); err != nil {
		return nil, false, err
	}
	cfg.MasterKeyFile = filepath.Join(dir, "master.key")
	if err := makeMasterKey(cfg.MasterKeyFile); err != nil {
		return nil, false, err
	}
	cfg.HTTP.Listen, cfg.SSH.Listen = o.http, o.ssh
	cfg.Jira, cfg.Users, cfg.Grants, cfg.Integrations = config.Jira{}, nil, nil, nil
	if temporary {
		// The whole directory goes at the end.
		cfg.DataDir = filepath.Clean(cfg.DataDir)
	}
	return cfg, temporary, nil
}

// makeMasterKey writes a fresh key unless there is one.
func makeMasterKey(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return os.WriteFile(path, fmt.Appendf(nil, "%x\n", key), 0o400)
}

// standIns are the stand-in services with their listeners.
type standIns struct {
	log        *slog.Logger
	dir        string
	codecommit *codecommit.Server
	jira       *jira.Server
	listeners  []net.Listener // CodeCommit, its SSH door, Jira
	loaded     string         // repository that a history was replayed into
}

func newStandIns(ctx context.Context, o sandboxOptions, cfg *config.Config, log *slog.Logger) (_ *standIns, err error) {
	in := &standIns{log: log, dir: filepath.Dir(cfg.DataDir)}
	defer func() {
		if err != nil {
			in.close()
		}
	}()
	for _, addr := range []string{o.codecommit, o.codecommitSSH, o.jira} {
		ln, err := listen(addr)
		if err != nil {
			return nil, err
		}
		in.listeners = append(in.listeners, ln)
	}
	standInDir := filepath.Join(in.dir, "codecommit")
	if err := os.MkdirAll(standInDir, ownerDirectory); err != nil {
		return nil, err
	}
	g, err := git.New(ctx, standInDir)
	if err != nil {
		return nil, err
	}
	in.codecommit, err = codecommit.New(codecommit.Config{Dir: filepath.Join(standInDir, "repositories"), Account: sandboxAccount, Git: g,
		Log: log, URL: "http://" + in.listeners[0].Addr().String()})
	if err != nil {
		return nil, err
	}
	projects, err := in.fill(ctx, o)
	if err != nil {
		return nil, err
	}
	in.jira = jira.New(jira.Config{Log: log, BaseURL: "http://" + in.listeners[2].Addr().String(), Projects: projects, Empty: o.empty})
	return in, in.jira.Keep(filepath.Join(in.dir, "jira.ndjson"))
}

// run serves the stand-ins in g until ctx ends.
func (in *standIns) run(ctx context.Context, g *errgroup.Group) {
	for ln, h := range map[net.Listener]http.Handler{in.listeners[0]: in.codecommit.Handler(), in.listeners[2]: in.jira.Handler()} {
		srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(in.log.Handler(), slog.LevelDebug)}
		g.Go(func() error {
			stop := context.AfterFunc(ctx, func() { srv.Close() })
			defer stop()
			if err := srv.Serve(ln); err != http.ErrServerClosed {
				return err
			}
			return nil
		})
	}
	g.Go(func() error { return in.codecommit.ServeSSH(ctx, in.listeners[1]) })
	g.Go(func() error { return in.codecommit.Run(ctx) })
}

func (in *standIns) close() {
	for _, ln := range in.listeners {
		ln.Close()
	}
	if in.jira != nil {
		if err := in.jira.Close(); err != nil {
			in.log.Error("closing the stand-in Jira", "err", err)
		}
	}
}

// connect makes the server know the stand-ins and the sandbox's people, and
// returns the content of the ready file.
func (in *standIns) connect(ctx context.Context, s *server, o sandboxOptions) (readyInfo, error) {
	info := s.ready()
	info.CodeCommit, info.Jira = "http://"+in.listeners[0].Addr().String(), "http://"+in.listeners[2].Addr().String()
	info.CodeCommitSSH = in.listeners[1].Addr().String()
	aws, err := in.awsCredentials()
	if err != nil {
		return info, err
	}
	info.AWSCredentials = aws
	site, jiraCredentials, err := in.jiraSite(o.edition, s.cfg.SmartCommits.Processor)
	if err != nil {
		return info, err
	}
	info.JiraCredentials = jiraCredentials
	if err := s.store.SetJiraSite(ctx, site); err != nil {
		return info, err
	}
	if err := s.issues.Refresh(ctx); err != nil {
		return info, err
	}
	for _, region := range []string{"us-east-1", "us-west-2"} {
		if err := in.integrate(ctx, s, region, ferry.GitAuth(o.gitAuth)); err != nil {
			return info, err
		}
	}
	repos, err := s.store.Repositories(ctx, store.RepositoryFilter{})
	if err != nil {
		return info, err
	}
	for _, r := range repos {
		info.Repositories = append(info.Repositories, r.Path())
	}
	for _, u := range sandboxUsers {
		ready, err := in.person(ctx, s.store, u.name, u.display, u.level, u.admin)
		if err != nil {
			return info, err
		}
		ready.Rights = u.rights
		info.Users = append(info.Users, ready)
		if u.admin {
			info.AdminToken = ready.Token
		}
	}
	return info, nil
}

// integrate connects one region of the stand-in CodeCommit. A data directory
// that was used before gets the fresh credentials.
func (in *standIns) integrate(ctx context.Context, s *server, region string, auth ferry.GitAuth) error {
	c := in.codecommit.Credentials()
	base := "http://" + in.listeners[0].Addr().String()
	i := ferry.Integration{Slug: region, Name: "CodeCommit " + region, Kind: ferry.KindCodeCommit, Region: region, Account: sandboxAccount,
		GitAuth: auth, AccessKeyID: c.AccessKeyID, GitUsername: c.GitUsername, SSHKeyID: c.SSHKeyID, APIEndpoint: base, SNSEndpoint: base,
		GitEndpoint: base + "/" + region, HostKey: c.HostKey, PrivateNetwork: true, ConnectAll: true}
	switch auth {
	case ferry.GitAuthSSH:
		i.GitEndpoint = "ssh://" + in.listeners[1].Addr().String() + "/" + region
	case ferry.GitAuthSigV4:
		i.GitEndpoint = base // the signature names the region
	case ferry.GitAuthBasic:
	default:
		return usageError{fmt.Errorf("--git-auth %q: want sigv4, basic or ssh", auth)}
	}
	secrets := ferry.Credentials{SecretAccessKey: ferry.NewSecret(c.SecretAccessKey), GitPassword: ferry.NewSecret(c.GitPassword),
		SSHPrivateKey: ferry.NewSecret(c.SSHPrivateKey)}
	before, err := s.store.IntegrationBySlug(ctx, region)
	if err == nil {
		i.ID = before.ID
		err = s.store.UpdateIntegration(ctx, i, &secrets)
	} else {
		i, err = s.store.AddIntegration(ctx, i, secrets)
	}
	if err != nil {
		return err
	}
	_, err = s.discovery.Look(ctx, i.ID, nil)
	return err
}

// person makes a user with a token, an SSH key and a grant on everything.
func (in *standIns) person(ctx context.Context, st *store.Store, name, display string, level ferry.Level, admin bool) (readyUser, error) {
	var r readyUser
	user, err := st.UserByName(ctx, name)
	if err != nil {
		if user, err = st.AddUser(ctx, ferry.User{Name: name, Display: display, Email: name + "@example.com", Admin: admin}); err != nil {
			return r, err
		}
		if _, err := st.AddGrant(ctx, ferry.Grant{User: user.ID, Glob: "**", Level: level}); err != nil {
			return r, err
		}
	}
	token, _, err := st.NewToken(ctx, store.Token{User: user.ID, Name: "sandbox",
		Scopes: []ferry.Scope{ferry.ScopeRepoRead, ferry.ScopeRepoWrite, ferry.ScopeAPIRead, ferry.ScopeAPIAdmin}})
	if err != nil {
		return r, err
	}
	password := rand.Text()
	if err := st.SetPassword(ctx, user.ID, web.HashPassword(password)); err != nil {
		return r, err
	}
	keyFile := filepath.Join(in.dir, name+"_ed25519")
	public, err := makeUserKey(keyFile, name)
	if err != nil {
		return r, err
	}
	keys, err := st.SSHKeys(ctx, user.ID)
	if err != nil {
		return r, err
	}
	for _, k := range keys { // of an earlier run
		if err := st.RemoveSSHKey(ctx, k.ID); err != nil {
			return r, err
		}
	}
	if _, err := addSSHKey(ctx, st, user.ID, "sandbox", public); err != nil {
		return r, err
	}
	return readyUser{Name: name, Password: password, Token: token.Reveal(), SSHKeyFile: keyFile}, nil
}

// makeUserKey writes a fresh key pair and returns the public line.
func makeUserKey(path, comment string) (string, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return "", err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + " " + comment, nil
}

// awsCredentials are what opens the stand-in CodeCommit to stock clients.
func (in *standIns) awsCredentials() (map[string]string, error) {
	c := in.codecommit.Credentials()
	keyFile := filepath.Join(in.dir, "codecommit_rsa")
	if err := os.WriteFile(keyFile, []byte(c.SSHPrivateKey), 0o600); err != nil {
		return nil, err
	}
	return map[string]string{"access_key_id": c.AccessKeyID, "secret_access_key": c.SecretAccessKey, "git_username": c.GitUsername,
		"git_password": c.GitPassword, "ssh_key_id": c.SSHKeyID, "ssh_key_file": keyFile}, nil
}

// jiraSite is the stand-in Jira as the server is told of it.
func (in *standIns) jiraSite(edition, processor string) (store.JiraSite, jira.Credentials, error) {
	c := in.jira.Credentials()
	base := "http://" + in.listeners[2].Addr().String()
	site := store.JiraSite{Kind: "cloud", URL: base, Email: c.Email, ClientID: c.ClientID, DevinfoURL: base, TokenURL: base + "/oauth/token",
		APIToken: ferry.NewSecret(c.APIToken), ClientSecret: ferry.NewSecret(c.ClientSecret), Processor: processor}
	switch edition {
	case "cloud":
	case "datacenter":
		site = store.JiraSite{Kind: "datacenter", URL: base + "/dc", PAT: ferry.NewSecret(c.PersonalAccessToken), Processor: processor}
	default:
		return site, c, usageError{fmt.Errorf("--jira-edition %q: want cloud or datacenter", edition)}
	}
	return site, c, nil
}
