package codecommit

import (
	"context"
	"regexp"
	"strings"
)

var fullID = regexp.MustCompile(`^[0-9a-f]{40}$`)

// branchesPage is how many names ListBranches gives at once; the real number
// is not published.
const branchesPage = 100

func listBranches(c *call) (any, error) {
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	refs, err := c.s.refs(c, r)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, f := range refs {
		if name, ok := strings.CutPrefix(f.name, "refs/heads/"); ok {
			names = append(names, name)
		}
	}
	from, to, next, err := c.page("nextToken", "", len(names), branchesPage)
	if err != nil {
		return nil, err
	}
	out := obj{"branches": names[from:to]}
	if next != "" {
		out["nextToken"] = next
	}
	return out, nil
}

func getBranch(c *call) (any, error) {
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	name := c.str("branchName")
	if name == "" {
		return nil, fail("BranchNameRequiredException", "A branch name is required")
	}
	if err := checkBranchName(name); err != nil {
		return nil, err
	}
	id := c.s.resolve(c, r, "refs/heads/"+name)
	if id == "" {
		return nil, noBranch(name)
	}
	return obj{"branch": obj{"branchName": name, "commitId": id}}, nil
}

func createBranch(c *call) (any, error) {
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	name, id := c.str("branchName"), c.str("commitId")
	if err := checkBranchName(name); err != nil {
		return nil, err
	}
	if !fullID.MatchString(id) {
		return nil, fail("InvalidCommitIdException", "The commit ID %q is not valid", id)
	}
	if kind, err := c.s.git(c, r, "cat-file", "-t", id); err != nil || kind != "commit" {
		return nil, fail("CommitDoesNotExistException", "Commit %s does not exist", id)
	}
	_, err = c.s.change(c, r, c.caller, func(ctx context.Context) error {
		if c.s.resolve(ctx, r, "refs/heads/"+name) != "" {
			return fail("BranchNameExistsException", "Branch %s already exists", name)
		}
		if err := c.s.updateRef(ctx, r, "refs/heads/"+name, "", id); err != nil {
			// What git cannot create beside the branches that are there.
			return fail("InvalidBranchNameException", "The branch name %q is not valid", name)
		}
		return nil
	})
	return nil, err
}

func deleteBranch(c *call) (any, error) {
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	name := c.str("branchName")
	if err := checkBranchName(name); err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	isDefault := r.defaultBranch == name
	c.s.mu.Unlock()
	if isDefault {
		return nil, fail("DefaultBranchCannotBeDeletedException", "The default branch %s cannot be deleted", name)
	}
	out := obj{}
	_, err = c.s.change(c, r, c.caller, func(ctx context.Context) error {
		id := c.s.resolve(ctx, r, "refs/heads/"+name)
		if id == "" {
			return nil // a missing branch is no error
		}
		out["deletedBranch"] = obj{"branchName": name, "commitId": id}
		return c.s.updateRef(ctx, r, "refs/heads/"+name, id, "")
	})
	return out, err
}
