package ghapi

import (
	"net/http"

	"gitferry/internal/ferry"
)

const (
	get   = http.MethodGet
	post  = http.MethodPost
	patch = http.MethodPatch
	del   = http.MethodDelete

	who      = ferry.ActionWho
	read     = ferry.ActionGitHubRead
	apiRead  = ferry.ActionAPIRead
	push     = ferry.ActionPush
	maintain = ferry.ActionMaintain
	admin    = ferry.ActionAdmin

	v3   = "/api/v3"
	repo = "/api/v3/repos/:owner/:name"
	gp   = "/rest/gitplugin/1.0"
)

// routes is the whole surface.
var routes = []route{
	{method: get, path: v3, handle: (*Server).root},
	{method: get, path: v3 + "/", handle: (*Server).root},
	{method: get, path: v3 + "/meta", handle: (*Server).meta},
	{method: get, path: v3 + "/rate_limit", handle: (*Server).rateLimit},
	{method: post, path: "/api/graphql", action: who, handle: (*Server).graphQL},

	{method: get, path: "/avatars/u/:user", face: ofOAuth, handle: (*Server).avatar},

	{method: get, path: v3 + "/user", action: who, handle: (*Server).self},
	{method: get, path: v3 + "/user/repos", action: who, handle: (*Server).ownRepositories},
	{method: get, path: v3 + "/user/orgs", action: who, handle: (*Server).ownOrganizations},
	{method: get, path: v3 + "/users/:user", action: "", handle: (*Server).user},
	{method: get, path: v3 + "/users/:user/repos", action: who, handle: (*Server).userRepositories},
	{method: get, path: v3 + "/users/:user/orgs", action: who, handle: (*Server).userOrganizations},
	{method: get, path: v3 + "/orgs/:org", action: who, handle: (*Server).organization},
	{method: get, path: v3 + "/orgs/:org/repos", action: who, handle: (*Server).organizationRepositories},
	{method: get, path: v3 + "/repositories", action: who, handle: (*Server).allRepositories},
	{method: get, path: v3 + "/search/commits", action: who, handle: (*Server).searchCommits},
	{method: get, path: v3 + "/search/repositories", action: who, handle: (*Server).searchRepositories},
	{method: get, path: v3 + "/search/issues", action: who, handle: (*Server).searchPulls},

	{method: get, path: repo, action: read, handle: (*Server).repository},
	{method: get, path: repo + "/branches", action: read, handle: (*Server).branches},
	{method: get, path: repo + "/branches/*", action: read, handle: (*Server).branch},
	{method: get, path: repo + "/tags", action: read, handle: (*Server).tags},
	{method: get, path: repo + "/commits", action: read, handle: (*Server).commits},
	{method: get, path: repo + "/commits/*", action: read, handle: (*Server).commit},
	{method: get, path: repo + "/compare/*", action: read, handle: (*Server).compare},
	{method: get, path: repo + "/contents", action: read, handle: (*Server).contents},
	{method: get, path: repo + "/contents/*", action: read, handle: (*Server).contents},
	{method: get, path: repo + "/readme", action: read, handle: (*Server).readme},
	{method: get, path: repo + "/readme/*", action: read, handle: (*Server).readme},
	{method: get, path: repo + "/tarball", action: read, handle: (*Server).noArchive},
	{method: get, path: repo + "/tarball/*", action: read, handle: (*Server).noArchive},
	{method: get, path: repo + "/zipball", action: read, handle: (*Server).noArchive},
	{method: get, path: repo + "/zipball/*", action: read, handle: (*Server).noArchive},
	{method: get, path: repo + "/languages", action: read, handle: (*Server).languages},
	{method: get, path: repo + "/contributors", action: read, handle: (*Server).contributors},
	{method: get, path: repo + "/events", action: read, handle: (*Server).events},

	{method: get, path: repo + "/git/ref/*", action: read, handle: (*Server).gitRef},
	{method: get, path: repo + "/git/matching-refs/*", action: read, handle: (*Server).matchingRefs},
	{method: get, path: repo + "/git/refs", action: read, handle: (*Server).matchingRefs},
	{method: post, path: repo + "/git/refs", action: push, handle: (*Server).createRef},
	{method: get, path: repo + "/git/refs/*", action: read, handle: (*Server).oldRefs},
	{method: get, path: repo + "/git/commits/:sha", action: read, handle: (*Server).gitCommit},
	{method: get, path: repo + "/git/trees/*", action: read, handle: (*Server).gitTree},
	{method: get, path: repo + "/git/blobs/:sha", action: read, handle: (*Server).gitBlob},
	{method: get, path: repo + "/git/tags/:sha", action: read, handle: (*Server).gitTag},

	{method: get, path: repo + "/pulls", action: read, handle: (*Server).pulls},
	{method: post, path: repo + "/pulls", action: push, handle: (*Server).createPull},
	{method: get, path: repo + "/pulls/:number", action: read, handle: (*Server).pull},
	{method: get, path: repo + "/pulls/:number/commits", action: read, handle: (*Server).pullCommits},
	{method: get, path: repo + "/pulls/:number/files", action: read, handle: (*Server).pullFiles},
	{method: get, path: repo + "/pulls/:number/merge", action: read, handle: (*Server).pullMerged},
	{method: get, path: repo + "/pulls/:number/comments", action: read, handle: (*Server).reviewComments},
	{method: get, path: repo + "/pulls/:number/reviews", action: read, handle: (*Server).reviews},
	{method: get, path: repo + "/issues/:number/comments", action: read, handle: (*Server).issueComments},

	{method: get, path: repo + "/hooks", action: maintain, hook: true, handle: (*Server).hooks},
	{method: post, path: repo + "/hooks", action: maintain, hook: true, handle: (*Server).addHook},
	{method: get, path: repo + "/hooks/:id", action: maintain, hook: true, handle: (*Server).hook},
	{method: del, path: repo + "/hooks/:id", action: maintain, hook: true, handle: (*Server).removeHook},
	{method: patch, path: repo + "/hooks/:id", action: maintain, handle: (*Server).changeHook},
	{method: post, path: repo + "/hooks/:id/pings", action: maintain, handle: (*Server).pingHook},
	{method: get, path: repo + "/hooks/:id/deliveries", action: maintain, handle: (*Server).hookDeliveries},
	{method: get, path: repo + "/hooks/:id/deliveries/:delivery", action: maintain, handle: (*Server).hookDelivery},
	{method: post, path: repo + "/hooks/:id/deliveries/:delivery/attempts", action: maintain, handle: (*Server).redeliverHook},

	{method: get, path: "/login/oauth/authorize", face: ofOAuth, handle: (*Server).authorize},
	{method: post, path: "/login/oauth/authorize", face: ofOAuth, handle: (*Server).consent},
	{method: post, path: "/login/oauth/access_token", face: ofOAuth, handle: (*Server).accessToken},
	{method: get, path: "/login/oauth/clients", action: admin, handle: (*Server).oauthClients},
	{method: post, path: "/login/oauth/clients", action: admin, handle: (*Server).addOAuthClient},
	{method: del, path: "/login/oauth/clients/:client", action: admin, handle: (*Server).removeOAuthClient},

	{method: get, path: gp + "/issues/:key/commits", action: apiRead, face: ofPlugin, handle: (*Server).issueCommits},
	{method: get, path: gp + "/issues/branches", action: apiRead, face: ofPlugin, handle: (*Server).issueBranches},
	{method: get, path: gp + "/issuegitdetails/issue/:key", action: apiRead, face: ofPlugin, handle: (*Server).issueDetails},
	{method: get, path: gp + "/issuegitdetails/issue/:key/tag", action: apiRead, face: ofPlugin, handle: (*Server).issueTags},
	{method: get, path: gp + "/repository", action: apiRead, face: ofPlugin, handle: (*Server).gitRepositories},
	{method: get, path: gp + "/integration", action: apiRead, face: ofPlugin, handle: (*Server).gitIntegrations},
	{method: get, path: gp + "/repository/:id/commits/:sha/issues", action: apiRead, face: ofPlugin, handle: (*Server).commitIssues},
	{method: post, path: gp + "/repository/:id/commits/:sha/issues", action: ferry.ActionSelf, face: ofPlugin, handle: (*Server).changeIssues},
	{method: post, path: "/rest/gitplugin/2.0/reindex", action: apiRead, face: ofPlugin, handle: (*Server).reindex},
}
