package jira

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// maxGlobalID is the longest globalId, characters.
const maxGlobalID = 255

func (c *call) viewLink(is *issue, l *remoteLink) object {
	o := object{"id": l.id, "self": c.self("/issue/%s/remotelink/%d", is.key, l.id)}
	if l.globalID != "" {
		o["globalId"] = l.globalID
	}
	for k, v := range l.request {
		o[k] = v
	}
	return o
}

// listLinks answers all links of an issue, or with globalId that one.
func listLinks(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	if g := c.query("globalId"); g != "" {
		if l := is.link(func(l *remoteLink) bool { return l.globalID == g }); l != nil {
			return ok(c.viewLink(is, l)), nil
		}
		return reply{}, refuse(http.StatusNotFound, "A remote issue link with the given globalId does not exist.")
	}
	list := []any{}
	for _, l := range is.links {
		list = append(list, c.viewLink(is, l))
	}
	return ok(list), nil
}

func (is *issue) link(fits func(*remoteLink) bool) *remoteLink {
	if i := slices.IndexFunc(is.links, fits); i >= 0 {
		return is.links[i]
	}
	return nil
}

// readLink reads a link; members left out are not kept from before, since Jira
// sets them to null.
func (c *call) readLink() (*remoteLink, error) {
	var in map[string]json.RawMessage
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	l := &remoteLink{request: map[string]json.RawMessage{}}
	if raw, given := in["globalId"]; given && json.Unmarshal(raw, &l.globalID) != nil {
		return nil, refuseField("globalId", "must be a string")
	}
	if len([]rune(l.globalID)) > maxGlobalID {
		return nil, refuseField("globalId", "must be %d characters or less", maxGlobalID)
	}
	var object struct {
		URL   string `json:"url"`
		Title string `json:"title"`
	}
	if json.Unmarshal(in["object"], &object) != nil || object.Title == "" {
		return nil, refuseField("title", "'title' is required.")
	}
	if u, err := url.Parse(object.URL); err != nil || u.Host == "" {
		return nil, refuseField("url", "'url' must be an absolute address.")
	}
	for _, k := range []string{"application", "relationship", "object"} {
		if v, given := in[k]; given && string(v) != "null" {
			l.request[k] = v
		}
	}
	return l, nil
}

// putLink makes a link, or updates the one of the same globalId.
func putLink(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	in, err := c.readLink()
	if err != nil {
		return reply{}, err
	}
	l := is.link(func(l *remoteLink) bool { return in.globalID != "" && l.globalID == in.globalID })
	status := http.StatusOK
	if l == nil {
		status = http.StatusCreated
		c.st.lastLink++
		l = &remoteLink{id: c.st.lastLink, globalID: in.globalID}
		is.links = append(is.links, l)
		c.effect("remotelink %s %d %s", is.key, l.id, l.globalID)
	} else {
		c.effect("remotelink %s %d %s updated", is.key, l.id, l.globalID)
	}
	l.request = in.request
	body := object{"id": l.id, "self": c.self("/issue/%s/remotelink/%d", is.key, l.id)}
	return reply{status, body}, nil
}

// pathLink returns the link of the path or of the globalId in the query.
func (c *call) pathLink() (*issue, *remoteLink, error) {
	is, err := c.issue()
	if err != nil {
		return nil, nil, err
	}
	id, global := c.r.PathValue("link"), c.query("globalId")
	l := is.link(func(l *remoteLink) bool {
		return id != "" && strconv.FormatInt(l.id, 10) == id || id == "" && global != "" && l.globalID == global
	})
	if l == nil {
		return nil, nil, refuse(http.StatusNotFound, "The remote issue link does not exist.")
	}
	return is, l, nil
}

func getLink(c *call) (reply, error) {
	is, l, err := c.pathLink()
	if err != nil {
		return reply{}, err
	}
	return ok(c.viewLink(is, l)), nil
}

func updateLink(c *call) (reply, error) {
	is, l, err := c.pathLink()
	if err != nil {
		return reply{}, err
	}
	in, err := c.readLink()
	if err != nil {
		return reply{}, err
	}
	l.globalID, l.request = in.globalID, in.request
	c.effect("remotelink %s %d %s updated", is.key, l.id, l.globalID)
	return noContent(), nil
}

func deleteLink(c *call) (reply, error) {
	is, l, err := c.pathLink()
	if err != nil {
		return reply{}, err
	}
	is.links = slices.DeleteFunc(is.links, func(o *remoteLink) bool { return o == l })
	c.effect("remotelink %s %d deleted", is.key, l.id)
	return noContent(), nil
}
