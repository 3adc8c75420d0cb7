package api

import (
	"strconv"
	"time"

	"gitferry/api/web"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// A Finding is one line of a check.
type Finding struct {
	Area   string `json:"area"` // configuration, git, disk, books, an integration's slug, jira
	What   string `json:"what"`
	State  string `json:"state"`  // ok, missing, unknown or failed
	Needed bool   `json:"needed"` // a failure makes the check fail
	Detail string `json:"detail,omitempty"`
	// Actions are IAM actions that belong to the feature, Policy grants the
	// missing ones.
	Actions []string `json:"actions,omitempty"`
	Policy  string   `json:"policy,omitempty"`
}

// A CheckReport says whether all that is needed works.
type CheckReport struct {
	OK       bool      `json:"ok"`
	Findings []Finding `json:"findings"`
}

func (s *Server) check(c *call) (CheckReport, error) { return s.Check(c.ctx), nil }

// A Backup describes an archive of the books and what lies beside them. The
// master key is not part of it.
type Backup struct {
	Format   int          `json:"format"`
	Version  string       `json:"version"` // of gitferry
	Instance string       `json:"instance"`
	MadeAt   time.Time    `json:"made_at"`
	Files    []BackupFile `json:"files"`
}

// A BackupFile is one file of a backup.
type BackupFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// A BackupMade is a backup with its place below the data directory. It holds
// private host keys, so it does not travel over the API.
type BackupMade struct {
	File string `json:"file"`
	Backup
}

func (s *Server) makeBackup(c *call) (BackupMade, error) { return s.Backup(c.ctx) }

// Versions are those of gitferry and of what it uses.
type Versions struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
	Git     string `json:"git"`
	SQLite  string `json:"sqlite"`
}

func (s *Server) getVersions(*call) (Versions, error) { return s.Versions, nil }

// examineCommit finds out why a commit does not show at an issue.
func (s *Server) examineCommit(c *call) (web.Examination, error) {
	var in ferry.RepositoryID
	if text := c.value("repository"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			return web.Examination{}, badRequest("repository: want the number of a repository")
		}
		in = ferry.RepositoryID(n)
	}
	return s.pages.Examine(c.ctx, c.value("commit"), c.value("issue"), in)
}

// activity counts what happened lately; spans in which nothing did are not in
// the lists.
type activity struct {
	Pushes   []span `json:"pushes"`   // by day, over 30 days
	Commands []wait `json:"commands"` // of smart commits by hour, over a day
	// Waiting is how many commands waited at each full hour of the last 24.
	Waiting []span `json:"waiting"`
}

type span struct {
	From  time.Time `json:"from"`
	Count int       `json:"count"`
}

// wait is a span with how long what was queued in it waited to be done.
type wait struct {
	span
	MeanMS    int64 `json:"mean_ms"`
	LongestMS int64 `json:"longest_ms"`
}

func (s *Server) getActivity(c *call) (activity, error) {
	const day = 24 * time.Hour
	out := activity{Pushes: []span{}, Commands: []wait{}, Waiting: []span{}}
	now := time.Now().UTC()
	pushes, err := s.Store.PushBuckets(c.ctx, 0, now.Truncate(day).Add(-29*day), day)
	if err != nil {
		return out, err
	}
	spanOf := func(b store.Bucket) span { return span{b.From, b.Count} }
	for _, b := range pushes {
		out.Pushes = append(out.Pushes, spanOf(b))
	}
	from := now.Truncate(time.Hour).Add(-23 * time.Hour)
	commands, err := s.Store.DeliveryBuckets(c.ctx, from, time.Hour)
	if err != nil {
		return out, err
	}
	for _, b := range commands {
		out.Commands = append(out.Commands, wait{spanOf(b), b.Mean.Milliseconds(), b.Max.Milliseconds()})
	}
	waiting, err := s.Store.QueueLengths(c.ctx, from, time.Hour, 24)
	for i, n := range waiting {
		if n > 0 {
			out.Waiting = append(out.Waiting, span{from.Add(time.Duration(i) * time.Hour), n})
		}
	}
	return out, err
}
