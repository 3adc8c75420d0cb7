package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"gitferry/internal/ferry"
)

var (
	slugForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$`)
	// regionForm is the shape of AWS region codes: us-east-1, us-gov-west-1.
	regionForm = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
)

// reservedSlugs are the first path parts that pages and interfaces use.
var reservedSlugs = map[string]bool{
	"admin": true, "api": true, "healthz": true, "hooks": true, "issues": true, "login": true,
	"logout": true, "metrics": true, "projects": true, "readyz": true, "repos": true, "rest": true,
	"settings": true, "static": true, "v1": true,
}

// checkSlug refuses slugs that would hide a page or another region's
// CodeCommit-shaped paths (/REGION/v1/repos/NAME).
func checkSlug(slug, region string) error {
	lower := strings.ToLower(slug)
	switch {
	case !slugForm.MatchString(slug), strings.HasSuffix(lower, ".git"), strings.HasSuffix(lower, ".lock"):
		return invalid("integration name in paths %.90q: want 1 to 80 letters, digits, '.', '_' or '-', beginning with a letter or digit", slug)
	case reservedSlugs[lower]:
		return invalid("integration name in paths %q is used by gitferry's own pages; choose another", slug)
	case regionForm.MatchString(lower) && lower != region:
		return invalid("integration name in paths %q is the code of another region; choose another", slug)
	}
	return nil
}

// defaultSlug is the region code, or for a single repository the first label
// of its host.
func defaultSlug(i ferry.Integration) string {
	if i.Region != "" {
		return i.Region
	}
	if u, err := url.Parse(i.GitEndpoint); err == nil && u.Hostname() != "" {
		host, _, _ := strings.Cut(u.Hostname(), ".")
		if checkSlug(host, "") == nil {
			return host
		}
	}
	return "git"
}

// freeSlug returns want, or want with the first of "-2", "-3" … that is free.
func freeSlug(ctx context.Context, tx *sql.Tx, want string) (string, error) {
	for n, slug := 2, want; ; n++ {
		var taken bool
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM integration WHERE slug = ?)`, slug).Scan(&taken)
		if err != nil || !taken {
			return slug, err
		}
		slug = fmt.Sprintf("%s-%d", want, n)
	}
}

// origin reduces an end point to scheme, host and port: what decides who is
// shown a secret.
func origin(endpoint string) string {
	if endpoint == "" {
		return ""
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return endpoint
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80", "ssh": "22"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
