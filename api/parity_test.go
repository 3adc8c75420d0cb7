package api

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pageActions says for each page that changes something which operations of
// the API do the same. "pages" marks what only a browser needs.
var pageActions = map[string]string{
	"/login": "pages", "/logout": "endOwnSessions", "/setup": "pages",
	"/admin/triggers":         "switchTriggers getTriggersAll getTriggers getTriggerAddress setTriggers renewTriggers renewInstallAddress renewTriggerAddress clearTriggerCalls",
	"/admin/delivery/history": "sendHistory", "/admin/settings/clear": "withdrawHistory",
	"/admin/webhooks": "github changeSettings", "/admin/repositories/:id/webhooks/:hook": "github",
	"/admin/oauth": "github",
	"/settings": "askAddress removeOwnAddress changeOwnSettings setOwnPassword endOwnSession endOwnSessions setOwnJiraToken setDefault setOwnAWSCredential removeOwnAWSCredential " +
		"addOwnKey removeOwnKey addOwnToken revokeOwnToken",
	"/issues/:key/branches/new":            "createBranch setDefault",
	"/issues/:key/branches/delete":         "deleteBranch",
	"/issues/:key/pulls/new":               "createPullRequest setDefault",
	"/:owner/:name/branches/delete":        "deleteBranch",
	"/:owner/:name/commit/:sha/issues":     "changeAssociations",
	"/:owner/:name/branches/issues":        "changeAssociations",
	"/:owner/:name/pull/:number/issues":    "changeAssociations",
	"/admin/integrations":                  "reindexIntegration",
	"/admin/integrations/new":              "addIntegration",
	"/admin/integrations/new/codecommit":   "addIntegration",
	"/admin/integrations/:id/select":       "connectRepositories removeRepository changeIntegration",
	"/admin/integrations/:id/repositories": "connectRepositories removeRepository changeIntegration",
	"/admin/integrations/:id/connection":   "changeIntegration",
	"/admin/integrations/:id/features":     "changeIntegration",
	"/admin/integrations/:id/reconnect":    "syncIntegration",
	"/admin/integrations/:id/reindex":      "reindexIntegration",
	"/admin/integrations/:id/switch":       "changeIntegration",
	"/admin/integrations/:id/disconnect":   "removeIntegration",
	"/admin/repositories":                  "reindexRepository changeRepository",
	"/admin/repositories/:id":              "changeRepository",
	"/admin/repositories/:id/do":           "syncRepository reindexRepository purgeRepository",
	"/admin/queue/cancel":                  "cancelJob",
	"/admin/queue/clear":                   "clearJobs",
	"/admin/delivery/retry":                "retryDelivery",
	"/admin/delivery/discard":              "discardDelivery",
	"/admin/delivery/pause":                "pause",
	"/admin/delivery/resume":               "resume",
	"/admin/policy":                        "setPolicy tryPolicy",
	"/admin/settings":                      "changeSettings setJira",
	"/admin/jira":                          "setJira",
	"/admin/jira/test":                     "checkJira",
	"/admin/jira/remove":                   "removeJira",
	"/admin/users":                         "addUser setPassword",
	"/admin/users/:id":                     "changeUser",
	"/admin/users/:id/do":                  "setPassword endSessions unbindUser confirmAddress refuseAddress addGrant removeGrant removeUser addKey removeKey addToken revokeToken",
}

// formWords are the values of the field "do", by which one address does
// several things, with the operation for each.
var formWords = map[string]string{
	"theme": "changeOwnSettings", "display": "changeOwnSettings", "password": "setOwnPassword", "session": "endOwnSession", "sessions": "endOwnSessions",
	"jira": "setOwnJiraToken", "default-repo": "setDefault", "default-branch": "setDefault", "clear-repo": "setDefault",
	"aws": "setOwnAWSCredential", "unaws": "removeOwnAWSCredential",
	"key": "addOwnKey", "unkey": "removeOwnKey", "token": "addOwnToken", "untoken": "revokeOwnToken",
	"grant": "addGrant", "ungrant": "removeGrant", "remove": "removeUser",
	"sync": "syncRepository", "reindex": "reindexRepository", "purge": "purgeRepository", "enable": "changeRepository", "disable": "changeRepository",
	"find": "searchIssues", "create": "createBranch", "reload": "branchForm", "save": "setPolicy", "try": "tryPolicy",
	"switch": "switchTriggers", "show": "getTriggerAddress getTriggersAll getTriggers", "setup": "setTriggers", "clear": "clearTriggerCalls",
	"mail": "askAddress", "unmail": "removeOwnAddress", "unask": "removeOwnAddress", "confirm": "confirmAddress", "refuse": "refuseAddress",
	"ping": "github", "redeliver": "github", "private": "changeSettings",
	"renew": "renewTriggers renewInstallAddress renewTriggerAddress", "unbind": "unbindUser",
	"{{.Do}}": "setDefault", "{{.Make}}": "setDefault",
}

// pageViews says for each page that only shows something where the API, or the
// API in GitHub's shape, has the same.
var pageViews = map[string]string{
	"/": "listPushes search", "/search": "search", "/search/issues": "searchIssues", "/repos": "listRepositories", "/help": "pages", "/_components": "pages", "/login": "pages", "/setup": "pages",
	"/admin/webhooks": "github getSettings", "/admin/repositories/:id/webhooks/:hook": "github", "/admin/oauth": "github",
	"/admin/repositories/:id/webhooks/:hook/deliveries/:delivery": "github",
	"/login/oidc": "pages", "/login/oidc/callback": "pages",
	"/static/:name":             "pages",
	"/settings":                 "listOwnAddresses getSelf getOwnSettings listOwnKeys listOwnTokens listOwnSessions listDefaults listOwnAWSCredentials",
	"/issues/:key":              "getIssue listIssueCommits listIssueBranches listIssuePulls listIssueTags listIssueDeliveries",
	"/issues/:key/branches/new": "branchForm", "/issues/:key/pulls/new": "pullForm previewPullRequest", "/issues/:key/branches/delete": "planDeletion",
	"/projects/:key":      "listProjects listProjectCommits",
	"/admin":              "pages",
	"/admin/integrations": "listIntegrations", "/admin/integrations/new": "pages", "/admin/integrations/new/codecommit": "pages",
	"/admin/integrations/:id/select": "syncIntegration getPermissions", "/admin/integrations/:id/repositories": "listIntegrationRepositories syncIntegration",
	"/admin/integrations/:id/connection": "getIntegration getPermissions checkPermissions", "/admin/integrations/:id/features": "getIntegration getTriggers",
	"/admin/integrations/:id/disconnect": "listIntegrationRepositories", "/admin/integrations/:id/log": "getIntegrationLog",
	"/admin/repositories": "listRepositories", "/admin/repositories/:id": "getRepository",
	"/admin/repositories/:id/log": "getRepositoryLog", "/admin/repositories/:id/log.txt": "getRepositoryLog",
	"/admin/queue": "listJobs", "/admin/triggers": "getTriggersAll listTriggerCalls", "/admin/smart-commits": "listDeliveries",
	"/admin/delivery": "listDeliveries getPause adminState", "/admin/policy": "getPolicy", "/admin/settings": "getSettings", "/admin/jira": "getJira",
	"/admin/users": "listUsers listAddressRequests", "/admin/users/:id": "getUser listKeys listTokens listGrants listSessions",
	"/admin/audit": "listAudit", "/admin/audit.csv": "listAudit", "/admin/doctor": "examineCommit", "/admin/activity": "getActivity",
	"/:owner/:name": "getRepository", "/:owner/:name/tree/*": "github", "/:owner/:name/blob/*": "github", "/:owner/:name/raw/*": "github",
	"/:owner/:name/commits": "listCommits", "/:owner/:name/commits/*": "github", "/:owner/:name/commit/:sha": "getCommit github",
	"/:owner/:name/compare": "github", "/:owner/:name/compare/*": "github", "/:owner/:name/branches": "listRefs",
	"/:owner/:name/commit/:sha/issues": "listAssociations searchIssues", "/:owner/:name/branches/issues": "listAssociations searchIssues",
	"/:owner/:name/pull/:number/issues": "listAssociations searchIssues", "/:owner/:name/branches/delete": "planDeletion",
	"/:owner/:name/tags": "listRefs", "/:owner/:name/pulls": "listPullRequests", "/:owner/:name/pull/:number": "listPullRequests github",
}

// Whatever pages can do, the API can: a page that is added without an
// operation fails here.
func TestPagesHaveOperations(t *testing.T) {
	w := newWorld(t)
	ids := map[string]bool{"pages": true, "github": true}
	for _, r := range v1 {
		ids[r.id] = true
	}
	seen := make(map[string]bool)
	for _, r := range w.server.echo.Routes() {
		if machine := regexp.MustCompile(`^/(api|rest|hooks|avatars)/|^/login/oauth/|^/(healthz|readyz|metrics)$|^/\*$`); machine.MatchString(r.Path) {
			continue
		}
		table := pageActions
		if r.Method == "GET" {
			table = pageViews
		}
		seen[r.Method+" "+r.Path] = true
		if table[r.Path] == "" {
			t.Errorf("%s %s has no operation of the API beside it", r.Method, r.Path)
		}
	}
	for method, table := range map[string]map[string]string{"POST": pageActions, "GET": pageViews, "word": formWords} {
		for path, operations := range table {
			if method != "word" && !seen[method+" "+path] && path != "/_components" {
				t.Errorf("there is no page %s %s any more", method, path)
			}
			for _, id := range strings.Fields(operations) {
				if !ids[id] {
					t.Errorf("%s %s: there is no operation %s", method, path, id)
				}
			}
		}
	}
	files, err := filepath.Glob("web/templates/*")
	w.must(err)
	var words []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		w.must(err)
		for _, m := range regexp.MustCompile(`name="do" value="([^"]+)"`).FindAllStringSubmatch(string(text), -1) {
			words = append(words, m[1])
			if formWords[m[1]] == "" {
				t.Errorf("%s: the form that does %q has no operation of the API beside it", f, m[1])
			}
		}
	}
	if len(words) < 20 || !slices.Contains(words, "token") {
		t.Errorf("the forms say %q; are these the templates?", words)
	}
}
