package jira

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// object is a JSON object of an answer.
type object = map[string]any

func (c *call) viewUser(u *user) any {
	if u == nil {
		return nil
	}
	if c.face.dc {
		return object{
			"self": c.self("/user?username=%s", u.Name), "name": u.Name, "key": u.key,
			"emailAddress": u.Email, "displayName": u.Display, "active": !u.Inactive, "timeZone": "Etc/UTC",
		}
	}
	o := object{
		"self": c.self("/user?accountId=%s", u.accountID), "accountId": u.accountID, "accountType": "atlassian",
		"displayName": u.Display, "active": !u.Inactive, "timeZone": "Etc/UTC",
	}
	if !u.HideEmail || u == c.user {
		o["emailAddress"] = u.Email
	}
	return o
}

var categories = map[string]object{
	"new":           {"id": 2, "key": "new", "colorName": "blue-gray", "name": "To Do"},
	"indeterminate": {"id": 4, "key": "indeterminate", "colorName": "yellow", "name": "In Progress"},
	"done":          {"id": 3, "key": "done", "colorName": "green", "name": "Done"},
}

func (c *call) viewStatus(s *status) object {
	category := object{"self": c.self("/statuscategory/%v", categories[s.category]["id"])}
	for k, v := range categories[s.category] {
		category[k] = v
	}
	return object{
		"self": c.self("/status/%s", s.id), "id": s.id, "name": s.name, "description": "",
		"iconUrl": c.base + c.face.site + "/images/icons/status.png", "statusCategory": category,
	}
}

func (c *call) viewProject(p *project) object {
	o := object{"self": c.self("/project/%d", p.id), "id": strconv.FormatInt(p.id, 10), "key": p.key, "name": p.name}
	if !c.face.dc {
		o["projectTypeKey"], o["simplified"], o["style"] = "software", false, "classic"
	}
	return o
}

func (c *call) viewVersion(p *project, v version) object {
	return object{
		"self": c.self("/version/%d", v.id), "id": strconv.FormatInt(v.id, 10), "name": v.name,
		"archived": v.archived, "released": v.released, "projectId": p.id,
	}
}

func (c *call) viewVersions(p *project, names []string) []any {
	list := []any{}
	for _, v := range p.versions {
		if slices.Contains(names, v.name) {
			list = append(list, c.viewVersion(p, v))
		}
	}
	return list
}

func (c *call) viewText(t text) any {
	if c.face.adf {
		return t.adf
	}
	return t.wiki
}

func viewProperties(p properties) []any {
	list := []any{}
	for _, k := range p.keys() {
		list = append(list, object{"key": k, "value": p[k]})
	}
	return list
}

func (c *call) viewComment(m *comment, withProperties bool) object {
	o := object{
		"self": c.self("/issue/%d/comment/%d", m.issue.id, m.id), "id": strconv.FormatInt(m.id, 10),
		"author": c.viewUser(m.author), "updateAuthor": c.viewUser(m.author), "body": c.viewText(m.body),
		"created": stamp(m.created), "updated": stamp(m.updated),
	}
	if !c.face.dc {
		o["jsdPublic"] = true
	}
	if m.visibility != nil {
		o["visibility"] = m.visibility
	}
	if withProperties {
		o["properties"] = viewProperties(m.properties)
	}
	return o
}

func (c *call) viewWorklog(w *worklog, withProperties bool) object {
	o := object{
		"self": c.self("/issue/%d/worklog/%d", w.issue.id, w.id), "id": strconv.FormatInt(w.id, 10),
		"issueId": strconv.FormatInt(w.issue.id, 10), "author": c.viewUser(w.author), "updateAuthor": c.viewUser(w.author),
		"started": stamp(w.started), "timeSpent": spell(w.seconds), "timeSpentSeconds": w.seconds,
		"created": stamp(w.created), "updated": stamp(w.updated),
	}
	if w.comment != nil {
		o["comment"] = c.viewText(*w.comment)
	}
	if w.visibility != nil {
		o["visibility"] = w.visibility
	}
	if withProperties {
		o["properties"] = viewProperties(w.properties)
	}
	return o
}

// viewIssue shows the fields that the list names; "*all" and "*navigable" show
// everything, and "-name" leaves one out.
func (c *call) viewIssue(is *issue, fields []string) object {
	shown := object{}
	all := slices.Contains(fields, "*all") || slices.Contains(fields, "*navigable")
	for name, show := range issueFields {
		if (all || slices.Contains(fields, name)) && !slices.Contains(fields, "-"+name) {
			shown[name] = show(c, is)
		}
	}
	o := object{"id": strconv.FormatInt(is.id, 10), "self": c.self("/issue/%d", is.id), "key": is.key}
	if len(shown) > 0 {
		o["fields"] = shown
	}
	return o
}

var issueFields = map[string]func(*call, *issue) any{
	"summary": func(_ *call, is *issue) any { return is.summary },
	"status":  func(c *call, is *issue) any { return c.viewStatus(is.status) },
	"project": func(c *call, is *issue) any { return c.viewProject(is.project) },
	"issuetype": func(c *call, _ *issue) any {
		return object{"self": c.self("/issuetype/10001"), "id": "10001", "name": "Task", "description": "", "subtask": false}
	},
	"labels":      func(_ *call, is *issue) any { return append([]string{}, is.labels...) },
	"fixVersions": func(c *call, is *issue) any { return c.viewVersions(is.project, is.fix) },
	"versions":    func(c *call, is *issue) any { return c.viewVersions(is.project, is.affects) },
	"assignee":    func(c *call, is *issue) any { return c.viewUser(is.assignee) },
	"reporter":    func(c *call, is *issue) any { return c.viewUser(is.reporter) },
	"created":     func(_ *call, is *issue) any { return stamp(is.created) },
	"updated":     func(_ *call, is *issue) any { return stamp(is.updated) },
	"resolution":  func(c *call, is *issue) any { return c.viewResolution(is.resolution) },
	"timespent": func(_ *call, is *issue) any {
		if n := is.spent(); n > 0 {
			return n
		}
		return nil
	},
	"comment": func(c *call, is *issue) any {
		list := []any{}
		for _, m := range is.comments {
			list = append(list, c.viewComment(m, false))
		}
		return object{"comments": list, "startAt": 0, "maxResults": len(list), "total": len(list)}
	},
	"worklog": func(c *call, is *issue) any {
		list := []any{}
		for _, w := range is.worklogs {
			list = append(list, c.viewWorklog(w, false))
		}
		return object{"worklogs": list, "startAt": 0, "maxResults": 20, "total": len(list)}
	},
}

func (c *call) viewResolution(name string) any {
	if name == "" {
		return nil
	}
	id := slices.Index(resolutions, name) + 1
	return object{"self": c.self("/resolution/%d", id), "id": strconv.Itoa(id), "name": name, "description": ""}
}

// spent returns the seconds logged on the issue.
func (is *issue) spent() int64 {
	var n int64
	for _, w := range is.worklogs {
		n += w.seconds
	}
	return n
}

// The site's working time, hours a day and days a week.
const (
	hoursPerDay = 8
	daysPerWeek = 5
)

var units = []struct {
	letter  string
	seconds int64
}{
	{"w", daysPerWeek * hoursPerDay * 3600}, {"d", hoursPerDay * 3600}, {"h", 3600}, {"m", 60},
}

// spell writes seconds as Jira does: "1d 2h 30m".
func spell(seconds int64) string {
	var parts []string
	for _, u := range units {
		if n := seconds / u.seconds; n > 0 {
			parts = append(parts, fmt.Sprintf("%d%s", n, u.letter))
			seconds %= u.seconds
		}
	}
	if len(parts) == 0 {
		return "0m"
	}
	return strings.Join(parts, " ")
}

// parseSpent reads a duration such as "1w 2d 4h 30m" or "1.5h"; a number alone
// is minutes, the site's default unit.
func parseSpent(s string) (int64, bool) {
	var total float64
	words := strings.Fields(strings.ToLower(s))
	for _, w := range words {
		per := 60.0
		for _, u := range units {
			if head, found := strings.CutSuffix(w, u.letter); found {
				w, per = head, float64(u.seconds)
				break
			}
		}
		n, err := strconv.ParseFloat(w, 64)
		if err != nil || n < 0 || n > 1e6 {
			return 0, false
		}
		total += n * per
	}
	return int64(math.Round(total)), len(words) > 0
}
