package web

import "net/http"

const (
	get  = http.MethodGet
	post = http.MethodPost
)

// A route is one page or action.
type route struct {
	method, path string
	need         need
	do           func(*Server, *request) error
}

// routes are all pages. Repositories come last: their paths begin with names
// that people choose, and no integration may be called like what stands above.
var routes = []route{
	{get, "/login", anyone, (*Server).login},
	{post, "/login", anyone, (*Server).loginPost},
	{post, "/logout", anyone, (*Server).logout},
	{get, "/setup", anyone, (*Server).setupPage},
	{post, "/setup", anyone, (*Server).setupPost},

	{get, "/", signedIn, (*Server).home},
	{get, "/search", signedIn, (*Server).search},
	{get, "/repos", signedIn, (*Server).repositories},
	{get, "/help", signedIn, (*Server).help},
	{get, "/_components", signedIn, (*Server).components},
	{get, "/settings", signedIn, (*Server).userSettings},
	{post, "/settings", signedIn, (*Server).userSettingsPost},
	{get, "/issues/:key", signedIn, (*Server).issue},
	{get, "/issues/:key/branches/new", signedIn, (*Server).newBranch},
	{post, "/issues/:key/branches/new", signedIn, (*Server).newBranchPost},
	{get, "/issues/:key/pulls/new", signedIn, (*Server).newPull},
	{post, "/issues/:key/pulls/new", signedIn, (*Server).newPullPost},
	{get, "/issues/:key/branches/delete", signedIn, (*Server).deleteBranch},
	{post, "/issues/:key/branches/delete", signedIn, (*Server).deleteBranchPost},
	{get, "/projects/:key", signedIn, (*Server).project},

	{get, "/admin", administrator, (*Server).adminHome},
	{get, "/admin/integrations", administrator, (*Server).adminIntegrations},
	{post, "/admin/integrations", administrator, (*Server).adminReindex},
	{get, "/admin/integrations/new", administrator, (*Server).adminNew},
	{post, "/admin/integrations/new", administrator, (*Server).adminNewGit},
	{get, "/admin/integrations/new/codecommit", administrator, (*Server).adminAccount},
	{post, "/admin/integrations/new/codecommit", administrator, (*Server).adminAccountPost},
	{get, "/admin/integrations/:id/select", administrator, (*Server).adminSelect},
	{post, "/admin/integrations/:id/select", administrator, (*Server).adminSelectPost},
	{get, "/admin/integrations/:id/repositories", administrator, (*Server).adminSelect},
	{post, "/admin/integrations/:id/repositories", administrator, (*Server).adminSelectPost},
	{get, "/admin/integrations/:id/connection", administrator, (*Server).adminConnection},
	{post, "/admin/integrations/:id/connection", administrator, (*Server).adminConnectionPost},
	{get, "/admin/integrations/:id/features", administrator, (*Server).adminFeatures},
	{post, "/admin/integrations/:id/features", administrator, (*Server).adminFeaturesPost},
	{post, "/admin/integrations/:id/reconnect", administrator, (*Server).adminReconnect},
	{post, "/admin/integrations/:id/reindex", administrator, (*Server).adminIntegrationReindex},
	{post, "/admin/integrations/:id/switch", administrator, (*Server).adminIntegrationSwitch},
	{get, "/admin/integrations/:id/disconnect", administrator, (*Server).adminDisconnect},
	{post, "/admin/integrations/:id/disconnect", administrator, (*Server).adminDisconnectPost},
	{get, "/admin/integrations/:id/log", administrator, (*Server).adminIntegrationLog},
	{get, "/admin/repositories", administrator, (*Server).adminRepositories},
	{post, "/admin/repositories", administrator, (*Server).adminRepositoriesPost},
	{get, "/admin/repositories/:id", administrator, (*Server).adminRepository},
	{post, "/admin/repositories/:id", administrator, (*Server).adminRepositoryPost},
	{post, "/admin/repositories/:id/do", administrator, (*Server).adminRepositoryDo},
	{get, "/admin/repositories/:id/log", administrator, (*Server).adminRepositoryLog},
	{get, "/admin/repositories/:id/log.txt", administrator, (*Server).adminRepositoryLogText},
	{get, "/admin/queue", administrator, (*Server).adminQueue},
	{post, "/admin/queue/cancel", administrator, (*Server).adminQueueCancel},
	{post, "/admin/queue/clear", administrator, (*Server).adminQueueClear},
	{get, "/admin/triggers", administrator, (*Server).adminTriggers},
	{get, "/admin/smart-commits", administrator, (*Server).adminSmart},
	{get, "/admin/delivery", administrator, (*Server).adminDelivery},
	{post, "/admin/delivery/retry", administrator, (*Server).adminRetry},
	{post, "/admin/delivery/discard", administrator, (*Server).adminDiscard},
	{post, "/admin/delivery/pause", administrator, (*Server).adminPause},
	{post, "/admin/delivery/resume", administrator, (*Server).adminResume},
	{get, "/admin/policy", administrator, (*Server).adminPolicy},
	{post, "/admin/policy", administrator, (*Server).adminPolicyPost},
	{get, "/admin/settings", administrator, (*Server).adminSettings},
	{post, "/admin/settings", administrator, (*Server).adminSettingsPost},
	{get, "/admin/jira", administrator, (*Server).adminJira},
	{post, "/admin/jira", administrator, (*Server).adminJiraPost},
	{post, "/admin/jira/test", administrator, (*Server).adminJiraTest},
	{post, "/admin/jira/remove", administrator, (*Server).adminJiraRemove},
	{get, "/admin/users", administrator, (*Server).adminUsers},
	{post, "/admin/users", administrator, (*Server).adminUserAdd},
	{get, "/admin/users/:id", administrator, (*Server).adminUser},
	{post, "/admin/users/:id", administrator, (*Server).adminUserPost},
	{post, "/admin/users/:id/do", administrator, (*Server).adminUserDo},
	{get, "/admin/audit", administrator, (*Server).adminAudit},
	{get, "/admin/audit.csv", administrator, (*Server).adminAuditCSV},
	{get, "/admin/doctor", administrator, (*Server).adminDoctor},
	{get, "/admin/activity", administrator, (*Server).adminActivity},

	{get, "/:owner/:name", readRepo, (*Server).repository},
	{get, "/:owner/:name/tree/*", readRepo, (*Server).tree},
	{get, "/:owner/:name/blob/*", readRepo, (*Server).file},
	{get, "/:owner/:name/raw/*", readRepo, (*Server).raw},
	{get, "/:owner/:name/commits", readRepo, (*Server).commits},
	{get, "/:owner/:name/commits/*", readRepo, (*Server).commits},
	{get, "/:owner/:name/commit/:sha", readRepo, (*Server).commit},
	{get, "/:owner/:name/compare", readRepo, (*Server).compare},
	{get, "/:owner/:name/compare/*", readRepo, (*Server).compare},
	{get, "/:owner/:name/branches", readRepo, (*Server).branches},
	{get, "/:owner/:name/branches/delete", pushRepo, (*Server).deleteBranch},
	{post, "/:owner/:name/branches/delete", pushRepo, (*Server).deleteBranchPost},
	{get, "/:owner/:name/tags", readRepo, (*Server).tags},
	{get, "/:owner/:name/pulls", readRepo, (*Server).pulls},
	{get, "/:owner/:name/pull/:number", readRepo, (*Server).pull},
}
