package ghapi

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"

	"gitferry/internal/ferry"
	"gitferry/internal/ghshape"
	"gitferry/internal/pulls"
	"gitferry/internal/store"
)

// heard passes comments on, or none while the host cannot be reached: what
// else a client asks for is in the books and shall not wait for it.
func (s *Server) heard(c *call, list []pulls.Comment, err error) ([]pulls.Comment, error) {
	if errors.Is(err, ferry.ErrUnavailable) {
		s.Log.Warn("comments cannot be read; none are shown", "repo", c.repo.Path(), "err", err)
		return nil, nil
	}
	return list, err
}

// commentsOf returns the comments on a pull request as a whole, and those at
// lines of its files.
func (s *Server) commentsOf(c *call, p store.PullRequest) (whole, located []pulls.Comment, err error) {
	list, err := s.Pulls.PullComments(c.ctx, c.repo, p.Number)
	if list, err = s.heard(c, list, err); err != nil {
		return nil, nil, err
	}
	for _, m := range list {
		if m.Path == "" {
			whole = append(whole, m)
		} else {
			located = append(located, m)
		}
	}
	return whole, located, nil
}

// issueComments lists the comments on a pull request as a whole.
func (s *Server) issueComments(c *call) (any, error) {
	p, err := s.onePull(c)
	if err != nil {
		return nil, err
	}
	list, _, err := s.commentsOf(c, p)
	if err != nil {
		return nil, err
	}
	return s.showComments(c, list, func(m pulls.Comment, o object) {
		issue := s.shape.Repo(c.repo) + "/issues/" + itoa(p.Number)
		o["node_id"] = ghshape.NodeID("IssueComment", o["id"])
		o["issue_url"], o["url"] = issue, s.shape.Repo(c.repo)+"/issues/comments/"+itoa(commentID(m.ID))
		o["html_url"] = s.shape.Page(c.repo) + "/pull/" + itoa(p.Number)
	})
}

// reviewComments lists the comments at lines of a pull request's files.
func (s *Server) reviewComments(c *call) (any, error) {
	p, err := s.onePull(c)
	if err != nil {
		return nil, err
	}
	_, list, err := s.commentsOf(c, p)
	if err != nil {
		return nil, err
	}
	return s.showComments(c, list, func(m pulls.Comment, o object) {
		at, page := s.shape.Repo(c.repo)+"/pulls/", s.shape.Page(c.repo)+"/pull/"+itoa(p.Number)
		url, pull, side := at+"comments/"+itoa(commentID(m.ID)), at+itoa(p.Number), "RIGHT"
		if m.Before {
			side = "LEFT"
		}
		o["node_id"] = ghshape.NodeID("PullRequestReviewComment", o["id"])
		maps.Copy(o, object{"url": url, "html_url": page, "pull_request_url": pull, "pull_request_review_id": nil, "diff_hunk": "",
			"path": m.Path, "line": m.Line, "original_line": m.Line, "side": side, "commit_id": m.Commit, "original_commit_id": m.Commit,
			"_links": object{"self": object{"href": url}, "html": object{"href": page}, "pull_request": object{"href": pull}}})
		if m.ReplyTo != "" {
			o["in_reply_to_id"] = commentID(m.ReplyTo)
		}
	})
}

// commitComments lists the comments on a commit itself.
func (s *Server) commitComments(c *call, oid ferry.OID) (any, error) {
	list, err := s.Pulls.CommitComments(c.ctx, c.repo, oid)
	if list, err = s.heard(c, list, err); err != nil {
		return nil, err
	}
	return s.showComments(c, list, func(m pulls.Comment, o object) {
		o["node_id"] = ghshape.NodeID("CommitComment", o["id"])
		o["url"], o["html_url"] = s.shape.Repo(c.repo)+"/comments/"+itoa(commentID(m.ID)), s.shape.Page(c.repo)+"/commit/"+oid.String()
		o["commit_id"], o["position"], o["path"], o["line"] = oid.String(), nil, nil, nil
		if m.Path != "" {
			o["path"], o["line"] = m.Path, m.Line
		}
	})
}

// showComments writes a page of comments; more adds what the kind has besides.
func (s *Server) showComments(c *call, list []pulls.Comment, more func(pulls.Comment, object)) (any, error) {
	var failure error
	out := cut(s, c, list, func(m pulls.Comment) object {
		who, err := s.stranger(c, m.Author)
		failure = errors.Join(failure, err)
		o := object{"id": commentID(m.ID), "user": who, "body": m.Text, "created_at": date(m.Created), "updated_at": date(m.Changed), "author_association": "MEMBER"}
		more(m, o)
		return o
	})
	return out, failure
}

// commentID makes a number below 2^53 of the host's id of a comment, the same
// at all times.
func commentID(id string) int64 {
	sum := sha256.Sum256([]byte(id))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 11)
}
