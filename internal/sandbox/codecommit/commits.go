package codecommit

import (
	"context"
	"errors"
	"slices"
	"strings"

	"gitferry/internal/git"
)

func getCommit(c *call) (any, error) {
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	id := c.str("commitId")
	if !fullID.MatchString(id) {
		return nil, fail("InvalidCommitIdException", "The commit ID %q is not valid", id)
	}
	commit, err := c.s.commit(c, r, id)
	if err != nil {
		return nil, fail("CommitIdDoesNotExistException", "Commit %s does not exist", id)
	}
	return obj{"commit": commit}, nil
}

func batchGetCommits(c *call) (any, error) {
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	ids := strs(c.in, "commitIds")
	if len(ids) > 100 {
		return nil, fail("CommitIdsLimitExceededException", "At most 100 commit IDs are allowed")
	}
	commits, errs := []obj{}, []obj{}
	for _, id := range ids {
		commit, err := c.s.commit(c, r, id)
		if err != nil {
			errs = append(errs, obj{"commitId": id, "errorCode": "CommitIdDoesNotExistException", "errorMessage": "Commit " + id + " does not exist"})
			continue
		}
		commits = append(commits, commit)
	}
	return obj{"commits": commits, "errors": errs}, nil
}

// commit returns a commit in the shape of the API.
func (s *Server) commit(ctx context.Context, r *repository, id string) (obj, error) {
	if !fullID.MatchString(id) {
		return nil, errors.New("not a full id")
	}
	raw, err := s.output(ctx, git.Command{Dir: r.dir, Args: []string{"cat-file", "commit", id}})
	if err != nil {
		return nil, err
	}
	head, message, _ := strings.Cut(string(raw), "\n\n")
	commit := obj{"commitId": id, "message": message, "additionalData": ""}
	parents := []string{}
	for line := range strings.SplitSeq(head, "\n") {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "tree":
			commit["treeId"] = value
		case "parent":
			parents = append(parents, value)
		case "author", "committer":
			commit[key] = userInfo(value)
		}
	}
	commit["parents"] = parents
	return commit, nil
}

// userInfo splits "NAME <EMAIL> EPOCH ZONE".
func userInfo(line string) obj {
	name, rest, _ := strings.Cut(line, "<")
	email, date, _ := strings.Cut(rest, ">")
	return obj{"name": strings.TrimSpace(name), "email": email, "date": strings.TrimSpace(date)}
}

// specifier resolves a branch name, a full ref name, a tag or a full id to a
// commit.
func (c *call) specifier(r *repository, name string) (string, error) {
	for _, try := range []string{name, "refs/heads/" + name, "refs/tags/" + name} {
		if !fullID.MatchString(try) && !strings.HasPrefix(try, "refs/") && try != "HEAD" {
			continue
		}
		if id := c.s.resolve(c, r, try+"^{commit}"); id != "" {
			return id, nil
		}
	}
	return "", fail("CommitDoesNotExistException", "Commit %s does not exist", name)
}

func getDifferences(c *call) (any, error) {
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	after, err := c.specifier(r, c.str("afterCommitSpecifier"))
	if err != nil {
		return nil, err
	}
	const emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
	before := emptyTree
	if name := c.str("beforeCommitSpecifier"); name != "" {
		if before, err = c.specifier(r, name); err != nil {
			return nil, err
		}
	}
	args := []string{"diff-tree", "-r", "-z", "--no-renames", before, after, "--"}
	for _, p := range []string{c.str("beforePath"), c.str("afterPath")} {
		if p != "" && !slices.Contains(args, ":(literal)"+p) {
			args = append(args, ":(literal)"+p)
		}
	}
	out, err := c.s.output(c, git.Command{Dir: r.dir, Args: args})
	if err != nil {
		return nil, err
	}
	all := parseDifferences(string(out))
	from, to, next, err := c.page("NextToken", "MaxResults", len(all), 400)
	if err != nil {
		return nil, err
	}
	answer := obj{"differences": all[from:to]}
	if next != "" {
		answer["NextToken"] = next
	}
	return answer, nil
}

// parseDifferences reads git diff-tree -z: ":MODE MODE ID ID STATUS" NUL PATH NUL.
func parseDifferences(out string) []obj {
	list := []obj{}
	fields := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for len(fields) >= 2 {
		f, path := strings.Fields(strings.TrimPrefix(fields[0], ":")), fields[1]
		fields = fields[2:]
		if len(f) != 5 {
			continue
		}
		kind := f[4][:1]
		if kind == "T" {
			kind = "M" // a changed type is a change to the service
		}
		d := obj{"changeType": kind}
		if kind != "A" {
			d["beforeBlob"] = obj{"blobId": f[2], "path": path, "mode": f[0]}
		}
		if kind != "D" {
			d["afterBlob"] = obj{"blobId": f[3], "path": path, "mode": f[1]}
		}
		list = append(list, d)
	}
	return list
}
