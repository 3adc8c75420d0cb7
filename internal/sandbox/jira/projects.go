package jira

import (
	"net/http"
	"strings"
	"time"
)

func serverInfo(c *call) (reply, error) {
	o := object{
		"baseUrl": c.base + strings.TrimPrefix(c.face.site, "/ex/jira/"+c.st.cloudID), "serverTitle": "Jira of the sandbox",
		"serverTime": c.st.now().UTC().Format("2006-01-02T15:04:05.000Z"), "buildNumber": 100500,
		"buildDate": time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC).Format(time.RFC3339), "scmInfo": "sandbox",
	}
	if c.face.dc {
		o["version"], o["versionNumbers"], o["deploymentType"] = "10.3.24", []int{10, 3, 24}, "Server"
	} else {
		o["version"], o["versionNumbers"], o["deploymentType"] = "1001.0.0-SNAPSHOT", []int{1001, 0, 0}, "Cloud"
	}
	return ok(o), nil
}

func viewTimeTracking() object {
	return object{"workingHoursPerDay": hoursPerDay, "workingDaysPerWeek": daysPerWeek, "timeFormat": "pretty", "defaultUnit": "minute"}
}

func configuration(c *call) (reply, error) {
	o := object{
		"votingEnabled": true, "watchingEnabled": true, "unassignedIssuesAllowed": true, "subTasksEnabled": true,
		"issueLinkingEnabled": true, "attachmentsEnabled": true, "timeTrackingEnabled": !c.st.settings.TimeTrackingOff,
	}
	if !c.st.settings.TimeTrackingOff {
		o["timeTrackingConfiguration"] = viewTimeTracking()
	}
	return ok(o), nil
}

// timeTracking answers administrators only, as on a live site.
func timeTracking(c *call) (reply, error) {
	if !may(c.user, "ADMINISTER") {
		return reply{}, refuse(http.StatusForbidden, "Only Jira administrators can read the time tracking settings.")
	}
	return ok(viewTimeTracking()), nil
}

func listProjects(c *call) (reply, error) {
	list := []any{}
	for _, p := range c.st.projects {
		list = append(list, c.viewProject(p))
	}
	return ok(list), nil
}

func searchProjects(c *call) (reply, error) {
	start, size, err := c.page(50, 50)
	if err != nil {
		return reply{}, err
	}
	keys, query := c.r.URL.Query()["keys"], strings.ToLower(c.query("query"))
	list := []any{}
	for _, p := range c.st.projects {
		wanted := len(keys) == 0
		for _, k := range keys {
			wanted = wanted || contains(strings.ToUpper(k), p.key)
		}
		if wanted && strings.Contains(strings.ToLower(p.key+"\n"+p.name), query) {
			list = append(list, c.viewProject(p))
		}
	}
	o := object{
		"self": c.self("/project/search?startAt=%d&maxResults=%d", start, size), "startAt": start, "maxResults": size,
		"total": len(list), "isLast": start+size >= len(list), "values": cutPage(list, start, size),
	}
	if start+size < len(list) {
		o["nextPage"] = c.self("/project/search?startAt=%d&maxResults=%d", start+size, size)
	}
	return ok(o), nil
}

// project returns the project of the path.
func (c *call) project() (*project, error) {
	if p := c.st.project(c.r.PathValue("project")); p != nil {
		return p, nil
	}
	return nil, refuse(http.StatusNotFound, "No project could be found with key '%s'.", c.r.PathValue("project"))
}

func getProject(c *call) (reply, error) {
	p, err := c.project()
	if err != nil {
		return reply{}, err
	}
	return ok(c.viewProject(p)), nil
}

func listVersions(c *call) (reply, error) {
	p, err := c.project()
	if err != nil {
		return reply{}, err
	}
	list := []any{}
	for _, v := range p.versions {
		list = append(list, c.viewVersion(p, v))
	}
	return ok(list), nil
}
