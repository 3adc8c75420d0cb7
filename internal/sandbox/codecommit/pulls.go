package codecommit

import (
	"context"
	"slices"
	"strings"
	"time"
)

// A pullRequest has exactly one target. Its fields are guarded by Server.mu.
type pullRequest struct {
	id             string // decimal, unique in the region
	repository     *repository
	repositoryName string
	title          string
	description    string
	author         *identity
	token          string // clientRequestToken
	request        string // what was asked for with the token
	created        time.Time
	active         time.Time // of the last activity
	closed         bool
	revision       string // changes with the source

	source, destination             string // full ref names
	sourceCommit, destinationCommit string
	mergeBase                       string // "" if they share no history
	merge                           *mergeRecord
	merging                         *mergeRecord // by a call that is moving the destination

	events    []pullEvent
	approvals map[string][]approval // by revision
}

// A mergeRecord says how a pull request was merged.
type mergeRecord struct {
	by             *identity
	commit, option string
}

type pullEvent struct {
	kind   string
	at     time.Time
	actor  *identity
	member string // name of the metadata member
	facts  obj
}

type approval struct{ User, State string }

// json returns the pull request as PullRequest. The caller holds Server.mu.
func (p *pullRequest) json() obj {
	target := obj{
		"repositoryName":       p.repositoryName,
		"sourceReference":      p.source,
		"destinationReference": p.destination,
		"sourceCommit":         p.sourceCommit,
		"destinationCommit":    p.destinationCommit,
		"mergeMetadata":        p.mergeMetadata(),
	}
	if p.mergeBase != "" {
		target["mergeBase"] = p.mergeBase
	}
	o := obj{
		"pullRequestId":      p.id,
		"title":              p.title,
		"creationDate":       stamp(p.created),
		"lastActivityDate":   stamp(p.active),
		"pullRequestStatus":  p.status(),
		"authorArn":          p.author.ARN,
		"revisionId":         p.revision,
		"approvalRules":      []obj{},
		"pullRequestTargets": []obj{target},
	}
	if p.description != "" {
		o["description"] = p.description
	}
	if p.token != "" {
		o["clientRequestToken"] = p.token
	}
	return o
}

func (p *pullRequest) mergeMetadata() obj {
	if p.merge == nil {
		return obj{"isMerged": false}
	}
	return obj{"isMerged": true, "mergedBy": p.merge.by.ARN, "mergeCommitId": p.merge.commit, "mergeOption": p.merge.option}
}

func (p *pullRequest) status() string {
	if p.closed {
		return "CLOSED"
	}
	return "OPEN"
}

// record adds an event, which is activity. The caller holds Server.mu.
func (p *pullRequest) record(now time.Time, actor *identity, kind, member string, facts obj) {
	p.active = now
	p.events = append(p.events, pullEvent{kind, now, actor, member, facts})
}

// close ends the pull request, merged if m is not nil. The caller holds
// Server.mu.
func (p *pullRequest) close(now time.Time, actor *identity, m *mergeRecord) {
	p.closed, p.merge, p.merging = true, m, nil
	if m != nil {
		p.record(now, actor, "PULL_REQUEST_MERGE_STATE_CHANGED", "pullRequestMergedStateChangedEventMetadata", obj{
			"repositoryName": p.repositoryName, "destinationReference": p.destination, "mergeMetadata": p.mergeMetadata()})
	}
	p.record(now, actor, "PULL_REQUEST_STATUS_CHANGED", "pullRequestStatusChangedEventMetadata", obj{"pullRequestStatus": "CLOSED"})
}

// pullsFollow brings the open pull requests of r up to date with its refs:
// a moved source gives a new revision, a removed branch closes, a destination
// that has come to hold the source closes as merged. It also tells the
// event targets. The caller holds r.moving.
func (s *Server) pullsFollow(ctx context.Context, r *repository, caller *identity, after []ref, changes []refChange) error {
	for _, c := range changes {
		s.repositoryEvent(r, caller, c)
	}
	tips := map[string]string{}
	for _, f := range after {
		tips[f.name] = f.oid
	}
	moved := func(name string) bool {
		return slices.ContainsFunc(changes, func(c refChange) bool { return c.name == name })
	}
	s.mu.Lock()
	var affected []*pullRequest
	for _, p := range r.region.pulls {
		if p.repository == r && !p.closed && (moved(p.source) || moved(p.destination)) {
			affected = append(affected, p)
		}
	}
	s.mu.Unlock()
	for _, p := range affected {
		s.pullFollows(ctx, r, caller, p, tips)
	}
	return nil
}

func (s *Server) pullFollows(ctx context.Context, r *repository, caller *identity, p *pullRequest, tips map[string]string) {
	source, destination := tips[p.source], tips[p.destination]
	base := ""
	if source != "" && destination != "" {
		base = s.mergeBase(ctx, r, source, destination)
	}
	now := s.cfg.Now()
	var events []string
	s.mu.Lock()
	switch {
	case p.merging != nil:
		m := p.merging
		p.destinationCommit = destination
		p.close(now, caller, m)
		events = []string{"pullRequestMergeStatusUpdated"}
	case source == "" || destination == "":
		p.close(now, caller, nil)
		events = []string{"pullRequestStatusChanged"}
	default:
		if source != p.sourceCommit {
			before := p.sourceCommit
			p.sourceCommit, p.revision = source, newRevision()
			p.record(now, caller, "PULL_REQUEST_SOURCE_REFERENCE_UPDATED", "pullRequestSourceReferenceUpdatedEventMetadata", obj{
				"repositoryName": p.repositoryName, "beforeCommitId": before, "afterCommitId": source, "mergeBase": base})
			events = append(events, "pullRequestSourceBranchUpdated")
		}
		p.destinationCommit = destination
		if base == source {
			p.close(now, caller, &mergeRecord{caller, source, "FAST_FORWARD_MERGE"})
			events = append(events, "pullRequestMergeStatusUpdated")
			break // the merge base stays as it was before the merge
		}
		p.mergeBase = base
	}
	s.mu.Unlock()
	for _, e := range events {
		s.pullEvent(p, caller, e, nil)
	}
}

// mergeBase returns the best common ancestor, "" if there is none.
func (s *Server) mergeBase(ctx context.Context, r *repository, a, b string) string {
	id, err := s.git(ctx, r, "merge-base", a, b)
	if err != nil {
		return ""
	}
	return id
}

// newRevision returns an opaque id of the length that real ones have.
func newRevision() string {
	return strings.ReplaceAll(newUUID()+newUUID(), "-", "")
}
