package codecommit

import (
	"slices"

	"gitferry/internal/sandbox/faults"
)

func getPullRequestApprovalStates(c *call) (any, error) {
	p, err := c.pull()
	if err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	list := []obj{}
	for _, a := range p.approvals[c.str("revisionId")] {
		list = append(list, obj{"userArn": a.User, "approvalState": a.State})
	}
	return obj{"approvals": list}, nil
}

func updatePullRequestApprovalState(c *call) (any, error) {
	p, err := c.pull()
	if err != nil {
		return nil, err
	}
	state := c.str("approvalState")
	if err := c.approve(p, state); err != nil {
		return nil, err
	}
	c.s.pullEvent(p, c.caller, "pullRequestApprovalStateChanged", obj{"approvalStatus": state})
	return nil, nil
}

func (c *call) approve(p *pullRequest, state string) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	switch {
	case p.closed:
		return alreadyClosed(p)
	case c.str("revisionId") != p.revision:
		return fail("RevisionNotCurrentException", "The revision is not the current one")
	case p.author.ARN == c.caller.ARN:
		return fail("PullRequestCannotBeApprovedByAuthorException", "The author cannot approve the pull request")
	}
	list := slices.DeleteFunc(p.approvals[p.revision], func(a approval) bool { return a.User == c.caller.ARN })
	p.approvals[p.revision] = append(list, approval{c.caller.ARN, state})
	p.record(c.s.cfg.Now(), c.caller, "PULL_REQUEST_APPROVAL_STATE_CHANGED", "approvalStateChangedEventMetadata", obj{"revisionId": p.revision, "approvalStatus": state})
	faults.Effect(c, "pull request %s: %s", p.id, state)
	return nil
}

func describePullRequestEvents(c *call) (any, error) {
	p, err := c.pull()
	if err != nil {
		return nil, err
	}
	kind, actor := c.str("pullRequestEventType"), c.str("actorArn")
	if actor != "" && !slices.ContainsFunc(c.s.users, func(id *identity) bool { return id.ARN == actor }) {
		return nil, fail("ActorDoesNotExistException", "The actor %s does not exist", actor)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	list := []obj{}
	for _, e := range p.events {
		if kind == "" || e.kind == kind {
			if actor == "" || e.actor.ARN == actor {
				list = append(list, obj{"pullRequestId": p.id, "eventDate": stamp(e.at), "pullRequestEventType": e.kind, "actorArn": e.actor.ARN, e.member: e.facts})
			}
		}
	}
	from, to, next, err := c.page("nextToken", "maxResults", len(list), 100)
	if err != nil {
		return nil, err
	}
	out := obj{"pullRequestEvents": list[from:to]}
	if next != "" {
		out["nextToken"] = next
	}
	return out, nil
}
