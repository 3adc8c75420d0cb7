package jira

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

// The most comments and worklogs an issue holds before Jira answers 413
// (examples of the issue limit report).
const (
	maxComments = 5000
	maxWorklogs = 10000
)

// readComment reads the body of a new comment; what the caller may not set is
// ignored.
func (c *call) readComment(raw json.RawMessage) (*comment, error) {
	var in struct {
		Body       json.RawMessage `json:"body"`
		Properties []property      `json:"properties"`
		Visibility json.RawMessage `json:"visibility"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, refuse(http.StatusBadRequest, "INVALID_INPUT: %v", err)
	}
	body, err := c.readText("comment", in.Body)
	if err != nil {
		return nil, err
	}
	if err := checkProperties(in.Properties); err != nil {
		return nil, err
	}
	m := &comment{author: c.user, body: body, properties: properties{}, visibility: in.Visibility}
	if string(in.Visibility) == "null" {
		m.visibility = nil
	}
	for _, p := range in.Properties {
		m.properties[p.Key] = p.Value
	}
	return m, nil
}

func (c *call) storeComment(is *issue, m *comment) {
	c.st.addComment(is, m)
	c.effect("comment %s %d", is.key, m.id)
}

func (st *site) addComment(is *issue, m *comment) {
	st.lastComment++
	now := st.now()
	m.id, m.issue, m.created, m.updated = st.lastComment, is, now, now
	is.comments = append(is.comments, m)
	is.updated = now
	st.comments[m.id] = m
	st.touch(m)
}

func addComment(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	if err := c.decode(new(json.RawMessage)); err != nil {
		return reply{}, err
	}
	m, err := c.readComment(c.body)
	if err != nil {
		return reply{}, err
	}
	if len(is.comments) >= maxComments {
		return reply{}, refuse(http.StatusRequestEntityTooLarge, "The issue has reached its limit of comments.")
	}
	c.storeComment(is, m)
	return created(c.viewComment(m, c.expands("properties"))), nil
}

func listComments(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	usual := 100
	if c.face.dc {
		usual = 1048576 // all, as Data Center answers without maxResults
	}
	start, size, err := c.page(usual, max(usual, 5000))
	if err != nil {
		return reply{}, err
	}
	list := slices.Clone(is.comments)
	switch c.query("orderBy") {
	case "", "created", "+created", " created": // a plus sign that was not escaped arrives as a blank
	case "-created":
		slices.Reverse(list)
	default:
		return reply{}, refuse(http.StatusBadRequest, "The orderBy '%s' is not supported.", c.query("orderBy"))
	}
	shown := []any{}
	for _, m := range cutPage(list, start, size) {
		shown = append(shown, c.viewComment(m, c.expands("properties")))
	}
	return ok(object{"startAt": start, "maxResults": size, "total": len(list), "comments": shown}), nil
}

// comment returns the comment of the path.
func (c *call) comment() (*comment, error) {
	id, err := strconv.ParseInt(c.r.PathValue("comment"), 10, 64)
	m := c.st.comments[id]
	key := c.r.PathValue("issue")
	if err != nil || m == nil || key != "" && c.st.issue(key) != m.issue {
		return nil, refuse(http.StatusNotFound, "Can not find a comment for the id: %s.", c.r.PathValue("comment"))
	}
	c.mayChange(m)
	return m, nil
}

func getComment(c *call) (reply, error) {
	m, err := c.comment()
	if err != nil {
		return reply{}, err
	}
	return ok(c.viewComment(m, c.expands("properties"))), nil
}

func updateComment(c *call) (reply, error) {
	m, err := c.comment()
	if err != nil {
		return reply{}, err
	}
	if err := c.decode(new(json.RawMessage)); err != nil {
		return reply{}, err
	}
	in, err := c.readComment(c.body)
	if err != nil {
		return reply{}, err
	}
	m.body, m.updated = in.body, c.st.now()
	for k, v := range in.properties {
		m.properties[k] = v
	}
	c.effect("comment %s %d updated", m.issue.key, m.id)
	return ok(c.viewComment(m, c.expands("properties"))), nil
}

func deleteComment(c *call) (reply, error) {
	m, err := c.comment()
	if err != nil {
		return reply{}, err
	}
	m.issue.comments = slices.DeleteFunc(m.issue.comments, func(o *comment) bool { return o == m })
	delete(c.st.comments, m.id)
	c.effect("comment %s %d deleted", m.issue.key, m.id)
	return noContent(), nil
}

// readIDs reads a body of 1 to 1,000 ids.
func (c *call) readIDs() ([]int64, error) {
	var in struct {
		IDs []int64 `json:"ids"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if len(in.IDs) < 1 || len(in.IDs) > 1000 {
		return nil, refuse(http.StatusBadRequest, "The number of ids must be 1 to 1000.")
	}
	return in.IDs, nil
}

func commentsByID(c *call) (reply, error) {
	ids, err := c.readIDs()
	if err != nil {
		return reply{}, err
	}
	list := []any{}
	for _, id := range ids {
		if m := c.st.comments[id]; m != nil {
			list = append(list, c.viewComment(m, c.expands("properties")))
		}
	}
	return ok(object{"startAt": 0, "maxResults": 1000, "total": len(list), "isLast": true, "values": list}), nil
}
