package codecommit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"unicode/utf8"
)

// commonErrors are AWS's own, in no operation's list (codecommit reference,
// "API protocol").
var commonErrors = []string{"AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException",
	"IncompleteSignatureException", "MissingAuthenticationTokenException", "ThrottlingException", "SerializationException",
	"UnknownOperationException", "InternalFailure", "ServiceUnavailable"}

// checkAnswer reports how an answer breaks the model; code is "" for an output.
func checkAnswer(operation, code string, out map[string]any) error {
	op, ok := model().Operations[operation]
	if !ok {
		return nil
	}
	if code != "" {
		if !op.fails(code) && !slices.Contains(commonErrors, code) {
			return fmt.Errorf("error %s is not in the operation's list", code)
		}
		return nil
	}
	if op.Output == nil {
		if len(out) != 0 {
			return fmt.Errorf("output %v, want {}", out)
		}
		return nil
	}
	return checkShape(op.Output.Shape, operation, out)
}

func checkShape(shape, at string, v any) error {
	sh := model().Shapes[shape]
	wrong := fmt.Errorf("%s = %v (%T), want a %s", at, v, v, sh.Type)
	switch sh.Type {
	case "structure":
		m, ok := v.(map[string]any)
		if !ok {
			return wrong
		}
		for _, name := range sh.Required {
			if m[name] == nil {
				return fmt.Errorf("%s lacks %s", at, name)
			}
		}
		for name, v := range m {
			member, ok := sh.Members[name]
			if !ok {
				return fmt.Errorf("%s has a member %s, which %s has not", at, name, shape)
			}
			if err := checkShape(member.Shape, at+"."+name, v); v != nil && err != nil {
				return err
			}
		}
	case "list":
		list, ok := v.([]any)
		if !ok {
			return wrong
		}
		for _, v := range list {
			if err := checkShape(sh.Member.Shape, at+"[]", v); err != nil {
				return err
			}
		}
	case "string":
		s, ok := v.(string)
		n := utf8.RuneCountInString(s)
		if !ok || sh.Min != nil && n < *sh.Min || sh.Max != nil && n > *sh.Max || sh.pattern != nil && !sh.pattern.MatchString(s) ||
			len(sh.Enum) > 0 && !slices.Contains(sh.Enum, s) {
			return wrong
		}
	case "timestamp", "integer", "long":
		if _, ok := v.(json.Number); !ok {
			return wrong
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return wrong
		}
	case "blob":
		s, _ := v.(string)
		if _, err := base64.StdEncoding.DecodeString(s); err != nil {
			return wrong
		}
	}
	return nil
}

// Every required member of every operation has an error of the model for its
// absence, and every operation that we answer is in the model.
func TestRequiredMembers(t *testing.T) {
	for name := range operations {
		op, ok := model().Operations[name]
		if !ok {
			t.Errorf("%s is not in the model", name)
			continue
		}
		for member := range requiredMembers(op.Input.Shape) {
			in := smallest(op.Input.Shape)
			delete(in, member)
			err := checkInput(name, in)
			e, ok := err.(*apiError)
			if !ok || !op.fails(e.Code) {
				if member == "description" {
					continue // the model has no error for it
				}
				t.Errorf("%s without %s: %v, want an error of the operation", name, member, err)
			}
		}
		if err := checkInput(name, smallest(op.Input.Shape)); err != nil {
			t.Errorf("%s with the smallest input: %v", name, err)
		}
	}
}

func requiredMembers(shape string) map[string]bool {
	m := map[string]bool{}
	for _, name := range model().Shapes[shape].Required {
		m[name] = true
	}
	return m
}

// smallest makes the smallest valid value of a structure.
func smallest(shape string) map[string]any {
	m := map[string]any{}
	for name := range requiredMembers(shape) {
		m[name] = smallestValue(model().Shapes[shape].Members[name].Shape)
	}
	return m
}

func smallestValue(shape string) any {
	sh := model().Shapes[shape]
	switch sh.Type {
	case "structure":
		return smallest(shape)
	case "list":
		return []any{smallestValue(sh.Member.Shape)}
	case "integer", "long":
		return json.Number("1")
	case "boolean":
		return true
	case "blob":
		return ""
	}
	if len(sh.Enum) > 0 {
		return sh.Enum[0]
	}
	return "a"
}

func TestInvalidInput(t *testing.T) {
	trigger := func(member string, v any) map[string]any {
		tr := map[string]any{"name": "t", "destinationArn": "arn", "branches": []any{}, "events": []any{"all"}}
		if v == nil {
			delete(tr, member)
		} else {
			tr[member] = v
		}
		return map[string]any{"repositoryName": "demo", "triggers": []any{tr}}
	}
	long := string(make([]byte, 200))
	tests := []struct {
		operation string
		in        map[string]any
		want      string
	}{
		{"GetRepository", map[string]any{"repositoryName": "a b"}, "InvalidRepositoryNameException"},
		{"GetRepository", map[string]any{"repositoryName": ""}, "RepositoryNameRequiredException"},
		{"GetRepository", map[string]any{"repositoryName": json.Number("1")}, "SerializationException"},
		{"UpdateRepositoryName", map[string]any{"oldName": "a", "newName": "a/b"}, "InvalidRepositoryNameException"},
		{"BatchGetRepositories", map[string]any{"repositoryNames": []any{"a b"}}, "InvalidRepositoryNameException"},
		{"ListRepositories", map[string]any{"sortBy": "size"}, "InvalidSortByException"},
		{"ListRepositories", map[string]any{"order": "up"}, "InvalidOrderException"},
		{"CreateRepository", map[string]any{"repositoryName": "a", "repositoryDescription": string(make([]byte, 1001))}, "InvalidRepositoryDescriptionException"},
		{"CreatePullRequest", map[string]any{"title": long, "targets": []any{}}, "InvalidTitleException"},
		{"ListPullRequests", map[string]any{"repositoryName": "a", "pullRequestStatus": "MERGED"}, "InvalidPullRequestStatusException"},
		{"DescribePullRequestEvents", map[string]any{"pullRequestId": "1", "pullRequestEventType": "X"}, "InvalidPullRequestEventTypeException"},
		{"UpdatePullRequestApprovalState", map[string]any{"pullRequestId": "1", "revisionId": "r", "approvalState": "X"}, "InvalidApprovalStateException"},
		{"GetMergeConflicts", map[string]any{"repositoryName": "a", "destinationCommitSpecifier": "a", "sourceCommitSpecifier": "b", "mergeOption": "X"}, "InvalidMergeOptionException"},
		{"PutRepositoryTriggers", trigger("name", nil), "RepositoryTriggerNameRequiredException"},
		{"PutRepositoryTriggers", trigger("destinationArn", nil), "RepositoryTriggerDestinationArnRequiredException"},
		{"PutRepositoryTriggers", trigger("events", nil), "RepositoryTriggerEventsListRequiredException"},
		{"PutRepositoryTriggers", trigger("events", []any{"push"}), "InvalidRepositoryTriggerEventsException"},
		{"PutRepositoryTriggers", trigger("branches", []any{""}), "InvalidRepositoryTriggerBranchNameException"},
	}
	for _, tt := range tests {
		err := checkInput(tt.operation, tt.in)
		if e, ok := err.(*apiError); !ok || e.Code != tt.want {
			t.Errorf("%s(%v) = %v, want %s", tt.operation, tt.in, err, tt.want)
		}
	}
}
