package codecommit

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"
)

// A Comment is what somebody wrote on a pull request or on a commit.
type Comment struct {
	ID                string
	ReplyTo           string // id of another comment, or empty
	AuthorARN, Text   string
	Created, Modified time.Time
	Commit            string // the later commit of the comparison it stands at
	// Path is the file it stands at, empty for a comment on the whole; Line is
	// the line, counted from 1, of that file before the change or after it.
	Path   string
	Line   int64
	Before bool
}

// PullRequestComments returns the comments on a pull request, place by place;
// deleted ones are left out. It needs codecommit:GetCommentsForPullRequest.
func (c *Client) PullRequestComments(ctx context.Context, repository, id string) ([]Comment, error) {
	what := call{"codecommit:GetCommentsForPullRequest", "comments on pull request " + id}
	var list []Comment
	err := pages(what, func(token *string) (*string, error) {
		out, err := invoke(ctx, c, what, c.codecommit.GetCommentsForPullRequest, &codecommit.GetCommentsForPullRequestInput{
			PullRequestId: aws.String(id), RepositoryName: aws.String(repository), NextToken: token})
		if err != nil {
			return nil, err
		}
		for _, at := range out.CommentsForPullRequestData {
			list = append(list, comments(at.Comments, at.AfterCommitId, at.Location)...)
		}
		return out.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// CommitComments returns the comments on a commit, place by place; deleted
// ones are left out. It needs codecommit:GetCommentsForComparedCommit.
func (c *Client) CommitComments(ctx context.Context, repository, commit string) ([]Comment, error) {
	what := call{"codecommit:GetCommentsForComparedCommit", "comments on commit " + commit}
	var list []Comment
	err := pages(what, func(token *string) (*string, error) {
		out, err := invoke(ctx, c, what, c.codecommit.GetCommentsForComparedCommit, &codecommit.GetCommentsForComparedCommitInput{
			RepositoryName: aws.String(repository), AfterCommitId: aws.String(commit), NextToken: token})
		if err != nil {
			return nil, err
		}
		for _, at := range out.CommentsForComparedCommitData {
			list = append(list, comments(at.Comments, at.AfterCommitId, at.Location)...)
		}
		return out.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

func comments(all []types.Comment, commit *string, at *types.Location) []Comment {
	var list []Comment
	for _, m := range all {
		if m.Deleted {
			continue
		}
		out := Comment{ID: aws.ToString(m.CommentId), ReplyTo: aws.ToString(m.InReplyTo), AuthorARN: aws.ToString(m.AuthorArn), Text: aws.ToString(m.Content),
			Created: aws.ToTime(m.CreationDate), Modified: aws.ToTime(m.LastModifiedDate), Commit: aws.ToString(commit)}
		if at != nil {
			out.Path, out.Line, out.Before = aws.ToString(at.FilePath), aws.ToInt64(at.FilePosition), at.RelativeFileVersion == types.RelativeFileVersionEnumBefore
		}
		list = append(list, out)
	}
	return list
}
