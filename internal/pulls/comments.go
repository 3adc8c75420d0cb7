package pulls

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
)

// A Comment is what somebody wrote at the host.
type Comment struct {
	ID      string // the host's
	ReplyTo string // id of another comment, or empty
	Author  string // as the host names the person
	Text    string
	Created time.Time
	Changed time.Time
	Commit  string // the commit it stands at
	// Path and Line are where it stands, "" and 0 for one on the whole; Before
	// says that they are of the file before the change.
	Path   string
	Line   int64
	Before bool
}

const (
	// commentsFor is how long comments are not asked for again.
	commentsFor = time.Minute
	// commentTime bounds what the host may take to tell them.
	commentTime = 10 * time.Second
	// maxRemembered is of how many pull requests and commits comments are
	// remembered.
	maxRemembered = 1000
)

// commentKey is what comments are of: a pull request's number or a commit.
type commentKey struct {
	repo ferry.RepositoryID
	of   string
}

type remembered struct {
	at   time.Time
	list []Comment
}

// PullComments returns the comments on a pull request, the oldest first. They
// are not in the books: the host is asked, at most once a minute. While it
// cannot be reached those heard last are returned, and else ferry.ErrUnavailable;
// without the permission, codecommit:GetCommentsForPullRequest, there are none.
func (h *Host) PullComments(ctx context.Context, repo ferry.Repository, number int64) ([]Comment, error) {
	id := strconv.FormatInt(number, 10)
	return h.comments(ctx, repo, id, func(ctx context.Context, c *codecommit.Client) ([]codecommit.Comment, error) {
		return c.PullRequestComments(ctx, repo.Name, id)
	})
}

// CommitComments is PullComments for those on a commit itself; the permission
// is codecommit:GetCommentsForComparedCommit.
func (h *Host) CommitComments(ctx context.Context, repo ferry.Repository, oid ferry.OID) ([]Comment, error) {
	return h.comments(ctx, repo, oid.String(), func(ctx context.Context, c *codecommit.Client) ([]codecommit.Comment, error) {
		return c.CommitComments(ctx, repo.Name, oid.String())
	})
}

func (h *Host) comments(ctx context.Context, repo ferry.Repository, of string,
	ask func(context.Context, *codecommit.Client) ([]codecommit.Comment, error)) ([]Comment, error) {
	i, err := h.Store.Integration(ctx, repo.IntegrationID)
	if err != nil || !hasAPI(i) {
		return nil, err
	}
	key := commentKey{repo.ID, of}
	h.mu.Lock()
	have, known := h.commented[key]
	h.mu.Unlock()
	if known && h.now().Sub(have.at) < commentsFor {
		return have.list, nil
	}
	ctx, cancel := context.WithTimeout(ctx, commentTime)
	defer cancel()
	c, err := h.Client(ctx, i)
	if err != nil {
		return nil, err
	}
	found, err := ask(ctx, c)
	switch {
	case errors.Is(err, ferry.ErrDenied), errors.Is(err, ferry.ErrNotFound): // remembered as none
	case err != nil && known:
		return have.list, nil
	case err != nil:
		return nil, err
	}
	var list []Comment
	for _, m := range found {
		list = append(list, Comment{ID: m.ID, ReplyTo: m.ReplyTo, Author: codecommit.DisplayName(m.AuthorARN), Text: m.Text, Created: m.Created,
			Changed: m.Modified, Commit: m.Commit, Path: m.Path, Line: m.Line, Before: m.Before})
	}
	slices.SortStableFunc(list, func(a, b Comment) int { return a.Created.Compare(b.Created) })
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.commented == nil || len(h.commented) >= maxRemembered {
		h.commented = make(map[commentKey]remembered)
	}
	h.commented[key] = remembered{h.now(), list}
	return list, nil
}
