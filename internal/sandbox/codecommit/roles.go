package codecommit

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A role is one that every user of the account may assume. If ExternalID is
// not empty, its trust policy asks for that value of sts:ExternalId.
type role struct {
	ARN        string `json:"arn"` // "arn:aws:iam::123456789012:role/NAME"
	ExternalID string `json:"external_id"`
}

var roleForm = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/([\w+=,.@-]+/)*[\w+=,.@-]{1,64}$`)

// putRoles replaces the roles that exist.
func (s *Server) putRoles(w http.ResponseWriter, r *http.Request) {
	var list []role
	if !readControl(w, r, &list) {
		return
	}
	for _, ro := range list {
		if !roleForm.MatchString(ro.ARN) {
			http.Error(w, fmt.Sprintf("%.120q is no ARN of a role", ro.ARN), http.StatusBadRequest)
			return
		}
	}
	s.mu.Lock()
	s.roles = list
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// Constraints of AssumeRole's input (API reference of STS, 2011-06-15).
var assumeRoleInput = []struct {
	member, title string
	form          *regexp.Regexp
	pattern       string
	least, most   int
	required      bool
}{
	{"RoleArn", "roleArn", nil, "", 20, 2048, true},
	{"RoleSessionName", "roleSessionName", regexp.MustCompile(`^[\w+=,.@-]*$`), `[\w+=,.@-]*`, 2, 64, true},
	{"ExternalId", "externalId", regexp.MustCompile(`^[\w+=,.@:/-]*$`), `[\w+=,.@:\/-]*`, 2, 1224, false},
}

// assumeRole gives temporary credentials of a role. A role that does not
// exist and one whose trust policy is not met are refused alike.
func assumeRole(q *queryCall) (markup, error) {
	for _, in := range assumeRoleInput {
		v := q.form.Get(in.member)
		constraint := ""
		switch {
		case v == "" && !in.required:
		case v == "":
			constraint = "Member must not be null"
		case len(v) < in.least:
			constraint = fmt.Sprintf("Member must have length greater than or equal to %d", in.least)
		case len(v) > in.most:
			constraint = fmt.Sprintf("Member must have length less than or equal to %d", in.most)
		case in.form != nil && !in.form.MatchString(v):
			constraint = "Member must satisfy regular expression pattern: " + in.pattern
		}
		if constraint != "" {
			return none, fail("ValidationError", "1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: %s", v, in.title, constraint)
		}
	}
	seconds := 3600
	if v := q.form.Get("DurationSeconds"); v != "" {
		var err error
		if seconds, err = strconv.Atoi(v); err != nil || seconds < 900 || seconds > 43200 {
			return none, fail("ValidationError", "1 validation error detected: Value '%s' at 'durationSeconds' failed to satisfy constraint: Member must have value between 900 and 43200", v)
		}
	}
	arn, name := q.form.Get("RoleArn"), q.form.Get("RoleSessionName")
	if !q.s.mayAssume(arn, q.form.Get("ExternalId")) {
		return none, q.notAuthorized("sts:AssumeRole", arn, "")
	}
	id := q.s.assume(q.caller, arn, name, time.Duration(seconds)*time.Second)
	return markup("").
		tag("AssumedRoleUser", markup("").text("AssumedRoleId", id.userID).text("Arn", id.ARN)).
		tag("Credentials", id.markup()), nil
}

// mayAssume reports whether a role exists and takes an external id.
func (s *Server) mayAssume(arn, externalID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ro := range s.roles {
		if ro.ARN == arn {
			return ro.ExternalID == "" || ro.ExternalID == externalID
		}
	}
	return false
}

// assume opens a session of a role for a caller and remembers its
// credentials.
func (s *Server) assume(caller *identity, arn, session string, life time.Duration) *identity {
	role := arn[strings.LastIndexByte(arn, '/')+1:]
	part := strings.SplitN(arn, ":", 6)
	c := *caller
	c.ARN = fmt.Sprintf("arn:%s:sts::%s:assumed-role/%s/%s", part[1], part[4], role, session)
	c.userID = "AROA" + caller.userID[4:] + ":" + session
	return s.temporary(c, life)
}
