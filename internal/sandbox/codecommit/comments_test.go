package codecommit

import (
	"fmt"
	"strings"
	"testing"
)

func TestComments(t *testing.T) {
	st := start(t, "ann", "bo")
	tips := st.branched("work")
	id := st.open("work", "Work")["pullRequestId"]
	on := func(more in) in {
		v := in{"pullRequestId": id, "repositoryName": "demo", "beforeCommitId": tips["main"], "afterCommitId": tips["work"]}
		for name, x := range more {
			v[name] = x
		}
		return v
	}
	made := st.mustCall("PostCommentForPullRequest", on(in{"content": "on the whole", "clientRequestToken": "t-1"}))["comment"].(map[string]any)
	again := st.mustCall("PostCommentForPullRequest", on(in{"content": "on the whole", "clientRequestToken": "t-1"}))["comment"].(map[string]any)
	if made["commentId"] != again["commentId"] || made["authorArn"] != "arn:aws:iam::123456789012:user/ann" {
		t.Errorf("a repeat made %v of %v", again, made)
	}
	st.refuses("IdempotencyParameterMismatchException", "PostCommentForPullRequest", on(in{"content": "other", "clientRequestToken": "t-1"}))
	st.mustCall("PostCommentForPullRequest", on(in{"content": "at a line", "location": in{"filePath": "file-work", "filePosition": 1, "relativeFileVersion": "AFTER"}}))
	reply := st.mustCall("PostCommentReply", in{"inReplyTo": made["commentId"], "content": "a reply"})["comment"].(map[string]any)
	st.refuses("CommentContentSizeLimitExceededException", "PostCommentForPullRequest", on(in{"content": strings.Repeat("x", maxComment+1)}))
	st.refuses("CommentDoesNotExistException", "PostCommentReply", in{"inReplyTo": "none", "content": "x"})
	st.refuses("CommitDoesNotExistException", "PostCommentForPullRequest", on(in{"content": "x", "afterCommitId": strings.Repeat("ab", 20)}))
	st.refuses("BeforeCommitIdAndAfterCommitIdAreSameException", "PostCommentForPullRequest", on(in{"content": "x", "afterCommitId": tips["main"]}))
	st.refuses("PullRequestDoesNotExistException", "GetCommentsForPullRequest", in{"pullRequestId": "999"})

	groups := func(v in) []string {
		var list []string
		for _, g := range st.mustCall("GetCommentsForPullRequest", v)["commentsForPullRequestData"].([]any) {
			g := g.(map[string]any)
			text := fmt.Sprint(g["location"] != nil)
			for _, m := range g["comments"].([]any) {
				text += fmt.Sprintf(" %v", m.(map[string]any)["content"])
			}
			list = append(list, text)
		}
		return list
	}
	if got := fmt.Sprintf("%q", groups(in{"pullRequestId": id})); got != `["false on the whole a reply" "true at a line"]` {
		t.Errorf("comments = %s", got)
	}
	first := st.mustCall("GetCommentsForPullRequest", in{"pullRequestId": id, "maxResults": 1})
	if got := groups(in{"pullRequestId": id, "maxResults": 1, "nextToken": first["nextToken"]}); len(got) != 1 || !strings.Contains(got[0], "at a line") {
		t.Errorf("second page = %q", got)
	}
	st.mustCall("DeleteCommentContent", in{"commentId": reply["commentId"]})
	st.refuses("CommentDeletedException", "DeleteCommentContent", in{"commentId": reply["commentId"]})
	if got := groups(in{"pullRequestId": id}); got[0] != "false on the whole <nil>" {
		t.Errorf("after a deletion = %q", got)
	}

	st.mustCall("PostCommentForComparedCommit", in{"repositoryName": "demo", "afterCommitId": tips["work"], "content": "on the commit"})
	data := st.mustCall("GetCommentsForComparedCommit", in{"repositoryName": "demo", "afterCommitId": tips["work"]})["commentsForComparedCommitData"].([]any)
	if len(data) != 1 || fmt.Sprint(data[0].(map[string]any)["comments"].([]any)[0].(map[string]any)["content"]) != "on the commit" {
		t.Errorf("comments of the commit = %v", data)
	}
}
