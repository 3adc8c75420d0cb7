package jira

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kinds of development entities, as paths name them.
const (
	kindCommit      = "commit"
	kindBranch      = "branch"
	kindPullRequest = "pull_request"
)

// A devRepository is what a development tool stored about one repository.
type devRepository struct {
	id       string
	sequence int64
	raw      map[string]json.RawMessage // the submitted members without the entities
	entities map[entityKey]*devEntity
}

type entityKey struct{ kind, id string }

type devEntity struct {
	entityKey
	repository string
	sequence   int64
	keys       []string // of issues that exist
	raw        json.RawMessage
	properties map[string]string
	stored     time.Time
	visible    time.Time // from then on it is shown
}

// refuseDevinfo is an error of the development information API.
func refuseDevinfo(status int, messages ...string) error {
	return &refusal{status: status, body: object{"errorMessages": devinfoMessages(messages...)}}
}

func devinfoMessages(messages ...string) []any {
	list := []any{}
	for _, m := range messages {
		list = append(list, object{"message": m, "errorTraceId": randomText(8)})
	}
	return list
}

// devinfoHandler checks the token and the site before a route is answered.
func (s *Server) devinfoHandler(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, face{}, func(c *call) (reply, error) {
			switch {
			case !s.isTool(r):
				return reply{}, &refusal{status: http.StatusUnauthorized, text: "Unauthorized"}
			case r.PathValue("cloud") != c.st.cloudID:
				return reply{}, &refusal{status: http.StatusNotFound, text: "Not Found"}
			}
			return rt.handle(c)
		})
	}
}

// storeDevinfo answers POST /bulk. A request that breaks a limit is refused as
// a whole; otherwise each entity is accepted or fails by itself, and the answer
// lists the keys that name no issue. An entity all of whose keys are unknown is
// listed as accepted and not kept.
func storeDevinfo(c *call) (reply, error) {
	dec := json.NewDecoder(bytes.NewReader(c.body))
	dec.DisallowUnknownFields()
	var in devBody
	if err := dec.Decode(&in); err != nil {
		return reply{}, refuseDevinfo(http.StatusBadRequest, err.Error())
	}
	if faults := in.check(); len(faults) > 0 {
		return reply{}, refuseDevinfo(http.StatusBadRequest, faults...)
	}
	sub := &submission{c: c, in: in, accepted: object{}, failed: object{}}
	for _, r := range in.Repositories {
		sub.store(r)
	}
	if len(sub.effects) > 0 {
		c.effect("%s", strings.Join(sub.effects, "; "))
	}
	o := object{"acceptedDevinfoEntities": sub.accepted}
	if len(sub.failed) > 0 {
		o["failedDevinfoEntities"] = sub.failed
	}
	if len(sub.unknown) > 0 {
		o["unknownIssueKeys"] = sub.unknown
		o["unknownAssociations"] = []any{object{"associationType": "issueKeys", "values": sub.unknown}}
	}
	return reply{http.StatusAccepted, o}, nil
}

// A submission is one bulk request while it is stored.
type submission struct {
	c                *call
	in               devBody
	accepted, failed object
	unknown          []string
	effects          []string
}

func (sub *submission) store(in devRepositoryBody) {
	st := sub.c.st
	r := st.repositories[*in.ID]
	if r == nil {
		r = &devRepository{id: *in.ID, sequence: -1, entities: map[entityKey]*devEntity{}}
		st.repositories[r.id] = r
	}
	if *in.Sequence > r.sequence {
		r.sequence, r.raw = *in.Sequence, in.own()
		st.touch(r)
	}
	accepted := map[string][]string{"commits": {}, "branches": {}, "pullRequests": {}}
	failed := map[string][]any{"commits": {}, "branches": {}, "pullRequests": {}}
	bad := false
	put := func(list, kind string, raw json.RawMessage, e devEntityBody) {
		if why := sub.refused(e); why != "" {
			bad = true
			failed[list] = append(failed[list], object{"id": *e.ID, "errorMessages": devinfoMessages(why)})
			return
		}
		accepted[list] = append(accepted[list], *e.ID)
		sub.put(r, kind, raw, e)
	}
	for i, e := range in.commits {
		put("commits", kindCommit, in.Commits[i], e)
	}
	for i, e := range in.branches {
		put("branches", kindBranch, in.Branches[i], e)
		if e.LastCommit != nil && sub.refused(*e.LastCommit) == "" {
			sub.put(r, kindCommit, e.rawLastCommit(), *e.LastCommit)
		}
	}
	for i, e := range in.pullRequests {
		put("pullRequests", kindPullRequest, in.PullRequests[i], e)
	}
	sub.accepted[r.id] = accepted
	if bad {
		sub.failed[r.id] = failed
	}
}

// refused returns why an entity fails by itself, or "".
func (sub *submission) refused(e devEntityBody) string {
	if why, fail := sub.c.st.settings.FailEntities[*e.ID]; fail {
		return why
	}
	for _, k := range e.keys() {
		if !cloudKey.MatchString(k) {
			return "issueKeys: '" + k + "' is not an issue key"
		}
	}
	return ""
}

// put stores one entity if its number is greater than the stored one, and lets
// the native processor run a commit that was not stored before.
func (sub *submission) put(r *devRepository, kind string, raw json.RawMessage, in devEntityBody) {
	st := sub.c.st
	var known []string
	for _, k := range in.keys() {
		if is := st.byKey[k]; is != nil && is.key == k {
			known = append(known, k)
		} else if !slices.Contains(sub.unknown, k) {
			sub.unknown = append(sub.unknown, k)
		}
	}
	key := entityKey{kind, *in.ID}
	old := r.entities[key]
	if old != nil && old.sequence >= *in.Sequence {
		return
	}
	now := st.now()
	e := &devEntity{
		entityKey: key, repository: r.id, sequence: *in.Sequence, keys: known, raw: raw, properties: sub.in.Properties,
		stored: now, visible: now.Add(time.Duration(st.settings.DevinfoDelayMS) * time.Millisecond),
	}
	if old != nil {
		e.visible = old.visible
	}
	name := "devinfo " + kind + " " + r.id + " " + *in.ID
	if len(known) > 0 {
		r.entities[key] = e
		st.touch(e)
		sub.effects = append(sub.effects, name+" "+strconv.FormatInt(e.sequence, 10))
	} else if old != nil {
		delete(r.entities, key)
		st.touch(old)
		sub.effects = append(sub.effects, name+" lost its last key")
	}
	if kind == kindCommit && old == nil && !sub.in.PreventTransitions && !st.settings.NativeOff {
		sub.effects = append(sub.effects, st.runNative(in)...)
	}
}
