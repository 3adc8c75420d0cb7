package outbox

import (
	"net/url"
	"strconv"
	"strings"

	"gitferry/internal/ferry"
)

// Links makes the addresses of our pages that Jira shows. They hold no
// credential; the pages ask again who is looking (security.md JIRA-9).
type Links struct {
	Base string // public address of the server, without a slash at the end
}

// Repository returns the address of a repository's page.
func (l Links) Repository(r ferry.Repository) string {
	return l.Base + "/" + url.PathEscape(r.Owner) + "/" + url.PathEscape(r.Name)
}

// Commit returns the address of a commit's page.
func (l Links) Commit(r ferry.Repository, oid ferry.OID) string {
	return l.Repository(r) + "/commit/" + oid.String()
}

// File returns the address of a file's difference on a commit's page.
func (l Links) File(r ferry.Repository, oid ferry.OID, path string) string {
	return l.Commit(r, oid) + "#" + url.PathEscape(path)
}

// Branch returns the address of a branch's page.
func (l Links) Branch(r ferry.Repository, name ferry.RefName) string {
	parts := strings.Split(name.Short(), "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return l.Repository(r) + "/tree/" + strings.Join(parts, "/")
}

// NewPull returns the address of the page that opens a pull request from a
// branch for an issue, "" where that is longer than Jira takes.
func (l Links) NewPull(r ferry.Repository, key ferry.IssueKey, branch ferry.RefName) string {
	q := url.Values{"repo": {strconv.FormatInt(int64(r.ID), 10)}, "source": {branch.Short()}}
	address := l.Base + "/issues/" + string(key) + "/pulls/new?" + q.Encode()
	if len(address) > maxAddress {
		return ""
	}
	return address
}

// maxAddress is how long an address of an entity may be (jira.md, 1.4).
const maxAddress = 2000

// Pull returns the address of a pull request's page.
func (l Links) Pull(r ferry.Repository, number int64) string {
	return l.Repository(r) + "/pull/" + strconv.FormatInt(number, 10)
}
