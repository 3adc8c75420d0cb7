package codecommit

import (
	"cmp"
	"slices"
	"time"
	"unicode/utf8"

	"gitferry/internal/sandbox/faults"
)

// maxComment is how many characters a comment may have.
const maxComment = 10240

// A comment belongs to a pull request or to a commit of a repository, at a
// place in a file or at the whole. It is kept as it is. Its fields are guarded
// by Server.mu.
type comment struct {
	ID           string    `json:"id"`
	ReplyTo      string    `json:"reply_to,omitempty"`
	Pull         string    `json:"pull,omitempty"`
	RepositoryID string    `json:"repository_id"`
	Repository   string    `json:"repository"` // name
	Before       string    `json:"before,omitempty"`
	After        string    `json:"after"`
	Place        *place    `json:"place,omitempty"`
	Author       string    `json:"author"` // ARN
	Text         string    `json:"text"`
	Token        string    `json:"token,omitempty"`
	Created      time.Time `json:"created"`
	Modified     time.Time `json:"modified"`
	Deleted      bool      `json:"deleted,omitempty"`
}

// A place is where in a comparison a comment stands.
type place struct {
	Path     string `json:"filePath"`
	Position int64  `json:"filePosition"`
	Version  string `json:"relativeFileVersion"` // BEFORE or AFTER
}

func (m *comment) json() obj {
	o := obj{"commentId": m.ID, "authorArn": m.Author, "creationDate": stamp(m.Created), "lastModifiedDate": stamp(m.Modified), "deleted": m.Deleted,
		"callerReactions": []string{}, "reactionCounts": obj{}}
	if !m.Deleted {
		o["content"] = m.Text
	}
	if m.ReplyTo != "" {
		o["inReplyTo"] = m.ReplyTo
	}
	if m.Token != "" {
		o["clientRequestToken"] = m.Token
	}
	return o
}

// group is what comments at one place share in answers.
func (m *comment) group() obj {
	o := obj{"repositoryName": m.Repository, "afterCommitId": m.After}
	if m.Pull != "" {
		o["pullRequestId"] = m.Pull
	}
	if m.Before != "" {
		o["beforeCommitId"] = m.Before
	}
	if m.Place != nil {
		o["location"] = obj{"filePath": m.Place.Path, "filePosition": m.Place.Position, "relativeFileVersion": m.Place.Version}
	}
	return o
}

// sameGroup reports whether two comments stand at the same place.
func (m *comment) sameGroup(o *comment) bool {
	return m.Before == o.Before && m.After == o.After && (m.Place == nil) == (o.Place == nil) && (m.Place == nil || *m.Place == *o.Place)
}

func postCommentForPullRequest(c *call) (any, error) {
	p, err := c.pull()
	if err != nil {
		return nil, err
	}
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	if p.repository != r {
		return nil, fail("RepositoryNotAssociatedWithPullRequestException", "Pull request %s is not in %s", p.id, c.str("repositoryName"))
	}
	return c.post(r, &comment{Pull: p.id})
}

func postCommentForComparedCommit(c *call) (any, error) {
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	return c.post(r, &comment{})
}

// post enters a comment on a comparison of commits.
func (c *call) post(r *repository, m *comment) (any, error) {
	m.RepositoryID, m.Repository, m.Before, m.After = r.id, c.str("repositoryName"), c.str("beforeCommitId"), c.str("afterCommitId")
	for _, id := range []string{m.Before, m.After} {
		if id == "" && m.Pull == "" {
			continue // a commit without a parent, or against it
		}
		if !fullID.MatchString(id) {
			return nil, fail("InvalidCommitIdException", "The commit ID %q is not valid", id)
		}
		if _, err := c.s.commit(c, r, id); err != nil {
			return nil, fail("CommitDoesNotExistException", "Commit %s does not exist", id)
		}
	}
	if m.Before == m.After {
		return nil, fail("BeforeCommitIdAndAfterCommitIdAreSameException", "The commit IDs are the same")
	}
	if at, ok := c.in["location"].(map[string]any); ok {
		position, _ := number64(at["filePosition"])
		m.Place = &place{str(at, "filePath"), position, str(at, "relativeFileVersion")}
		if m.Place.Path == "" {
			return nil, fail("PathRequiredException", "A path is required")
		}
	}
	if err := c.enterComment(m); err != nil {
		return nil, err
	}
	o := m.group()
	o["comment"] = m.json()
	return o, nil
}

func postCommentReply(c *call) (any, error) {
	to, err := c.comment(c.str("inReplyTo"))
	if err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	m := *to
	c.s.mu.Unlock()
	m.ReplyTo = to.ID
	if err := c.enterComment(&m); err != nil {
		return nil, err
	}
	return obj{"comment": m.json()}, nil
}

func (c *call) comment(id string) (*comment, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for _, m := range c.s.inRegion(c.region).comments {
		if m.ID == id {
			return m, nil
		}
	}
	return nil, fail("CommentDoesNotExistException", "Comment %s does not exist", id)
}

// enterComment checks the text and stores the comment as a new one. A repeat
// with the same token is the comment that the first call made.
func (c *call) enterComment(m *comment) error {
	m.Text, m.Token = c.str("content"), c.str("clientRequestToken")
	switch n := utf8.RuneCountInString(m.Text); {
	case n == 0:
		return fail("CommentContentRequiredException", "The comment is empty")
	case n > maxComment:
		return fail("CommentContentSizeLimitExceededException", "The comment has more than %d characters", maxComment)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	g := c.s.inRegion(c.region)
	if i := slices.IndexFunc(g.comments, func(o *comment) bool { return m.Token != "" && o.Token == m.Token }); i >= 0 {
		if old := g.comments[i]; old.Text != m.Text || old.ReplyTo != m.ReplyTo || old.Pull != m.Pull {
			return fail("IdempotencyParameterMismatchException", "The token was used for another comment")
		}
		*m = *g.comments[i]
		return nil
	}
	now := c.s.cfg.Now()
	m.ID, m.Author, m.Created, m.Modified, m.Deleted = newUUID()+":"+newUUID(), c.caller.ARN, now, now, false
	kept := *m
	g.comments = append(g.comments, &kept)
	faults.Effect(c, "comment %s made", m.ID)
	return nil
}

func deleteCommentContent(c *call) (any, error) {
	m, err := c.comment(c.str("commentId"))
	if err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if m.Deleted {
		return nil, fail("CommentDeletedException", "The comment is deleted already")
	}
	m.Text, m.Deleted, m.Modified = "", true, c.s.cfg.Now()
	faults.Effect(c, "comment %s deleted", m.ID)
	return obj{"comment": m.json()}, nil
}

func getCommentsForPullRequest(c *call) (any, error) {
	p, err := c.pull()
	if err != nil {
		return nil, err
	}
	if name := c.str("repositoryName"); name != "" && name != p.repositoryName {
		return nil, fail("RepositoryNotAssociatedWithPullRequestException", "Pull request %s is not in %s", p.id, name)
	}
	return c.groups("commentsForPullRequestData", func(m *comment) bool { return m.Pull == p.id })
}

func getCommentsForComparedCommit(c *call) (any, error) {
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	after := c.str("afterCommitId")
	if _, err := c.s.commit(c, r, after); err != nil {
		return nil, fail("CommitDoesNotExistException", "Commit %s does not exist", after)
	}
	return c.groups("commentsForComparedCommitData", func(m *comment) bool { return m.Pull == "" && m.RepositoryID == r.id && m.After == after })
}

// groups answers with the comments that keep lets through, those at one place
// together, a page of places at a time.
func (c *call) groups(member string, keep func(*comment) bool) (any, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	var all [][]*comment
	for _, m := range c.s.inRegion(c.region).comments {
		if !keep(m) || c.str("beforeCommitId") != "" && c.str("beforeCommitId") != m.Before || c.str("afterCommitId") != "" && c.str("afterCommitId") != m.After {
			continue
		}
		i := slices.IndexFunc(all, func(g []*comment) bool { return g[0].sameGroup(m) })
		if i < 0 {
			all, i = append(all, nil), len(all)
		}
		all[i] = append(all[i], m)
	}
	from, to, next, err := c.page("nextToken", "maxResults", len(all), 500)
	if err != nil {
		return nil, err
	}
	list := []obj{}
	for _, g := range all[from:to] {
		slices.SortStableFunc(g, func(a, b *comment) int { return cmp.Compare(a.Created.UnixNano(), b.Created.UnixNano()) })
		o, comments := g[0].group(), []obj{}
		for _, m := range g {
			comments = append(comments, m.json())
		}
		o["comments"] = comments
		list = append(list, o)
	}
	out := obj{member: list}
	if next != "" {
		out["nextToken"] = next
	}
	return out, nil
}
