package jira

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// startedForm is the only form of "started" that Jira takes; RFC 3339's "Z" and
// "+00:00" are refused.
var startedForm = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}[+-]\d{4}$`)

// readWorklog reads the body of a new worklog.
func (c *call) readWorklog(raw json.RawMessage) (*worklog, error) {
	if c.st.settings.TimeTrackingOff {
		return nil, refuse(http.StatusBadRequest, "Time tracking is not enabled.")
	}
	var in struct {
		Started    *string          `json:"started"`
		Spent      *string          `json:"timeSpent"`
		Seconds    *int64           `json:"timeSpentSeconds"`
		Comment    json.RawMessage  `json:"comment"`
		Visibility json.RawMessage  `json:"visibility"`
		Properties *json.RawMessage `json:"properties"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, refuse(http.StatusBadRequest, "INVALID_INPUT: %v", err)
	}
	w := &worklog{author: c.user, properties: properties{}, visibility: in.Visibility, started: c.st.now()}
	if in.Started != nil {
		t, err := time.Parse(jiraTime, *in.Started)
		if err != nil || !startedForm.MatchString(*in.Started) {
			return nil, refuseField("started", "The date time '%s' must have the form yyyy-MM-dd'T'HH:mm:ss.SSSZ.", *in.Started)
		}
		w.started = t
	}
	switch {
	case (in.Spent == nil) == (in.Seconds == nil):
		return nil, refuseField("timeLogged", "Give exactly one of timeSpent and timeSpentSeconds.")
	case in.Seconds != nil:
		w.seconds = *in.Seconds
	default:
		n, good := parseSpent(*in.Spent)
		if !good {
			return nil, refuseField("timeLogged", "Invalid time duration entered.")
		}
		w.seconds = n
	}
	if w.seconds < 60 {
		return nil, refuseField("timeLogged", "Worklog must not be null and at least one minute long.")
	}
	if in.Comment != nil && string(in.Comment) != "null" {
		t, err := c.readText("comment", in.Comment)
		if err != nil {
			return nil, err
		}
		w.comment = &t
	}
	if in.Properties == nil {
		return w, nil
	}
	if c.face.dc {
		// Data Center's worklogs have no properties; its JSON reader refuses
		// members it does not know.
		return nil, refuse(http.StatusBadRequest, `Unrecognized field "properties"`)
	}
	var list []property
	if json.Unmarshal(*in.Properties, &list) != nil {
		return nil, refuse(http.StatusBadRequest, "INVALID_INPUT: properties")
	}
	for _, p := range list {
		w.properties[p.Key] = p.Value
	}
	return w, checkProperties(list)
}

func (c *call) storeWorklog(is *issue, w *worklog) {
	c.st.addWorklog(is, w)
	c.effect("worklog %s %d %ds", is.key, w.id, w.seconds)
}

func (st *site) addWorklog(is *issue, w *worklog) {
	st.lastWorklog++
	now := st.now()
	w.id, w.issue, w.created, w.updated = st.lastWorklog, is, now, now
	is.worklogs = append(is.worklogs, w)
	is.updated = now
	st.worklogs[w.id] = w
	st.touch(w)
}

func addWorklog(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	if err := c.decode(new(json.RawMessage)); err != nil {
		return reply{}, err
	}
	if err := c.checkAdjust("reduceBy"); err != nil {
		return reply{}, err
	}
	w, err := c.readWorklog(c.body)
	if err != nil {
		return reply{}, err
	}
	if len(is.worklogs) >= maxWorklogs {
		return reply{}, refuse(http.StatusRequestEntityTooLarge, "The issue has reached its limit of worklogs.")
	}
	c.storeWorklog(is, w)
	return created(c.viewWorklog(w, c.expands("properties"))), nil
}

// checkAdjust checks the parameters that say what happens to the estimate.
func (c *call) checkAdjust(manual string) error {
	need := ""
	switch c.query("adjustEstimate") {
	case "", "auto", "leave":
		return nil
	case "new":
		need = "newEstimate"
	case "manual":
		need = manual
	default:
		return refuseField("adjustEstimate", "The value must be new, leave, manual or auto.")
	}
	if _, good := parseSpent(c.query(need)); !good {
		return refuseField(need, "A duration is required.")
	}
	return nil
}

func listWorklogs(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	start, size, err := c.page(5000, 5000)
	if err != nil {
		return reply{}, err
	}
	list := slices.Clone(is.worklogs)
	if c.face.dc {
		start, size = 0, len(list)
	} else {
		for _, limit := range []string{"startedAfter", "startedBefore"} {
			if list, err = c.startedWithin(list, limit); err != nil {
				return reply{}, err
			}
		}
	}
	shown := []any{}
	for _, w := range cutPage(list, start, size) {
		shown = append(shown, c.viewWorklog(w, c.worklogProperties()))
	}
	return ok(object{"startAt": start, "maxResults": size, "total": len(list), "worklogs": shown}), nil
}

// worklogProperties reports whether worklogs are to be shown with properties.
func (c *call) worklogProperties() bool { return c.expands("properties") && !c.face.dc }

// startedWithin leaves out the worklogs beyond a limit in epoch milliseconds;
// the limit itself is out too.
func (c *call) startedWithin(list []*worklog, name string) ([]*worklog, error) {
	v := c.query(name)
	if v == "" {
		return list, nil
	}
	limit, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%s: %q is not a number of milliseconds", name, v)
	}
	return slices.DeleteFunc(list, func(w *worklog) bool {
		ms := w.started.UnixMilli()
		return name == "startedAfter" && ms <= limit || name == "startedBefore" && ms >= limit
	}), nil
}

// worklog returns the worklog of the path.
func (c *call) worklog() (*worklog, error) {
	id, err := strconv.ParseInt(c.r.PathValue("worklog"), 10, 64)
	w := c.st.worklogs[id]
	if err != nil || w == nil || c.st.issue(c.r.PathValue("issue")) != w.issue {
		return nil, refuse(http.StatusNotFound, "Cannot find worklog with id: '%s'.", c.r.PathValue("worklog"))
	}
	c.mayChange(w)
	return w, nil
}

func getWorklog(c *call) (reply, error) {
	w, err := c.worklog()
	if err != nil {
		return reply{}, err
	}
	return ok(c.viewWorklog(w, c.worklogProperties())), nil
}

// updateWorklog replaces what the body gives.
func updateWorklog(c *call) (reply, error) {
	w, err := c.worklog()
	if err != nil {
		return reply{}, err
	}
	merged := map[string]json.RawMessage{}
	if err := c.decode(&merged); err != nil {
		return reply{}, err
	}
	if merged["timeSpent"] == nil && merged["timeSpentSeconds"] == nil {
		merged["timeSpentSeconds"] = json.RawMessage(strconv.FormatInt(w.seconds, 10))
	}
	if merged["started"] == nil {
		merged["started"] = json.RawMessage(strconv.Quote(stamp(w.started)))
	}
	raw, err := json.Marshal(merged)
	if err != nil {
		return reply{}, err
	}
	in, err := c.readWorklog(raw)
	if err != nil {
		return reply{}, err
	}
	w.seconds, w.started, w.updated = in.seconds, in.started, c.st.now()
	if in.comment != nil {
		w.comment = in.comment
	}
	for k, v := range in.properties {
		w.properties[k] = v
	}
	c.effect("worklog %s %d updated", w.issue.key, w.id)
	return ok(c.viewWorklog(w, c.worklogProperties())), nil
}

func deleteWorklog(c *call) (reply, error) {
	w, err := c.worklog()
	if err != nil {
		return reply{}, err
	}
	if err := c.checkAdjust("increaseBy"); err != nil {
		return reply{}, err
	}
	w.issue.worklogs = slices.DeleteFunc(w.issue.worklogs, func(o *worklog) bool { return o == w })
	delete(c.st.worklogs, w.id)
	c.effect("worklog %s %d deleted", w.issue.key, w.id)
	return noContent(), nil
}

func worklogsByID(c *call) (reply, error) {
	ids, err := c.readIDs()
	if err != nil {
		return reply{}, err
	}
	list := []any{}
	for _, id := range ids {
		if w := c.st.worklogs[id]; w != nil {
			list = append(list, c.viewWorklog(w, c.worklogProperties()))
		}
	}
	return ok(list), nil
}

// worklogsUpdated lists the worklogs changed since a time in epoch
// milliseconds, at most 1,000.
func worklogsUpdated(c *call) (reply, error) {
	since, err := c.number("since", 0)
	if err != nil {
		return reply{}, err
	}
	var found []*worklog
	for _, w := range c.st.worklogs {
		if w.updated.UnixMilli() > int64(since) {
			found = append(found, w)
		}
	}
	slices.SortFunc(found, func(a, b *worklog) int { return a.updated.Compare(b.updated) })
	last := len(found) <= 1000
	list, until := []any{}, int64(since)
	for _, w := range cutPage(found, 0, 1000) {
		until = w.updated.UnixMilli()
		list = append(list, object{"worklogId": w.id, "updatedTime": until})
	}
	return ok(object{
		"values": list, "since": since, "until": until, "lastPage": last,
		"self": c.self("/worklog/updated?since=%d", since),
	}), nil
}
