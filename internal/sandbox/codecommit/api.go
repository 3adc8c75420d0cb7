package codecommit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const (
	jsonType = "application/x-amz-json-1.1"
	target   = "CodeCommit_20150413."
)

// An apiError is an answer that refuses a call.
type apiError struct {
	Code    string // the name in the service model, or one of AWS's common names
	Message string
	Status  int // 0 stands for 400
}

func (e *apiError) Error() string { return e.Code + ": " + e.Message }

// fail returns the error of that name.
func fail(code, format string, args ...any) error {
	return &apiError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// A call is one request to the JSON API, signed and checked against the model.
type call struct {
	context.Context
	s      *Server
	region string
	caller *identity
	in     map[string]any
}

// obj is a JSON object of an answer.
type obj = map[string]any

// operations are the calls that the stand-in knows. An answer of nil is {}.
var operations map[string]func(*call) (any, error)

func init() {
	operations = map[string]func(*call) (any, error){
		"ListRepositories":               listRepositories,
		"BatchGetRepositories":           batchGetRepositories,
		"GetRepository":                  getRepository,
		"CreateRepository":               createRepository,
		"DeleteRepository":               deleteRepository,
		"UpdateRepositoryName":           updateRepositoryName,
		"UpdateRepositoryDescription":    updateRepositoryDescription,
		"UpdateDefaultBranch":            updateDefaultBranch,
		"ListBranches":                   listBranches,
		"GetBranch":                      getBranch,
		"CreateBranch":                   createBranch,
		"DeleteBranch":                   deleteBranch,
		"GetCommit":                      getCommit,
		"BatchGetCommits":                batchGetCommits,
		"GetDifferences":                 getDifferences,
		"PutFile":                        putFile,
		"CreateCommit":                   createCommit,
		"GetRepositoryTriggers":          getRepositoryTriggers,
		"PutRepositoryTriggers":          putRepositoryTriggers,
		"TestRepositoryTriggers":         testRepositoryTriggers,
		"ListPullRequests":               listPullRequests,
		"GetPullRequest":                 getPullRequest,
		"CreatePullRequest":              createPullRequest,
		"UpdatePullRequestTitle":         updatePullRequestTitle,
		"UpdatePullRequestDescription":   updatePullRequestDescription,
		"UpdatePullRequestStatus":        updatePullRequestStatus,
		"DescribePullRequestEvents":      describePullRequestEvents,
		"GetPullRequestApprovalStates":   getPullRequestApprovalStates,
		"UpdatePullRequestApprovalState": updatePullRequestApprovalState,
		"PostCommentForPullRequest":      postCommentForPullRequest,
		"PostCommentForComparedCommit":   postCommentForComparedCommit,
		"PostCommentReply":               postCommentReply,
		"DeleteCommentContent":           deleteCommentContent,
		"GetCommentsForPullRequest":      getCommentsForPullRequest,
		"GetCommentsForComparedCommit":   getCommentsForComparedCommit,
		"MergePullRequestByFastForward":  mergePullRequestByFastForward,
		"MergePullRequestBySquash":       mergePullRequestBySquash,
		"MergePullRequestByThreeWay":     mergePullRequestByThreeWay,
		"GetMergeOptions":                getMergeOptions,
		"GetMergeConflicts":              getMergeConflicts,
	}
}

// serveAPI answers the JSON protocol of CodeCommit and the query protocol of
// SNS and STS, which share one address here.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	id := newUUID()
	w.Header().Set("x-amzn-RequestId", id)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAPIBody))
	if err != nil {
		writeError(w, &apiError{Code: "RequestEntityTooLarge", Message: "the request is too large", Status: http.StatusRequestEntityTooLarge})
		return
	}
	if r.Header.Get("X-Amz-Target") == "" && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-amz-json") {
		s.serveQuery(w, r, body, id)
		return
	}
	name := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), target)
	out, err := s.callJSON(r, name, body)
	if err != nil {
		writeError(w, s.asAPIError(name, err))
		return
	}
	if out == nil {
		out = obj{}
	}
	w.Header().Set("Content-Type", jsonType)
	json.NewEncoder(w).Encode(out)
}

func (s *Server) callJSON(r *http.Request, name string, body []byte) (any, error) {
	if r.Method != http.MethodPost {
		return nil, &apiError{Code: "UnknownOperationException", Status: http.StatusNotFound}
	}
	sc, err := s.verifyRequest(r, body)
	if err != nil {
		return nil, err
	}
	if sc.service != "codecommit" {
		return nil, &apiError{Code: "InvalidSignatureException", Message: "Credential should be scoped to correct service: 'codecommit'."}
	}
	run := operations[name]
	if run == nil {
		return nil, fail("UnknownOperationException", "")
	}
	in := map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if len(body) > 0 {
		if err := dec.Decode(&in); err != nil {
			return nil, fail("SerializationException", "")
		}
	}
	c := &call{Context: r.Context(), s: s, region: sc.region, caller: sc.caller, in: in}
	if err := c.authorize(name); err != nil {
		return nil, err
	}
	if err := checkInput(name, in); err != nil {
		return nil, err
	}
	out, err := run(c)
	if !readsOnly(name) {
		s.save()
	}
	return out, err
}

// readsOnly reports whether a call changes nothing, going by its name.
func readsOnly(operation string) bool {
	for _, verb := range []string{"Get", "List", "BatchGet", "Describe", "Test"} {
		if strings.HasPrefix(operation, verb) {
			return true
		}
	}
	return false
}

// authorize refuses what was denied over the control path, in IAM's words.
func (c *call) authorize(operation string) error {
	action := "codecommit:" + operation
	if !c.s.denied(action) {
		return nil
	}
	on := ""
	for _, member := range []string{"repositoryName", "oldName"} {
		if name := c.str(member); name != "" {
			on = " on resource: " + c.s.arn("codecommit", c.region, name)
		}
	}
	return fail("AccessDeniedException", "User: %s is not authorized to perform: %s%s because no identity-based policy allows the %s action", c.caller.ARN, action, on, action)
}

// asAPIError turns a failure of our own into the service's word for it.
func (s *Server) asAPIError(operation string, err error) *apiError {
	var e *apiError
	if errors.As(err, &e) {
		return e
	}
	s.cfg.Log.Error("answering a call", "operation", operation, "err", err)
	return &apiError{Code: "InternalFailure", Message: "internal failure", Status: http.StatusInternalServerError}
}

func writeError(w http.ResponseWriter, e *apiError) {
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("x-amzn-errortype", e.Code)
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(obj{"__type": e.Code, "message": e.Message})
}

// queryAction returns the Action of a query-protocol request, "" if it is
// none. It leaves the body as it was.
func queryAction(r *http.Request) string {
	if action := r.URL.Query().Get("Action"); action != "" {
		return action
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return ""
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAPIBody))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
	if err != nil {
		return ""
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return ""
	}
	return form.Get("Action")
}
