package ghapi

import (
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscodecommit "github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"
	"github.com/google/go-github/v89/github"

	"gitferry/internal/ferry"
	"gitferry/internal/gittest"
)

// What people write at CodeCommit is read in GitHub's shape, and while
// CodeCommit is away everything else is still answered.
func TestComments(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	repo := gittest.New(t)
	base := repo.Commit("one", "a", "one\n").String()
	repo.Run("checkout", "--quiet", "-b", "topic")
	tip := repo.Commit("two", "a", "two\n").String()
	h := w.host(repo)
	r, alice := h.repo, h.sdk("alice")
	opened, err := alice.CreatePullRequest(ctx, &awscodecommit.CreatePullRequestInput{Title: aws.String("DEMO-1"), Targets: []types.Target{{
		RepositoryName: aws.String("demo"), SourceReference: aws.String("topic"), DestinationReference: aws.String("main")}}})
	w.must(err)
	w.must(w.server.Pulls.Sync(ctx, r))
	number, err := strconv.ParseInt(*opened.PullRequest.PullRequestId, 10, 64)
	w.must(err)
	comment := func(text string, place *types.Location) string {
		out, err := alice.PostCommentForPullRequest(ctx, &awscodecommit.PostCommentForPullRequestInput{PullRequestId: opened.PullRequest.PullRequestId, RepositoryName: aws.String("demo"),
			BeforeCommitId: aws.String(base), AfterCommitId: aws.String(tip), Content: aws.String(text), Location: place})
		w.must(err)
		return *out.Comment.CommentId
	}
	comment("looks good", nil)
	line := comment("why two?", &types.Location{FilePath: aws.String("a"), FilePosition: aws.Int64(1), RelativeFileVersion: types.RelativeFileVersionEnumBefore})
	_, err = h.sdk("gitferry").PostCommentReply(ctx, &awscodecommit.PostCommentReplyInput{InReplyTo: aws.String(line), Content: aws.String("because")})
	w.must(err)
	_, err = alice.PostCommentForComparedCommit(ctx, &awscodecommit.PostCommentForComparedCommitInput{RepositoryName: aws.String("demo"), AfterCommitId: aws.String(tip), Content: aws.String("nice")})
	w.must(err)

	user := w.user("alice", ferry.LevelRead, false)
	gh := w.github(w.token(user, allScopes))
	n := int(number)

	whole, _, err := gh.Issues.ListComments(ctx, r.Owner, r.Name, n, nil)
	w.must(err)
	if len(whole) != 1 || whole[0].GetBody() != "looks good" || whole[0].GetUser().GetLogin() != "alice" || whole[0].GetCreatedAt().IsZero() {
		t.Errorf("comments on the whole = %v", whole)
	}
	located, resp, err := gh.PullRequests.ListComments(ctx, r.Owner, r.Name, n, &github.PullRequestListCommentsOptions{ListOptions: github.ListOptions{PerPage: 1}})
	w.must(err)
	if len(located) != 1 || resp.NextPage != 2 || located[0].GetPath() != "a" || located[0].GetLine() != 1 || located[0].GetSide() != "LEFT" || located[0].GetCommitID() != tip {
		t.Errorf("comments at lines = %v", located)
	}
	answers, _, err := gh.PullRequests.ListComments(ctx, r.Owner, r.Name, n, &github.PullRequestListCommentsOptions{ListOptions: github.ListOptions{PerPage: 1, Page: 2}})
	w.must(err)
	if len(answers) != 1 || answers[0].GetInReplyTo() != located[0].GetID() || answers[0].GetBody() != "because" || answers[0].GetUser().GetLogin() != "gitferry" {
		t.Errorf("reply = %v", answers)
	}
	one, _, err := gh.PullRequests.Get(ctx, r.Owner, r.Name, n)
	w.must(err)
	if one.GetComments() != 1 || one.GetReviewComments() != 2 {
		t.Errorf("counts: %d and %d, want 1 and 2", one.GetComments(), one.GetReviewComments())
	}
	on, _, err := gh.Repositories.ListCommitComments(ctx, r.Owner, r.Name, tip, nil)
	w.must(err)
	if len(on) != 1 || on[0].GetBody() != "nice" || on[0].GetCommitID() != tip {
		t.Errorf("comments of the commit = %v", on)
	}

	// CodeCommit is away: those heard stay, those never heard are none, and
	// the rest comes from the books.
	h.server.Close()
	h.ahead = time.Hour
	if whole, _, err := gh.Issues.ListComments(ctx, r.Owner, r.Name, n, nil); err != nil || len(whole) != 1 {
		t.Errorf("while CodeCommit is away: %v, %v", whole, err)
	}
	if on, _, err := gh.Repositories.ListCommitComments(ctx, r.Owner, r.Name, base, nil); err != nil || len(on) != 0 {
		t.Errorf("comments never heard: %v, %v", on, err)
	}
	if _, _, err := gh.PullRequests.Get(ctx, r.Owner, r.Name, n); err != nil {
		t.Errorf("the pull request while CodeCommit is away: %v", err)
	}
}
