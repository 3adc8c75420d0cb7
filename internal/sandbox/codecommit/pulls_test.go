package codecommit

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// open makes a pull request from a branch to main and returns it.
func (st *stand) open(source, title string) map[string]any {
	st.t.Helper()
	return st.mustCall("CreatePullRequest", in{"title": title, "description": "words", "targets": []in{{"repositoryName": "demo", "sourceReference": source, "destinationReference": "main"}}})["pullRequest"].(map[string]any)
}

func pullTarget(p map[string]any) map[string]any {
	return p["pullRequestTargets"].([]any)[0].(map[string]any)
}

// branched makes main with one commit and the named branches with one more
// each, and returns the tips.
func (st *stand) branched(names ...string) map[string]string {
	st.t.Helper()
	tips := map[string]string{"main": st.put("main", "base", "base\n", "")}
	for _, n := range names {
		st.mustCall("CreateBranch", in{"repositoryName": "demo", "branchName": n, "commitId": tips["main"]})
		tips[n] = st.put(n, "file-"+n, n+"\n", tips["main"])
	}
	return tips
}

func (st *stand) pull(id any) map[string]any {
	st.t.Helper()
	return st.mustCall("GetPullRequest", in{"pullRequestId": id})["pullRequest"].(map[string]any)
}

func TestPullRequest(t *testing.T) {
	st := start(t, "ann", "bo")
	bo, _ := st.s.CredentialsOf("bo")
	tips := st.branched("work", "other")
	p := st.open("work", "Work")
	id := p["pullRequestId"]
	target := pullTarget(p)
	want := map[string]any{"repositoryName": "demo", "sourceReference": "refs/heads/work", "destinationReference": "refs/heads/main",
		"sourceCommit": tips["work"], "destinationCommit": tips["main"], "mergeBase": tips["main"], "mergeMetadata": map[string]any{"isMerged": false}}
	if diff := cmp.Diff(want, target); diff != "" {
		t.Errorf("target (-want +got):\n%s", diff)
	}
	if p["pullRequestStatus"] != "OPEN" || p["authorArn"] != "arn:aws:iam::123456789012:user/ann" {
		t.Errorf("pull request %v", p)
	}
	other := st.open("refs/heads/other", "Other")["pullRequestId"]
	list := func(v in) string {
		v["repositoryName"] = "demo"
		return fmt.Sprint(st.mustCall("ListPullRequests", v)["pullRequestIds"])
	}
	if got := list(in{}); got != fmt.Sprint([]any{other, id}) {
		t.Errorf("pull requests = %s, want the newest first", got)
	}
	revision := p["revisionId"]
	st.refuses("PullRequestCannotBeApprovedByAuthorException", "UpdatePullRequestApprovalState", in{"pullRequestId": id, "revisionId": revision, "approvalState": "APPROVE"})
	if _, code := st.callAs(bo, "us-east-1", "UpdatePullRequestApprovalState", in{"pullRequestId": id, "revisionId": revision, "approvalState": "APPROVE"}); code != "" {
		t.Errorf("approving = %s", code)
	}
	if got := list(in{}); got != fmt.Sprint([]any{id, other}) {
		t.Errorf("pull requests = %s, want the one with the last activity first", got)
	}
	approvals := st.mustCall("GetPullRequestApprovalStates", in{"pullRequestId": id, "revisionId": revision})["approvals"]
	if diff := cmp.Diff([]any{map[string]any{"userArn": bo.ARN, "approvalState": "APPROVE"}}, approvals); diff != "" {
		t.Errorf("approvals (-want +got):\n%s", diff)
	}
	moved := st.put("work", "more", "more\n", tips["work"])
	p = st.pull(id)
	if pullTarget(p)["sourceCommit"] != moved || p["revisionId"] == revision {
		t.Errorf("after a push to the source: %v", p)
	}
	st.refuses("RevisionNotCurrentException", "UpdatePullRequestApprovalState", in{"pullRequestId": id, "revisionId": revision, "approvalState": "APPROVE"})
	st.mustCall("UpdatePullRequestTitle", in{"pullRequestId": id, "title": "Better"})
	st.mustCall("UpdatePullRequestDescription", in{"pullRequestId": id, "description": ""})
	if p := st.pull(id); p["title"] != "Better" || p["description"] != nil {
		t.Errorf("after edits: %v", p)
	}
	st.refuses("TitleRequiredException", "UpdatePullRequestTitle", in{"pullRequestId": id, "title": ""})
	st.refuses("InvalidPullRequestStatusUpdateException", "UpdatePullRequestStatus", in{"pullRequestId": id, "pullRequestStatus": "OPEN"})
	st.mustCall("UpdatePullRequestStatus", in{"pullRequestId": id, "pullRequestStatus": "CLOSED"})
	st.refuses("InvalidPullRequestStatusUpdateException", "UpdatePullRequestStatus", in{"pullRequestId": id, "pullRequestStatus": "CLOSED"})
	st.refuses("PullRequestAlreadyClosedException", "UpdatePullRequestTitle", in{"pullRequestId": id, "title": "x"})
	if got := list(in{"pullRequestStatus": "CLOSED"}) + list(in{"pullRequestStatus": "OPEN", "authorArn": p["authorArn"]}); got != fmt.Sprint([]any{id}, []any{other}) && got != fmt.Sprint([]any{id})+fmt.Sprint([]any{other}) {
		t.Errorf("closed and open = %s", got)
	}
	st.refuses("AuthorDoesNotExistException", "ListPullRequests", in{"repositoryName": "demo", "authorArn": "arn:nobody"})
	page := st.mustCall("ListPullRequests", in{"repositoryName": "demo", "maxResults": 1})
	rest := st.mustCall("ListPullRequests", in{"repositoryName": "demo", "maxResults": 1, "nextToken": page["nextToken"]})
	if rest["nextToken"] != "" || fmt.Sprint(page["pullRequestIds"]) == fmt.Sprint(rest["pullRequestIds"]) {
		t.Errorf("pages %v and %v", page, rest)
	}
	st.refuses("InvalidMaxResultsException", "ListPullRequests", in{"repositoryName": "demo", "maxResults": 101})

	// Deleting the source closes, unmerged.
	st.mustCall("DeleteBranch", in{"repositoryName": "demo", "branchName": "other"})
	if p := st.pull(other); p["pullRequestStatus"] != "CLOSED" || pullTarget(p)["mergeMetadata"].(map[string]any)["isMerged"] != false {
		t.Errorf("after the source was deleted: %v", p)
	}
	var kinds []string
	for _, e := range st.mustCall("DescribePullRequestEvents", in{"pullRequestId": id})["pullRequestEvents"].([]any) {
		kinds = append(kinds, e.(map[string]any)["pullRequestEventType"].(string))
	}
	if diff := cmp.Diff([]string{"PULL_REQUEST_CREATED", "PULL_REQUEST_APPROVAL_STATE_CHANGED", "PULL_REQUEST_SOURCE_REFERENCE_UPDATED", "PULL_REQUEST_STATUS_CHANGED"}, kinds); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if n := len(st.mustCall("DescribePullRequestEvents", in{"pullRequestId": id, "actorArn": bo.ARN, "maxResults": 5})["pullRequestEvents"].([]any)); n != 1 {
		t.Errorf("%d events of bo, want 1", n)
	}
	st.refuses("ActorDoesNotExistException", "DescribePullRequestEvents", in{"pullRequestId": id, "actorArn": "arn:nobody"})
}

func TestCreatePullRequestRefusals(t *testing.T) {
	st := start(t)
	st.branched("work")
	target := func(source, destination string) in {
		return in{"repositoryName": "demo", "sourceReference": source, "destinationReference": destination}
	}
	for want, v := range map[string]in{
		"TargetsRequiredException":             {"title": "t", "targets": []in{}},
		"InvalidTargetsException":              {"title": "t", "targets": []in{target("work", "main"), target("work", "main")}},
		"ReferenceNameRequiredException":       {"title": "t", "targets": []in{{"repositoryName": "demo"}}},
		"RepositoryDoesNotExistException":      {"title": "t", "targets": []in{{"repositoryName": "none", "sourceReference": "work"}}},
		"ReferenceDoesNotExistException":       {"title": "t", "targets": []in{target("none", "main")}},
		"ReferenceTypeNotSupportedException":   {"title": "t", "targets": []in{target("refs/tags/v1", "main")}},
		"InvalidReferenceNameException":        {"title": "t", "targets": []in{target("a b", "main")}},
		"SourceAndDestinationAreSameException": {"title": "t", "targets": []in{target("work", "work")}},
	} {
		st.refuses(want, "CreatePullRequest", v)
	}
	v := in{"title": "t", "targets": []in{{"repositoryName": "demo", "sourceReference": "work"}}, "clientRequestToken": "once"}
	a, b := st.mustCall("CreatePullRequest", v), st.mustCall("CreatePullRequest", v)
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("the same token again (-first +second):\n%s", diff)
	}
	v["title"] = "other"
	st.refuses("IdempotencyParameterMismatchException", "CreatePullRequest", v)
	st.refuses("PullRequestDoesNotExistException", "GetPullRequest", in{"pullRequestId": "99"})
	st.refuses("InvalidPullRequestIdException", "GetPullRequest", in{"pullRequestId": "x"})
}

func TestMerges(t *testing.T) {
	st := start(t)
	at, got := endpoint(t)
	topic, _ := st.subscribed(at, got)
	tips := st.branched("fast", "squash", "three", "clash", "local")
	st.control("PUT", "event-targets", encode([]string{topic}))
	base := in{"repositoryName": "demo", "sourceCommitSpecifier": "fast", "destinationCommitSpecifier": "main"}
	if got := fmt.Sprint(st.mustCall("GetMergeOptions", base)["mergeOptions"]); got != "[FAST_FORWARD_MERGE SQUASH_MERGE THREE_WAY_MERGE]" {
		t.Errorf("merge options = %s", got)
	}
	fast, squash, three, clash := st.open("fast", "Fast"), st.open("squash", "Squash"), st.open("three", "Three"), st.open("clash", "Clash")
	merge := func(how string, p map[string]any, more in) in {
		v := in{"pullRequestId": p["pullRequestId"], "repositoryName": "demo"}
		for k, x := range more {
			v[k] = x
		}
		return v
	}
	st.refuses("TipOfSourceReferenceIsDifferentException", "MergePullRequestByFastForward", merge("", fast, in{"sourceCommitId": tips["main"]}))
	p := st.mustCall("MergePullRequestByFastForward", merge("", fast, in{"sourceCommitId": tips["fast"]}))["pullRequest"].(map[string]any)
	want := map[string]any{"isMerged": true, "mergedBy": st.cred.ARN, "mergeCommitId": tips["fast"], "mergeOption": "FAST_FORWARD_MERGE"}
	if diff := cmp.Diff(want, pullTarget(p)["mergeMetadata"]); diff != "" || p["pullRequestStatus"] != "CLOSED" {
		t.Errorf("fast-forward %v (-want +got):\n%s", p, diff)
	}
	st.refuses("PullRequestAlreadyClosedException", "MergePullRequestByFastForward", merge("", fast, nil))
	st.refuses("ManualMergeRequiredException", "MergePullRequestByFastForward", merge("", squash, nil))
	p = st.mustCall("MergePullRequestBySquash", merge("", squash, in{"commitMessage": "squashed", "authorName": "Ann", "email": "a@example.invalid"}))["pullRequest"].(map[string]any)
	squashed := pullTarget(p)["mergeMetadata"].(map[string]any)["mergeCommitId"]
	commit := st.mustCall("GetCommit", in{"repositoryName": "demo", "commitId": squashed})["commit"].(map[string]any)
	if len(commit["parents"].([]any)) != 1 || !strings.HasPrefix(commit["message"].(string), "squashed") {
		t.Errorf("squash commit = %v", commit)
	}
	p = st.mustCall("MergePullRequestByThreeWay", merge("", three, nil))["pullRequest"].(map[string]any)
	merged := pullTarget(p)["mergeMetadata"].(map[string]any)["mergeCommitId"]
	commit = st.mustCall("GetCommit", in{"repositoryName": "demo", "commitId": merged})["commit"].(map[string]any)
	if diff := cmp.Diff([]any{squashed, tips["three"]}, commit["parents"]); diff != "" {
		t.Errorf("parents (-want +got):\n%s", diff)
	}
	st.put("main", "file-clash", "otherwise\n", merged.(string))
	st.refuses("ManualMergeRequiredException", "MergePullRequestByThreeWay", merge("", clash, nil))
	conflicts := st.mustCall("GetMergeConflicts", in{"repositoryName": "demo", "sourceCommitSpecifier": "clash", "destinationCommitSpecifier": "main", "mergeOption": "THREE_WAY_MERGE"})
	files := conflicts["conflictMetadataList"].([]any)
	if conflicts["mergeable"] != false || len(files) != 1 || files[0].(map[string]any)["filePath"] != "file-clash" {
		t.Errorf("conflicts = %v", conflicts)
	}
	st.mustCall("CreateRepository", in{"repositoryName": "second"})
	st.refuses("RepositoryNotAssociatedWithPullRequestException", "MergePullRequestByFastForward", in{"pullRequestId": clash["pullRequestId"], "repositoryName": "second"})

	// A merge pushed from a clone closes as merged.
	local := st.open("local", "Local")["pullRequestId"]
	dir := t.TempDir()
	st.mustGit(dir, "clone", "-q", st.remote("/v1/repos/demo"), ".")
	st.mustGit(dir, "merge", "-q", "--no-edit", "origin/local")
	st.mustGit(dir, "push", "-q", "origin", "main")
	if p := st.pull(local); p["pullRequestStatus"] != "CLOSED" || pullTarget(p)["mergeMetadata"].(map[string]any)["isMerged"] != true {
		t.Errorf("after a merge in a clone: %v", p)
	}

	var events []string
	for len(events) < 7 {
		var e struct {
			Type   string `json:"detail-type"`
			Source string
			Detail struct {
				Event           string
				PullRequestID   string
				RepositoryNames []string
				IsMerged        string
			}
		}
		m := next(t, got)
		if err := json.Unmarshal([]byte(m.body["Message"]), &e); err != nil || e.Source != "aws.codecommit" {
			t.Fatalf("event %s: %v", m.raw, err)
		}
		if e.Type == "CodeCommit Pull Request State Change" {
			events = append(events, e.Detail.Event)
		}
	}
	created, mergedEvents := 0, 0
	for _, e := range events {
		switch e {
		case "pullRequestCreated":
			created++
		case "pullRequestMergeStatusUpdated":
			mergedEvents++
		}
	}
	if created < 4 || mergedEvents < 2 {
		t.Errorf("events: %v", events)
	}
}
