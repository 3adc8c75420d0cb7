package codecommit

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gitferry/internal/sandbox/faults"
)

// maxOpenPulls is CodeCommit's quota of open pull requests in a repository.
const maxOpenPulls = 1000

var decimal = regexp.MustCompile(`^[0-9]{1,18}$`)

// pull finds the pull request that the call names.
func (c *call) pull() (*pullRequest, error) {
	id := c.str("pullRequestId")
	if !decimal.MatchString(id) {
		return nil, fail("InvalidPullRequestIdException", "The pull request ID %q is not valid", id)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	p := c.s.inRegion(c.region).pulls[id]
	if p == nil {
		return nil, fail("PullRequestDoesNotExistException", "Pull request %s does not exist", id)
	}
	return p, nil
}

func getPullRequest(c *call) (any, error) {
	p, err := c.pull()
	if err != nil {
		return nil, err
	}
	return c.pullAnswer(p), nil
}

func (c *call) pullAnswer(p *pullRequest) obj {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return obj{"pullRequest": p.json()}
}

func listPullRequests(c *call) (any, error) {
	r, err := c.repository()
	if err != nil {
		return nil, err
	}
	author, status := c.str("authorArn"), c.str("pullRequestStatus")
	if author != "" && !slices.ContainsFunc(c.s.users, func(id *identity) bool { return id.ARN == author }) {
		return nil, fail("AuthorDoesNotExistException", "The author %s does not exist", author)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	var list []*pullRequest
	for _, p := range r.region.pulls {
		if p.repository == r && (author == "" || p.author.ARN == author) && (status == "" || p.status() == status) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *pullRequest) int {
		return cmp.Or(b.active.Compare(a.active), cmp.Compare(number(b.id), number(a.id)))
	})
	from, to, next, err := c.page("nextToken", "maxResults", len(list), 100)
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, p := range list[from:to] {
		ids = append(ids, p.id)
	}
	return obj{"pullRequestIds": ids, "nextToken": next}, nil // the token is "" on the last page
}

func number(id string) int {
	n, _ := strconv.Atoi(id) // ids are ours
	return n
}

func createPullRequest(c *call) (any, error) {
	targets := objs(c.in, "targets")
	switch {
	case len(targets) == 0:
		return nil, fail("TargetsRequiredException", "A target is required")
	case len(targets) > 1:
		return nil, fail("InvalidTargetsException", "Exactly one target is allowed")
	}
	r := c.s.repository(c.region, str(targets[0], "repositoryName"))
	if r == nil {
		return nil, noRepository(str(targets[0], "repositoryName"))
	}
	source, err := pullReference(str(targets[0], "sourceReference"))
	if err != nil {
		return nil, err
	}
	destination, err := pullReference(cmp.Or(str(targets[0], "destinationReference"), c.defaultBranch(r)))
	if err != nil {
		return nil, err
	}
	p := &pullRequest{
		repository: r, repositoryName: str(targets[0], "repositoryName"), source: source, destination: destination,
		title: c.str("title"), description: c.str("description"), author: c.caller, token: c.str("clientRequestToken"),
		request: encode([]string{c.str("title"), c.str("description"), r.id, source, destination, c.caller.ARN}),
		created: c.s.cfg.Now(), revision: newRevision(), approvals: map[string][]approval{},
	}
	r.moving.Lock() // the tips must not move before the pull request follows them
	defer r.moving.Unlock()
	p.sourceCommit, p.destinationCommit = c.s.resolve(c, r, source), c.s.resolve(c, r, destination)
	p.mergeBase = c.s.mergeBase(c, r, p.sourceCommit, p.destinationCommit)
	old, err := c.enterPull(p)
	if err != nil {
		return nil, err
	}
	if old != nil {
		return c.pullAnswer(old), nil
	}
	faults.Effect(c, "pull request %s created", p.id)
	c.s.pullEvent(p, c.caller, "pullRequestCreated", nil)
	return c.pullAnswer(p), nil
}

// enterPull stores a new pull request, or returns the one that an earlier call
// with the same token made.
func (c *call) enterPull(p *pullRequest) (old *pullRequest, err error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	g := p.repository.region
	open := 0
	for _, o := range g.pulls {
		if p.token != "" && o.token == p.token {
			if o.request != p.request {
				return nil, fail("IdempotencyParameterMismatchException", "The client request token was used before with other parameters")
			}
			return o, nil
		}
		if o.repository == p.repository && !o.closed {
			open++
		}
	}
	switch {
	case p.source == p.destination:
		return nil, fail("SourceAndDestinationAreSameException", "The source and the destination are the same")
	case p.sourceCommit == "":
		return nil, fail("ReferenceDoesNotExistException", "Reference %s does not exist", p.source)
	case p.destinationCommit == "":
		return nil, fail("ReferenceDoesNotExistException", "Reference %s does not exist", p.destination)
	case open >= maxOpenPulls:
		return nil, fail("MaximumOpenPullRequestsExceededException", "The repository has %d open pull requests", open)
	}
	g.lastPull++
	p.id = strconv.Itoa(g.lastPull)
	facts := obj{"repositoryName": p.repositoryName, "sourceCommitId": p.sourceCommit, "destinationCommitId": p.destinationCommit}
	if p.mergeBase != "" {
		facts["mergeBase"] = p.mergeBase
	}
	p.record(p.created, c.caller, "PULL_REQUEST_CREATED", "pullRequestCreatedEventMetadata", facts)
	g.pulls[p.id] = p
	return nil, nil
}

// pullReference returns the full name of a branch given in either form.
func pullReference(name string) (string, error) {
	if !strings.HasPrefix(name, "refs/") {
		name = "refs/heads/" + name
	}
	short, ok := strings.CutPrefix(name, "refs/heads/")
	switch {
	case !ok:
		return "", fail("ReferenceTypeNotSupportedException", "The reference %s is no branch", name)
	case checkBranchName(short) != nil:
		return "", fail("InvalidReferenceNameException", "The reference name %q is not valid", name)
	}
	return name, nil
}

// editPull changes an open pull request.
func editPull(c *call, what string, edit func(*pullRequest)) (any, error) {
	p, err := c.pull()
	if err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if p.closed {
		return nil, alreadyClosed(p)
	}
	edit(p)
	p.active = c.s.cfg.Now()
	faults.Effect(c, "%s of pull request %s changed", what, p.id)
	return obj{"pullRequest": p.json()}, nil
}

func alreadyClosed(p *pullRequest) error {
	return fail("PullRequestAlreadyClosedException", "Pull request %s is closed", p.id)
}

func updatePullRequestTitle(c *call) (any, error) {
	return editPull(c, "title", func(p *pullRequest) { p.title = c.str("title") })
}

func updatePullRequestDescription(c *call) (any, error) {
	return editPull(c, "description", func(p *pullRequest) { p.description = c.str("description") })
}

func updatePullRequestStatus(c *call) (any, error) {
	p, err := c.pull()
	if err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	if p.closed || c.str("pullRequestStatus") != "CLOSED" {
		c.s.mu.Unlock()
		return nil, fail("InvalidPullRequestStatusUpdateException", "A pull request can only be changed from open to closed")
	}
	p.close(c.s.cfg.Now(), c.caller, nil)
	faults.Effect(c, "pull request %s closed", p.id)
	c.s.mu.Unlock()
	c.s.pullEvent(p, c.caller, "pullRequestStatusChanged", nil)
	return c.pullAnswer(p), nil
}
