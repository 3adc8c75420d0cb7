package codecommit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRegions(t *testing.T) {
	if n := len(Regions()); n != 32 {
		t.Errorf("%d regions, want the 29 named ones and 3 more", n)
	}
	seen := map[string]bool{}
	for _, r := range Regions() {
		if seen[r.Code] || !ValidRegion(r.Code) {
			t.Errorf("region %q stands twice or is out of form", r.Code)
		}
		seen[r.Code] = true
	}
	for _, bad := range []string{"", "us-east", "us-east-1.evil", "US-EAST-1", "-1", "us--1"} {
		if ValidRegion(bad) {
			t.Errorf("ValidRegion(%q)", bad)
		}
	}
}

func TestHosts(t *testing.T) {
	for _, c := range []struct{ region, git, api, partition string }{
		{"us-east-1", "git-codecommit.us-east-1.amazonaws.com", "codecommit.us-east-1.amazonaws.com", "aws"},
		{"us-gov-west-1", "git-codecommit.us-gov-west-1.amazonaws.com", "codecommit.us-gov-west-1.amazonaws.com", "aws-us-gov"},
		{"cn-north-1", "git-codecommit.cn-north-1.amazonaws.com.cn", "codecommit.cn-north-1.amazonaws.com.cn", "aws-cn"},
		{"us-iso-east-1", "git-codecommit.us-iso-east-1.c2s.ic.gov", "codecommit.us-iso-east-1.c2s.ic.gov", "aws-iso"},
		{"us-isob-east-1", "git-codecommit.us-isob-east-1.sc2s.sgov.gov", "codecommit.us-isob-east-1.sc2s.sgov.gov", "aws-iso-b"},
		{"us-isof-south-1", "git-codecommit.us-isof-south-1.csp.hci.ic.gov", "codecommit.us-isof-south-1.csp.hci.ic.gov", "aws-iso-f"},
		{"eusc-de-east-1", "git-codecommit.eusc-de-east-1.amazonaws.eu", "codecommit.eusc-de-east-1.amazonaws.eu", "aws-eusc"},
	} {
		got := []string{GitHost(c.region, false), APIHost(c.region, false), PartitionOf(c.region).ID}
		if diff := cmp.Diff([]string{c.git, c.api, c.partition}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.region, diff)
		}
	}
	if got := GitHost("us-west-2", true); got != "git-codecommit-fips.us-west-2.amazonaws.com" {
		t.Errorf("FIPS host = %q", got)
	}
}

// An end point of AWS's is known by its domain, in every partition, with FIPS,
// IPv6 and VPC forms; SNS and STS then have hosts of their own.
func TestStandsIn(t *testing.T) {
	for endpoint, want := range map[string]bool{
		"": false,
		"https://codecommit.us-east-1.amazonaws.com":                         false,
		"https://codecommit-fips.us-gov-west-1.amazonaws.com":                false,
		"https://vpce-0a1b2c3d-4e5f.codecommit.us-east-1.vpce.amazonaws.com": false,
		"https://codecommit.us-west-2.api.aws":                               false,
		"https://codecommit.cn-north-1.amazonaws.com.cn":                     false,
		"https://vpce-0a1b2c3d.codecommit.cn-north-1.vpce.amazonaws.com.cn/": false,
		"https://codecommit.us-iso-east-1.c2s.ic.gov":                        false,
		"https://codecommit.us-isob-east-1.SC2S.sgov.gov":                    false,
		"https://codecommit.eusc-de-east-1.amazonaws.eu":                     false,
		"http://127.0.0.1:7081":                                              true,
		"https://codecommit.example.com":                                     true,
		"https://amazonaws.com.example.com":                                  true,
		"https://notamazonaws.com":                                           true,
	} {
		if got := standsIn(endpoint); got != want {
			t.Errorf("standsIn(%q) = %t, want %t", endpoint, got, want)
		}
	}
}

func TestCloneURLs(t *testing.T) {
	if got, want := CloneURL("eu-west-1", "", "demo"), "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/demo"; got != want {
		t.Errorf("CloneURL = %q, want %q", got, want)
	}
	if got, want := CloneURL("eu-west-1", "http://127.0.0.1:7081/", "demo"), "http://127.0.0.1:7081/v1/repos/demo"; got != want {
		t.Errorf("CloneURL = %q, want %q", got, want)
	}
	for _, c := range []struct{ url, id, want string }{
		{"ssh://git-codecommit.us-east-1.amazonaws.com/v1/repos/test-repo", "1a2b3c4d5e", "ssh://1a2b3c4d5e@git-codecommit.us-east-1.amazonaws.com/v1/repos/test-repo"},
		{"ssh://other@git-codecommit.us-east-1.amazonaws.com/v1/repos/t", "1a2b", "ssh://other@git-codecommit.us-east-1.amazonaws.com/v1/repos/t"},
		{"ssh://Host:2222/A%20b@c", "1a2b", "ssh://1a2b@Host:2222/A%20b@c"},
		{"https://host/x", "1a2b", "https://host/x"},
		{"ssh://host/x", "", "ssh://host/x"},
	} {
		if got := WithSSHKeyID(c.url, c.id); got != c.want {
			t.Errorf("WithSSHKeyID(%q, %q) = %q, want %q", c.url, c.id, got, c.want)
		}
	}
}

func TestConsoleLinks(t *testing.T) {
	const base = "https://us-west-2.console.aws.amazon.com/codesuite/codecommit/repositories/demo"
	l := ConsoleLinks("us-west-2", "", "demo")
	for got, path := range map[string]string{
		l.Repository():                  "/browse",
		l.Branches():                    "/branches",
		l.Branch("a/b c"):               "/browse/refs/heads/a/b%20c",
		l.Tag("v1#2"):                   "/browse/refs/tags/v1%232",
		l.Commit(oidA):                  "/commit/" + oidA,
		l.FileAt(oidA, "d/ü?.txt"):      "/browse/" + oidA + "/--/d/%C3%BC%3F.txt",
		l.FileOn("main", "x"):           "/browse/refs/heads/main/--/x",
		l.PullRequest("12"):             "/pull-requests/12/details",
		l.PullRequests():                "/pull-requests",
		l.NewPullRequest("main", "a/b"): "/pull-requests/new/refs/heads/main/.../refs/heads/a/b",
		l.Compare(oidA, oidB):           "/compare/" + oidA + "/.../" + oidB,
		l.Triggers():                    "/settings/triggers",
	} {
		if want := base + path + "?region=us-west-2"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	for region, want := range map[string]string{
		"cn-north-1":    "https://cn-north-1.console.amazonaws.cn/codesuite/codecommit/repositories/demo/browse?region=cn-north-1",
		"us-gov-west-1": "https://us-gov-west-1.console.amazonaws-us-gov.com/codesuite/codecommit/repositories/demo/browse?region=us-gov-west-1",
		"us-iso-east-1": "",
	} {
		if got := ConsoleLinks(region, "", "demo").Repository(); got != want {
			t.Errorf("link in %s = %q, want %q", region, got, want)
		}
	}
	if got, want := ConsoleLinks("us-iso-east-1", "https://console.example/", "demo").Branches(),
		"https://console.example/codesuite/codecommit/repositories/demo/branches?region=us-iso-east-1"; got != want {
		t.Errorf("own console = %q, want %q", got, want)
	}
}

func TestPolicyDocument(t *testing.T) {
	text := PolicyDocument([]string{"sns:Subscribe", "codecommit:ListRepositories", "codecommit:GitPush", "codecommit:CreateBranch", "sns:CreateTopic", "codecommit:GitPush"}, "cn-north-1", "123456789012")
	var got any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"Version": "2012-10-17", "Statement": []any{
		map[string]any{"Sid": "GitferryList", "Effect": "Allow", "Action": []any{"codecommit:ListRepositories"}, "Resource": "*"},
		map[string]any{"Sid": "GitferryRepositories", "Effect": "Allow", "Action": []any{"codecommit:CreateBranch", "codecommit:GitPush"}, "Resource": "arn:aws-cn:codecommit:cn-north-1:123456789012:*"},
		map[string]any{"Sid": "GitferryTopics", "Effect": "Allow", "Action": []any{"sns:CreateTopic", "sns:Subscribe"}, "Resource": "arn:aws-cn:sns:cn-north-1:123456789012:codecommit*"},
	}}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
}

func TestFeatureStates(t *testing.T) {
	states := FeatureStates(map[string]State{
		"codecommit:ListRepositories": StateOK, "codecommit:GitPull": StateOK, "codecommit:BatchGetRepositories": StateOK,
		"codecommit:ListPullRequests": StateOK,
		"sns:CreateTopic":             StateMissing, "codecommit:GetRepositoryTriggers": StateOK,
	})
	got := map[string]State{}
	for _, s := range states {
		got[s.ID] = s.State
		if s.ID == "triggers" && !cmp.Equal(s.Missing, []string{"sns:CreateTopic"}) {
			t.Errorf("missing for triggers: %q", s.Missing)
		}
	}
	want := map[string]State{"read": StateOK, "pull-requests": StateUnknown, "create-pull-request": StateUnknown, "create-branch": StateUnknown,
		"delete-branch": StateUnknown, "triggers": StateMissing, "push": StateUnknown, "test-triggers": StateUnknown}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

func TestProbe(t *testing.T) {
	c := play(t,
		exchange{operation: "ListRepositories", request: `{"sortBy":"repositoryName","order":"ascending"}`, answer: `{"repositories":[]}`},
		exchange{operation: "BatchGetRepositories", request: `{"repositoryNames":["r"]}`, status: 400, answer: awsError("AccessDeniedException", "no")},
		exchange{operation: "GetRepositoryTriggers", request: `{"repositoryName":"r"}`, status: 400, answer: awsError("RepositoryDoesNotExistException", "no")},
		exchange{operation: "ListPullRequests", request: `{"repositoryName":"r","pullRequestStatus":"OPEN"}`, answer: `{"pullRequestIds":["3"]}`},
		exchange{operation: "GetPullRequest", request: `{"pullRequestId":"3"}`, answer: awsPullRequest("OPEN", `{"isMerged":false}`)},
	).client()
	want := map[string]State{
		"codecommit:ListRepositories": StateOK, "codecommit:BatchGetRepositories": StateMissing,
		"codecommit:GetRepositoryTriggers": StateUnknown, "codecommit:ListPullRequests": StateOK, "codecommit:GetPullRequest": StateOK,
	}
	if diff := cmp.Diff(want, c.Probe(t.Context(), "r")); diff != "" {
		t.Errorf("Probe (-want +got):\n%s", diff)
	}
}

func TestDisplayName(t *testing.T) {
	for arn, want := range map[string]string{
		"arn:aws:iam::123456789012:user/team/Jane":                    "Jane",
		"arn:aws:sts::123456789012:assumed-role/Dev/jane@example.com": "jane@example.com",
		"arn:aws:sts::123456789012:federated-user/jane":               "jane",
		"arn:aws:iam::123456789012:root":                              "root",
		"":                                                            "",
	} {
		if got := DisplayName(arn); got != want {
			t.Errorf("DisplayName(%q) = %q, want %q", arn, got, want)
		}
	}
	if strings.Contains(PolicyDocument(nil, "us-east-1", ""), "null") {
		t.Error("an empty policy holds null")
	}
}
