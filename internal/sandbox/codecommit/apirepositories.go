package codecommit

import (
	"cmp"
	"slices"
	"strings"

	"gitferry/internal/sandbox/faults"
)

func listRepositories(c *call) (any, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	var list []*repository
	for _, r := range c.s.inRegion(c.region).repositories {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *repository) int {
		if c.str("sortBy") == "lastModifiedDate" {
			if d := a.modified.Compare(b.modified); d != 0 {
				return d
			}
		}
		return cmp.Compare(a.name, b.name)
	})
	if c.str("order") == "descending" {
		slices.Reverse(list)
	}
	from, to, next, err := c.page("nextToken", "", len(list), 1000)
	if err != nil {
		return nil, err
	}
	pairs := []obj{}
	for _, r := range list[from:to] {
		pairs = append(pairs, obj{"repositoryName": r.name, "repositoryId": r.id})
	}
	out := obj{"repositories": pairs}
	if next != "" {
		out["nextToken"] = next
	}
	return out, nil
}

func batchGetRepositories(c *call) (any, error) {
	names := strs(c.in, "repositoryNames")
	switch {
	case len(names) == 0:
		return nil, fail("RepositoryNamesRequiredException", "At least one repository name is required")
	case len(names) > 100:
		return nil, fail("MaximumRepositoryNamesExceededException", "At most 100 repository names are allowed")
	}
	found, missing, errs := []obj{}, []string{}, []obj{}
	for _, name := range names {
		r := c.s.repository(c.region, name)
		if r == nil {
			missing = append(missing, name)
			errs = append(errs, obj{"repositoryName": name, "errorCode": "RepositoryDoesNotExistException", "errorMessage": name + " does not exist"})
			continue
		}
		found = append(found, c.metadata(r))
	}
	return obj{"repositories": found, "repositoriesNotFound": missing, "errors": errs}, nil
}

// metadata returns a repository as RepositoryMetadata.
func (c *call) metadata(r *repository) obj {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	m := obj{
		"accountId":        s.cfg.Account,
		"repositoryId":     r.id,
		"repositoryName":   r.name,
		"creationDate":     stamp(r.created),
		"lastModifiedDate": stamp(r.modified),
		"Arn":              s.arn("codecommit", r.region.name, r.name),
		"cloneUrlHttp":     s.url + "/" + r.region.name + "/v1/repos/" + r.name,
		"cloneUrlSsh":      "ssh://" + s.sshAddr + "/" + r.region.name + "/v1/repos/" + r.name,
		"kmsKeyId":         s.arn("kms", r.region.name, "key/"+r.id),
	}
	if r.description != "" {
		m["repositoryDescription"] = r.description
	}
	if r.defaultBranch != "" {
		m["defaultBranch"] = r.defaultBranch
	}
	return m
}

func getRepository(c *call) (any, error) {
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	return obj{"repositoryMetadata": c.metadata(r)}, nil
}

func createRepository(c *call) (any, error) {
	r, err := c.s.createRepository(c.region, c.str("repositoryName"), c.str("repositoryDescription"))
	if err != nil {
		return nil, err
	}
	faults.Effect(c, "repository %s created", c.str("repositoryName"))
	return obj{"repositoryMetadata": c.metadata(r)}, nil
}

func deleteRepository(c *call) (any, error) {
	r := c.s.repository(c.region, c.str("repositoryName"))
	if r == nil {
		return obj{}, nil // a missing repository is no error
	}
	if err := c.s.DeleteRepository(c.region, c.str("repositoryName")); err != nil {
		return nil, err
	}
	faults.Effect(c, "repository %s deleted", c.str("repositoryName"))
	return obj{"repositoryId": r.id}, nil
}

func updateRepositoryName(c *call) (any, error) {
	from, to := c.str("oldName"), c.str("newName")
	if c.s.repository(c.region, from) == nil {
		return nil, noRepository(from)
	}
	if err := c.s.RenameRepository(c.region, from, to); err != nil {
		return nil, err
	}
	faults.Effect(c, "repository %s renamed to %s", from, to)
	return nil, nil
}

func updateRepositoryDescription(c *call) (any, error) {
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	r.description, r.modified = c.str("repositoryDescription"), c.s.cfg.Now()
	faults.Effect(c, "repository %s described", r.name)
	return nil, nil
}

func updateDefaultBranch(c *call) (any, error) {
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	name := c.str("defaultBranchName")
	if err := checkBranchName(name); err != nil {
		return nil, err
	}
	r.moving.Lock()
	defer r.moving.Unlock()
	if c.s.resolve(c, r, "refs/heads/"+name) == "" {
		return nil, noBranch(name)
	}
	if _, err := c.s.git(c, r, "symbolic-ref", "HEAD", "refs/heads/"+name); err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	r.defaultBranch, r.modified = name, c.s.cfg.Now()
	faults.Effect(c, "default branch of %s is %s", r.name, name)
	return nil, nil
}

func noBranch(name string) error {
	return fail("BranchDoesNotExistException", "Branch %s does not exist", name)
}

// checkBranchName applies the rules of codecommit quotas, "Branch names".
func checkBranchName(name string) error {
	bad := len(name) == 0 || len(name) > 256 || name == "@" || fullID.MatchString(name) ||
		strings.ContainsAny(name, " ?^*[\\~:\x7f") || strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 }) ||
		strings.Contains(name, "..") || strings.Contains(name, "//") || strings.Contains(name, "@{") ||
		strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || strings.HasSuffix(name, ".")
	for part := range strings.SplitSeq(name, "/") {
		bad = bad || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock")
	}
	if bad {
		return fail("InvalidBranchNameException", "The branch name %q is not valid", name)
	}
	return nil
}
