package codecommit

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"gitferry/internal/git"
)

// An edit is one file in a commit made through the API.
type edit struct {
	path    string
	mode    string // of git; "" removes the file
	content []byte
}

var gitModes = map[string]string{"": "100644", "NORMAL": "100644", "EXECUTABLE": "100755", "SYMLINK": "120000"}

// commitEdits makes a commit of edits on a branch and returns its id and that
// of its tree.
func (c *call) commitEdits(r *repository, name, email string, edits []edit) (commitID, treeID string, err error) {
	branch, parent := c.str("branchName"), c.str("parentCommitId")
	if err := checkBranchName(branch); err != nil {
		return "", "", err
	}
	if parent != "" && !fullID.MatchString(parent) {
		return "", "", fail("InvalidParentCommitIdException", "The parent commit ID %q is not valid", parent)
	}
	for _, e := range edits {
		if e.path == "" || strings.HasPrefix(e.path, "/") || strings.HasSuffix(e.path, "/") || strings.Contains(e.path, "//") || strings.Contains("/"+e.path+"/", "/../") || strings.Contains("/"+e.path+"/", "/.git/") {
			return "", "", fail("InvalidPathException", "The path %q is not valid", e.path)
		}
	}
	_, err = c.s.change(c, r, c.caller, func(ctx context.Context) error {
		tip := c.s.resolve(ctx, r, "refs/heads/"+branch)
		first := c.s.resolve(ctx, r, "HEAD") == ""
		switch {
		case tip == "" && !first:
			return noBranch(branch)
		case tip == "" && parent != "":
			return fail("ParentCommitDoesNotExistException", "Commit %s does not exist", parent)
		case tip != "" && parent == "":
			return fail("ParentCommitIdRequiredException", "A parent commit ID is required")
		case tip != "" && tip != parent:
			return fail("ParentCommitIdOutdatedException", "The parent commit ID is not the tip of %s", branch)
		}
		stream := c.importStream(branch, parent, name, email, edits)
		if err := c.s.run(ctx, git.Command{Dir: r.dir, Stdin: stream, Args: []string{"fast-import", "--quiet", "--done"}}); err != nil {
			return err
		}
		commitID = c.s.resolve(ctx, r, "refs/heads/"+branch)
		treeID = c.s.resolve(ctx, r, commitID+"^{tree}")
		return nil
	})
	return commitID, treeID, err
}

func (c *call) importStream(branch, parent, name, email string, edits []edit) *bytes.Buffer {
	var b bytes.Buffer
	if name == "" {
		name = c.caller.User
	}
	by := person(name, email, c.s.cfg.Now())
	fmt.Fprintf(&b, "commit refs/heads/%s\nauthor %s\ncommitter %s\n", branch, by, by)
	writeData(&b, c.str("commitMessage"))
	if parent != "" {
		fmt.Fprintf(&b, "from %s\n", parent)
	}
	for _, e := range edits {
		if e.mode == "" {
			fmt.Fprintf(&b, "D %s\n", quotePath(e.path))
			continue
		}
		fmt.Fprintf(&b, "M %s inline %s\n", e.mode, quotePath(e.path))
		writeData(&b, string(e.content))
	}
	b.WriteString("\ndone\n")
	return &b
}

func putFile(c *call) (any, error) {
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	content, err := base64.StdEncoding.DecodeString(c.str("fileContent"))
	if err != nil {
		return nil, fail("SerializationException", "")
	}
	path := c.str("filePath")
	commit, tree, err := c.commitEdits(r, c.str("name"), c.str("email"), []edit{{path, gitModes[c.str("fileMode")], content}})
	if err != nil {
		return nil, err
	}
	return obj{"commitId": commit, "treeId": tree, "blobId": c.s.resolve(c, r, commit+":"+path)}, nil
}

func createCommit(c *call) (any, error) {
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	var edits []edit
	for _, f := range objs(c.in, "putFiles") {
		if str(f, "fileContent") == "" && f["sourceFile"] != nil {
			return nil, fail("RestrictedSourceFileException", "The stand-in takes file contents, not source files")
		}
		content, err := base64.StdEncoding.DecodeString(str(f, "fileContent"))
		if err != nil {
			return nil, fail("SerializationException", "")
		}
		edits = append(edits, edit{str(f, "filePath"), gitModes[str(f, "fileMode")], content})
	}
	for _, f := range objs(c.in, "deleteFiles") {
		edits = append(edits, edit{path: str(f, "filePath")})
	}
	switch {
	case len(edits) == 0:
		return nil, fail("FileEntryRequiredException", "At least one file is required")
	case len(edits) > 100:
		return nil, fail("MaximumFileEntriesExceededException", "At most 100 files are allowed")
	}
	parent := c.str("parentCommitId")
	commit, tree, err := c.commitEdits(r, c.str("authorName"), c.str("email"), edits)
	if err != nil {
		return nil, err
	}
	added, updated, deleted := []obj{}, []obj{}, []obj{}
	for _, e := range edits {
		before := ""
		if parent != "" {
			before = c.s.resolve(c, r, parent+":"+e.path)
		}
		switch {
		case e.mode == "":
			deleted = append(deleted, obj{"absolutePath": e.path, "blobId": before})
		case before == "":
			added = append(added, c.fileMetadata(r, commit, e))
		default:
			updated = append(updated, c.fileMetadata(r, commit, e))
		}
	}
	return obj{"commitId": commit, "treeId": tree, "filesAdded": added, "filesUpdated": updated, "filesDeleted": deleted}, nil
}

func (c *call) fileMetadata(r *repository, commit string, e edit) obj {
	mode := "NORMAL"
	for name, m := range gitModes {
		if m == e.mode && name != "" {
			mode = name
		}
	}
	return obj{"absolutePath": e.path, "blobId": c.s.resolve(c, r, commit+":"+e.path), "fileMode": mode}
}
