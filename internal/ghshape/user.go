package ghshape

import (
	"hash/fnv"
	"strings"

	"gitferry/internal/ferry"
)

// User writes a user of ours.
func (s Shape) User(u ferry.User) Object { return s.account(u.Name, int64(u.ID), "User", "User") }

// Stranger writes somebody who is no user of ours, such as an AWS principal.
// The id is made from the name: negative, so that it is nobody else's.
func (s Shape) Stranger(name string) Object {
	h := fnv.New32a()
	h.Write([]byte(name)) // never fails
	return s.account(LoginOf(name), -int64(h.Sum32())-1, "User", "User")
}

// Bot writes this server as the one who did something.
func (s Shape) Bot() Object { return s.account("gitferry", 0, "User", "Bot") }

// LoginOf is the last part of an ARN, which names the user or the session.
func LoginOf(arn string) string {
	if i := strings.LastIndexAny(arn, "/:"); i >= 0 && i < len(arn)-1 {
		arn = arn[i+1:]
	}
	return arn
}

// Owner writes the owner of an integration's repositories.
func (s Shape) Owner(id ferry.IntegrationID, login string) Object {
	return s.account(login, int64(id), "Organization", "Organization")
}

func (s Shape) account(login string, id int64, node, kind string) Object {
	at := s.API("/users/" + EscapePath(login))
	return Object{
		"login": login, "id": id, "node_id": NodeID(node, id), "avatar_url": s.Public + "/avatars/u/" + EscapePath(login),
		"gravatar_id": "", "url": at, "html_url": s.Public + "/" + EscapePath(login),
		"followers_url": at + "/followers", "following_url": at + "/following{/other_user}", "gists_url": at + "/gists{/gist_id}",
		"starred_url": at + "/starred{/owner}{/repo}", "subscriptions_url": at + "/subscriptions", "organizations_url": at + "/orgs",
		"repos_url": at + "/repos", "events_url": at + "/events{/privacy}", "received_events_url": at + "/received_events",
		"type": kind, "site_admin": false,
	}
}

// Profile writes a user with everything that its own page shows.
func (s Shape) Profile(u ferry.User, repositories int) Object {
	o := s.profile(s.User(u), repositories)
	o["site_admin"] = u.Admin
	if u.Display != "" {
		o["name"] = u.Display
	}
	if u.Email != "" {
		o["email"] = u.Email
	}
	return o
}

// OwnerProfile writes an owner where a user is asked for.
func (s Shape) OwnerProfile(i ferry.Integration, repositories int) Object {
	o := s.profile(s.Owner(i.ID, i.Slug), repositories)
	if i.Name != "" {
		o["name"] = i.Name
	}
	return o
}

func (s Shape) profile(o Object, repositories int) Object {
	for _, name := range []string{"name", "company", "blog", "location", "email", "hireable", "bio", "twitter_username"} {
		o[name] = nil
	}
	for name, n := range map[string]int{"public_repos": repositories, "public_gists": 0, "followers": 0, "following": 0} {
		o[name] = n
	}
	o["user_view_type"] = "public"
	o["created_at"], o["updated_at"] = "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"
	return o
}

// Organization writes an owner where an organisation is asked for.
func (s Shape) Organization(i ferry.Integration, repositories int) Object {
	at := s.API("/orgs/" + EscapePath(i.Slug))
	name := i.Name
	if name == "" {
		name = i.Slug
	}
	return Object{
		"login": i.Slug, "id": i.ID, "node_id": NodeID("Organization", i.ID), "url": at, "repos_url": at + "/repos", "events_url": at + "/events",
		"hooks_url": at + "/hooks", "issues_url": at + "/issues", "members_url": at + "/members{/member}",
		"public_members_url": at + "/public_members{/member}", "avatar_url": s.Public + "/avatars/u/" + EscapePath(i.Slug),
		"description": name, "name": name, "html_url": s.Public + "/" + EscapePath(i.Slug), "has_organization_projects": false,
		"has_repository_projects": false, "public_repos": repositories, "public_gists": 0, "followers": 0, "following": 0,
		"type": "Organization", "created_at": "1970-01-01T00:00:00Z", "updated_at": "1970-01-01T00:00:00Z", "archived_at": nil,
	}
}
