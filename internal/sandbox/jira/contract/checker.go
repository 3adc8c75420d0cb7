package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"

	"gitferry/internal/sandbox/jira"
)

// A checker knows what one program has sent so far.
type checker struct {
	commandsAllowed bool
	now             func() time.Time

	mu   sync.Mutex
	sent map[string]sentEntity // guarded by mu; by repository, kind and id
}

type sentEntity struct {
	sequence int64
	keys     string
}

func newChecker(options []Option) *checker {
	c := &checker{now: time.Now, sent: map[string]sentEntity{}}
	for _, o := range options {
		o(c)
	}
	return c
}

// request returns what is wrong with a request.
func (c *checker) request(r *http.Request, body []byte) []string {
	if unchecked.MatchString(r.Method + " " + r.URL.Path) {
		return nil
	}
	l, err := locate(r, body)
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	if err := openapi3filter.ValidateRequest(context.Background(), l.input); err != nil {
		found = append(found, err.Error())
	}
	for _, name := range l.unknownParameters() {
		found = append(found, "the operation has no query parameter "+name)
	}
	found = append(found, credentials(l, r)...)
	switch id := l.route.Operation.OperationID; id {
	case "storeDevelopmentInformation":
		found = append(found, c.submission(body)...)
	case "addWorklog", "updateWorklog":
		found = append(found, c.worklog(l, body)...)
	case "addComment", "updateComment":
		if l.description == cloud {
			found = append(found, adf("body", member(body, "body"))...)
		}
	case "editIssue", "doTransition":
		found = append(found, c.update(l, body)...)
	}
	return found
}

// credentials checks that the right kind of credential is there.
func credentials(l *located, r *http.Request) []string {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch l.route.Operation.OperationID {
	case "getToken", "getTenantInfo":
		if scheme != "" {
			return []string{"a credential is sent where none belongs"}
		}
		return nil
	case "getServerInfo":
		return nil
	}
	switch {
	case scheme == "":
		return []string{"no Authorization header"}
	case l.description == devinfo && scheme != "Bearer":
		return []string{"the development information API takes Bearer only, got " + scheme}
	}
	return nil
}

func member(body []byte, name string) json.RawMessage {
	var all map[string]json.RawMessage
	if json.Unmarshal(body, &all) != nil {
		return nil // the schema check has said so
	}
	return all[name]
}

func adf(where string, raw json.RawMessage) []string {
	if err := jira.ValidateADF(raw); err != nil {
		return []string{fmt.Sprintf("%s is not a document in the Atlassian Document Format: %v", where, err)}
	}
	return nil
}

// startSlack is how far a worklog's start may lie ahead of the checker's clock:
// the time of a request on its way.
const startSlack = 2 * time.Second

func (c *checker) worklog(l *located, body []byte) []string {
	var found []string
	if comment := member(body, "comment"); comment != nil && l.description == cloud {
		found = append(found, adf("comment", comment)...)
	}
	if l.description == dc && member(body, "properties") != nil {
		found = append(found, "Data Center's worklogs have no properties")
	}
	var started string
	if json.Unmarshal(member(body, "started"), &started) != nil {
		return found
	}
	if t, err := time.Parse("2006-01-02T15:04:05.000-0700", started); err == nil && t.After(c.now().Add(startSlack)) {
		found = append(found, "the worklog starts in the future: "+started)
	}
	return found
}

// update checks the body of an edit or a transition.
func (c *checker) update(l *located, body []byte) []string {
	var in struct {
		Fields map[string]json.RawMessage              `json:"fields"`
		Update map[string][]map[string]json.RawMessage `json:"update"`
	}
	if json.Unmarshal(body, &in) != nil {
		return nil // the schema check has said so
	}
	var found []string
	label := func(raw json.RawMessage) {
		var s string
		if json.Unmarshal(raw, &s) == nil && (s == "" || strings.ContainsFunc(s, isBlank) || len([]rune(s)) > 255) {
			found = append(found, fmt.Sprintf("label %q is empty, longer than 255 characters or has a blank", s))
		}
	}
	var labels []json.RawMessage
	if json.Unmarshal(in.Fields["labels"], &labels) == nil {
		for _, raw := range labels {
			label(raw)
		}
	}
	for _, op := range in.Update["labels"] {
		label(op["add"])
	}
	for _, op := range in.Update["comment"] {
		if l.description == cloud && op["add"] != nil {
			found = append(found, adf("update.comment.add.body", member(op["add"], "body"))...)
		}
	}
	for _, op := range in.Update["worklog"] {
		if op["add"] != nil {
			found = append(found, c.worklog(l, op["add"])...)
		}
	}
	return found
}

var blank = regexp.MustCompile(`[\s\p{Z}]`)

func isBlank(r rune) bool { return blank.MatchString(string(r)) }

// maxEntities is the most entities in one submission.
const maxEntities = 1000

type submitted struct {
	PreventTransitions bool              `json:"preventTransitions"`
	Properties         map[string]string `json:"properties"`
	Repositories       []struct {
		ID           string   `json:"id"`
		Commits      []entity `json:"commits"`
		Branches     []entity `json:"branches"`
		PullRequests []entity `json:"pullRequests"`
	} `json:"repositories"`
}

type entity struct {
	ID         string   `json:"id"`
	Sequence   int64    `json:"updateSequenceId"`
	Keys       []string `json:"issueKeys"`
	Message    string   `json:"message"`
	LastCommit *entity  `json:"lastCommit"`
}

// propertyName is the form of property keys, which OpenAPI 3.0 cannot say.
var propertyName = regexp.MustCompile(`^[^_:][^:]{0,254}$`)

// submission checks the rules for development information that no schema
// holds.
func (c *checker) submission(body []byte) []string {
	var in submitted
	if json.Unmarshal(body, &in) != nil {
		return nil // the schema check has said so
	}
	var found []string
	fail := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for name := range in.Properties {
		if !propertyName.MatchString(name) {
			fail("property key %q is malformed", name)
		}
	}
	total, repositories := 0, map[string]bool{}
	for _, r := range in.Repositories {
		total += len(r.Commits) + len(r.Branches) + len(r.PullRequests)
		if repositories[r.ID] {
			fail("repository %s is given twice", r.ID)
		}
		repositories[r.ID] = true
		inRequest := map[string]entity{}
		visit := func(kind string, e entity) {
			if _, twice := inRequest[kind+" "+e.ID]; twice {
				fail("repository %s: %s %s is given twice", r.ID, kind, e.ID)
			}
			inRequest[kind+" "+e.ID] = e
			c.grows(r.ID+" "+kind+" "+e.ID, e, fail)
			c.command(in.PreventTransitions, e, fail)
		}
		for _, e := range r.Commits {
			visit("commit", e)
		}
		for _, e := range r.Branches {
			visit("branch", e)
			if e.LastCommit == nil {
				continue
			}
			last := *e.LastCommit
			if same, there := inRequest["commit "+last.ID]; there && same.Sequence != last.Sequence {
				fail("repository %s: commit %s has number %d in commits and %d as last commit of %s", r.ID, last.ID, same.Sequence, last.Sequence, e.ID)
			}
			c.grows(r.ID+" commit "+last.ID, last, fail)
			c.command(in.PreventTransitions, last, fail)
		}
		for _, e := range r.PullRequests {
			visit("pull_request", e)
		}
	}
	if total > maxEntities {
		fail("%d entities in one request, at most %d", total, maxEntities)
	}
	return found
}

// grows checks that an entity's numbers only grow; the same number may come
// again with the same keys, since a retry repeats it.
func (c *checker) grows(name string, e entity, fail func(string, ...any)) {
	keys := slices.Sorted(slices.Values(e.Keys))
	now := sentEntity{e.Sequence, strings.Join(keys, " ")}
	c.mu.Lock()
	defer c.mu.Unlock()
	before, there := c.sent[name]
	switch {
	case there && before.sequence > now.sequence:
		fail("%s: number %d after %d", name, now.sequence, before.sequence)
		return
	case there && before.sequence == now.sequence && before.keys != now.keys:
		fail("%s: number %d comes again with other keys: %q, before %q", name, now.sequence, now.keys, before.keys)
	}
	c.sent[name] = now
}

// command checks that Jira's own processor finds nothing to run.
func (c *checker) command(prevented bool, e entity, fail func(string, ...any)) {
	if prevented || c.commandsAllowed {
		return
	}
	for _, live := range jira.NativeCommands(e.Message) {
		fail("commit %s has a live command that Jira would run: %s", e.ID, live)
	}
}
