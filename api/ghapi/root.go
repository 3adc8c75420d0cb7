package ghapi

import (
	"net/http"
)

// root is the directory of addresses.
func (s *Server) root(c *call) (any, error) {
	o := object{}
	for _, name := range []string{"authorizations", "emails", "emojis", "events", "feeds", "followers", "issues", "notifications", "rate_limit", "starred"} {
		o[name+"_url"] = s.shape.API("/" + name)
	}
	for name, path := range map[string]string{
		"current_user_url": "/user", "code_search_url": "/search/code?q={query}{&page,per_page,sort,order}",
		"commit_search_url": "/search/commits?q={query}{&page,per_page,sort,order}", "following_url": "/user/following{/target}",
		"gists_url": "/gists{/gist_id}", "issue_search_url": "/search/issues?q={query}{&page,per_page,sort,order}", "keys_url": "/user/keys",
		"label_search_url": "/search/labels?q={query}&repository_id={repository_id}{&page,per_page}", "organization_url": "/orgs/{org}",
		"organization_repositories_url": "/orgs/{org}/repos{?type,page,per_page,sort}", "organization_teams_url": "/orgs/{org}/teams",
		"public_gists_url": "/gists/public", "repository_url": "/repos/{owner}/{repo}",
		"repository_search_url":         "/search/repositories?q={query}{&page,per_page,sort,order}",
		"current_user_repositories_url": "/user/repos{?type,page,per_page,sort}", "starred_gists_url": "/gists/starred", "user_url": "/users/{user}",
		"user_organizations_url": "/user/orgs", "user_repositories_url": "/users/{user}/repos{?type,page,per_page,sort}",
		"user_search_url": "/search/users?q={query}{&page,per_page,sort,order}",
	} {
		o[name] = s.shape.API(path)
	}
	o["current_user_authorizations_html_url"] = s.PublicURL + "/settings"
	return o, nil
}

func (s *Server) meta(*call) (any, error) {
	return object{"verifiable_password_authentication": false, "installed_version": "3.19.0"}, nil
}

func (s *Server) rateLimit(*call) (any, error) {
	return nil, problem(http.StatusNotFound, "Rate limiting is not enabled.")
}
