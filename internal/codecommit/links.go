package codecommit

import (
	"net/url"
	"strings"
)

// Links makes addresses of the AWS console for one repository. The zero Links,
// as for partitions whose console is not known, makes empty strings.
//
// The forms are those that public tools build; AWS documents none of them.
type Links struct{ base, query string }

// ConsoleLinks returns the links of a repository. console replaces the base
// "https://REGION.console.aws.amazon.com" if not empty.
func ConsoleLinks(region, console, repository string) Links {
	if console == "" {
		domain := PartitionOf(region).Console
		if domain == "" {
			return Links{}
		}
		console = "https://" + region + "." + domain
	}
	return Links{
		base:  strings.TrimRight(console, "/") + "/codesuite/codecommit/repositories/" + url.PathEscape(repository),
		query: "?region=" + url.QueryEscape(region),
	}
}

func (l Links) path(parts ...string) string {
	if l.base == "" {
		return ""
	}
	return l.base + strings.Join(parts, "") + l.query
}

// escape encodes each segment and keeps the slashes between them.
func escape(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return strings.Join(segments, "/")
}

// Repository is the page with the files of the default branch.
func (l Links) Repository() string { return l.path("/browse") }

// Branches is the list of branches.
func (l Links) Branches() string { return l.path("/branches") }

// Branch is the page of a branch; name is short.
func (l Links) Branch(name string) string { return l.path("/browse/refs/heads/", escape(name)) }

// Tag is the page of a tag; name is short.
func (l Links) Tag(name string) string { return l.path("/browse/refs/tags/", escape(name)) }

// Commit is the page of a commit by its full ID.
func (l Links) Commit(id string) string { return l.path("/commit/", escape(id)) }

// FileAt is a file or directory at a commit.
func (l Links) FileAt(commit, path string) string {
	return l.path("/browse/", escape(commit), "/--/", escape(path))
}

// FileOn is a file or directory on a branch.
func (l Links) FileOn(branch, path string) string {
	return l.path("/browse/refs/heads/", escape(branch), "/--/", escape(path))
}

// Compare shows what changed between two commits.
func (l Links) Compare(before, after string) string {
	return l.path("/compare/", escape(before), "/.../", escape(after))
}

// PullRequests is the list of pull requests.
func (l Links) PullRequests() string { return l.path("/pull-requests") }

// PullRequest is the page of one pull request.
func (l Links) PullRequest(id string) string {
	return l.path("/pull-requests/", escape(id), "/details")
}

// NewPullRequest is the form for a new one; branch names are short.
func (l Links) NewPullRequest(destination, source string) string {
	return l.path("/pull-requests/new/refs/heads/", escape(destination), "/.../refs/heads/", escape(source))
}

// Triggers is the page with the repository's triggers.
func (l Links) Triggers() string { return l.path("/settings/triggers") }
