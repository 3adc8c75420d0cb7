package codecommit

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"

	"gitferry/internal/ferry"
)

// PullRequestState is the state of a pull request as people see it.
type PullRequestState string

const (
	PullRequestOpen     PullRequestState = "open"
	PullRequestMerged   PullRequestState = "merged"
	PullRequestDeclined PullRequestState = "declined" // closed without a merge
)

// A PullRequest has exactly one source and one target branch, both in one
// repository.
type PullRequest struct {
	ID                 string // decimal, unique in account and region
	Title, Description string
	AuthorARN          string
	State              PullRequestState
	Revision           string // changes with the source; approvals belong to one
	Repository         string
	Source, Target     ferry.RefName
	SourceTip          ferry.OID
	TargetTip          ferry.OID
	MergeBase          ferry.OID // zero if AWS names none
	MergeCommit        ferry.OID // zero unless merged with a commit
	MergedByARN        string
	MergeOption        string // "FAST_FORWARD_MERGE", "SQUASH_MERGE", "THREE_WAY_MERGE", or ""
	Created, Active    time.Time
}

// PullRequestIDs goes through the IDs of a repository's pull requests, those
// with the most recent activity first; pages are fetched as they are needed.
// open chooses between the open and the closed ones. An error is the last
// item. It needs codecommit:ListPullRequests.
func (c *Client) PullRequestIDs(ctx context.Context, repository string, open bool) iter.Seq2[string, error] {
	if open {
		return c.pullRequestIDs(ctx, repository, types.PullRequestStatusEnumOpen)
	}
	return c.pullRequestIDs(ctx, repository, types.PullRequestStatusEnumClosed)
}

// AllPullRequestIDs is PullRequestIDs for open and closed ones in one list.
func (c *Client) AllPullRequestIDs(ctx context.Context, repository string) iter.Seq2[string, error] {
	return c.pullRequestIDs(ctx, repository, "")
}

func (c *Client) pullRequestIDs(ctx context.Context, repository string, status types.PullRequestStatusEnum) iter.Seq2[string, error] {
	what := call{"codecommit:ListPullRequests", "pull requests of " + repository}
	return func(yield func(string, error) bool) {
		stopped := false
		err := pages(what, func(token *string) (*string, error) {
			out, err := invoke(ctx, c, what, c.codecommit.ListPullRequests, &codecommit.ListPullRequestsInput{
				RepositoryName: aws.String(repository), PullRequestStatus: status, NextToken: token,
			})
			if err != nil {
				return nil, err
			}
			for _, id := range out.PullRequestIds {
				if !yield(id, nil) {
					stopped = true
					return nil, nil
				}
			}
			return out.NextToken, nil
		})
		if err != nil && !stopped {
			yield("", err)
		}
	}
}

// PullRequest returns one pull request by its ID. It needs
// codecommit:GetPullRequest.
func (c *Client) PullRequest(ctx context.Context, id string) (PullRequest, error) {
	out, err := invoke(ctx, c, call{"codecommit:GetPullRequest", "pull request " + id}, c.codecommit.GetPullRequest,
		&codecommit.GetPullRequestInput{PullRequestId: aws.String(id)})
	if err != nil {
		return PullRequest{}, err
	}
	return pullRequest(out.PullRequest)
}

// A NewPullRequest is what CreatePullRequest needs.
type NewPullRequest struct {
	Repository         string
	Source, Target     string // branch names, short or full
	Title, Description string // at most 150 and 10,240 characters
	// Token makes repeats of one request one pull request; keep it with the
	// dialog. Another request with the same token is ferry.ErrConflict.
	Token string
}

// CreatePullRequest opens a pull request. It needs codecommit:CreatePullRequest.
func (c *Client) CreatePullRequest(ctx context.Context, n NewPullRequest) (PullRequest, error) {
	in := &codecommit.CreatePullRequestInput{
		Title: aws.String(n.Title),
		Targets: []types.Target{{
			RepositoryName:       aws.String(n.Repository),
			SourceReference:      aws.String(n.Source),
			DestinationReference: aws.String(n.Target),
		}},
		ClientRequestToken: optional(n.Token),
		Description:        optional(n.Description),
	}
	subject := fmt.Sprintf("pull request from %s to %s in %s", n.Source, n.Target, n.Repository)
	out, err := invoke(ctx, c, call{"codecommit:CreatePullRequest", subject}, c.codecommit.CreatePullRequest, in)
	if err != nil {
		return PullRequest{}, err
	}
	return pullRequest(out.PullRequest)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}

func pullRequest(p *types.PullRequest) (PullRequest, error) {
	if p == nil || len(p.PullRequestTargets) != 1 {
		return PullRequest{}, odd("a pull request", "want exactly one target")
	}
	t := p.PullRequestTargets[0]
	out := PullRequest{
		ID:          aws.ToString(p.PullRequestId),
		Title:       aws.ToString(p.Title),
		Description: aws.ToString(p.Description),
		AuthorARN:   aws.ToString(p.AuthorArn),
		State:       PullRequestOpen,
		Revision:    aws.ToString(p.RevisionId),
		Repository:  aws.ToString(t.RepositoryName),
		Created:     aws.ToTime(p.CreationDate),
		Active:      aws.ToTime(p.LastActivityDate),
	}
	subject := "pull request " + out.ID
	if p.PullRequestStatus == types.PullRequestStatusEnumClosed {
		out.State = PullRequestDeclined
	}
	ids := []struct {
		to   *ferry.OID
		from *string
	}{{&out.SourceTip, t.SourceCommit}, {&out.TargetTip, t.DestinationCommit}, {&out.MergeBase, t.MergeBase}}
	if m := t.MergeMetadata; m != nil {
		if m.IsMerged {
			out.State = PullRequestMerged
		}
		out.MergedByARN, out.MergeOption = aws.ToString(m.MergedBy), string(m.MergeOption)
		ids = append(ids, struct {
			to   *ferry.OID
			from *string
		}{&out.MergeCommit, m.MergeCommitId})
	}
	var err error
	for _, id := range ids {
		if aws.ToString(id.from) != "" {
			if *id.to, err = oid(subject, id.from); err != nil {
				return PullRequest{}, err
			}
		}
	}
	for _, ref := range []struct {
		to   *ferry.RefName
		from *string
	}{{&out.Source, t.SourceReference}, {&out.Target, t.DestinationReference}} {
		if *ref.to, err = ferry.ParseRefName(aws.ToString(ref.from)); err != nil {
			return PullRequest{}, odd(subject, err.Error())
		}
	}
	return out, nil
}

// An Approval is one person's word on a revision.
type Approval struct {
	ARN      string
	Approved bool // false: revoked
}

// Approvals returns who approved a revision of a pull request. It needs
// codecommit:GetPullRequestApprovalStates.
func (c *Client) Approvals(ctx context.Context, id, revision string) ([]Approval, error) {
	out, err := invoke(ctx, c, call{"codecommit:GetPullRequestApprovalStates", "approvals of pull request " + id},
		c.codecommit.GetPullRequestApprovalStates,
		&codecommit.GetPullRequestApprovalStatesInput{PullRequestId: aws.String(id), RevisionId: aws.String(revision)})
	if err != nil {
		return nil, err
	}
	var list []Approval
	for _, a := range out.Approvals {
		list = append(list, Approval{ARN: aws.ToString(a.UserArn), Approved: a.ApprovalState == types.ApprovalStateApprove})
	}
	return list, nil
}
