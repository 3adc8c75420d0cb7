package ghshape

import (
	"strings"
	"time"

	"gitferry/internal/ferry"
)

// Rights are what the reader of a repository may do with it.
type Rights struct{ Admin, Push, Pull bool }

// templates are the addresses of a repository that are its own address and
// something behind it.
var templates = map[string]string{
	"branches_url": "/branches{/branch}", "commits_url": "/commits{/sha}", "pulls_url": "/pulls{/number}", "comments_url": "/comments{/number}",
	"collaborators_url": "/collaborators{/collaborator}", "keys_url": "/keys{/key_id}", "labels_url": "/labels{/name}",
	"milestones_url": "/milestones{/number}", "issues_url": "/issues{/number}", "releases_url": "/releases{/id}",
	"git_commits_url": "/git/commits{/sha}", "git_refs_url": "/git/refs{/sha}", "git_tags_url": "/git/tags{/sha}",
	"blobs_url": "/git/blobs{/sha}", "trees_url": "/git/trees{/sha}", "compare_url": "/compare/{base}...{head}",
	"contents_url": "/contents/{+path}", "archive_url": "/{archive_format}{/ref}", "statuses_url": "/statuses/{sha}",
	"assignees_url": "/assignees{/user}", "issue_comment_url": "/issues/comments{/number}", "issue_events_url": "/issues/events{/number}",
	"notifications_url": "/notifications{?since,all,participating}",
}

// plain are those whose ending is the member's name without "_url".
var plain = []string{"tags", "languages", "contributors", "hooks", "events", "forks", "teams", "merges", "deployments", "downloads",
	"stargazers", "subscribers", "subscription"}

// Repository writes a repository as a whole. moved is when a ref of it moved
// last; zero: not yet.
func (s Shape) Repository(r ferry.Repository, moved time.Time, rights Rights) Object {
	at, page := s.Repo(r), s.Page(r)
	branch := r.DefaultBranch
	if branch == "" {
		branch = "main"
	}
	o := Object{
		"id": r.ID, "node_id": NodeID("Repository", r.ID), "name": r.Name, "full_name": r.Path(), "private": true,
		"owner": s.Owner(r.IntegrationID, r.Owner), "html_url": page, "description": nil, "fork": false, "url": at,
		"clone_url": page + ".git", "git_url": "git://" + strings.TrimPrefix(strings.TrimPrefix(page, "https://"), "http://") + ".git",
		"ssh_url": s.SSHURL(r), "svn_url": page, "mirror_url": nil, "homepage": nil, "language": nil, "license": nil, "default_branch": branch,
		"forks": 0, "forks_count": 0, "stargazers_count": 0, "watchers": 0, "watchers_count": 0, "open_issues": 0, "open_issues_count": 0,
		"network_count": 0, "subscribers_count": 0, "size": 0, "is_template": false, "topics": []string{},
		"has_issues": false, "has_projects": false, "has_wiki": false, "has_pages": false, "has_downloads": false, "has_discussions": false,
		"archived": r.State != ferry.RepositoryEnabled, "disabled": r.State == ferry.RepositoryDisabled, "visibility": "private",
		"allow_forking": false, "web_commit_signoff_required": false,
		"pushed_at": Date(moved), "updated_at": Date(moved), "created_at": Date(r.CreatedAt),
		"permissions": Object{"admin": rights.Admin, "maintain": rights.Admin, "push": rights.Push, "triage": rights.Push, "pull": rights.Pull},
	}
	if strings.HasPrefix(r.CloneURL, "https://") {
		o["mirror_url"] = r.CloneURL
	}
	for name, t := range templates {
		o[name] = at + t
	}
	for _, name := range plain {
		o[name+"_url"] = at + "/" + name
	}
	return o
}
