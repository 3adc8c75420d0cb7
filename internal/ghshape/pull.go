package ghshape

import (
	"strconv"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

func itoa[T ~int64](n T) string { return strconv.FormatInt(int64(n), 10) }

// Pull writes a pull request as lists have it, with the two members more that
// Jira's connector reads there. repo is the repository as written by
// Repository, author the user or stranger who opened it.
func (s Shape) Pull(r ferry.Repository, p store.PullRequest, repo, author Object) Object {
	n := itoa(p.Number)
	at, page := s.Repo(r)+"/pulls/"+n, s.Page(r)+"/pull/"+n
	issue := s.Repo(r) + "/issues/" + n
	statuses := s.Repo(r) + "/statuses/" + p.SourceOID.String()
	href := func(to string) Object { return Object{"href": to} }
	side := func(ref ferry.RefName, oid ferry.OID) Object {
		return Object{"label": r.Owner + ":" + ref.Short(), "ref": ref.Short(), "sha": oid.String(), "user": s.Owner(r.IntegrationID, r.Owner), "repo": repo}
	}
	o := Object{
		"id": pullID(r, p), "node_id": NodeID("PullRequest", pullID(r, p)), "number": p.Number, "url": at, "html_url": page,
		"diff_url": page + ".diff", "patch_url": page + ".patch", "issue_url": issue, "commits_url": at + "/commits",
		"review_comments_url": at + "/comments", "review_comment_url": s.Repo(r) + "/pulls/comments{/number}",
		"comments_url": issue + "/comments", "statuses_url": statuses,
		"state": p.Status, "locked": false, "title": p.Title, "user": author, "body": nil, "labels": []Object{}, "milestone": nil,
		"active_lock_reason": nil, "created_at": Date(p.CreatedAt), "updated_at": Date(p.UpdatedAt), "closed_at": nil, "merged_at": nil,
		"merge_commit_sha": nil, "assignee": nil, "assignees": []Object{}, "requested_reviewers": []Object{}, "requested_teams": []Object{},
		"head": side(p.Source, p.SourceOID), "base": side(p.Destination, p.DestinationOID), "author_association": "MEMBER",
		"auto_merge": nil, "draft": false, "comments": 0, "merged_by": nil,
		"_links": Object{"self": href(at), "html": href(page), "issue": href(issue), "comments": href(issue + "/comments"),
			"review_comments": href(at + "/comments"), "review_comment": href(s.Repo(r) + "/pulls/comments{/number}"),
			"commits": href(at + "/commits"), "statuses": href(statuses)},
	}
	if p.Description != "" {
		o["body"] = p.Description
	}
	if p.Status != "open" {
		o["closed_at"] = Date(p.UpdatedAt)
	}
	if p.Merged {
		o["merged_at"] = Date(p.UpdatedAt)
		if !p.MergeOID.IsZero() {
			o["merge_commit_sha"] = p.MergeOID.String()
		}
	}
	return o
}

// pullID is a number that is the same for a pull request at all times and
// below 2^53.
func pullID(r ferry.Repository, p store.PullRequest) int64 {
	return int64(r.ID)<<31 | p.Number&(1<<31-1)
}
