// Package proxy is the door for git clients: smart HTTP and SSH. It serves
// reads from the mirrors and carries pushes to the upstream.
//
// The idea of a push: its pack flows through a scanner that knows where every
// object and the pack itself end, into a quarantine beside the mirror and, if
// it is large, at the same time to the upstream. The end is held back until
// the objects are complete, the commits are judged and the release is in the
// books. Only then may upstream act, and only upstream's answer makes the push
// a success (receivepack.go, gate.go, release.go). A push whose outcome was
// lost is settled by reading upstream's refs back (recover.go).
//
// Advertisements and ref listings are answered in-process (uploadpack.go).
// cmd wires the package; it knows no SQL and no Jira.
package proxy

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/policy"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
	"gitferry/internal/upstream"
	"gitferry/mirror"
)

// A Server serves git clients. Fill the exported fields before use.
type Server struct {
	Mirror *mirror.Dir
	Git    *git.Runner
	Dialer *upstream.Dialer
	Target func(context.Context, ferry.Repository) (upstream.Target, error)
	Store  *store.Store
	// Judge applies the rules of the repository to a push before upstream
	// sees its end.
	Judge func(context.Context, policy.Push) policy.Verdict
	// Forecast says of an accepted push as whom its commands will be carried
	// out and which of them Jira would refuse now, within a bound of its own.
	// It runs beside the exchange with upstream. Nil: nothing is said.
	Forecast func(context.Context, ferry.User, policy.Verdict) (actsAs string, fails func(smartcommit.Action) string)
	// Opened is told whether upstream let the integration's credentials begin a
	// push. It may be nil.
	Opened func(ctx context.Context, repo ferry.Repository, err error)
	// Index brings the books up to date with the mirror's refs, in one
	// transaction with the deliveries that follow from it. commits are those
	// of the push that moved them, parents first, nil if not known.
	Index func(ctx context.Context, repo ferry.Repository, commits []git.Commit) error
	// PublicURL is the address of the pages, without a slash at the end.
	PublicURL string
	// SSHHost is how developers reach the SSH door: "host" or "host:port".
	SSHHost string
	// Scratch is a private directory for small repositories of our own.
	Scratch string
	// TrustClearText says that clear-text HTTP may carry credentials from
	// this peer: loopback, or a proxy that ends TLS.
	TrustClearText func(remoteAddr string) bool
	Limits         Limits
	Metrics        *Metrics
	Log            *slog.Logger
	Now            func() time.Time // nil: time.Now

	capsMu sync.Mutex
	caps   *capabilities // guarded by capsMu

	gates     gates // of users
	reads     queue
	strangers strangers
	passes    passes
	offers    offers
	// pushes counts pushes from release to done, so that a stop can wait.
	pushes sync.WaitGroup
}

// Limits bounds what clients may ask for; NewLimits gives the defaults.
type Limits struct {
	Freshness        time.Duration // how old a look at upstream may be for a read
	FreshnessTimeout time.Duration // how long a read waits for upstream before it serves what it has
	PassOffline      time.Duration // how long upstream's yes to own credentials holds for reads while it cannot be asked
	StoreBelow       int64         // packs up to this many bytes are stored first and sent at once
	Stream           bool          // larger packs flow to upstream while they are checked
	IndexAfter       bool          // git index-pack reads a pack after its release, not before
	MaxHold          time.Duration // how long a streamed request may be held before it is cut and sent anew
	PackBytes        int64
	PackObjects      int64
	ObjectBytes      int64         // one object, inflated
	InflatedBytes    int64         // all objects of a pack, inflated
	Commands         int           // ref updates in one push; CodeCommit takes 4,000
	Commits          int           // commits judged in one push
	JudgeTimeout     time.Duration // then the push is refused
	UserOperations   int           // running git operations of one user
	Children         int           // git children of reads at once; 0: two for each processor
	RepoOperations   int           // of one repository
	RepoQueue        int           // reads of one repository that wait for a child
	QueueWait        time.Duration // how long a further operation or read waits
	FreeDisk         int64         // bytes of free space below which pushes are refused
	stall            time.Duration // stallWindow but in tests
}

// NewLimits returns the defaults (security reference, part 19).
func NewLimits() Limits {
	return Limits{
		Freshness: 2 * time.Second, FreshnessTimeout: 3 * time.Second,
		StoreBelow: 1 << 20, Stream: true, MaxHold: 15 * time.Second,
		PackBytes: 2 << 30, PackObjects: 5_000_000,
		Commands: 4000, Commits: 50_000, JudgeTimeout: 20 * time.Second,
		UserOperations: 8, RepoOperations: 4, RepoQueue: 64, QueueWait: time.Minute, FreeDisk: 1 << 30,
	}
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Drain waits until pushes that were released are done, or ctx ends.
func (s *Server) Drain(ctx context.Context) {
	done := make(chan struct{})
	go func() { s.pushes.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
