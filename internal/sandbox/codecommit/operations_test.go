package codecommit

import (
	"encoding/base64"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every operation that the stand-in knows is walked once with success, in both
// protocols; each answer is checked against the published service models. One
// that is added without a step here fails the test.
func TestEveryOperation(t *testing.T) {
	st := start(t, "ann", "bo")
	bo, _ := st.s.CredentialsOf("bo")
	demo := func(more in) in {
		v := in{"repositoryName": "demo"}
		maps.Copy(v, more)
		return v
	}
	walked := make(map[string]bool)
	call := func(operation string, v in) map[string]any {
		t.Helper()
		walked[operation] = true
		return st.mustCall(operation, v)
	}
	object := func(v any) map[string]any { m, _ := v.(map[string]any); return m }

	call("CreateRepository", in{"repositoryName": "other", "repositoryDescription": "words"})
	call("UpdateRepositoryName", in{"oldName": "other", "newName": "another"})
	call("UpdateRepositoryDescription", in{"repositoryName": "another", "repositoryDescription": "more"})
	call("DeleteRepository", in{"repositoryName": "another"})
	base := call("PutFile", demo(in{"branchName": "main", "filePath": "a", "fileContent": base64.StdEncoding.EncodeToString([]byte("a\n"))}))["commitId"].(string)
	for _, branch := range []string{"ff", "squash", "three", "side"} {
		call("CreateBranch", demo(in{"branchName": branch, "commitId": base}))
		call("CreateCommit", demo(in{"branchName": branch, "parentCommitId": base, "commitMessage": branch,
			"putFiles": []in{{"filePath": "file-" + branch, "fileContent": "eA=="}}}))
	}
	tip := object(call("GetBranch", demo(in{"branchName": "ff"}))["branch"])["commitId"].(string)
	call("ListBranches", demo(nil))
	call("UpdateDefaultBranch", demo(in{"defaultBranchName": "main"}))
	call("GetCommit", demo(in{"commitId": tip}))
	call("BatchGetCommits", demo(in{"commitIds": []string{tip}}))
	call("GetDifferences", demo(in{"beforeCommitSpecifier": base, "afterCommitSpecifier": tip}))
	call("GetMergeOptions", demo(in{"sourceCommitSpecifier": "ff", "destinationCommitSpecifier": "main"}))
	call("GetMergeConflicts", demo(in{"sourceCommitSpecifier": "ff", "destinationCommitSpecifier": "main", "mergeOption": "THREE_WAY_MERGE"}))
	call("ListRepositories", in{})
	call("BatchGetRepositories", in{"repositoryNames": []string{"demo", "none"}})
	call("GetRepository", demo(nil))

	ids := make(map[string]any)
	for _, source := range []string{"ff", "squash", "three", "side"} {
		p := object(call("CreatePullRequest", in{"title": source, "targets": []in{{"repositoryName": "demo", "sourceReference": source, "destinationReference": "main"}}})["pullRequest"])
		ids[source] = p["pullRequestId"]
	}
	call("UpdatePullRequestTitle", in{"pullRequestId": ids["side"], "title": "another"})
	call("UpdatePullRequestDescription", in{"pullRequestId": ids["side"], "description": "words"})
	revision := object(call("GetPullRequest", in{"pullRequestId": ids["side"]})["pullRequest"])["revisionId"]
	walked["UpdatePullRequestApprovalState"] = true // by another than the author
	if _, code := st.callAs(bo, "us-east-1", "UpdatePullRequestApprovalState", in{"pullRequestId": ids["side"], "revisionId": revision, "approvalState": "APPROVE"}); code != "" {
		t.Errorf("UpdatePullRequestApprovalState = %s", code)
	}
	call("GetPullRequestApprovalStates", in{"pullRequestId": ids["side"], "revisionId": revision})
	comment := object(call("PostCommentForPullRequest", demo(in{"pullRequestId": ids["ff"], "beforeCommitId": base, "afterCommitId": tip, "content": "words"}))["comment"])["commentId"]
	call("PostCommentReply", in{"inReplyTo": comment, "content": "more"})
	call("GetCommentsForPullRequest", in{"pullRequestId": ids["ff"]})
	call("DeleteCommentContent", in{"commentId": comment})
	call("PostCommentForComparedCommit", demo(in{"afterCommitId": tip, "content": "words"}))
	call("GetCommentsForComparedCommit", demo(in{"afterCommitId": tip}))
	call("MergePullRequestByFastForward", demo(in{"pullRequestId": ids["ff"]}))
	call("MergePullRequestBySquash", demo(in{"pullRequestId": ids["squash"]}))
	call("MergePullRequestByThreeWay", demo(in{"pullRequestId": ids["three"]}))
	call("UpdatePullRequestStatus", in{"pullRequestId": ids["side"], "pullRequestStatus": "CLOSED"})
	call("DescribePullRequestEvents", in{"pullRequestId": ids["three"]})
	call("ListPullRequests", demo(nil))
	call("DeleteBranch", demo(in{"branchName": "side"}))

	topic := between(st.mustForm("Action", "CreateTopic", "Name", "codecommit-one"), "TopicArn")
	trigger := in{"name": "one", "destinationArn": topic, "branches": []string{}, "events": []string{"all"}}
	call("PutRepositoryTriggers", demo(in{"triggers": []in{trigger}}))
	call("GetRepositoryTriggers", demo(nil))
	call("TestRepositoryTriggers", demo(in{"triggers": []in{trigger}}))

	if diff := cmp.Diff(sortedKeys(operations), slices.Sorted(maps.Keys(walked))); diff != "" {
		t.Errorf("operations that were walked (-known +walked):\n%s", diff)
	}
}

// The same for the query protocol of SNS and STS.
func TestEveryQuery(t *testing.T) {
	st := start(t)
	at, got := endpoint(t)
	const arn = "arn:aws:iam::123456789012:role/one"
	st.control("PUT", "roles", `[{"arn":"`+arn+`"}]`)
	walked := make(map[string]bool)
	call := func(pairs ...string) string {
		t.Helper()
		walked[pairs[1]] = true
		code, body := st.form(queryOperations[pairs[1]].service, true, pairs...)
		if code != 200 {
			t.Fatalf("%v = %d %s", pairs, code, body)
		}
		return body
	}
	topic := between(call("Action", "CreateTopic", "Name", "codecommit-one"), "TopicArn")
	call("Action", "SetTopicAttributes", "TopicArn", topic, "AttributeName", "SignatureVersion", "AttributeValue", "2")
	call("Action", "GetTopicAttributes", "TopicArn", topic)
	call("Action", "ListTopics")
	call("Action", "Subscribe", "TopicArn", topic, "Protocol", "http", "Endpoint", at+"/hooks/x")
	subscription := between(call("Action", "ConfirmSubscription", "TopicArn", topic, "Token", next(t, got).body["Token"]), "SubscriptionArn")
	call("Action", "ListSubscriptionsByTopic", "TopicArn", topic)
	call("Action", "SetSubscriptionAttributes", "SubscriptionArn", subscription, "AttributeName", "RawMessageDelivery", "AttributeValue", "false")
	call("Action", "GetSubscriptionAttributes", "SubscriptionArn", subscription)
	call("Action", "Publish", "TopicArn", topic, "Message", "words")
	call("Action", "Unsubscribe", "SubscriptionArn", subscription)
	call("Action", "DeleteTopic", "TopicArn", topic)
	call("Action", "GetCallerIdentity")
	call("Action", "GetSessionToken")
	call("Action", "AssumeRole", "RoleArn", arn, "RoleSessionName", "me")
	if diff := cmp.Diff(sortedKeys(queryOperations), slices.Sorted(maps.Keys(walked))); diff != "" {
		t.Errorf("operations that were walked (-known +walked):\n%s", diff)
	}
}
