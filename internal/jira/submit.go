package jira

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"gitferry/internal/ferry"
)

// EntityKind names a kind of development information as paths do.
type EntityKind string

const (
	CommitEntity      EntityKind = "commit"
	BranchEntity      EntityKind = "branch"
	PullRequestEntity EntityKind = "pull_request"
)

// An EntityRef names one entity of one repository.
type EntityRef struct {
	Repository string
	Kind       EntityKind
	ID         string
}

// A Submitted is the answer to a submission that was taken: not all of it
// need have been. Storage follows later, and an entity whose keys are all
// unknown is not kept.
type Submitted struct {
	Failed  map[EntityRef]string // refused entities, with the reason
	Refused map[string]string    // refused repositories, with the reason
	Unknown map[ferry.IssueKey]bool
}

type errorMessages []struct {
	Message string `json:"message"`
}

func (m errorMessages) text() string {
	var s string
	for _, e := range m {
		if s != "" {
			s += "; "
		}
		s += e.Message
	}
	return excerpt(s)
}

// Submit sends development information. The numbers in it decide what
// replaces what, so it may be repeated as it is. Of an entity only a greater
// number than the stored one counts; a lower one is dropped in silence and
// still listed as accepted.
//
// A NotFound answer means a wrong cloud id or a site without Jira Software
// and is reported as class Credentials.
func (c *Client) Submit(ctx context.Context, s Submission) (Submitted, error) {
	s.fit()
	type wire struct {
		Submission
		OperationType string            `json:"operationType"`
		Provider      map[string]string `json:"providerMetadata"`
	}
	body := wire{s, "NORMAL", map[string]string{"product": cut(c.Product, maxName)}}
	if s.Backfill {
		body.OperationType = "BACKFILL"
	}
	type entity struct {
		ID       string        `json:"id"`
		Messages errorMessages `json:"errorMessages"`
	}
	var a struct {
		Accepted json.RawMessage `json:"acceptedDevinfoEntities"`
		Failed   map[string]struct {
			Messages     errorMessages `json:"errorMessages"`
			Commits      []entity      `json:"commits"`
			Branches     []entity      `json:"branches"`
			PullRequests []entity      `json:"pullRequests"`
		} `json:"failedDevinfoEntities"`
		Unknown []string `json:"unknownIssueKeys"`
	}
	err := c.doDevinfo(ctx, call{
		op: "sending development information", method: http.MethodPost, body: body,
		want: []int{http.StatusAccepted}, into: &a,
		shape: func() bool { return a.Accepted != nil || a.Failed != nil || a.Unknown != nil },
	}, "/bulk")
	if err != nil {
		return Submitted{}, noSite(err)
	}
	out := Submitted{Failed: map[EntityRef]string{}, Refused: map[string]string{}, Unknown: map[ferry.IssueKey]bool{}}
	for id, r := range a.Failed {
		if len(r.Messages) > 0 {
			out.Refused[id] = r.Messages.text()
		}
		for kind, list := range map[EntityKind][]entity{CommitEntity: r.Commits, BranchEntity: r.Branches, PullRequestEntity: r.PullRequests} {
			for _, e := range list {
				out.Failed[EntityRef{id, kind, e.ID}] = e.Messages.text()
			}
		}
	}
	for _, k := range a.Unknown {
		out.Unknown[ferry.IssueKey(k)] = true
	}
	return out, nil
}

// noSite turns 404 into what it means on calls that name nothing but the site.
func noSite(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Class == NotFound {
		e.Class, e.Text = Credentials, "wrong cloud id, or the site has no Jira Software"
	}
	return err
}

// DeleteEntity withdraws one entity, as far as what is stored has a number
// of at most sequence. It may be repeated. Deletion follows later.
func (c *Client) DeleteEntity(ctx context.Context, e EntityRef, sequence int64) error {
	return c.deleteDevinfo(ctx, "withdrawing a "+string(e.Kind),
		"/repository/"+url.PathEscape(e.Repository)+"/"+string(e.Kind)+"/"+url.PathEscape(e.ID), sequence)
}

// DeleteRepository withdraws all that is stored of a repository with a
// number of at most sequence.
func (c *Client) DeleteRepository(ctx context.Context, id string, sequence int64) error {
	return c.deleteDevinfo(ctx, "withdrawing a repository", "/repository/"+url.PathEscape(id), sequence)
}

func (c *Client) deleteDevinfo(ctx context.Context, op, path string, sequence int64) error {
	err := c.doDevinfo(ctx, call{
		op: op, method: http.MethodDelete,
		query: url.Values{"_updateSequenceId": {strconv.FormatInt(sequence, 10)}},
		want:  []int{http.StatusAccepted, http.StatusNoContent, http.StatusOK},
	}, path)
	return noSite(err)
}

// A StoredRepository is what Jira holds of a repository: the most recent 400
// entities, without submissions still on their way.
type StoredRepository struct {
	ID           string         `json:"id"`
	Sequence     int64          `json:"updateSequenceId"`
	Commits      []StoredEntity `json:"commits"`
	Branches     []StoredEntity `json:"branches"`
	PullRequests []StoredEntity `json:"pullRequests"`
}

// A StoredEntity is one of its entities.
type StoredEntity struct {
	ID       string           `json:"id"`
	Sequence int64            `json:"updateSequenceId"`
	Keys     []ferry.IssueKey `json:"issueKeys"`
}

// ReadRepository reads back what Jira holds. It fails with class NotFound if
// that is nothing.
func (c *Client) ReadRepository(ctx context.Context, id string) (StoredRepository, error) {
	var a StoredRepository
	err := c.doDevinfo(ctx, call{
		op: "reading development information", method: http.MethodGet,
		want: []int{http.StatusOK}, into: &a, shape: func() bool { return a.ID != "" },
	}, "/repository/"+url.PathEscape(id))
	return a, err
}
