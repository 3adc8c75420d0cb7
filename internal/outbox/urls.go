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

// Pull returns the address of a pull request's page.
func (l Links) Pull(r ferry.Repository, number int64) string {
	return l.Repository(r) + "/pull/" + strconv.FormatInt(number, 10)
}
