package jira

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func myself(c *call) (reply, error) { return ok(c.viewUser(c.user)), nil }

// permissionNames are the permissions that a development tool asks about; the
// value is what Jira calls them.
var permissionNames = map[string]string{
	"BROWSE_PROJECTS": "Browse Projects", "ADD_COMMENTS": "Add Comments", "WORK_ON_ISSUES": "Work On Issues",
	"TRANSITION_ISSUES": "Transition Issues", "EDIT_ISSUES": "Edit Issues", "ASSIGN_ISSUES": "Assign Issues",
	"ASSIGNABLE_USER": "Assignable User", "LINK_ISSUES": "Link Issues", "VIEW_DEV_TOOLS": "View Development Tools",
	"RESOLVE_ISSUES": "Resolve Issues", "CREATE_ISSUES": "Create Issues", "EDIT_OWN_COMMENTS": "Edit Own Comments",
	"EDIT_ALL_COMMENTS": "Edit All Comments", "DELETE_OWN_COMMENTS": "Delete Own Comments",
	"DELETE_ALL_COMMENTS": "Delete All Comments", "USER_PICKER": "Browse Users", "ADMINISTER": "Administer Jira",
	"ADMINISTER_PROJECTS": "Administer Projects",
}

// global reports whether a permission belongs to the site and not to projects.
func global(permission string) bool {
	return permission == "ADMINISTER" || permission == "USER_PICKER"
}

// may reports whether a user has a permission: everybody has all but the
// administration of the site and of its projects, which root alone has.
func may(u *user, permission string) bool {
	return permission != "ADMINISTER" && permission != "ADMINISTER_PROJECTS" || u.Name == "root"
}

func myPermissions(c *call) (reply, error) {
	asked := splitFields(c.query("permissions"))
	if len(asked) == 0 && !c.face.dc {
		return reply{}, refuse(http.StatusBadRequest, "The 'permissions' query parameter is required.")
	}
	if k := c.query("projectKey") + c.query("projectId"); k != "" && c.st.project(k) == nil {
		return reply{}, refuse(http.StatusNotFound, "No project could be found with key '%s'.", k)
	}
	if k := c.query("issueKey") + c.query("issueId"); k != "" && c.st.issue(k) == nil {
		return reply{}, refuse(http.StatusNotFound, "Issue does not exist or you do not have permission to see it.")
	}
	if c.face.dc {
		asked = nil
		for k := range permissionNames {
			asked = append(asked, k)
		}
	}
	slices.Sort(asked)
	shown := object{}
	for i, k := range asked {
		name, known := permissionNames[k]
		if !known {
			return reply{}, refuse(http.StatusBadRequest, "Unrecognized permission: %s", k)
		}
		kind := "PROJECT"
		if global(k) {
			kind = "GLOBAL"
		}
		shown[k] = object{"id": strconv.Itoa(i + 1), "key": k, "name": name, "type": kind, "havePermission": may(c.user, k)}
	}
	return ok(object{"permissions": shown}), nil
}

func checkPermissions(c *call) (reply, error) {
	type grant struct {
		Permissions []string `json:"permissions"`
		Projects    []int64  `json:"projects"`
		Issues      []int64  `json:"issues"`
	}
	var in struct {
		Global   []string `json:"globalPermissions"`
		Projects []grant  `json:"projectPermissions"`
	}
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	globals, grants := []string{}, []any{}
	for _, k := range in.Global {
		if permissionNames[k] != "" && may(c.user, k) {
			globals = append(globals, k)
		}
	}
	for _, g := range in.Projects {
		if len(g.Projects) > 1000 || len(g.Issues) > 1000 {
			return reply{}, refuse(http.StatusBadRequest, "At most 1000 projects and 1000 issues can be checked.")
		}
		for _, k := range g.Permissions {
			if permissionNames[k] == "" || global(k) {
				return reply{}, refuse(http.StatusBadRequest, "Unrecognized permission: %s", k)
			}
			projects, issues := []int64{}, []int64{}
			for _, id := range g.Projects {
				if c.st.project(strconv.FormatInt(id, 10)) != nil {
					projects = append(projects, id)
				}
			}
			for _, id := range g.Issues {
				if c.st.byID[id] != nil {
					issues = append(issues, id)
				}
			}
			grants = append(grants, object{"permission": k, "projects": projects, "issues": issues})
		}
	}
	return ok(object{"globalPermissions": globals, "projectPermissions": grants}), nil
}

func getUser(c *call) (reply, error) {
	u := c.st.user(func(u *user) bool {
		if c.face.dc {
			return u.Name == c.query("username") || u.key == c.query("key")
		}
		return u.accountID == c.query("accountId")
	})
	if u == nil {
		return reply{}, refuse(http.StatusNotFound, "The user does not exist.")
	}
	return ok(c.viewUser(u)), nil
}

func searchUsers(c *call) (reply, error) {
	inactive := !c.face.dc || c.query("includeInactive") == "true"
	active := c.query("includeActive") != "false"
	return c.findUsers(func(u *user) bool { return u.Inactive && inactive || !u.Inactive && active })
}

func searchAssignable(c *call) (reply, error) {
	issue, project := c.query("issueKey")+c.query("issueId"), c.query("project")
	switch {
	case issue == "" && project == "":
		return reply{}, refuse(http.StatusBadRequest, "Either a project or an issue is required.")
	case issue != "" && c.st.issue(issue) == nil:
		return reply{}, refuse(http.StatusNotFound, "Issue does not exist or you do not have permission to see it.")
	case issue == "" && c.st.project(project) == nil:
		return reply{}, refuse(http.StatusNotFound, "No project could be found with key '%s'.", project)
	}
	return c.findUsers(func(u *user) bool { return !u.Inactive })
}

// findUsers answers the users that match the query and fit. Cloud looks for a
// word of the name or an address that begins with the query, hidden addresses
// included; Data Center looks for the text anywhere in user name, full name and
// address.
func (c *call) findUsers(fits func(*user) bool) (reply, error) {
	start, size, err := c.page(50, 1000)
	if err != nil {
		return reply{}, err
	}
	query, account := strings.ToLower(c.query("query")), c.query("accountId")
	if c.face.dc {
		query = strings.ToLower(c.query("username"))
	}
	if query == "" && account == "" {
		return reply{}, refuse(http.StatusBadRequest, "A query is required.")
	}
	matches := func(u *user) bool {
		if c.face.dc {
			return query == "." || strings.Contains(strings.ToLower(u.Name+"\n"+u.Display+"\n"+u.Email), query)
		}
		if account != "" && u.accountID != account {
			return false
		}
		if strings.HasPrefix(strings.ToLower(u.Display), query) || strings.HasPrefix(strings.ToLower(u.Email), query) {
			return true
		}
		return slices.ContainsFunc(strings.Fields(strings.ToLower(u.Display)), func(w string) bool { return strings.HasPrefix(w, query) })
	}
	list := []any{}
	for _, u := range c.st.users {
		if fits(u) && matches(u) {
			list = append(list, c.viewUser(u))
		}
	}
	return ok(cutPage(list, start, size)), nil
}
