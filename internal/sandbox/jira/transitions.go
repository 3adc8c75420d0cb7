package jira

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

// viewTransitions shows the transitions open now; unavailable adds the others,
// which Cloud does when asked.
func (c *call) viewTransitions(is *issue, fields, unavailable bool) []any {
	list := []any{}
	for _, t := range transitions {
		open := t.open(is.status)
		if !open && !unavailable {
			continue
		}
		o := object{"id": t.id, "name": t.name, "to": c.viewStatus(t.to)}
		if !c.face.dc {
			o["hasScreen"], o["isGlobal"], o["isInitial"], o["isConditional"] = t.screen, false, false, false
			o["isAvailable"], o["isLooped"] = open, false
		}
		if fields {
			o["fields"] = c.viewScreen(t)
		}
		list = append(list, o)
	}
	return list
}

// viewScreen shows the fields on a transition's screen.
func (c *call) viewScreen(t *transition) object {
	if !t.screen {
		return object{}
	}
	allowed := []any{}
	for _, name := range resolutions {
		allowed = append(allowed, c.viewResolution(name))
	}
	o := object{
		"required": true, "schema": object{"type": "resolution", "system": "resolution"}, "name": "Resolution",
		"hasDefaultValue": false, "operations": []string{"set"}, "allowedValues": allowed,
	}
	if c.face.dc {
		o["fieldId"] = "resolution"
	} else {
		o["key"] = "resolution"
	}
	return object{"resolution": o}
}

func listTransitions(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	list := c.viewTransitions(is, c.expands("transitions.fields"), c.query("includeUnavailableTransitions") == "true" && !c.face.dc)
	if id := c.query("transitionId"); id != "" {
		list = slices.DeleteFunc(list, func(t any) bool { return t.(object)["id"] != id })
	}
	return ok(object{"expand": "transitions", "transitions": list}), nil
}

// doTransition takes a transition that is open now. Properties of the request
// are set together with it, or not at all.
func doTransition(c *call) (reply, error) {
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
	if in.Transition.ID == "" {
		return reply{}, refuse(http.StatusBadRequest, "Missing 'transition' identifier")
	}
	at := slices.IndexFunc(transitions, func(t *transition) bool { return t.id == in.Transition.ID && t.open(is.status) })
	if at < 0 {
		return reply{}, refuse(http.StatusBadRequest, "It seems that you have tried to perform an illegal workflow operation.")
	}
	t := transitions[at]
	resolution, comments, err := c.readScreen(t, in)
	if err != nil {
		return reply{}, err
	}
	from := is.status.name
	c.st.take(is, t, resolution, c.user, in.Metadata)
	c.effect("transition %s %s -> %s", is.key, from, is.status.name)
	for _, m := range comments {
		c.storeComment(is, m)
	}
	c.setIssueProperties(is, in.Properties)
	return noContent(), nil
}

// readScreen checks the fields of a transition against its screen.
func (c *call) readScreen(t *transition, in issueUpdate) (resolution string, comments []*comment, err error) {
	refused := map[string]string{}
	for field := range in.Fields {
		if !t.screen || field != "resolution" {
			refused[field] = "Field '" + field + "' cannot be set. It is not on the appropriate screen, or unknown."
		}
	}
	for field, ops := range in.Update {
		if !t.screen || field != "comment" {
			refused[field] = "Field '" + field + "' cannot be set. It is not on the appropriate screen, or unknown."
			continue
		}
		for _, op := range ops {
			m, err := c.readComment(op["add"])
			if err != nil {
				return "", nil, err
			}
			comments = append(comments, m)
		}
	}
	if t.screen && refused["resolution"] == "" {
		if resolution = readResolution(in.Fields["resolution"]); resolution == "" {
			refused["resolution"] = "Resolution is required."
		}
	}
	if len(refused) > 0 {
		return "", nil, refuseFields(refused)
	}
	return resolution, comments, nil
}

// readResolution returns the name of a resolution given by name or id, or "".
func readResolution(raw json.RawMessage) string {
	var in struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	if json.Unmarshal(raw, &in) != nil {
		return ""
	}
	for i, name := range resolutions {
		if name == in.Name || strconv.Itoa(i+1) == in.ID {
			return name
		}
	}
	return ""
}
