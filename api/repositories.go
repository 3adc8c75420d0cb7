package api

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/internal/weblink"
)

// repositoryPath begins the path of every route on one repository.
const repositoryPath = "/repositories/{owner}/{name}"

// repositoryDetail is a repository with its mirror, its index and the
// addresses to clone from.
type repositoryDetail struct {
	Repository
	CloneURL string          `json:"clone_url"`
	SSHURL   string          `json:"ssh_url,omitempty"`
	Mirror   repositoryState `json:"mirror"`
}

func (s *Server) listRepositories(c *call) (page[Repository], error) {
	repos, err := s.Store.Repositories(c.ctx, store.RepositoryFilter{State: ferry.RepositoryState(c.value("state")), Query: c.value("query")})
	if err != nil {
		return page[Repository]{}, err
	}
	repos = slices.DeleteFunc(repos, func(r ferry.Repository) bool { return !c.may(ferry.ActionRead, r.Path()) })
	return cut(c, repos, RepositoryOf)
}

func (s *Server) getRepository(c *call) (repositoryDetail, error) {
	d := repositoryDetail{Repository: RepositoryOf(c.repo), CloneURL: s.PublicURL + "/" + c.repo.Path() + ".git"}
	if s.SSHHost != "" {
		d.SSHURL = "ssh://" + s.SSHHost + "/" + c.repo.Path()
	}
	st, err := s.statuses(c.ctx)
	if err != nil {
		return d, err
	}
	d.Mirror, err = s.repositoryState(c.ctx, st, c.repo)
	return d, err
}

// repositoryPatch changes what it names.
type repositoryPatch struct {
	SmartCommits *bool     `json:"smart_commits,omitempty"`
	Enabled      *bool     `json:"enabled,omitempty"`
	Projects     *[]string `json:"projects,omitempty"` // keys of Jira projects; empty: all
	ReadOnly     *bool     `json:"read_only,omitempty"`
	TagFilter    *string   `json:"tag_filter,omitempty"`
	// WebLinks are templates of addresses at the host of a single repository.
	WebLinks      *weblink.Templates `json:"web_links,omitempty"`
	DefaultBranch *string            `json:"default_branch,omitempty"` // of a single repository; accounts have their own
}

func (s *Server) changeRepository(c *call, in repositoryPatch) (Repository, error) {
	r := c.repo
	if in.SmartCommits != nil {
		r.SmartCommits = *in.SmartCommits
	}
	if in.Enabled != nil {
		r.State = ferry.RepositoryDisabled
		if *in.Enabled {
			r.State = ferry.RepositoryEnabled
		}
	}
	if in.Projects != nil {
		var err error
		if r.Projects, err = ferry.ParseProjects(strings.Join(*in.Projects, " ")); err != nil {
			return Repository{}, err
		}
	}
	if in.ReadOnly != nil {
		r.ReadOnly = *in.ReadOnly
	}
	if in.TagFilter != nil {
		r.TagFilter = *in.TagFilter
	}
	if in.DefaultBranch != nil {
		if r.Region != "" {
			return Repository{}, &ferry.Message{Kind: ferry.ErrInvalid, Text: "the default branch of " + r.Path() + " is changed at its host"}
		}
		r.DefaultBranch = *in.DefaultBranch
	}
	if in.WebLinks != nil {
		if r.Region != "" {
			return Repository{}, &ferry.Message{Kind: ferry.ErrInvalid, Text: "the web links of " + r.Path() + " are those of the AWS console"}
		}
		if err := in.WebLinks.Check(); err != nil {
			return Repository{}, err
		}
		r.WebLinks = in.WebLinks.String()
	}
	err := s.Store.UpdateRepository(c.ctx, r)
	if err == nil && in.Projects != nil {
		s.Outbox.Wake()
	}
	return RepositoryOf(r), err
}

func (s *Server) removeRepository(c *call) (Removal, error) {
	n, err := s.Connections.Disconnect(c.ctx, c.repo, c.value("force") == "true")
	s.Outbox.Wake()
	return Removal{Removed: err == nil && n == 0, Waiting: n}, err
}

// priorityManual is the priority of work that a person asked for
// (product-behaviour, 8.4).
const priorityManual = 24

// queue makes the handler that queues work on a repository.
func queue(op store.JobOp) func(*Server, *call) (Job, error) {
	return func(s *Server, c *call) (Job, error) {
		if c.repo.State == ferry.RepositoryDisabled {
			return Job{}, &ferry.Message{Kind: ferry.ErrConflict, Text: c.repo.Path() + " is disabled; enable it first"}
		}
		id, err := s.Store.Enqueue(c.ctx, store.Job{Repository: c.repo.ID, Op: op, Source: "manual", Priority: priorityManual})
		if err != nil {
			return Job{}, err
		}
		jobs, err := s.Store.Jobs(c.ctx, store.JobFilter{Repository: c.repo.ID, Before: id + 1, Limit: 1})
		if err != nil || len(jobs) == 0 {
			return Job{}, fmt.Errorf("reading job %d: %w", id, err)
		}
		return JobOf(jobs[0]), nil
	}
}

// ref is a branch or tag as indexed.
type ref struct {
	Name ferry.RefName `json:"name"`
	OID  ferry.OID     `json:"oid"`
}

func (s *Server) listRefs(c *call) (page[ref], error) {
	refs, err := s.Store.Refs(c.ctx, c.repo.ID)
	if err != nil {
		return page[ref]{}, err
	}
	all := make([]ref, 0, len(refs))
	for name, oid := range refs {
		all = append(all, ref{name, oid})
	}
	slices.SortFunc(all, func(a, b ref) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return cut(c, all, func(r ref) ref { return r })
}

// push is a push through this server, or one that was refused.
type push struct {
	ID             ferry.PushID       `json:"id"`
	User           ferry.UserID       `json:"user,omitempty"`
	State          store.PushState    `json:"state"`
	Updates        []ferry.RefUpdate  `json:"updates"`
	Results        []store.PushResult `json:"results"`
	NoSmartCommits bool               `json:"no_smart_commits,omitempty"`
	ReceivedAt     time.Time          `json:"received_at"`
	ReleasedAt     time.Time          `json:"released_at,omitzero"`
	DoneAt         time.Time          `json:"done_at,omitzero"`
	Reason         string             `json:"reason,omitempty"`
}

func pushOf(p store.Push) push {
	return push{ID: p.ID, User: p.User, State: p.State, Updates: list(p.Updates), Results: list(p.Results), NoSmartCommits: p.NoSmartCommits,
		ReceivedAt: p.ReceivedAt, ReleasedAt: p.ReleasedAt, DoneAt: p.DoneAt, Reason: p.Reason}
}

// recentPushes is how many pushes of a repository are shown.
const recentPushes = 1000

func (s *Server) listPushes(c *call) (page[push], error) {
	pushes, err := s.Store.Pushes(c.ctx, c.repo.ID, recentPushes)
	if err != nil {
		return page[push]{}, err
	}
	return cut(c, pushes, pushOf)
}

// movement is one entry of the log of ref movements.
type movement struct {
	Seq  int64         `json:"seq"`
	Ref  ferry.RefName `json:"ref"`
	Old  ferry.OID     `json:"old"`
	New  ferry.OID     `json:"new"`
	At   time.Time     `json:"at"`
	Push ferry.PushID  `json:"push,omitempty"`
}

func movementOf(m store.Movement) movement {
	return movement{Seq: m.Seq, Ref: m.Ref, Old: m.Old, New: m.New, At: m.At, Push: m.Push}
}

// listMovements is the log from the parameter "after" on, oldest first. Next
// is there even on the last page: it is where a later request goes on.
func (s *Server) listMovements(c *call) (page[movement], error) {
	p := page[movement]{Items: []movement{}}
	limit, err := c.limit()
	if err != nil {
		return p, err
	}
	since, err := c.after()
	if err != nil {
		return p, err
	}
	log, err := s.Store.Movements(c.ctx, c.repo.ID, since, limit)
	if err != nil {
		return p, err
	}
	for _, m := range log {
		p.Items = append(p.Items, movementOf(m))
		since = m.Seq
	}
	p.Next = strconv.FormatInt(since, 10)
	return p, nil
}

func (s *Server) listRepositoryJobs(c *call) (page[Job], error) {
	return s.jobs(c, store.JobFilter{Repository: c.repo.ID})
}

func (s *Server) listRepositoryDeliveries(c *call) (page[Delivery], error) {
	return s.deliveries(c, store.DeliveryFilter{Repository: c.repo.ID, State: c.value("state")})
}

func (s *Server) listPulls(c *call) (page[pullRequest], error) {
	prs, err := s.Store.PullRequests(c.ctx, store.PullRequestFilter{Repository: c.repo.ID, Status: c.value("status")})
	if err != nil {
		return page[pullRequest]{}, err
	}
	return cut(c, prs, func(p store.PullRequest) pullRequest { return pullRequestOf(p, c.repo.Path()) })
}

// pullRequest is a pull request as the upstream last showed it.
type pullRequest struct {
	Repository  string           `json:"repository"`
	Number      int64            `json:"number"`
	Title       string           `json:"title"`
	Description string           `json:"description,omitempty"`
	Source      ferry.RefName    `json:"source"`
	Destination ferry.RefName    `json:"destination"`
	Status      string           `json:"status"`
	Merged      bool             `json:"merged"`
	Author      string           `json:"author"`
	Reviewers   []store.Reviewer `json:"reviewers"`
	URL         string           `json:"url,omitempty"`
	CreatedAt   time.Time        `json:"created_at"`
	UpdatedAt   time.Time        `json:"updated_at"`
	Issues      []ferry.IssueKey `json:"issues"`
}

func pullRequestOf(p store.PullRequest, path string) pullRequest {
	return pullRequest{Repository: path, Number: p.Number, Title: p.Title, Description: p.Description, Source: p.Source, Destination: p.Destination,
		Status: p.Status, Merged: p.Merged, Author: p.Author, Reviewers: list(p.Reviewers), URL: p.URL, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt, Issues: list(p.Keys)}
}

// badRequest is an error that says what is wrong with a request.
func badRequest(format string, values ...any) error {
	return echo.NewHTTPError(http.StatusBadRequest, fmt.Sprintf(format, values...))
}
