package codecommit

import (
	"strings"
	"time"
)

// repositoryEvent is a movement of a ref as EventBridge tells it.
func (s *Server) repositoryEvent(r *repository, caller *identity, c refChange) {
	kind, name := "branch", strings.TrimPrefix(c.name, "refs/heads/")
	if tag, ok := strings.CutPrefix(c.name, "refs/tags/"); ok {
		kind, name = "tag", tag
	}
	detail := obj{"referenceType": kind, "referenceName": name, "referenceFullName": c.name, "callerUserArn": caller.ARN}
	switch {
	case c.old == "":
		detail["event"], detail["commitId"] = "referenceCreated", c.new
	case c.new == "":
		detail["event"], detail["oldCommitId"] = "referenceDeleted", c.old
	default:
		detail["event"], detail["commitId"], detail["oldCommitId"] = "referenceUpdated", c.new, c.old
	}
	s.event(r, "CodeCommit Repository State Change", detail)
}

// event sends an event in EventBridge's shape to the topics that are targets
// in the repository's region.
func (s *Server) event(r *repository, kind string, detail obj) {
	s.mu.Lock()
	if _, ok := detail["repositoryNames"]; !ok {
		detail["repositoryName"], detail["repositoryId"] = r.name, r.id
	}
	message := encode(obj{
		"version":     "0",
		"id":          newUUID(),
		"detail-type": kind,
		"source":      "aws.codecommit",
		"account":     s.cfg.Account,
		"time":        s.cfg.Now().UTC().Format(time.RFC3339),
		"region":      r.region.name,
		"resources":   []string{s.arn("codecommit", r.region.name, r.name)},
		"detail":      detail,
	})
	var targets []string
	for arn, t := range r.region.topics {
		if t.events {
			targets = append(targets, arn)
		}
	}
	s.mu.Unlock()
	for _, arn := range targets {
		s.publish(arn, "", message)
	}
}

// pullEvent sends an event about a pull request in EventBridge's shape.
func (s *Server) pullEvent(p *pullRequest, caller *identity, event string, more obj) {
	const day = "Mon Jan 02 15:04:05 UTC 2006"
	s.mu.Lock()
	merged := "False"
	if p.merge != nil {
		merged = "True"
	}
	status := "Open"
	if p.closed {
		status = "Closed"
	}
	detail := obj{
		"event":             event,
		"pullRequestId":     p.id,
		"pullRequestStatus": status,
		"isMerged":          merged,
		"title":             p.title,
		"description":       p.description,
		"author":            p.author.ARN,
		"callerUserArn":     caller.ARN,
		"sourceReference":   p.source, "destinationReference": p.destination,
		"sourceCommit": p.sourceCommit, "destinationCommit": p.destinationCommit,
		"repositoryNames":  []string{p.repositoryName},
		"revisionId":       p.revision,
		"creationDate":     p.created.UTC().Format(day),
		"lastModifiedDate": p.active.UTC().Format(day),
		"notificationBody": "A pull request event occurred in the following AWS CodeCommit repository: " + p.repositoryName + ".",
	}
	if p.merge != nil {
		detail["mergeOption"] = p.merge.option
	}
	for k, v := range more {
		detail[k] = v
	}
	r := p.repository
	s.mu.Unlock()
	s.event(r, "CodeCommit Pull Request State Change", detail)
}
