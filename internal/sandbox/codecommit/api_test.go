package codecommit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// in is the input of a call.
type in = map[string]any

// refuses checks that a call is refused with the named error.
func (st *stand) refuses(want, operation string, v in) {
	st.t.Helper()
	if _, code := st.call("us-east-1", operation, v); code != want {
		st.t.Errorf("%s(%v) = %q, want %s", operation, v, code, want)
	}
}

// put writes a file through the API and returns the commit.
func (st *stand) put(branch, path, content, parent string) string {
	st.t.Helper()
	v := in{"repositoryName": "demo", "branchName": branch, "filePath": path, "commitMessage": "put " + path, "name": "Ann", "email": "ann@example.invalid",
		"fileContent": base64.StdEncoding.EncodeToString([]byte(content))}
	if parent != "" {
		v["parentCommitId"] = parent
	}
	return st.mustCall("PutFile", v)["commitId"].(string)
}

func TestRepositories(t *testing.T) {
	st := start(t)
	meta := st.mustCall("GetRepository", in{"repositoryName": "demo"})["repositoryMetadata"].(map[string]any)
	if meta["defaultBranch"] != nil || meta["Arn"] != "arn:aws:codecommit:us-east-1:123456789012:demo" {
		t.Errorf("metadata of an empty repository: %v", meta)
	}
	made := st.mustCall("CreateRepository", in{"repositoryName": "Other.one", "repositoryDescription": "words"})["repositoryMetadata"].(map[string]any)
	st.refuses("RepositoryNameExistsException", "CreateRepository", in{"repositoryName": "demo"})
	st.refuses("InvalidRepositoryNameException", "CreateRepository", in{"repositoryName": "x.git"})
	st.mustCall("UpdateRepositoryName", in{"oldName": "Other.one", "newName": "two"})
	st.refuses("RepositoryDoesNotExistException", "UpdateRepositoryName", in{"oldName": "Other.one", "newName": "three"})
	st.refuses("RepositoryNameExistsException", "UpdateRepositoryName", in{"oldName": "two", "newName": "demo"})
	st.mustCall("UpdateRepositoryDescription", in{"repositoryName": "two", "repositoryDescription": "more words"})
	batch := st.mustCall("BatchGetRepositories", in{"repositoryNames": []string{"two", "none", "demo"}})
	two := batch["repositories"].([]any)[0].(map[string]any)
	if two["repositoryId"] != made["repositoryId"] || two["repositoryDescription"] != "more words" {
		t.Errorf("after a rename: %v, created as %v", two, made)
	}
	if diff := cmp.Diff([]any{"none"}, batch["repositoriesNotFound"]); diff != "" {
		t.Errorf("not found (-want +got):\n%s", diff)
	}
	st.refuses("MaximumRepositoryNamesExceededException", "BatchGetRepositories", in{"repositoryNames": slices.Repeat([]string{"a"}, 101)})
	st.refuses("RepositoryNamesRequiredException", "BatchGetRepositories", in{"repositoryNames": []string{}})
	names := func(region string, v in) (list []string) {
		out, code := st.call(region, "ListRepositories", v)
		if code != "" {
			t.Fatal(code)
		}
		for _, p := range out["repositories"].([]any) {
			list = append(list, p.(map[string]any)["repositoryName"].(string))
		}
		return list
	}
	if diff := cmp.Diff([]string{"two", "demo"}, names("us-east-1", in{"sortBy": "repositoryName", "order": "descending"})); diff != "" {
		t.Errorf("repositories (-want +got):\n%s", diff)
	}
	if got := names("eu-west-1", in{"sortBy": "lastModifiedDate"}); got != nil {
		t.Errorf("repositories of another region: %v", got)
	}
	st.refuses("InvalidContinuationTokenException", "ListRepositories", in{"nextToken": "nonsense"})
	st.mustCall("DeleteRepository", in{"repositoryName": "two"})
	st.mustCall("DeleteRepository", in{"repositoryName": "two"}) // gone already: no error
	st.refuses("RepositoryDoesNotExistException", "GetRepository", in{"repositoryName": "two"})

	st.control("POST", "repositories/demo/rename", `{"to":"renamed"}`)
	st.mustCall("GetRepository", in{"repositoryName": "renamed"})
	st.control("POST", "repositories/renamed/delete?region=us-east-1", "")
	st.refuses("RepositoryDoesNotExistException", "GetRepository", in{"repositoryName": "renamed"})
}

func TestListRepositoriesPages(t *testing.T) {
	st := start(t)
	st.s.mu.Lock()
	g := st.s.inRegion("eu-west-1")
	for i := range 2001 { // entries only: no git is asked about them
		name := fmt.Sprintf("r%04d", i)
		g.repositories[name] = &repository{id: newUUID(), name: name, region: g}
	}
	st.s.mu.Unlock()
	var sizes []int
	for token := ""; ; {
		v := in{}
		if token != "" {
			v["nextToken"] = token
		}
		out, code := st.call("eu-west-1", "ListRepositories", v)
		if code != "" {
			t.Fatal(code)
		}
		sizes = append(sizes, len(out["repositories"].([]any)))
		if token, _ = out["nextToken"].(string); token == "" {
			break
		}
	}
	if diff := cmp.Diff([]int{1000, 1000, 1}, sizes); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
}

func TestBranchesAndCommits(t *testing.T) {
	st := start(t)
	first := st.put("trunk", "a/b.txt", "one\n", "")
	if got := st.mustCall("GetRepository", in{"repositoryName": "demo"})["repositoryMetadata"].(map[string]any)["defaultBranch"]; got != "trunk" {
		t.Errorf("default branch = %v, want the first one", got)
	}
	demo := func(more in) in {
		v := in{"repositoryName": "demo"}
		maps.Copy(v, more)
		return v
	}
	st.mustCall("CreateBranch", demo(in{"branchName": "side", "commitId": first}))
	st.refuses("BranchNameExistsException", "CreateBranch", demo(in{"branchName": "side", "commitId": first}))
	st.refuses("CommitDoesNotExistException", "CreateBranch", demo(in{"branchName": "x", "commitId": zeroID}))
	st.refuses("InvalidCommitIdException", "CreateBranch", demo(in{"branchName": "x", "commitId": "main"}))
	for _, name := range []string{"@", "a..b", "/a", "a/", "a b", "a.lock", ".a", "a//b", strings.Repeat("a", 40), "side/under"} {
		st.refuses("InvalidBranchNameException", "CreateBranch", demo(in{"branchName": name, "commitId": first}))
	}
	second := st.put("side", "c.txt", "two\n", first)
	st.refuses("ParentCommitIdOutdatedException", "PutFile", demo(in{"branchName": "side", "filePath": "d", "fileContent": "", "parentCommitId": first}))
	st.refuses("ParentCommitIdRequiredException", "PutFile", demo(in{"branchName": "side", "filePath": "d", "fileContent": ""}))
	st.refuses("BranchDoesNotExistException", "PutFile", demo(in{"branchName": "none", "filePath": "d", "fileContent": ""}))
	st.refuses("InvalidPathException", "PutFile", demo(in{"branchName": "side", "filePath": "../d", "fileContent": "", "parentCommitId": second}))
	out := st.mustCall("CreateCommit", demo(in{"branchName": "side", "parentCommitId": second, "commitMessage": "several", "authorName": "Bo", "email": "bo@example.invalid",
		"putFiles":    []in{{"filePath": "a/b.txt", "fileContent": base64.StdEncoding.EncodeToString([]byte("changed\n"))}, {"filePath": "run", "fileMode": "EXECUTABLE", "fileContent": "eA=="}},
		"deleteFiles": []in{{"filePath": "c.txt"}}}))
	third := out["commitId"].(string)
	for member, want := range map[string]string{"filesAdded": "run", "filesUpdated": "a/b.txt", "filesDeleted": "c.txt"} {
		list := out[member].([]any)
		if len(list) != 1 || list[0].(map[string]any)["absolutePath"] != want {
			t.Errorf("%s = %v, want %s", member, list, want)
		}
	}
	st.refuses("FileEntryRequiredException", "CreateCommit", demo(in{"branchName": "side", "parentCommitId": third}))

	commit := st.mustCall("GetCommit", demo(in{"commitId": third}))["commit"].(map[string]any)
	author := commit["author"].(map[string]any)
	if commit["message"] != "several" || author["name"] != "Bo" || author["email"] != "bo@example.invalid" || !slices.Equal(commit["parents"].([]any), []any{second}) {
		t.Errorf("commit = %v", commit)
	}
	st.refuses("CommitIdDoesNotExistException", "GetCommit", demo(in{"commitId": zeroID}))
	batch := st.mustCall("BatchGetCommits", demo(in{"commitIds": []string{first, zeroID}}))
	if len(batch["commits"].([]any)) != 1 || len(batch["errors"].([]any)) != 1 {
		t.Errorf("BatchGetCommits = %v", batch)
	}
	var kinds []string
	for _, d := range st.mustCall("GetDifferences", demo(in{"beforeCommitSpecifier": "trunk", "afterCommitSpecifier": "refs/heads/side"}))["differences"].([]any) {
		kinds = append(kinds, d.(map[string]any)["changeType"].(string))
	}
	if diff := cmp.Diff([]string{"M", "A"}, kinds); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
	page := st.mustCall("GetDifferences", demo(in{"afterCommitSpecifier": third, "MaxResults": 1}))
	if len(page["differences"].([]any)) != 1 || page["NextToken"] == nil {
		t.Errorf("a page of one difference: %v", page)
	}
	st.refuses("CommitDoesNotExistException", "GetDifferences", demo(in{"afterCommitSpecifier": "none"}))

	if got := st.mustCall("GetBranch", demo(in{"branchName": "side"}))["branch"].(map[string]any)["commitId"]; got != third {
		t.Errorf("side = %v, want %s", got, third)
	}
	st.refuses("BranchDoesNotExistException", "GetBranch", demo(in{"branchName": "none"}))
	st.refuses("BranchNameRequiredException", "GetBranch", demo(nil))
	if diff := cmp.Diff([]any{"side", "trunk"}, st.mustCall("ListBranches", demo(nil))["branches"]); diff != "" {
		t.Errorf("branches (-want +got):\n%s", diff)
	}
	st.refuses("DefaultBranchCannotBeDeletedException", "DeleteBranch", demo(in{"branchName": "trunk"}))
	st.mustCall("UpdateDefaultBranch", demo(in{"defaultBranchName": "side"}))
	st.refuses("BranchDoesNotExistException", "UpdateDefaultBranch", demo(in{"defaultBranchName": "none"}))
	st.mustCall("DeleteBranch", demo(in{"branchName": "trunk"}))
	if out := st.mustCall("DeleteBranch", demo(in{"branchName": "trunk"})); len(out) != 0 {
		t.Errorf("deleting a missing branch = %v, want {}", out)
	}
	dir := t.TempDir()
	st.mustGit(dir, "clone", "-q", st.remote("/v1/repos/demo"), ".")
	if got := st.mustGit(dir, "rev-parse", "HEAD"); got != third {
		t.Errorf("HEAD = %s, want the default branch's %s", got, third)
	}
}

func TestDeniedActions(t *testing.T) {
	st := start(t)
	st.control("PUT", "deny", `["codecommit:GetRepository","codecommit:ListRepositories"]`)
	out, code := st.call("us-east-1", "GetRepository", in{"repositoryName": "demo"})
	want := "User: arn:aws:iam::123456789012:user/gitferry is not authorized to perform: codecommit:GetRepository on resource: arn:aws:codecommit:us-east-1:123456789012:demo because no identity-based policy allows the codecommit:GetRepository action"
	if code != "AccessDeniedException" || out["message"] != want {
		t.Errorf("denied GetRepository = %s %v, want %s", code, out["message"], want)
	}
	if out, _ := st.call("us-east-1", "ListRepositories", in{}); !strings.Contains(fmt.Sprint(out["message"]), "codecommit:ListRepositories because") {
		t.Errorf("denied ListRepositories = %v", out)
	}
	st.mustCall("ListBranches", in{"repositoryName": "demo"})
	st.control("PUT", "deny", `["codecommit:*"]`)
	st.refuses("AccessDeniedException", "ListBranches", in{"repositoryName": "demo"})
	st.control("PUT", "deny", `[]`)
	st.control("PUT", "faults", `[{"operation":"GetRepository","status":400,"times":2,"content_type":"application/x-amz-json-1.1","body":"{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}"}]`)
	st.refuses("ThrottlingException", "GetRepository", in{"repositoryName": "demo"})
	st.refuses("ThrottlingException", "GetRepository", in{"repositoryName": "demo"})
	st.mustCall("GetRepository", in{"repositoryName": "demo"})
}

// TestStockClient drives the server with the AWS command line interface where
// one is installed.
func TestStockClient(t *testing.T) {
	if testing.Short() {
		t.Skip("left out: starts the aws command many times, in short mode")
	}
	if err := exec.CommandContext(t.Context(), "aws", "--version").Run(); err != nil {
		t.Skip("left out: no runnable aws command on the PATH")
	}
	st := start(t)
	id := st.put("main", "README", "words\n", "")
	run := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "aws", append(args, "--endpoint-url", st.url, "--region", "us-east-1", "--output", "json")...)
		cmd.Env = append(cmd.Environ(), "AWS_ACCESS_KEY_ID="+st.cred.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+st.cred.SecretAccessKey,
			"AWS_SESSION_TOKEN=", "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_MAX_ATTEMPTS=1")
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	var all sync.WaitGroup
	for want, args := range map[string][]string{
		`"repositoryName": "demo"`:                          {"codecommit", "list-repositories"},
		`"defaultBranch": "main"`:                           {"codecommit", "get-repository", "--repository-name", "demo"},
		"RepositoryDoesNotExistException":                   {"codecommit", "get-repository", "--repository-name", "none"},
		`"message": "put README"`:                           {"codecommit", "get-commit", "--repository-name", "demo", "--commit-id", id},
		"arn:aws:sns:us-east-1:123456789012:codecommit-one": {"sns", "create-topic", "--name", "codecommit-one"},
		"NotFound": {"sns", "list-subscriptions-by-topic", "--topic-arn", "arn:aws:sns:us-east-1:123456789012:none"},
		`"Arn": "arn:aws:iam::123456789012:user/gitferry"`: {"sts", "get-caller-identity"},
		`"pullRequestIds": []`:                             {"codecommit", "list-pull-requests", "--repository-name", "demo"},
	} {
		all.Go(func() {
			if got := run(args...); !strings.Contains(got, want) {
				t.Errorf("aws %s = %s, want %s", strings.Join(args, " "), got, want)
			}
		})
	}
	all.Wait()

	// git with the command line's credential helper: passwords made by it.
	cmd := exec.CommandContext(t.Context(), "git", "-c", "credential.helper=", "-c", "credential.UseHttpPath=true",
		"-c", "credential.helper=!aws codecommit credential-helper --ignore-host-check $@", "ls-remote", st.url+"/v1/repos/demo")
	cmd.Env = append(cmd.Environ(), "AWS_ACCESS_KEY_ID="+st.cred.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+st.cred.SecretAccessKey, "AWS_SESSION_TOKEN=",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_DEFAULT_REGION=us-east-1", "GIT_TERMINAL_PROMPT=0")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), id+"\tHEAD") {
		t.Errorf("git ls-remote with the credential helper: %v %s", err, out)
	}
}

func TestState(t *testing.T) {
	st := start(t)
	id := st.put("main", "a", "b", "")
	var state struct {
		Account string
		Regions map[string]struct {
			Repositories []struct {
				Name string
				Refs map[string]string
			}
		}
	}
	text := st.control("GET", "state", "")
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	if got := state.Regions["us-east-1"].Repositories[0].Refs["refs/heads/main"]; got != id {
		t.Errorf("state: main = %q, want %s\n%s", got, id, text)
	}
	st.control("POST", "capabilities", "git")
	if text := st.control("GET", "state", ""); !strings.Contains(text, `"capabilities":"git"`) {
		t.Errorf("state like git: %s", text)
	}
	for _, secret := range []string{st.cred.SecretAccessKey, st.cred.GitPassword} {
		if strings.Contains(text, secret) {
			t.Error("the state holds a secret")
		}
	}
}
