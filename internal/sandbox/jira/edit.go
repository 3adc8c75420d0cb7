package jira

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// An issueUpdate is the body of an edit and of a transition.
type issueUpdate struct {
	Transition struct {
		ID string `json:"id"`
	} `json:"transition"`
	Fields     map[string]json.RawMessage              `json:"fields"`
	Update     map[string][]map[string]json.RawMessage `json:"update"`
	Properties []property                              `json:"properties"`
	Metadata   json.RawMessage                         `json:"historyMetadata"`
}

type property struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

// An edit is a set of changes that were checked and can be carried out.
type edit struct {
	c        *call
	is       *issue
	metadata json.RawMessage
	faults   map[string]string
	do       []func()
}

func (e *edit) fail(field, format string, args ...any) {
	e.faults[field] = fmt.Sprintf(format, args...)
}

func editIssue(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	var in issueUpdate
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if err := checkProperties(in.Properties); err != nil {
		return reply{}, err
	}
	e := &edit{c: c, is: is, metadata: in.Metadata, faults: map[string]string{}}
	for field, ops := range in.Update {
		if _, twice := in.Fields[field]; twice {
			return reply{}, refuse(http.StatusBadRequest, "Field '%s' cannot appear in both 'fields' and 'update'", field)
		}
		for _, op := range ops {
			for name, value := range op {
				e.plan(field, name, value)
			}
		}
	}
	for field, value := range in.Fields {
		e.plan(field, "set", value)
	}
	if len(e.faults) > 0 {
		return reply{}, refuseFields(e.faults)
	}
	for _, f := range e.do {
		f()
	}
	c.setIssueProperties(is, in.Properties)
	if c.query("returnIssue") == "true" && !c.face.dc {
		return ok(c.viewIssue(is, []string{"*all"})), nil
	}
	return noContent(), nil
}

// plan checks one operation on one field and adds what carries it out.
func (e *edit) plan(field, op string, value json.RawMessage) {
	switch {
	case field == "labels":
		e.planList(field, op, value, &e.is.labels, e.label)
	case field == "fixVersions":
		e.planList(field, op, value, &e.is.fix, e.version)
	case field == "versions":
		e.planList(field, op, value, &e.is.affects, e.version)
	case field == "summary" && op == "set":
		e.planSummary(value)
	case field == "assignee" && op == "set":
		e.planAssignee(value)
	case field == "comment" && op == "add":
		e.planComment(value)
	case field == "worklog" && op == "add":
		e.planWorklog(value)
	default:
		e.fail(field, "Field '%s' cannot be set. It is not on the appropriate screen, or unknown.", field)
	}
}

// label reads a label.
func (e *edit) label(_ string, raw json.RawMessage) (string, bool) {
	var s string
	switch {
	case json.Unmarshal(raw, &s) != nil || s == "":
		e.fail("labels", "data was not a string")
	case strings.ContainsAny(s, " \t\n\r\u00a0"):
		e.fail("labels", "The label '%s' contains spaces which is invalid.", s)
	case len([]rune(s)) > 255:
		e.fail("labels", "The label '%s' exceeds the maximum length of 255 characters.", s)
	default:
		return s, true
	}
	return "", false
}

// version reads a version of the issue's project by name or id.
func (e *edit) version(field string, raw json.RawMessage) (string, bool) {
	var in struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	if json.Unmarshal(raw, &in) != nil || in.ID+in.Name == "" {
		e.fail(field, "expected Object with a name or an id")
		return "", false
	}
	for _, v := range e.is.project.versions {
		if !v.archived && (v.name == in.Name || fmt.Sprint(v.id) == in.ID) {
			return v.name, true
		}
	}
	e.fail(field, "Version name '%s' is not valid", in.Name+in.ID)
	return "", false
}

func (e *edit) planList(field, op string, value json.RawMessage, list *[]string, read func(string, json.RawMessage) (string, bool)) {
	switch op {
	case "add", "remove":
		item, good := read(field, value)
		if !good {
			return
		}
		e.do = append(e.do, func() {
			before := strings.Join(*list, " ")
			at := slices.Index(*list, item)
			if (op == "add") == (at >= 0) {
				return // already so
			}
			if op == "add" {
				*list = append(*list, item)
			} else {
				*list = slices.Delete(*list, at, at+1)
			}
			e.changed(field, before, strings.Join(*list, " "), op+" "+item)
		})
	case "set":
		var raws []json.RawMessage
		if json.Unmarshal(value, &raws) != nil {
			e.fail(field, "data was not an array")
			return
		}
		items := []string{}
		for _, raw := range raws {
			item, good := read(field, raw)
			if !good {
				return
			}
			if !slices.Contains(items, item) {
				items = append(items, item)
			}
		}
		e.do = append(e.do, func() {
			if before := *list; !slices.Equal(before, items) {
				*list = items
				e.changed(field, strings.Join(before, " "), strings.Join(items, " "), "set "+strings.Join(items, " "))
			}
		})
	default:
		e.fail(field, "The operation '%s' is not supported.", op)
	}
}

func (e *edit) changed(field, from, to, effect string) {
	e.c.st.record(e.is, e.c.user, e.metadata, edited(field, from, to))
	e.c.effect("%s %s %s", field, e.is.key, effect)
}

func (e *edit) planSummary(value json.RawMessage) {
	var s string
	if json.Unmarshal(value, &s) != nil || strings.TrimSpace(s) == "" || strings.ContainsAny(s, "\r\n") || len([]rune(s)) > 255 {
		e.fail("summary", "The summary is invalid because it is empty, contains newline characters or exceeds 255 characters.")
		return
	}
	e.do = append(e.do, func() {
		if before := e.is.summary; before != s {
			e.is.summary = s
			e.changed("summary", before, s, "set")
		}
	})
}

func (e *edit) planAssignee(value json.RawMessage) {
	in := map[string]json.RawMessage{}
	if string(value) == "null" {
		in = map[string]json.RawMessage{"accountId": value, "name": value}
	} else if json.Unmarshal(value, &in) != nil {
		e.fail("assignee", "data was not an object")
		return
	}
	u, err := e.c.assignee(in)
	if err != nil {
		e.fail("assignee", "The user cannot be assigned issues.")
		return
	}
	e.do = append(e.do, func() { e.c.setAssignee(e.is, u, e.metadata) })
}

func (e *edit) planComment(value json.RawMessage) {
	m, err := e.c.readComment(value)
	if err != nil {
		e.fail("comment", "Comment body is not valid!")
		return
	}
	e.do = append(e.do, func() { e.c.storeComment(e.is, m) })
}

func (e *edit) planWorklog(value json.RawMessage) {
	w, err := e.c.readWorklog(value)
	if err != nil {
		e.fail("worklog", "The worklog is not valid.")
		return
	}
	e.do = append(e.do, func() { e.c.storeWorklog(e.is, w) })
}

// editMeta answers what editIssue takes.
func editMeta(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	field := func(key, name, kind, items string, operations ...string) object {
		schema := object{"type": kind, "system": key}
		if items != "" {
			schema["items"] = items
		}
		o := object{"required": key == "summary", "schema": schema, "name": name, "operations": operations}
		if c.face.dc {
			o["fieldId"] = key
		} else {
			o["key"] = key
		}
		return o
	}
	fix := field("fixVersions", "Fix versions", "array", "version", "set", "add", "remove")
	affects := field("versions", "Affects versions", "array", "version", "set", "add", "remove")
	allowed := []any{}
	for _, v := range is.project.versions {
		if !v.archived {
			allowed = append(allowed, c.viewVersion(is.project, v))
		}
	}
	fix["allowedValues"], affects["allowedValues"] = allowed, allowed
	return ok(object{"fields": object{
		"summary": field("summary", "Summary", "string", "", "set"), "labels": field("labels", "Labels", "array", "string", "set", "add", "remove"),
		"assignee": field("assignee", "Assignee", "user", "", "set"), "fixVersions": fix, "versions": affects,
		"comment": field("comment", "Comment", "comments-page", "", "add"), "worklog": field("worklog", "Log Work", "array", "worklog", "add"),
	}}), nil
}
