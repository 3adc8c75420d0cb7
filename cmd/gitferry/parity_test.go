package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// commandOperations says for each command which operations of the API do the
// same. "machine" marks what needs the machine that the server runs on.
var commandOperations = map[string]string{
	"serve": "machine", "sandbox": "machine", "restore": "machine",
	"version": "getVersions", "explain": "explain", "check": "check", "doctor": "consistency", "backup": "makeBackup",
	"integration list": "listIntegrations", "integration add": "addIntegration", "integration sync": "syncIntegration",
	"integration set": "changeIntegration", "integration remove": "removeIntegration",
	"repo list": "listRepositories", "repo add": "connectRepositories", "repo set": "changeRepository", "repo remove": "removeRepository",
	"repo reindex": "reindexRepository reindexIntegration", "repo sync": "syncRepository", "repo purge": "purgeRepository",
	"user list": "listUsers", "user add": "addUser", "user set": "changeUser", "user remove": "removeUser", "user jira-token": "setJiraToken",
	"key list": "listKeys", "key add": "addKey", "key remove": "removeKey",
	"token list": "listTokens", "token add": "addToken", "token remove": "revokeToken",
	"grant list": "listAllGrants", "grant add": "addGrant", "grant remove": "removeGrant",
	"delivery list": "listDeliveries listRepositoryDeliveries listIssueDeliveries", "delivery retry": "retryDelivery", "delivery discard": "discardDelivery",
	"delivery pause": "pause", "delivery resume": "resume",
	"jira show": "getJira", "jira set": "setJira", "jira check": "checkJira", "jira remove": "removeJira",
	"audit list": "listAudit", "audit verify": "verifyAudit",
}

// commandsHaveOperations checks that whatever the command line can do, the API
// can: a command that is added without an operation fails here.
func commandsHaveOperations(t *testing.T, operations map[string]described) {
	t.Helper()
	seen := make(map[string]bool)
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.HasSubCommands() {
			return
		}
		name := strings.TrimPrefix(c.CommandPath(), "gitferry ")
		seen[name] = true
		if commandOperations[name] == "" {
			t.Errorf("gitferry %s has no operation of the API beside it", name)
		}
	}
	walk(newRoot())
	for name, ids := range commandOperations {
		if !seen[name] {
			t.Errorf("there is no command gitferry %s any more", name)
		}
		for _, id := range strings.Fields(ids) {
			if _, ok := operations[id]; !ok && id != "machine" {
				t.Errorf("gitferry %s: there is no operation %s", name, id)
			}
		}
	}
}
