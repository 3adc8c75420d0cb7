package jira

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func splitFields(list string, usual ...string) []string {
	if list == "" {
		return usual
	}
	fields := strings.Split(list, ",")
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields
}

// withProperties adds the issue properties that the list names.
func withProperties(o object, is *issue, names []string) {
	if len(names) == 0 {
		return
	}
	shown := object{}
	for k, v := range is.properties {
		if slices.Contains(names, k) || slices.Contains(names, "*all") {
			shown[k] = v
		}
	}
	o["properties"] = shown
}

// getIssue answers one issue, also by a former key; the answer has the present
// one.
func getIssue(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	o := c.viewIssue(is, splitFields(c.query("fields"), "*all"))
	withProperties(o, is, splitFields(c.query("properties")))
	if c.expands("transitions") {
		o["transitions"] = c.viewTransitions(is, false, false)
	}
	if c.expands("changelog") {
		list := c.viewHistory(is)
		o["changelog"] = object{"startAt": 0, "maxResults": len(list), "total": len(list), "histories": list}
	}
	return ok(o), nil
}

// bulkFetch answers issues in order of id. What does not exist is missing
// without a word, as the description of the operation has it.
func bulkFetch(c *call) (reply, error) {
	var in struct {
		Keys       []string `json:"issueIdsOrKeys"`
		Fields     []string `json:"fields"`
		Properties []string `json:"properties"`
		Expand     []string `json:"expand"`
		ByKeys     bool     `json:"fieldsByKeys"`
	}
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if len(in.Keys) < 1 || len(in.Keys) > 100 {
		return reply{}, refuse(http.StatusBadRequest, "The number of issue ids or keys must be 1 to 100.")
	}
	if len(in.Properties) > 5 {
		return reply{}, refuse(http.StatusBadRequest, "The number of properties must be at most 5.")
	}
	if len(in.Fields) == 0 {
		in.Fields = []string{"*navigable", "-comment", "-worklog"}
	}
	var found []*issue
	for _, k := range in.Keys {
		if is := c.st.issue(k); is != nil && !slices.Contains(found, is) {
			found = append(found, is)
		}
	}
	slices.SortFunc(found, func(a, b *issue) int { return int(a.id - b.id) })
	list := []any{}
	for _, is := range found {
		o := c.viewIssue(is, in.Fields)
		withProperties(o, is, in.Properties)
		list = append(list, o)
	}
	return ok(object{"issues": list, "issueErrors": []any{}}), nil
}

// createIssue makes an issue of the project's one type.
func createIssue(c *call) (reply, error) {
	var in struct {
		Fields struct {
			Project struct {
				ID  string `json:"id"`
				Key string `json:"key"`
			} `json:"project"`
			Summary string   `json:"summary"`
			Labels  []string `json:"labels"`
		} `json:"fields"`
	}
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	p := c.st.project(in.Fields.Project.Key + in.Fields.Project.ID)
	if p == nil {
		return reply{}, refuseField("project", "valid project is required")
	}
	if in.Fields.Summary == "" {
		return reply{}, refuseField("summary", "You must specify a summary of the issue.")
	}
	is := c.st.addIssue(p, in.Fields.Summary, c.user)
	is.labels = in.Fields.Labels
	c.effect("issue %s", is.key)
	return created(object{"id": strconv.FormatInt(is.id, 10), "key": is.key, "self": c.self("/issue/%d", is.id)}), nil
}

// assign sets the assignee: by accountId on Cloud, by name on Data Center;
// null means nobody, "-1" the project's default, which is nobody too.
func assign(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	var in map[string]json.RawMessage
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	u, err := c.assignee(in)
	if err != nil {
		return reply{}, err
	}
	c.setAssignee(is, u, nil)
	return noContent(), nil
}

// assignee reads a user as the fields of an assignment name it.
func (c *call) assignee(in map[string]json.RawMessage) (*user, error) {
	member := "accountId"
	if c.face.dc {
		member = "name"
	}
	raw, given := in[member]
	if !given {
		return nil, refuse(http.StatusBadRequest, "The member %s is required.", member)
	}
	var name *string
	if json.Unmarshal(raw, &name) != nil {
		return nil, refuse(http.StatusBadRequest, "The member %s must be a string or null.", member)
	}
	if name == nil || *name == "-1" {
		return nil, nil
	}
	u := c.st.user(func(u *user) bool {
		return !u.Inactive && (c.face.dc && u.Name == *name || !c.face.dc && u.accountID == *name)
	})
	if u == nil {
		return nil, refuseField("assignee", "User '%s' cannot be assigned issues.", *name)
	}
	return u, nil
}

func (c *call) setAssignee(is *issue, u *user, metadata json.RawMessage) {
	if u == is.assignee {
		return
	}
	c.st.record(is, c.user, metadata, edited("assignee", userName(is.assignee), userName(u)))
	is.assignee = u
	c.effect("assign %s %s", is.key, userName(u))
}

func (c *call) viewHistory(is *issue) []any {
	list := []any{}
	for _, h := range is.history {
		o := object{
			"id": strconv.FormatInt(h.id, 10), "author": c.viewUser(h.author),
			"created": stamp(h.created), "items": h.items,
		}
		if h.metadata != nil {
			o["historyMetadata"] = h.metadata
		}
		list = append(list, o)
	}
	return list
}

func getChangelog(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	start, size, err := c.page(100, 100)
	if err != nil {
		return reply{}, err
	}
	all := c.viewHistory(is)
	return ok(object{
		"self": c.self("/issue/%s/changelog", is.key), "startAt": start, "maxResults": size,
		"total": len(all), "isLast": start+size >= len(all), "values": cutPage(all, start, size),
	}), nil
}

func limitReport(*call) (reply, error) {
	return ok(object{"issuesApproachingLimit": object{}, "issuesBreachingLimit": object{}, "limits": object{"comment": 5000, "worklog": 10000}}), nil
}

// Jira Cloud's limits on writes to one issue (developer.atlassian.com, "Rate
// limiting", August 2026).
var issueLimits = []struct {
	writes int
	within time.Duration
}{{20, 2 * time.Second}, {100, 30 * time.Second}}

// limitWrites refuses a write that comes too soon after others to its issue, if
// the settings ask for it.
func (c *call) limitWrites() error {
	if !c.st.settings.PerIssueLimit || c.r.Method == http.MethodGet || c.face.dc {
		return nil
	}
	is := c.st.issue(c.r.PathValue("issue"))
	if is == nil {
		return nil
	}
	now := c.st.now()
	longest := issueLimits[len(issueLimits)-1].within
	recent := slices.DeleteFunc(c.st.writes[is.id], func(t time.Time) bool { return now.Sub(t) >= longest })
	c.st.writes[is.id] = recent
	for _, l := range issueLimits {
		if len(recent) >= l.writes && now.Sub(recent[len(recent)-l.writes]) < l.within {
			wait := l.within - now.Sub(recent[len(recent)-l.writes])
			return &refusal{
				status: http.StatusTooManyRequests, body: errorCollection{[]string{"Rate limit exceeded."}, map[string]string{}},
				header: http.Header{
					"Retry-After":           {strconv.Itoa(int((wait + time.Second - 1) / time.Second))},
					"Ratelimit-Reason":      {"jira-per-issue-on-write"},
					"X-Ratelimit-Limit":     {strconv.Itoa(l.writes)},
					"X-Ratelimit-Reset":     {now.Add(wait).UTC().Format(time.RFC3339)},
					"X-Ratelimit-Remaining": {"0"},
				},
			}
		}
	}
	c.st.writes[is.id] = append(recent, now)
	return nil
}
