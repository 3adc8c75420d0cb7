package codecommit

import (
	"encoding/json"
	"regexp"
	"slices"

	"gitferry/internal/sandbox/faults"
)

// A trigger says which movements of a repository's refs are told to a topic.
type trigger struct {
	Name           string   `json:"name"`
	DestinationArn string   `json:"destinationArn"`
	CustomData     string   `json:"customData"`
	Branches       []string `json:"branches"` // short names; empty: all refs
	Events         []string `json:"events"`   // "all", or updateReference, createReference, deleteReference
}

// wants reports whether the trigger is for a change.
func (t trigger) wants(c refChange) bool {
	if len(t.Branches) > 0 && !slices.ContainsFunc(t.Branches, func(b string) bool { return "refs/heads/"+b == c.name }) {
		return false
	}
	kind := "updateReference"
	switch {
	case c.old == "":
		kind = "createReference"
	case c.new == "":
		kind = "deleteReference"
	}
	return slices.Contains(t.Events, "all") || slices.Contains(t.Events, kind)
}

func getRepositoryTriggers(c *call) (any, error) {
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return obj{"configurationId": r.triggersID, "triggers": append([]trigger{}, r.triggers...)}, nil
}

func putRepositoryTriggers(c *call) (any, error) {
	r, list, err := c.triggers()
	if err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	r.triggers, r.triggersID = list, newUUID()
	faults.Effect(c, "%d triggers of %s", len(list), r.name)
	return obj{"configurationId": r.triggersID}, nil
}

// testRepositoryTriggers sends a test message over each given trigger and
// stores nothing.
func testRepositoryTriggers(c *call) (any, error) {
	r, list, err := c.triggers()
	if err != nil {
		return nil, err
	}
	ok, failed := []string{}, []obj{}
	for _, t := range list {
		changes := []refChange{{name: "refs/heads/" + c.defaultBranch(r), new: zeroID}}
		if id := c.s.resolve(c, r, changes[0].name); id != "" {
			changes[0].new = id
		}
		changes[0].old = zeroID // neither created nor deleted
		payload := c.s.triggerPayload(r, c.caller, t, changes, "TriggerEventTest")
		if c.s.publish(t.DestinationArn, c.s.triggerSubject(r), payload) == "" {
			failed = append(failed, obj{"trigger": t.Name, "failureMessage": "The destination " + t.DestinationArn + " does not exist."})
			continue
		}
		ok = append(ok, t.Name)
	}
	return obj{"successfulExecutions": ok, "failedExecutions": failed}, nil
}

func (c *call) defaultBranch(r *repository) string {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if r.defaultBranch == "" {
		return "main"
	}
	return r.defaultBranch
}

var (
	triggerName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
	triggerARN  = regexp.MustCompile(`^arn:aws[a-z-]*:(?:sns:([a-z0-9-]+):\d{12}:[A-Za-z0-9_-]{1,256}|lambda:([a-z0-9-]+):\d{12}:function:[A-Za-z0-9_:-]+)$`)
)

// triggers reads the list of triggers in a call and checks what the model does
// not say (user guide, "Triggers" and quotas).
func (c *call) triggers() (*repository, []trigger, error) {
	r, err := c.repository()
	if err != nil {
		return nil, nil, err
	}
	given := objs(c.in, "triggers")
	if len(given) > 10 {
		return nil, nil, fail("MaximumRepositoryTriggersExceededException", "At most 10 triggers are allowed for a repository")
	}
	var list []trigger
	for _, in := range given {
		t := trigger{str(in, "name"), str(in, "destinationArn"), str(in, "customData"), append([]string{}, strs(in, "branches")...), strs(in, "events")}
		if in["branches"] == nil {
			return nil, nil, fail("RepositoryTriggerBranchNameListRequiredException", "A list of branches is required, which may be empty")
		}
		if slices.ContainsFunc(list, func(o trigger) bool { return o.Name == t.Name }) {
			return nil, nil, fail("InvalidRepositoryTriggerNameException", "The trigger name %q is used twice", t.Name)
		}
		if err := t.check(c.region); err != nil {
			return nil, nil, err
		}
		list = append(list, t)
	}
	return r, list, nil
}

func (t trigger) check(region string) error {
	arn := triggerARN.FindStringSubmatch(t.DestinationArn)
	switch {
	case !triggerName.MatchString(t.Name):
		return fail("InvalidRepositoryTriggerNameException", "The trigger name %q is not valid", t.Name)
	case arn == nil:
		return fail("InvalidRepositoryTriggerDestinationArnException", "The ARN %q is not valid for a trigger", t.DestinationArn)
	case arn[1]+arn[2] != region:
		return fail("InvalidRepositoryTriggerRegionException", "The destination is not in the region of the repository")
	case len(t.CustomData) > 1000:
		return fail("InvalidRepositoryTriggerCustomDataException", "The custom data is longer than 1000 characters")
	case len(t.Branches) > 10:
		return fail("MaximumBranchesExceededException", "At most 10 branches are allowed for a trigger")
	case len(t.Events) == 0:
		return fail("RepositoryTriggerEventsListRequiredException", "At least one event is required")
	case len(t.Events) > 1 && slices.Contains(t.Events, "all"):
		return fail("InvalidRepositoryTriggerEventsException", "The event all excludes other events")
	}
	for _, b := range t.Branches {
		if checkBranchName(b) != nil {
			return fail("InvalidRepositoryTriggerBranchNameException", "The branch name %q is not valid", b)
		}
	}
	return nil
}

// fireTriggers tells the topics of r's triggers what moved, all refs of one
// push in one message.
func (s *Server) fireTriggers(r *repository, caller *identity, changes []refChange) {
	s.mu.Lock()
	list := slices.Clone(r.triggers)
	s.mu.Unlock()
	for _, t := range list {
		var wanted []refChange
		for _, c := range changes {
			if t.wants(c) {
				wanted = append(wanted, c)
			}
		}
		if len(wanted) > 0 {
			s.publish(t.DestinationArn, s.triggerSubject(r), s.triggerPayload(r, caller, t, wanted, "ReferenceChanges"))
		}
	}
}

// triggerSubject is the subject of trigger messages, as seen in real ones.
func (s *Server) triggerSubject(r *repository) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "UPDATE: AWS CodeCommit " + r.region.name + " push: " + r.name
}

// triggerPayload is the message of a trigger (user guide, "Example: Create a
// trigger", with the event name that real messages have).
func (s *Server) triggerPayload(r *repository, caller *identity, t trigger, changes []refChange, event string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	references := []obj{}
	for _, c := range changes {
		o := obj{"commit": orZero(c.new), "ref": c.name}
		switch {
		case c.old == "":
			o["created"] = true
		case c.new == "":
			o["deleted"], o["commit"] = true, orZero(c.old)
		}
		references = append(references, o)
	}
	var custom any
	if t.CustomData != "" {
		custom = t.CustomData
	}
	record := obj{
		"eventId":              newUUID(),
		"eventVersion":         "1.0",
		"eventTime":            s.cfg.Now().UTC().Format("2006-01-02T15:04:05.000-0700"),
		"eventTriggerName":     t.Name,
		"eventTriggerConfigId": r.triggersID,
		"eventPartNumber":      1,
		"eventTotalParts":      1,
		"eventName":            event,
		"eventSource":          "aws:codecommit",
		"eventSourceARN":       s.arn("codecommit", r.region.name, r.name),
		"awsRegion":            r.region.name,
		"userIdentityARN":      caller.ARN,
		"customData":           custom,
		"codecommit":           obj{"references": references},
	}
	return encode(obj{"Records": []obj{record}})
}

// encode writes a value made of strings, numbers, lists and objects as JSON.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // such values always encode
	}
	return string(b)
}
