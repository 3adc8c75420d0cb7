package api

import (
	"net/http"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// routes is the whole surface.
func (s *Server) routes() {
	e := s.echo
	e.GET("/healthz", s.health)
	e.GET("/readyz", s.health)
	e.GET("/metrics", s.metrics)
	h := newHooks(s)
	e.Any("/hooks/install/:secret", h.serve("install"))
	e.Any("/hooks/integration/:id/:secret", h.serve("integration"))
	e.Any("/hooks/repo/:id/:secret", h.serve("repo"))
	for i := range v1 {
		e.Add(v1[i].method, "/api/v1"+echoPath(v1[i].path), s.serve(&v1[i]))
	}
}

// echoPath writes {name} as echo does, ":name".
func echoPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

const (
	read     = ferry.ActionRead
	maintain = ferry.ActionMaintain
	apiRead  = ferry.ActionAPIRead
	admin    = ferry.ActionAdmin
	own      = ferry.ActionSelf

	post, put, patch, del = http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete
	created, accepted, ok = http.StatusCreated, http.StatusAccepted, http.StatusOK
)

// v1 is the table of /api/v1.
var v1 = []route{
	get("/openapi.json", "openAPI", "This description", "", (*Server).openAPI),

	get("/user", "getSelf", "Who the token belongs to, and what it may be used for", apiRead, (*Server).getSelf),
	get("/user/keys", "listOwnKeys", "Own SSH keys", apiRead, (*Server).listKeys, paged()...),
	send(post, "/user/keys", "addOwnKey", "Register an SSH key", own, created, (*Server).addKey),
	do(del, "/user/keys/{id}", "removeOwnKey", "Remove an SSH key", own, ok, (*Server).removeKey),
	get("/user/tokens", "listOwnTokens", "Own tokens", apiRead, (*Server).listTokens, paged()...),
	send(post, "/user/tokens", "addOwnToken", "Make a token no wider than that of the request; its text is shown this once", own, created, (*Server).addToken),
	do(del, "/user/tokens/{id}", "revokeOwnToken", "Revoke a token", own, ok, (*Server).revokeToken),
	get("/user/addresses", "listOwnAddresses", "Own e-mail addresses, and those that wait for an administrator", apiRead, (*Server).listOwnAddresses),
	send(post, "/user/addresses", "askAddress", "Ask for an e-mail address; it counts once an administrator confirmed it", own, accepted, (*Server).askAddress),
	do(del, "/user/addresses/{email}", "removeOwnAddress", "Remove an own address, or the request for one", own, ok, (*Server).removeOwnAddress),
	get("/user/aws-credentials", "listOwnAWSCredentials", "Own AWS access keys, by integration", apiRead, (*Server).listAWSCredentials, paged()...),
	send(put, "/user/aws-credentials/{slug}", "setOwnAWSCredential", "Make branches and pull requests of an account with an own access key", own, ok, (*Server).setAWSCredential),
	do(del, "/user/aws-credentials/{slug}", "removeOwnAWSCredential", "Forget an own access key", own, ok, (*Server).removeAWSCredential),
	send(put, "/user/jira-token", "setOwnJiraToken", "Set the Jira token with which own smart commits act", own, ok, (*Server).setJiraToken),
	get("/user/settings", "getOwnSettings", "What people set for themselves", apiRead, (*Server).getOwnSettings),
	send(patch, "/user/settings", "changeOwnSettings", "Change the name that is shown, and how pages look", own, ok, (*Server).changeOwnSettings),
	send(put, "/user/password", "setOwnPassword", "Change the own password; ends all sessions", own, ok, (*Server).setOwnPassword),
	get("/user/sessions", "listOwnSessions", "Browsers that are signed in", apiRead, (*Server).listSessions, paged()...),
	do(del, "/user/sessions", "endOwnSessions", "Sign out everywhere", own, ok, (*Server).endSessions),
	do(del, "/user/sessions/{id}", "endOwnSession", "Sign a browser out", own, ok, (*Server).endSession),
	get("/user/defaults", "listDefaults", "What dialogs for new branches and pull requests begin with, by project", apiRead, (*Server).listDefaults, paged()...),

	get("/repositories", "listRepositories", "Repositories that the token may read", apiRead, (*Server).listRepositories,
		paged(param{"state", "enabled, disabled or missing"}, param{"query", "part of OWNER/NAME"})...),
	get(repositoryPath, "getRepository", "A repository with the state of its mirror and index", read, (*Server).getRepository),
	send(patch, repositoryPath, "changeRepository", "Change what is done with a repository", maintain, ok, (*Server).changeRepository),
	do(del, repositoryPath, "removeRepository", "Disconnect a repository; ask again while withdrawals wait", admin, ok, (*Server).removeRepository, forced),
	get(repositoryPath+"/log", "getRepositoryLog", "What happened to a repository", maintain, (*Server).getRepositoryLog, logLimit),
	get(repositoryPath+"/trigger-address", "getTriggerAddress", "The address that has this repository looked at", maintain, (*Server).getRepositoryAddress),
	do(post, repositoryPath+"/trigger-address", "renewTriggerAddress", "Replace the secret in that address", maintain, ok, (*Server).renewRepositoryAddress),
	do(post, repositoryPath+"/trigger-test", "testTrigger", "Have AWS send a test message through the repository's trigger", maintain, ok, (*Server).testTrigger),
	do(post, repositoryPath+"/sync", "syncRepository", "Look at the upstream and index what moved", maintain, accepted, queue(store.OpSync)),
	do(post, repositoryPath+"/reindex", "reindexRepository", "Index anew what is not indexed", maintain, accepted, queue(store.OpReindex)),
	do(post, repositoryPath+"/purge", "purgeRepository", "Remove objects that no ref reaches", maintain, accepted, queue(store.OpPurge)),
	get(repositoryPath+"/refs", "listRefs", "Branches and tags as indexed", read, (*Server).listRefs, paged()...),
	get(repositoryPath+"/commits", "listCommits", "Indexed commits, newest first", read, (*Server).listCommits, paged(param{"filter", "all, linked or unlinked"})...),
	get(repositoryPath+"/commits/{sha}", "getCommit", "A commit with its issues and what Jira heard of it", read, (*Server).getCommit),
	get(repositoryPath+"/pulls", "listPullRequests", "Pull requests", read, (*Server).listPulls, paged(param{"status", "open or closed"})...),
	send(post, repositoryPath+"/pulls", "createPullRequest", "Open a pull request at the host, or find the one that is open", ferry.ActionPush, created, (*Server).createPull),
	get(repositoryPath+"/preview", "previewPullRequest", "What a pull request would bring, and whether it conflicts", read, (*Server).previewPull,
		param{"source", "branch"}, param{"target", "branch"}),
	send(post, repositoryPath+"/branches", "createBranch", "Make a branch at the host", ferry.ActionPush, created, (*Server).createBranch),
	do(del, repositoryPath+"/branches", "deleteBranch", "Delete a branch at the host", ferry.ActionPush, ok, (*Server).deleteBranch,
		param{"branch", "short name"}, param{"tip", "delete it only if it still stands at this commit"}),
	get(repositoryPath+"/branches/deletion", "planDeletion", "What deleting a branch would lose", read, (*Server).planDeletion, param{"branch", "short name"}),
	get(repositoryPath+"/links", "links", "Pages in the AWS console", read, (*Server).links,
		param{"branch", "branch"}, param{"commit", "full commit id"}, param{"path", "file on the branch or at the commit"}, param{"pull_request", "number"}),
	get(repositoryPath+"/movements", "listMovements", "The log of ref movements, oldest first", read, (*Server).listMovements, paged()...),
	get(repositoryPath+"/pushes", "listPushes", "The latest pushes", maintain, (*Server).listPushes, paged()...),
	get(repositoryPath+"/jobs", "listRepositoryJobs", "Work on the repository", maintain, (*Server).listRepositoryJobs, paged()...),
	get(repositoryPath+"/deliveries", "listRepositoryDeliveries", "What Jira shall hear of the repository", maintain, (*Server).listRepositoryDeliveries, paged(deliveryState)...),

	get(repositoryPath+"/associations", "listAssociations", "What people decided on the issues of a commit, branch or pull request", read, (*Server).listAssociations,
		param{"kind", "commit, branch or pull_request"}, param{"id", "full commit id, short branch name or number"}),
	send(post, repositoryPath+"/associations", "changeAssociations", "Associate issues by hand, or take them away; asks for the rights on the object as well", own, ok, (*Server).changeAssociations),

	events(repositoryPath+"/events", "repositoryEvents", "A stream of ref movements and of work on the repository", read, (*Server).repositoryEvents),
	send(put, repositoryPath+"/defaults/{project}", "setDefault", "Set what own dialogs for issues of a project begin with in a repository", own, ok, (*Server).setDefault),

	get("/issues/{key}", "getIssue", "What is known of an issue: branches, pull requests, Jira's last answer", apiRead, (*Server).getIssue),
	get("/issue-search", "searchIssues", "Issues at Jira by key, project or words of the summary, at most 10", apiRead, (*Server).searchIssues, param{"q", "what to search for"}),
	get("/issues/{key}/commits", "listIssueCommits", "Commits that name an issue, newest first", apiRead, (*Server).listIssueCommits, paged()...),
	get("/issues/{key}/branches", "listIssueBranches", "Branches whose names hold the key, and those that hold a commit of the issue", apiRead, (*Server).listIssueBranches, paged()...),
	get("/issues/{key}/pulls", "listIssuePulls", "Pull requests of an issue", apiRead, (*Server).listIssuePulls, paged()...),
	get("/issues/{key}/tags", "listIssueTags", "Tags that hold a commit of an issue, newest first", apiRead, (*Server).listIssueTags, paged()...),
	get("/issues/{key}/deliveries", "listIssueDeliveries", "What Jira shall hear for an issue", admin, (*Server).listIssueDeliveries, paged(deliveryState)...),
	get("/issues/{key}/branch-form", "branchForm", "What a dialog for a new branch begins with", apiRead, (*Server).branchForm,
		param{"repository", "OWNER/NAME"}, param{"source", "branch"}),
	get("/issues/{key}/pull-form", "pullForm", "What a dialog for a new pull request begins with", apiRead, (*Server).pullForm,
		param{"repository", "OWNER/NAME"}, param{"source", "branch"}, param{"target", "branch"}),
	get("/search", "search", "Issue keys, commit ids and repository names", apiRead, (*Server).search, param{"q", "what to search for"}),
	get("/projects", "listProjects", "Projects that Jira has", apiRead, (*Server).listProjects),
	get("/projects/{project}/commits", "listProjectCommits", "The newest commits that name an issue of a project", apiRead, (*Server).listProjectCommits, projectLimit),
	events("/events", "allEvents", "A stream of pushes, ref movements, work and deliveries of all that the token may see", apiRead, (*Server).allEvents),
	get("/version", "getVersions", "What runs here", apiRead, (*Server).getVersions),
	quiet(send(post, "/explain", "explain", "What a commit message or branch name would do", apiRead, ok, (*Server).explain)),

	get("/integrations", "listIntegrations", "Upstream accounts and single repositories", admin, (*Server).listIntegrations, paged()...),
	send(post, "/integrations", "addIntegration", "Connect an account in a region, or a repository by its URL", admin, created, (*Server).addIntegration),
	get("/integrations/{slug}", "getIntegration", "An integration", admin, (*Server).getIntegration),
	send(patch, "/integrations/{slug}", "changeIntegration", "Change names, credentials, end points and whether it is enabled", admin, ok, (*Server).changeIntegration),
	do(del, "/integrations/{slug}", "removeIntegration", "Disconnect an integration; ask again while withdrawals wait", admin, ok, (*Server).removeIntegration, forced),
	do(post, "/integrations/{slug}/sync", "syncIntegration", "Read the account's list of repositories", admin, ok, (*Server).syncIntegration),
	do(post, "/integrations/{slug}/reindex", "reindexIntegration", "Index all repositories of an integration anew", admin, accepted, (*Server).reindexIntegration),
	get("/integrations/{slug}/repositories", "listIntegrationRepositories", "Connected repositories of an integration", admin, (*Server).listOfIntegration, paged()...),
	send(post, "/integrations/{slug}/repositories", "connectRepositories", "Connect repositories of an account by name", admin, ok, (*Server).connectRepositories),

	get("/integrations/{slug}/permissions", "getPermissions", "What the account's credentials may do, as far as it is known", admin, (*Server).getPermissions),
	do(post, "/integrations/{slug}/permissions/check", "checkPermissions", "Try what may be tried without a side effect", admin, ok, (*Server).checkPermissions),
	get("/integrations/{slug}/triggers", "getTriggers", "How AWS tells of movements in an account", admin, (*Server).getTriggers),
	do(post, "/integrations/{slug}/triggers", "setTriggers", "Set the triggers up, again if need be", admin, accepted, (*Server).setTriggers),
	do(post, "/integrations/{slug}/triggers/secret", "renewTriggers", "Replace the secret in the address that AWS calls", admin, accepted, (*Server).renewTriggers),
	get("/integrations/{slug}/log", "getIntegrationLog", "What happened to an integration", admin, (*Server).getIntegrationLog, logLimit),
	get("/triggers", "getTriggersAll", "Whether triggers are taken, and at which address for the whole installation", admin, (*Server).getTriggersAll),
	send(put, "/triggers", "switchTriggers", "Take triggers, or ignore them", admin, ok, (*Server).switchTriggers),
	do(post, "/triggers/secret", "renewInstallAddress", "Replace the secret in the address of the whole installation", admin, ok, (*Server).renewInstall),
	get("/trigger-calls", "listTriggerCalls", "Calls of trigger addresses within 7 days, newest first", admin, (*Server).listTriggerCalls, paged()...),
	do(del, "/trigger-calls", "clearTriggerCalls", "Empty the log of trigger calls", admin, ok, (*Server).clearTriggerCalls),

	get("/users", "listUsers", "Users", admin, (*Server).listUsers, paged()...),
	send(post, "/users", "addUser", "Add a user", admin, created, (*Server).addUser),
	get("/users/{user}", "getUser", "A user", admin, (*Server).getUser),
	send(patch, "/users/{user}", "changeUser", "Change a user", admin, ok, (*Server).changeUser),
	do(del, "/users/{user}", "removeUser", "Remove a user with keys, tokens and grants", admin, ok, (*Server).removeUser),
	send(put, "/users/{user}/password", "setPassword", "Give a user a password; ends all sessions", admin, ok, (*Server).setPassword),
	get("/users/{user}/sessions", "listSessions", "Browsers in which a user is signed in", admin, (*Server).listSessions, paged()...),
	do(del, "/users/{user}/sessions", "endSessions", "Sign a user out everywhere", admin, ok, (*Server).endSessions),
	do(del, "/users/{user}/sessions/{id}", "endSession", "Sign a browser of a user out", admin, ok, (*Server).endSession),
	get("/address-requests", "listAddressRequests", "Addresses that people ask to have confirmed", admin, (*Server).listAddressRequests, paged()...),
	do(put, "/users/{user}/addresses/{email}", "confirmAddress", "Confirm an address that a user asked for", admin, ok, (*Server).confirmAddress),
	do(del, "/users/{user}/addresses/{email}", "refuseAddress", "Refuse an address that a user asked for", admin, ok, (*Server).refuseAddress),
	do(del, "/users/{user}/identities", "unbindUser", "Forget who a user is at the identity provider", admin, ok, (*Server).unbindUser),
	get("/users/{user}/keys", "listKeys", "SSH keys of a user", admin, (*Server).listKeys, paged()...),
	send(post, "/users/{user}/keys", "addKey", "Register an SSH key for a user", admin, created, (*Server).addKey),
	do(del, "/users/{user}/keys/{id}", "removeKey", "Remove an SSH key of a user", admin, ok, (*Server).removeKey),
	get("/users/{user}/tokens", "listTokens", "Tokens of a user", admin, (*Server).listTokens, paged()...),
	send(post, "/users/{user}/tokens", "addToken", "Make a token for a user, no wider than that of the request", admin, created, (*Server).addToken),
	do(del, "/users/{user}/tokens/{id}", "revokeToken", "Revoke a token of a user", admin, ok, (*Server).revokeToken),
	get("/users/{user}/aws-identities", "listAWSIdentities", "Who a user is at AWS, for pull requests at Jira", admin, (*Server).listAWSIdentities, paged()...),
	send(post, "/users/{user}/aws-identities", "addAWSIdentity", "Say that an ARN at AWS is a user's", admin, created, (*Server).addAWSIdentity),
	do(del, "/users/{user}/aws-identities", "removeAWSIdentity", "Take an ARN at AWS from a user", admin, ok, (*Server).removeAWSIdentity, param{"arn", "the ARN"}),
	get("/users/{user}/grants", "listGrants", "Grants of a user", admin, (*Server).listGrants, paged()...),
	send(post, "/users/{user}/grants", "addGrant", "Give a user a level; replaces a grant for the same glob", admin, created, (*Server).addGrant),
	do(del, "/users/{user}/grants/{id}", "removeGrant", "Take a grant back", admin, ok, (*Server).removeGrant),
	send(put, "/users/{user}/jira-token", "setJiraToken", "Set the Jira token with which a user's smart commits act", admin, ok, (*Server).setJiraToken),
	get("/grants", "listAllGrants", "All grants", admin, (*Server).listAllGrants, paged()...),

	get("/deliveries", "listDeliveries", "What Jira shall hear, newest first", admin, (*Server).listDeliveries, paged(deliveryState)...),
	events("/deliveries/events", "deliveryEvents", "A stream of the counts of deliveries", admin, (*Server).deliveryEvents),
	do(post, "/deliveries/{id}/retry", "retryDelivery", "Make a delivery due now", admin, ok, (*Server).retryDelivery),
	do(post, "/deliveries/{id}/discard", "discardDelivery", "End a delivery without Jira having heard of it", admin, ok, (*Server).discardDelivery),
	do(del, "/deliveries/history", "withdrawHistory", "Take back all that Jira shows of the repositories", admin, accepted, (*Server).withdrawHistory),
	send(post, "/deliveries/history", "sendHistory", "Tell Jira once more of what the repositories hold, as history", admin, accepted, (*Server).sendHistory),
	get("/pause", "getPause", "Whether deliveries are held back", admin, (*Server).getPause),
	send(put, "/pause", "pause", "Hold back all deliveries", admin, ok, (*Server).pause),
	do(del, "/pause", "resume", "Let deliveries go on", admin, ok, (*Server).resume),

	get("/jobs", "listJobs", "Background work, newest first", admin, (*Server).listJobs, paged(jobState)...),
	do(post, "/jobs/{id}/cancel", "cancelJob", "Cancel queued or running work", admin, ok, (*Server).cancelJob),
	do(del, "/jobs", "clearJobs", "Cancel all queued work; what runs goes on", admin, ok, (*Server).clearJobs),
	get("/policy", "getPolicy", "What every push must fulfil", admin, (*Server).getPolicy),
	send(put, "/policy", "setPolicy", "Replace the push rules", admin, ok, (*Server).setPolicy),
	quiet(send(post, "/policy/try", "tryPolicy", "What rules would have refused of a repository's newest commits", admin, ok, (*Server).tryPolicy)),
	get("/jira", "getJira", "The Jira site", admin, (*Server).getJira),
	send(put, "/jira", "setJira", "Connect or change the Jira site", admin, ok, (*Server).setJira),
	do(del, "/jira", "removeJira", "Forget the Jira site and its secrets", admin, ok, (*Server).removeJira),
	do(post, "/jira/check", "checkJira", "Sign in to Jira and see what is permitted", admin, ok, (*Server).checkJira),
	get("/settings", "getSettings", "Settings", admin, (*Server).getSettings),
	send(patch, "/settings", "changeSettings", "Change settings", admin, ok, (*Server).changeSettings),
	get("/audit", "listAudit", "Who did what, newest first", admin, (*Server).listAudit,
		paged(param{"actor", "only of this actor"}, param{"action", "only this action"}, param{"object", "only on this object"})...),
	get("/audit/proof", "verifyAudit", "Follow the chain of hashes", admin, (*Server).verifyAudit),
	get("/admin/state", "adminState", "What is waiting, for scripts that wait for quiet", admin, (*Server).adminState),
	get("/admin/consistency", "consistency", "Compare upstreams, mirrors, index and deliveries", admin, (*Server).consistency),
	get("/admin/check", "check", "Try git, credentials, permissions, Jira and disk", admin, (*Server).check),
	get("/admin/examine", "examineCommit", "Why a commit does not show at an issue", admin, (*Server).examineCommit,
		param{"commit", "7 to 40 digits of the commit id"}, param{"issue", "issue key"}, param{"repository", "number of a repository, to look only there"}),
	get("/admin/activity", "getActivity", "Pushes by day and the waiting time of commands by hour", admin, (*Server).getActivity),
	do(post, "/admin/backups", "makeBackup", "Write a backup into the server's data directory, where the latest ten are kept", admin, created, (*Server).makeBackup),
}

// quiet marks a route that changes nothing although it is no GET.
func quiet(r route) route {
	r.quiet = true
	return r
}
