package jira

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// members are the JSON members that each kind of entity takes besides the
// common ones; anything else is refused.
var (
	commonMembers = []string{"id", "updateSequenceId", "issueKeys", "associations", "url"}
	commitMembers = append([]string{"hash", "flags", "message", "author", "fileCount", "files", "authorTimestamp", "displayId"}, commonMembers...)
	branchMembers = append([]string{"name", "createPullRequestUrl", "lastCommit"}, commonMembers...)
	pullMembers   = append([]string{"status", "title", "author", "commentCount", "sourceBranch", "sourceBranchUrl", "destinationBranch", "destinationBranchUrl", "lastUpdate", "displayId", "reviewers"}, commonMembers...)
)

// entities reads one list of entities and checks each of them.
func (k *check) entities(where string, raws []json.RawMessage, of func(*check, string, json.RawMessage, *devEntityBody)) []devEntityBody {
	if len(raws) > maxEntitiesPerList {
		k.fail("%s: at most %d elements", where, maxEntitiesPerList)
		return nil
	}
	list, seen := make([]devEntityBody, 0, len(raws)), map[string]bool{}
	for i, raw := range raws {
		at := fmt.Sprintf("%s[%d]", where, i)
		var e devEntityBody
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&e); err != nil {
			k.fail("%s: %v", at, err)
			continue
		}
		of(k, at, raw, &e)
		if e.ID != nil && seen[*e.ID] {
			k.fail("%s.id: '%s' is given twice", at, *e.ID)
		} else if e.ID != nil {
			seen[*e.ID] = true
		}
		list = append(list, e)
	}
	return list
}

// only refuses members that do not belong to the kind.
func (k *check) only(where string, raw json.RawMessage, members []string) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		k.fail("%s: %v", where, err)
	}
	for name := range all {
		if !slices.Contains(members, name) {
			k.fail("%s: unknown member %s", where, name)
		}
	}
}

// associated checks the keys: one form of the two, at least one key.
func (k *check) associated(where string, e *devEntityBody) {
	switch n := len(e.keys()); {
	case e.IssueKeys != nil && e.Associations != nil:
		k.fail("%s: issueKeysOrAssociationsOrNone.invalid", where)
	case n == 0:
		k.fail("%s: at least one issue key is required", where)
	case n > maxKeys:
		k.fail("%s: at most %d issue keys", where, maxKeys)
	}
	if e.Associations != nil {
		for _, a := range *e.Associations {
			k.oneOf(where+".associations.associationType", &a.Type, "issueKeys", "issueIdOrKeys")
		}
	}
}

func (k *check) person(where string, p *devPerson) {
	if p == nil {
		k.fail("%s: must not be null", where)
		return
	}
	k.text(where+".name", &p.Name, false, 255)
	k.text(where+".email", &p.Email, false, 255)
	k.text(where+".username", &p.Username, false, 255)
	k.text(where+".accountId", &p.AccountID, false, 128)
	k.address(where+".url", &p.URL, false)
	k.address(where+".avatar", &p.Avatar, false)
	if p.ApprovalStatus != "" {
		k.oneOf(where+".approvalStatus", &p.ApprovalStatus, "APPROVED", "UNAPPROVED")
	}
}

func (k *check) commit(where string, raw json.RawMessage, e *devEntityBody) {
	k.only(where, raw, commitMembers)
	k.associated(where, e)
	k.commitBody(where, e)
}

// commitBody checks what a commit of a list and the last commit of a branch
// have in common. A long message is not refused; Jira shows and reads its first
// 1,024 characters.
func (k *check) commitBody(where string, e *devEntityBody) {
	k.id(where, e.ID, e.Sequence)
	k.text(where+".message", e.Message, true, 1<<20)
	k.person(where+".author", e.Author)
	k.count(where+".fileCount", e.FileCount)
	k.address(where+".url", e.URL, true)
	k.when(where+".authorTimestamp", e.Authored)
	k.text(where+".displayId", e.DisplayID, true, 255)
	for _, f := range e.Flags {
		k.oneOf(where+".flags", &f, "MERGE_COMMIT")
	}
	if len(e.Files) > maxFiles {
		k.fail("%s.files: at most %d elements", where, maxFiles)
	}
	for i, f := range e.Files {
		at := fmt.Sprintf("%s.files[%d]", where, i)
		k.text(at+".path", f.Path, true, 1024)
		k.address(at+".url", f.URL, true)
		k.oneOf(at+".changeType", f.ChangeType, "ADDED", "COPIED", "DELETED", "MODIFIED", "MOVED", "UNKNOWN")
		k.count(at+".linesAdded", f.LinesAdded)
		k.count(at+".linesRemoved", f.LinesRemoved)
	}
}

func (k *check) branch(where string, raw json.RawMessage, e *devEntityBody) {
	k.only(where, raw, branchMembers)
	k.id(where, e.ID, e.Sequence)
	k.associated(where, e)
	k.text(where+".name", e.Name, true, 512)
	k.address(where+".url", e.URL, true)
	k.address(where+".createPullRequestUrl", e.CreatePullRequestURL, false)
	if e.LastCommit == nil {
		k.fail("%s.lastCommit: must not be null", where)
		return
	}
	if e.LastCommit.IssueKeys == nil {
		k.fail("%s.lastCommit.issueKeys: must not be null", where)
	}
	k.commitBody(where+".lastCommit", e.LastCommit)
}

func (k *check) pullRequest(where string, raw json.RawMessage, e *devEntityBody) {
	k.only(where, raw, pullMembers)
	k.id(where, e.ID, e.Sequence)
	k.associated(where, e)
	k.oneOf(where+".status", e.Status, "OPEN", "MERGED", "DECLINED", "UNKNOWN")
	k.text(where+".title", e.Title, true, 1024)
	k.person(where+".author", e.Author)
	k.count(where+".commentCount", e.CommentCount)
	k.text(where+".sourceBranch", e.SourceBranch, true, 255)
	k.address(where+".sourceBranchUrl", e.SourceBranchURL, false)
	k.text(where+".destinationBranch", e.DestinationBranch, false, 255)
	k.address(where+".destinationBranchUrl", e.DestinationBranchURL, false)
	k.when(where+".lastUpdate", e.LastUpdate)
	k.address(where+".url", e.URL, true)
	k.text(where+".displayId", e.DisplayID, true, 255)
	for i := range e.Reviewers {
		k.person(fmt.Sprintf("%s.reviewers[%d]", where, i), &e.Reviewers[i])
	}
}
