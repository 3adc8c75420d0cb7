package jira

import (
	"net/http"
	"strings"
)

// editions says on which faces a route exists.
type editions int

const (
	onCloud editions = 1 << iota
	onDC
	onBoth = onCloud | onDC
)

type route struct {
	method, path string // below /rest/api/N
	operation    string // operationId of the published description
	on           editions
	handle       handler
}

// restRoutes is the whole REST surface.
var restRoutes = []route{
	{"GET", "/serverInfo", "getServerInfo", onBoth, serverInfo},
	{"GET", "/myself", "getCurrentUser", onBoth, myself},
	{"GET", "/mypermissions", "getMyPermissions", onBoth, myPermissions},
	{"POST", "/permissions/check", "getBulkPermissions", onCloud, checkPermissions},
	{"GET", "/configuration", "getConfiguration", onBoth, configuration},
	{"GET", "/configuration/timetracking/options", "getSharedTimeTrackingConfiguration", onCloud, timeTracking},
	{"GET", "/project", "getAllProjects", onBoth, listProjects},
	{"GET", "/project/search", "searchProjects", onCloud, searchProjects},
	{"GET", "/project/{project}", "getProject", onBoth, getProject},
	{"GET", "/project/{project}/versions", "getProjectVersions", onBoth, listVersions},

	{"POST", "/issue", "createIssue", onBoth, createIssue},
	{"POST", "/issue/bulkfetch", "bulkFetchIssues", onCloud, bulkFetch},
	{"GET", "/issue/limit/report", "getIssueLimitReport", onCloud, limitReport},
	{"GET", "/issue/{issue}", "getIssue", onBoth, getIssue},
	{"PUT", "/issue/{issue}", "editIssue", onBoth, editIssue},
	{"GET", "/issue/{issue}/editmeta", "getEditIssueMeta", onBoth, editMeta},
	{"GET", "/issue/{issue}/changelog", "getChangeLogs", onCloud, getChangelog},
	{"PUT", "/issue/{issue}/assignee", "assignIssue", onBoth, assign},
	{"GET", "/search", "search", onDC, searchDC},
	{"POST", "/search", "searchUsingSearchRequest", onDC, searchDC},
	{"GET", "/search/jql", "searchAndReconsileIssuesUsingJql", onCloud, searchCloud},
	{"POST", "/search/jql", "searchAndReconsileIssuesUsingJqlPost", onCloud, searchCloud},

	{"GET", "/issue/{issue}/comment", "getComments", onBoth, listComments},
	{"POST", "/issue/{issue}/comment", "addComment", onBoth, addComment},
	{"GET", "/issue/{issue}/comment/{comment}", "getComment", onBoth, getComment},
	{"PUT", "/issue/{issue}/comment/{comment}", "updateComment", onBoth, updateComment},
	{"DELETE", "/issue/{issue}/comment/{comment}", "deleteComment", onBoth, deleteComment},
	{"POST", "/comment/list", "getCommentsByIds", onCloud, commentsByID},

	{"GET", "/issue/{issue}/worklog", "getIssueWorklog", onBoth, listWorklogs},
	{"POST", "/issue/{issue}/worklog", "addWorklog", onBoth, addWorklog},
	{"GET", "/issue/{issue}/worklog/{worklog}", "getWorklog", onBoth, getWorklog},
	{"PUT", "/issue/{issue}/worklog/{worklog}", "updateWorklog", onBoth, updateWorklog},
	{"DELETE", "/issue/{issue}/worklog/{worklog}", "deleteWorklog", onBoth, deleteWorklog},
	{"POST", "/worklog/list", "getWorklogsForIds", onBoth, worklogsByID},
	{"GET", "/worklog/updated", "getIdsOfWorklogsModifiedSince", onBoth, worklogsUpdated},

	{"GET", "/issue/{issue}/transitions", "getTransitions", onBoth, listTransitions},
	{"POST", "/issue/{issue}/transitions", "doTransition", onBoth, doTransition},

	{"GET", "/issue/{issue}/remotelink", "getRemoteIssueLinks", onBoth, listLinks},
	{"POST", "/issue/{issue}/remotelink", "createOrUpdateRemoteIssueLink", onBoth, putLink},
	{"DELETE", "/issue/{issue}/remotelink", "deleteRemoteIssueLinkByGlobalId", onBoth, deleteLink},
	{"GET", "/issue/{issue}/remotelink/{link}", "getRemoteIssueLinkById", onBoth, getLink},
	{"PUT", "/issue/{issue}/remotelink/{link}", "updateRemoteIssueLink", onBoth, updateLink},
	{"DELETE", "/issue/{issue}/remotelink/{link}", "deleteRemoteIssueLinkById", onBoth, deleteLink},

	{"GET", "/issue/{issue}/properties", "getIssuePropertyKeys", onBoth, onProperties(issueProperties, listProperties)},
	{"GET", "/issue/{issue}/properties/{property}", "getIssueProperty", onBoth, onProperties(issueProperties, getProperty)},
	{"PUT", "/issue/{issue}/properties/{property}", "setIssueProperty", onBoth, onProperties(issueProperties, setProperty)},
	{"DELETE", "/issue/{issue}/properties/{property}", "deleteIssueProperty", onBoth, onProperties(issueProperties, deleteProperty)},
	{"GET", "/comment/{comment}/properties", "getCommentPropertyKeys", onBoth, onProperties(commentProperties, listProperties)},
	{"GET", "/comment/{comment}/properties/{property}", "getCommentProperty", onBoth, onProperties(commentProperties, getProperty)},
	{"PUT", "/comment/{comment}/properties/{property}", "setCommentProperty", onBoth, onProperties(commentProperties, setProperty)},
	{"DELETE", "/comment/{comment}/properties/{property}", "deleteCommentProperty", onBoth, onProperties(commentProperties, deleteProperty)},
	{"GET", "/issue/{issue}/worklog/{worklog}/properties", "getWorklogPropertyKeys", onCloud, onProperties(worklogProperties, listProperties)},
	{"GET", "/issue/{issue}/worklog/{worklog}/properties/{property}", "getWorklogProperty", onCloud, onProperties(worklogProperties, getProperty)},
	{"PUT", "/issue/{issue}/worklog/{worklog}/properties/{property}", "setWorklogProperty", onCloud, onProperties(worklogProperties, setProperty)},
	{"DELETE", "/issue/{issue}/worklog/{worklog}/properties/{property}", "deleteWorklogProperty", onCloud, onProperties(worklogProperties, deleteProperty)},

	{"GET", "/user", "getUser", onBoth, getUser},
	{"GET", "/user/search", "findUsers", onBoth, searchUsers},
	{"GET", "/user/assignable/search", "findAssignableUsers", onBoth, searchAssignable},
}

// devinfoRoutes lie below /jira/devinfo/0.1/cloud/{cloud}.
var devinfoRoutes = []route{
	{"POST", "/bulk", "storeDevelopmentInformation", onCloud, storeDevinfo},
	{"GET", "/repository/{repository}", "getRepository", onCloud, getRepository},
	{"DELETE", "/repository/{repository}", "deleteRepository", onCloud, deleteRepository},
	{"DELETE", "/repository/{repository}/{kind}/{entity}", "deleteEntity", onCloud, deleteEntity},
	{"DELETE", "/bulkByProperties", "deleteByProperties", onCloud, deleteByProperties},
	{"GET", "/existsByProperties", "existsByProperties", onCloud, existsByProperties},
}

// routes puts the faces, wrapped in the ledger and the fault rules, and the
// control paths together.
func (s *Server) routes() http.Handler {
	faces := http.NewServeMux()
	operations := map[string]string{}
	add := func(method, path, operation string, h http.HandlerFunc) {
		pattern := method + " " + path
		operations[pattern] = operation
		faces.HandleFunc(pattern, h)
	}
	for _, p := range []struct {
		prefix string
		on     editions
		face   face
	}{
		{"/rest/api/3", onCloud, face{adf: true}},
		{"/rest/api/2", onBoth, face{}},
		{"/ex/jira/{cloud}/rest/api/3", onCloud, face{adf: true, scoped: true}},
		{"/ex/jira/{cloud}/rest/api/2", onCloud, face{scoped: true}},
		{"/dc/rest/api/2", onDC, face{dc: true, site: "/dc"}},
	} {
		for _, rt := range restRoutes {
			if rt.on&p.on != 0 {
				add(rt.method, p.prefix+rt.path, rt.operation, s.restHandler(rt, p.prefix, p.face))
			}
		}
	}
	for _, rt := range devinfoRoutes {
		add(rt.method, "/jira/devinfo/0.1/cloud/{cloud}"+rt.path, rt.operation, s.devinfoHandler(rt))
	}
	plain := func(h handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, face{}, h) }
	}
	add("POST", "/oauth/token", "getToken", plain(token))
	add("GET", "/_edge/tenant_info", "getTenantInfo", plain(func(c *call) (reply, error) {
		return ok(map[string]string{"cloudId": c.st.cloudID}), nil
	}))
	for _, site := range []string{"", "/dc"} {
		add("POST", site+"/rest/bitbucket/1.0/repository/{id}/sync", "syncRepository", plain(syncRepository))
		add("GET", site+"/{$}", "overview", s.overview)
		add("GET", site+"/browse/{issue}", "browse", s.browse)
	}

	mux := http.NewServeMux()
	mux.Handle("/_sandbox/", s.control())
	mux.Handle("/", s.edge(s.book.Wrap(faces, func(r *http.Request) string {
		_, pattern := faces.Handler(r)
		return operations[pattern]
	})))
	return mux
}

// restHandler signs the caller in and answers a route of the REST API.
func (s *Server) restHandler(rt route, prefix string, f face) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f := f
		cloud := r.PathValue("cloud")
		// Without a context path the two editions share /rest/api/2; the kind
		// of credential tells them apart.
		if prefix == "/rest/api/2" && bearer(r) != "" {
			f.dc = true
		}
		if f.scoped {
			f.site = "/ex/jira/" + cloud
		}
		f.rest = strings.Replace(prefix, "{cloud}", cloud, 1)
		if f.dc && rt.on&onDC == 0 || !f.dc && rt.on&onCloud == 0 {
			http.NotFound(w, r)
			return
		}
		s.serve(w, r, f, func(c *call) (reply, error) {
			if f.scoped && cloud != c.st.cloudID {
				return reply{}, refuse(http.StatusNotFound, "No site with the cloud id %s.", cloud)
			}
			if err := c.signIn(rt); err != nil {
				return reply{}, err
			}
			if err := c.limitWrites(); err != nil {
				return reply{}, err
			}
			return rt.handle(c)
		})
	}
}

// signIn finds the caller. Everything but serverInfo needs one.
func (c *call) signIn(rt route) error {
	u, good := c.s.auth.who(c.r, c.face)
	c.user = u
	switch {
	case !good && c.face.dc:
		return &refusal{status: http.StatusUnauthorized, text: "Unauthorized (401)", header: http.Header{
			"X-Seraph-Loginreason": {"AUTHENTICATED_FAILED"}, "Www-Authenticate": {"OAuth realm=\"jira\""}}}
	case !good:
		return &refusal{status: http.StatusUnauthorized, text: "Client must be authenticated to access this resource.",
			header: http.Header{"X-Seraph-Loginreason": {"AUTHENTICATED_FAILED"}}}
	case u == nil && rt.operation != "getServerInfo":
		return refuse(http.StatusUnauthorized, "You are not authenticated. Authentication required to perform this operation.")
	}
	return nil
}

// syncRepository is the hook of the DVCS connector, which takes any body from
// anybody.
func syncRepository(c *call) (reply, error) {
	c.effect("dvcs sync %s", c.r.PathValue("id"))
	return reply{status: http.StatusOK}, nil
}
