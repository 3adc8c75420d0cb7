package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sys/unix"

	"gitferry/internal/config"
	"gitferry/internal/discovery"
	"gitferry/internal/ferry"
	"gitferry/internal/filelist"
	"gitferry/internal/git"
	"gitferry/internal/index"
	"gitferry/internal/issues"
	"gitferry/internal/outbox"
	"gitferry/internal/policy"
	"gitferry/internal/pulls"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
	"gitferry/internal/triggers"
	"gitferry/internal/upstream"
	"gitferry/internal/webhook"
	"gitferry/mirror"
	"gitferry/proxy"
)

// app holds the parts of a running server, wired in newApp from top to bottom.
type app struct {
	cfg       *config.Config
	log       *slog.Logger
	boot      string
	publicURL string
	store     *store.Store
	git       *git.Runner
	dialer    *upstream.Dialer
	mirror    *mirror.Dir
	sites     *outbox.Sites
	issues    *issues.Lookup
	index     *index.Index
	pulls     *pulls.Host
	lists     *filelist.Lists
	webhooks  *webhook.Sender
	outbox    *outbox.Outbox
	discovery *discovery.Discovery
	triggers  *triggers.Triggers
	proxy     *proxy.Server
	registry  *prometheus.Registry
}

// answersKept bounds the answers to fetches that are kept to be given again,
// in bytes on disk.
const answersKept = 2 << 30

// bundledFrom is the size of packs, in bytes, from which on a mirror has a
// bundle: smaller ones are cloned as fast without.
const bundledFrom = 8 << 20

var errRunning = errors.New("already running")

// paths inside the data directory.
func booksPath(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "gitferry.db") }

// openData makes the data directory if it is missing and checks that nobody
// else can write to it.
func openData(cfg *config.Config) error {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	info, err := os.Stat(cfg.DataDir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("data directory %s can be written by others; run chmod 700 on it: %w", cfg.DataDir, ferry.ErrInvalid)
	}
	return nil
}

// openStore opens the books with the master key.
func openStore(ctx context.Context, cfg *config.Config, log *slog.Logger) (*store.Store, error) {
	if err := openData(cfg); err != nil {
		return nil, err
	}
	key, made, err := cfg.MasterKey()
	if err != nil {
		return nil, err
	}
	if made {
		path, _ := cfg.MasterKeyPath()
		log.Warn("made a new master key; keep a copy of it apart from the data directory", "file", path)
	}
	return store.Open(ctx, booksPath(cfg), store.Options{MasterKey: key, Log: log})
}

// lockInstance makes sure that this is the only server on the data directory.
// The lock holds until the file is closed.
func lockInstance(cfg *config.Config) (*os.File, error) {
	path := filepath.Join(cfg.DataDir, "instance.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the instance lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path)
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("gitferry is %w on %s (%s); stop it first", errRunning, cfg.DataDir, holder)
		}
		return nil, fmt.Errorf("taking the instance lock: %w", err)
	}
	host, _ := os.Hostname()
	_ = f.Truncate(0)
	_, err = f.WriteAt(fmt.Appendf(nil, "process %d on %s since %s", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339)), 0)
	return f, err
}

// newApp wires a server on open books. publicURL is how people reach it.
func newApp(ctx context.Context, cfg *config.Config, st *store.Store, publicURL string, log *slog.Logger) (*app, error) {
	childLock := filepath.Join(cfg.DataDir, "children.lock")
	if err := git.WaitForChildren(childLock, 10*time.Second); err != nil {
		return nil, err
	}
	g, err := git.New(ctx, cfg.DataDir)
	if err != nil {
		return nil, err
	}
	g.Log = log
	a := &app{cfg: cfg, log: log, boot: rand.Text(), publicURL: publicURL, store: st, git: g}
	a.dialer = upstream.NewDialer(log, "gitferry/"+version)
	a.discovery = &discovery.Discovery{Store: st, Dialer: a.dialer, Log: log, ListEvery: time.Duration(cfg.Upstream.List)}
	a.triggers = &triggers.Triggers{Store: st, Client: a.discovery.Client, PublicURL: publicURL, Log: log}
	a.mirror = &mirror.Dir{Root: cfg.DataDir, Git: g, Dialer: a.dialer, Target: a.discovery.Target, Log: log, CacheBytes: answersKept, BundleBytes: bundledFrom, UnreachableTTL: time.Duration(cfg.Mirror.UnreachableTTL)}
	a.sites = &outbox.Sites{Store: st, Product: "gitferry " + version}
	a.outbox = &outbox.Outbox{Store: st, Sites: a.sites, Files: a.files, Links: outbox.Links{Base: publicURL},
		Journal: filepath.Join(cfg.DataDir, "outbox.log"), Boot: a.boot, Log: log}
	a.issues = &issues.Lookup{Store: st, Sites: a.sites, Deadline: 1500 * time.Millisecond, Queued: a.outbox.Wake, Log: log}
	a.index = &index.Index{Store: st, Git: g, Mirror: a.mirror, Settings: a.indexSettings, Queued: a.outbox.Wake,
		UnknownProject: a.issues.Wake, Log: log, Boot: a.boot, PollMin: time.Duration(cfg.Upstream.Poll),
		PollTriggered: time.Duration(cfg.Upstream.PollNotified), PollMax: time.Duration(cfg.Upstream.PollMax),
		Account: a.account, Describe: a.discovery.Describe, Pace: a.discovery.Pace, Looked: a.looked}
	a.discovery.Queued, a.discovery.Disconnect = a.index.Ring, a.disconnectGone
	a.mirror.Moved, a.mirror.Degraded = a.index.Wake, a.degraded
	a.pulls = &pulls.Host{Store: st, Git: g, Mirror: a.mirror, Client: a.discovery.Client, HTTP: a.dialer.HTTPClient,
		Parse: a.readingOptions, Issue: a.issues.Issue, Index: a.index.Repository, Queued: a.outbox.Wake, Log: log}
	a.index.Synced = a.pulls.Wake
	a.issues.ProjectsChanged = func(ctx context.Context) {
		if err := a.index.Reconsider(ctx); err != nil {
			log.Error("linking commits to new projects", "err", err)
		}
		if err := a.pulls.Reconsider(ctx); err != nil {
			log.Error("linking pull requests to new projects", "err", err)
		}
	}
	a.registry = prometheus.NewRegistry()
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.proxy = &proxy.Server{Metrics: proxy.NewMetrics(a.registry), Mirror: a.mirror, Git: g, Dialer: a.dialer, Target: a.discovery.Target, Store: st,
		Judge: a.judge, Opened: a.pushOpened, Forecast: a.forecast, Index: a.index.Push, PublicURL: publicURL, Scratch: cfg.DataDir,
		TrustClearText: a.trustClearText, Limits: limits(cfg), Log: log}
	return a, nil
}

// limits takes the proxy's bounds from the configuration.
func limits(cfg *config.Config) proxy.Limits {
	l := proxy.NewLimits()
	l.Freshness = time.Duration(cfg.Upstream.Freshness)
	l.PassOffline = time.Duration(cfg.PassThrough.OfflineGrace)
	l.FreshnessTimeout = time.Duration(cfg.Upstream.LookTimeout)
	l.StoreBelow = int64(cfg.Gate.StoreBelow)
	l.Stream = cfg.Gate.Stream
	l.IndexAfter = cfg.Gate.Index == "after"
	l.MaxHold = time.Duration(cfg.Gate.MaxHold)
	l.JudgeTimeout = time.Duration(cfg.Gate.CheckTimeout)
	l.PackBytes = int64(cfg.Gate.Limits.PackBytes)
	l.PackObjects = cfg.Gate.Limits.Objects
	l.ObjectBytes = int64(cfg.Gate.Limits.ObjectBytes)
	l.InflatedBytes = int64(cfg.Gate.Limits.InflatedBytes)
	l.Commands = int(cfg.Gate.Limits.Commands)
	l.Commits = int(cfg.Gate.Limits.Commits)
	l.FreeDisk = int64(cfg.Gate.Limits.FreeDisk)
	return l
}

// files tells the outbox what a commit changed.
func (a *app) files(ctx context.Context, repo ferry.RepositoryID, oid ferry.OID) ([]outbox.FileChange, int, error) {
	changes, err := a.git.CommitFiles(ctx, a.mirror.Path(repo), oid)
	if err != nil {
		return nil, 0, err
	}
	names := map[byte]string{'A': "added", 'M': "modified", 'T': "modified", 'D': "deleted", 'R': "moved", 'C': "copied"}
	var files []outbox.FileChange
	for _, c := range changes[:min(len(changes), 10)] {
		files = append(files, outbox.FileChange{Path: c.Path, Change: names[c.Status], Added: c.Added, Removed: c.Removed})
	}
	return files, len(changes), nil
}

// parseOptions says how messages are read now.
func (a *app) parseOptions(ctx context.Context) (smartcommit.Options, store.JiraSite, error) {
	var o smartcommit.Options
	keys, known, _, err := a.store.Projects(ctx)
	if err != nil {
		return o, store.JiraSite{}, err
	}
	if known {
		o.Projects = make(map[string]bool, len(keys))
		for _, k := range keys {
			o.Projects[k] = true
		}
	}
	site, err := a.store.JiraSite(ctx)
	if errors.Is(err, ferry.ErrNotFound) {
		site.Processor, err = "off", nil
	}
	o.HoursPerDay, o.DaysPerWeek = site.HoursPerDay, site.DaysPerWeek
	o.Strict = site.Processor == string(outbox.ProcessorJira)
	return o, site, err
}

func (a *app) indexSettings(ctx context.Context) (index.Settings, error) {
	o, site, err := a.parseOptions(ctx)
	return index.Settings{Parse: o, RunCommands: site.Processor == string(outbox.ProcessorGitferry),
		MaxAge: time.Duration(a.cfg.SmartCommits.MaxAge)}, err
}

// trustClearText reports whether clear-text HTTP from this peer may carry
// credentials: this machine, or a proxy that ends TLS.
func (a *app) trustClearText(remoteAddr string) bool {
	if proxy.IsLoopback(remoteAddr) {
		return true
	}
	return trustedProxy(a.cfg.HTTP.TrustedProxies, remoteAddr)
}

// judge applies the rules of the configuration, or those that an administrator
// set since, to a push.
func (a *app) judge(ctx context.Context, p policy.Push) policy.Verdict {
	rules, err := a.rules(ctx)
	o, site, parseErr := a.parseOptions(ctx)
	if err = errors.Join(err, parseErr); err != nil {
		a.log.Error("reading the push policy", "err", err)
		return policy.Verdict{Refused: true, Notes: []string{"the push policy cannot be read; ask an administrator"}}
	}
	var states policy.IssueStates
	if site.Kind != "" {
		states = func(ctx context.Context, keys []ferry.IssueKey) map[ferry.IssueKey]policy.IssueState {
			return a.issueStates(ctx, p.Pusher, keys, o.Projects, rules.KeyMustExist)
		}
	}
	return policy.Judge(ctx, p, rules, states, o)
}

// settingPolicy is the setting that holds the push policy of all repositories
// once an administrator changed it.
const settingPolicy = "policy"

func (a *app) rules(ctx context.Context) (policy.Rules, error) {
	var r policy.Rules
	err := a.store.Setting(ctx, settingPolicy, &r)
	if !errors.Is(err, ferry.ErrNotFound) {
		return r, err
	}
	c := a.cfg.Policy
	r = policy.Rules{RequireKey: c.RequireKey, KeyMustExist: c.KeyMustExist, Projects: c.Projects, ExemptMerges: c.ExemptMerges,
		ExemptReverts: c.ExemptReverts, ExemptUsers: c.ExemptUsers, ExemptBranches: c.ExemptBranches, ProtectDefaultBranch: c.ProtectDefaultBranch,
		AdminsMayRewrite: c.AdminsMayRewrite, RefuseSimilarNames: c.RefuseSimilarNames, AllowNotes: c.AllowNotes}
	if c.MessagePattern != "" {
		if r.MessagePattern, err = policy.CompilePattern(c.MessagePattern); err != nil {
			return r, err
		}
	}
	return r, nil
}

// issueStates answers the policy's question from the books or from Jira. What
// the pusher may not know is left untold, unless the rules tell it anyway: a
// push that is refused because its issue is missing says that it is.
func (a *app) issueStates(ctx context.Context, pusher ferry.User, keys []ferry.IssueKey, projects map[string]bool, told bool) map[ferry.IssueKey]policy.IssueState {
	mayKnow := make(chan map[string]bool, 1)
	if !told {
		go func() { mayKnow <- a.mayKnow(ctx, pusher, keys, projects) }()
	}
	states := make(map[ferry.IssueKey]policy.IssueState, len(keys))
	for k, i := range a.issues.States(ctx, keys) {
		states[k] = policy.Missing
		if i.Exists {
			states[k] = policy.Exists
		}
	}
	if told {
		return states
	}
	may := <-mayKnow
	for k := range states {
		if p := k.Project(); (projects == nil || projects[p]) && !may[p] {
			states[k] = policy.Untold
		}
	}
	return states
}

// mayKnow tells of which projects among those of the keys the pusher may learn
// what there is. That a project is not there at all is no secret; known is nil
// while Jira's list of projects was not read yet.
func (a *app) mayKnow(ctx context.Context, pusher ferry.User, keys []ferry.IssueKey, known map[string]bool) map[string]bool {
	var emails, projects []string
	if pusher.Email != "" {
		emails = append(emails, pusher.Email)
	}
	if token, email, err := a.store.JiraToken(ctx, pusher.ID); err == nil && !token.IsZero() && email != "" && email != pusher.Email {
		emails = append(emails, email)
	}
	for _, k := range keys {
		if p := k.Project(); (known == nil || known[p]) && !slices.Contains(projects, p) {
			projects = append(projects, p)
		}
	}
	if len(emails) == 0 || len(projects) == 0 {
		return nil
	}
	return a.issues.MayKnow(ctx, emails, projects)
}
