package jira

import (
	"encoding/json"
	"net/http"
	"net/url"
)

// Limits of entity properties (Jira Cloud platform description).
const (
	maxPropertyKey   = 255
	maxPropertyValue = 32768
)

// checkProperties checks the properties of a body.
func checkProperties(list []property) error {
	for _, p := range list {
		switch {
		case p.Key == "" || len(p.Key) > maxPropertyKey:
			return refuse(http.StatusBadRequest, "The property key must have 1 to %d characters.", maxPropertyKey)
		case len(p.Value) == 0 || len(p.Value) > maxPropertyValue:
			return refuse(http.StatusBadRequest, "The property value must have 1 to %d characters.", maxPropertyValue)
		}
	}
	return nil
}

func (c *call) setIssueProperties(is *issue, list []property) {
	for _, p := range list {
		is.properties[p.Key] = p.Value
		c.effect("property %s %s", is.key, p.Key)
	}
}

// An owner finds the thing whose properties a path names, says where it lies
// below the REST API and names it for the ledger.
type owner func(c *call) (p properties, path, name string, err error)

func issueProperties(c *call) (properties, string, string, error) {
	is, err := c.issue()
	if err != nil {
		return nil, "", "", err
	}
	return is.properties, "/issue/" + is.key, is.key, nil
}

func commentProperties(c *call) (properties, string, string, error) {
	m, err := c.comment()
	if err != nil {
		return nil, "", "", err
	}
	return m.properties, "/comment/" + c.r.PathValue("comment"), m.issue.key + " comment " + c.r.PathValue("comment"), nil
}

func worklogProperties(c *call) (properties, string, string, error) {
	w, err := c.worklog()
	if err != nil {
		return nil, "", "", err
	}
	id := c.r.PathValue("worklog")
	return w.properties, "/issue/" + w.issue.key + "/worklog/" + id, w.issue.key + " worklog " + id, nil
}

// onProperties binds an operation on properties to their owner.
func onProperties(own owner, do func(c *call, p properties, path, name string) (reply, error)) handler {
	return func(c *call) (reply, error) {
		p, path, name, err := own(c)
		if err != nil {
			return reply{}, err
		}
		return do(c, p, path, name)
	}
}

func listProperties(c *call, p properties, path, _ string) (reply, error) {
	list := []any{}
	for _, k := range p.keys() {
		list = append(list, object{"key": k, "self": c.self("%s/properties/%s", path, url.PathEscape(k))})
	}
	return ok(object{"keys": list}), nil
}

func noProperty(key string) error {
	return refuse(http.StatusNotFound, "The property with key '%s' does not exist.", key)
}

func getProperty(c *call, p properties, _, _ string) (reply, error) {
	key := c.r.PathValue("property")
	v, there := p[key]
	if !there {
		return reply{}, noProperty(key)
	}
	return ok(object{"key": key, "value": v}), nil
}

func setProperty(c *call, p properties, _, name string) (reply, error) {
	key := c.r.PathValue("property")
	var v json.RawMessage
	if err := c.decode(&v); err != nil {
		return reply{}, err
	}
	if err := checkProperties([]property{{key, v}}); err != nil {
		return reply{}, err
	}
	_, there := p[key]
	p[key] = v
	c.effect("property %s %s", name, key)
	if there {
		return reply{status: http.StatusOK}, nil
	}
	return reply{status: http.StatusCreated}, nil
}

func deleteProperty(c *call, p properties, _, name string) (reply, error) {
	key := c.r.PathValue("property")
	if _, there := p[key]; !there {
		return reply{}, noProperty(key)
	}
	delete(p, key)
	c.effect("property %s %s deleted", name, key)
	return noContent(), nil
}
