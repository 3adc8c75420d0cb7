package codecommit

import (
	"encoding/json"
	"slices"
	"strings"
)

// A Feature is something that gitferry does with an account, and the IAM
// actions that it needs.
type Feature struct {
	ID      string // stable: "read", "pull-requests", …
	Name    string // for people
	Actions []string
	Policy  string // AWS managed policy that grants all of them, "" if none does
}

// Features returns the permissions matrix in the order in which it is shown.
//
// AWSCodeCommitPowerUser grants neither sns:CreateTopic nor sns:DeleteTopic
// nor sns:SetTopicAttributes, and every managed SNS grant is limited to topics
// whose names begin with "codecommit" (AWS managed policy reference), so no
// managed policy but AWSCodeCommitFullAccess covers the triggers.
func Features() []Feature {
	const readOnly, powerUser = "AWSCodeCommitReadOnly", "AWSCodeCommitPowerUser"
	return []Feature{
		{"read", "Show commits, smart commits, branches", []string{
			"codecommit:ListRepositories", "codecommit:GitPull", "codecommit:BatchGetRepositories"}, readOnly},
		{"pull-requests", "Show pull requests", []string{
			"codecommit:ListPullRequests", "codecommit:GetPullRequest"}, readOnly},
		{"create-pull-request", "Create pull request", []string{"codecommit:CreatePullRequest"}, powerUser},
		{"create-branch", "Create branch", []string{"codecommit:CreateBranch"}, powerUser},
		{"delete-branch", "Delete branch", []string{"codecommit:DeleteBranch"}, powerUser},
		{"triggers", "Configure triggers", []string{
			"codecommit:GetRepositoryTriggers", "codecommit:PutRepositoryTriggers",
			"sns:CreateTopic", "sns:DeleteTopic", "sns:Subscribe"}, "AWSCodeCommitFullAccess"},
		{"push", "Push through gitferry", []string{"codecommit:GitPush"}, powerUser},
		{"test-triggers", "Test triggers, remove subscription", []string{
			"codecommit:TestRepositoryTriggers", "sns:Unsubscribe", "sns:SetTopicAttributes"}, ""},
	}
}

// State is what is known about a permission.
type State string

const (
	StateOK      State = "ok"
	StateMissing State = "missing"
	StateUnknown State = "unknown" // not tried yet, or the trial failed for another reason
)

// A FeatureState says whether a feature can be used.
type FeatureState struct {
	Feature
	State   State
	Missing []string // actions known to be missing
}

// FeatureStates folds what is known about single actions into the matrix: a
// feature is missing if one of its actions is, and ok if all of them are.
func FeatureStates(actions map[string]State) []FeatureState {
	var out []FeatureState
	for _, f := range Features() {
		s := FeatureState{Feature: f, State: StateOK}
		for _, a := range f.Actions {
			switch actions[a] {
			case StateOK:
			case StateMissing:
				s.Missing = append(s.Missing, a)
			default:
				s.State = StateUnknown
			}
		}
		if len(s.Missing) > 0 {
			s.State = StateMissing
		}
		out = append(out, s)
	}
	return out
}

// PolicyDocument returns an IAM policy, as indented JSON, that grants exactly
// the actions given, such as "codecommit:GitPull", on the repositories of one
// account and region and on topics whose names begin with "codecommit".
// account is 12 digits, or empty for any.
func PolicyDocument(actions []string, region, account string) string {
	if account == "" {
		account = "*"
	}
	arn := func(service, resource string) string {
		return "arn:" + PartitionOf(region).ID + ":" + service + ":" + region + ":" + account + ":" + resource
	}
	type statement struct {
		Sid      string
		Effect   string
		Action   []string
		Resource string
	}
	var list, repositories, topics []string
	for _, a := range actions {
		switch {
		case a == "codecommit:ListRepositories": // is granted on "*" only
			list = append(list, a)
		case strings.HasPrefix(a, "codecommit:"):
			repositories = append(repositories, a)
		case strings.HasPrefix(a, "sns:"):
			topics = append(topics, a)
		}
	}
	document := struct {
		Version   string
		Statement []statement
	}{Version: "2012-10-17", Statement: []statement{}}
	add := func(sid, resource string, actions []string) {
		if len(actions) > 0 {
			slices.Sort(actions)
			document.Statement = append(document.Statement, statement{sid, "Allow", slices.Compact(actions), resource})
		}
	}
	add("GitferryList", "*", list)
	add("GitferryRepositories", arn("codecommit", "*"), repositories)
	add("GitferryTopics", arn("sns", TopicPrefix+"*"), topics)
	b, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		panic(err) // strings only
	}
	return string(b)
}

// TopicPrefix begins the name of every topic that gitferry makes: the managed
// policies grant SNS actions on such names only.
const TopicPrefix = "codecommit"
