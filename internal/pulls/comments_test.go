package pulls

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscodecommit "github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"

	"gitferry/internal/ferry"
)

// Comments come from the host, are remembered for a minute and stay known
// while it is away; without the permission there are none.
func TestPullComments(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	ahead := time.Duration(0)
	w.host.Now = func() time.Time { return time.Now().Add(ahead) }
	base := w.work.OID("main")
	tip := w.commit("topic", "x", "a")
	id := w.pull("alice", "topic", "DEMO-1", "")
	var number int64
	_, err := fmt.Sscan(id, &number)
	check(t, err)
	bob := w.sdk("bob")
	post := func(text string, at *types.Location) string {
		out, err := bob.PostCommentForPullRequest(ctx, &awscodecommit.PostCommentForPullRequestInput{PullRequestId: aws.String(id), RepositoryName: aws.String("demo"),
			BeforeCommitId: aws.String(base.String()), AfterCommitId: aws.String(tip.String()), Content: aws.String(text), Location: at})
		check(t, err)
		return *out.Comment.CommentId
	}
	words := func() string {
		t.Helper()
		list, err := w.host.PullComments(ctx, w.repo, number)
		check(t, err)
		var all []string
		for _, m := range list {
			all = append(all, fmt.Sprintf("%s:%s:%s:%d", m.Author, m.Text, m.Path, m.Line))
		}
		return strings.Join(all, " ")
	}
	if got := words(); got != "" {
		t.Errorf("comments before the first = %s", got)
	}
	whole := post("whole", nil)
	post("line", &types.Location{FilePath: aws.String("a"), FilePosition: aws.Int64(1), RelativeFileVersion: types.RelativeFileVersionEnumAfter})
	gone := post("gone", nil)
	_, err = bob.DeleteCommentContent(ctx, &awscodecommit.DeleteCommentContentInput{CommentId: aws.String(gone)})
	check(t, err)
	_, err = w.sdk("alice").PostCommentReply(ctx, &awscodecommit.PostCommentReplyInput{InReplyTo: aws.String(whole), Content: aws.String("reply")})
	check(t, err)
	if got := words(); got != "" {
		t.Errorf("within the minute = %s", got)
	}
	ahead = 2 * time.Minute
	const want = "bob:whole::0 bob:line:a:1 alice:reply::0"
	if got := words(); got != want {
		t.Errorf("comments = %s, want %s", got, want)
	}
	ahead = 4 * time.Minute
	w.control("PUT", "faults", `[{"operation":"GetCommentsForPullRequest","status":400,"content_type":"application/x-amz-json-1.1","body":"{\"__type\":\"SerializationException\"}"}]`)
	if got := words(); got != want {
		t.Errorf("while the host is away = %s, want %s", got, want)
	}
	if list, err := w.host.PullComments(ctx, w.repo, number+1); err == nil {
		t.Errorf("what was never heard while the host is away = %v, want an error", list)
	}
	w.control("PUT", "faults", `[]`)
	w.control("PUT", "deny", `["codecommit:GetCommentsForPullRequest"]`)
	if got := words(); got != "" {
		t.Errorf("without the permission = %s", got)
	}

	_, err = bob.PostCommentForComparedCommit(ctx, &awscodecommit.PostCommentForComparedCommitInput{RepositoryName: aws.String("demo"),
		AfterCommitId: aws.String(tip.String()), Content: aws.String("on the commit")})
	check(t, err)
	if list, err := w.host.CommitComments(ctx, w.repo, tip); err != nil || len(list) != 1 || list[0].Text != "on the commit" || list[0].Commit != tip.String() {
		t.Errorf("comments of the commit = %v, %v", list, err)
	}
	check(t, w.store.UpdateIntegration(ctx, ferry.Integration{ID: w.in.ID, Slug: w.in.Slug, Kind: w.in.Kind, Region: w.in.Region, GitAuth: w.in.GitAuth, Disabled: true}, nil))
	if list, err := w.host.PullComments(ctx, w.repo, 99); err != nil || len(list) != 0 {
		t.Errorf("of a disabled integration = %v, %v", list, err)
	}
}
