package codecommit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"gitferry/internal/git"
	"gitferry/internal/sandbox/faults"
)

func mergePullRequestByFastForward(c *call) (any, error) { return mergePull(c, "FAST_FORWARD_MERGE") }
func mergePullRequestBySquash(c *call) (any, error)      { return mergePull(c, "SQUASH_MERGE") }
func mergePullRequestByThreeWay(c *call) (any, error)    { return mergePull(c, "THREE_WAY_MERGE") }

// mergePull moves the destination and thereby closes the pull request.
func mergePull(c *call, option string) (any, error) {
	p, err := c.pull()
	if err != nil {
		return nil, err
	}
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	if r != p.repository {
		return nil, fail("RepositoryNotAssociatedWithPullRequestException", "The pull request is not in repository %s", c.str("repositoryName"))
	}
	if id := c.str("sourceCommitId"); id != "" && !fullID.MatchString(id) {
		return nil, fail("InvalidCommitIdException", "The commit ID %q is not valid", id)
	}
	_, err = c.s.change(c, r, c.caller, func(ctx context.Context) error {
		c.s.mu.Lock()
		closed, source, destination, branch := p.closed, p.sourceCommit, p.destinationCommit, p.destination
		c.s.mu.Unlock()
		switch id := c.str("sourceCommitId"); {
		case closed:
			return alreadyClosed(p)
		case id != "" && id != source:
			return fail("TipOfSourceReferenceIsDifferentException", "The tip of the source is not %s", id)
		}
		merged, err := c.mergeCommit(ctx, r, option, source, destination)
		if err != nil {
			return err
		}
		c.s.mu.Lock()
		p.merging = &mergeRecord{c.caller, merged, option}
		c.s.mu.Unlock()
		if err := c.s.updateRef(ctx, r, branch, destination, merged); err != nil {
			c.s.mu.Lock()
			p.merging = nil
			c.s.mu.Unlock()
			return fail("ConcurrentReferenceUpdateException", "The destination has moved")
		}
		faults.Effect(ctx, "pull request %s merged", p.id)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c.pullAnswer(p), nil
}

var errConflicts = errors.New("the merge has conflicts")

func manualMerge() error {
	return fail("ManualMergeRequiredException", "The pull request cannot be merged automatically")
}

// mergeCommit makes the commit that a merge moves the destination to.
func (c *call) mergeCommit(ctx context.Context, r *repository, option, source, destination string) (string, error) {
	base := c.s.mergeBase(ctx, r, source, destination)
	if option == "FAST_FORWARD_MERGE" {
		if base != destination {
			return "", manualMerge()
		}
		return source, nil
	}
	tree, _, err := c.s.mergeTree(ctx, r, destination, source)
	if errors.Is(err, errConflicts) || base == "" {
		return "", manualMerge()
	}
	if err != nil {
		return "", err
	}
	args := []string{"commit-tree", tree, "-p", destination}
	if option == "THREE_WAY_MERGE" {
		args = append(args, "-p", source)
	}
	message := c.str("commitMessage")
	if message == "" {
		message = "Merge of " + source + " into " + destination
	}
	name, email := c.str("authorName"), c.str("email")
	if name == "" {
		name = c.caller.User
	}
	at := fmt.Sprintf("%d +0000", c.s.cfg.Now().Unix())
	var out bytes.Buffer
	err = c.s.run(ctx, git.Command{
		Dir: r.dir, Args: args, Stdin: strings.NewReader(message), Stdout: &out,
		Env: []string{
			"GIT_AUTHOR_NAME=" + name, "GIT_AUTHOR_EMAIL=" + email, "GIT_AUTHOR_DATE=" + at,
			"GIT_COMMITTER_NAME=" + name, "GIT_COMMITTER_EMAIL=" + email, "GIT_COMMITTER_DATE=" + at,
		},
	})
	return strings.TrimSpace(out.String()), err
}

// mergeTree merges two commits without a work tree. On conflicts it fails with
// errConflicts and names the files.
func (s *Server) mergeTree(ctx context.Context, r *repository, destination, source string) (tree string, files []string, err error) {
	var out bytes.Buffer
	err = s.run(ctx, git.Command{Dir: r.dir, Stdout: &out,
		Args: []string{"merge-tree", "--write-tree", "--name-only", "-z", "--no-messages", destination, source}})
	fields := strings.Split(strings.TrimSuffix(out.String(), "\x00"), "\x00")
	var exit *git.ExitError
	if errors.As(err, &exit) && exit.Code == 1 {
		for _, f := range fields[1:] {
			if f != "" {
				files = append(files, f)
			}
		}
		return "", files, errConflicts
	}
	return fields[0], nil, err
}

// mergeInput resolves the two commits of a call about a merge that may be.
func (c *call) mergeInput() (r *repository, source, destination, base string, err error) {
	if r, err = c.repository(); err != nil {
		return
	}
	if source, err = c.specifier(r, c.str("sourceCommitSpecifier")); err != nil {
		return
	}
	if destination, err = c.specifier(r, c.str("destinationCommitSpecifier")); err != nil {
		return
	}
	return r, source, destination, c.s.mergeBase(c, r, source, destination), nil
}

func getMergeOptions(c *call) (any, error) {
	r, source, destination, base, err := c.mergeInput()
	if err != nil {
		return nil, err
	}
	options := []string{}
	if base == destination {
		options = append(options, "FAST_FORWARD_MERGE")
	}
	_, _, err = c.s.mergeTree(c, r, destination, source)
	switch {
	case err == nil:
		options = append(options, "SQUASH_MERGE", "THREE_WAY_MERGE")
	case !errors.Is(err, errConflicts) && base != "":
		return nil, err
	}
	return obj{"mergeOptions": options, "sourceCommitId": source, "destinationCommitId": destination, "baseCommitId": base}, nil
}

func getMergeConflicts(c *call) (any, error) {
	r, source, destination, base, err := c.mergeInput()
	if err != nil {
		return nil, err
	}
	mergeable, conflicts := true, []obj{}
	if c.str("mergeOption") == "FAST_FORWARD_MERGE" {
		mergeable = base == destination
	} else {
		_, files, err := c.s.mergeTree(c, r, destination, source)
		if err != nil && !errors.Is(err, errConflicts) && base != "" {
			return nil, err
		}
		mergeable = err == nil
		for _, f := range files {
			conflicts = append(conflicts, obj{"filePath": f, "numberOfConflicts": 1, "contentConflict": true, "fileModeConflict": false, "objectTypeConflict": false})
		}
	}
	from, to, next, err := c.page("nextToken", "maxConflictFiles", len(conflicts), 1000)
	if err != nil {
		return nil, err
	}
	out := obj{"mergeable": mergeable, "sourceCommitId": source, "destinationCommitId": destination, "conflictMetadataList": conflicts[from:to]}
	if base != "" {
		out["baseCommitId"] = base
	}
	if next != "" {
		out["nextToken"] = next
	}
	return out, nil
}
