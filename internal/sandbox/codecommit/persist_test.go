package codecommit

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/git"
)

// A server on the directory of an earlier one has its repositories, pull
// requests and topics, and other credentials.
func TestRestart(t *testing.T) {
	st := start(t, "ann", "bo")
	at, got := endpoint(t)
	topic, _ := st.subscribed(at, got)
	st.branched("work", "gone")
	st.mustCall("PutRepositoryTriggers", in{"repositoryName": "demo", "triggers": []in{{"name": "t", "destinationArn": topic, "branches": []string{"x"}, "events": []string{"all"}}}})
	p := st.open("work", "Work")
	bo, _ := st.s.CredentialsOf("bo")
	st.callAs(bo, "us-east-1", "UpdatePullRequestApprovalState", in{"pullRequestId": p["pullRequestId"], "revisionId": p["revisionId"], "approvalState": "APPROVE"})
	st.mustCall("MergePullRequestByFastForward", in{"pullRequestId": p["pullRequestId"], "repositoryName": "demo"})
	st.mustCall("DeleteBranch", in{"repositoryName": "demo", "branchName": "gone"})

	runner, err := git.New(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	again, err := New(Config{Dir: st.s.cfg.Dir, Git: runner, Users: []string{"ann"}, URL: st.url})
	if err != nil {
		t.Fatal(err)
	}
	text := func(s *Server) any {
		b, err := json.Marshal(s.snapshot())
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	if diff := cmp.Diff(text(st.s), text(again)); diff != "" {
		t.Errorf("state after the restart (-before +after):\n%s", diff)
	}
	if !again.HasRepository("us-east-1", "demo") || again.HasRepository("us-west-2", "demo") {
		t.Error("the repositories did not survive the restart")
	}
	if again.Credentials().SecretAccessKey == st.cred.SecretAccessKey {
		t.Error("the credentials survived the restart")
	}
	if refs, err := again.refs(t.Context(), again.repository("us-east-1", "demo")); err != nil || len(refs) != 2 {
		t.Errorf("refs after the restart: %v, %v", refs, err)
	}
	if err := os.WriteFile(again.stateFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Dir: st.s.cfg.Dir, Git: runner}); err == nil {
		t.Error("New took a broken state file")
	}
}
