package pulls

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

// Limits of a pull request, in characters (service model).
const (
	MaxTitle       = 150
	MaxDescription = 10_240
)

// A NewPull is what CreatePull is asked for.
type NewPull struct {
	Repository     ferry.Repository
	Source, Target string // short branch names
	Title          string // empty: PullTitle
	Description    string
	Issue          ferry.IssueKey // the issue it is made from; may be empty
	Token          string         // the dialog's; a repeat with it has no second effect
}

// A Pull is a pull request that was made, or the open one that is there.
type Pull struct {
	Number   int64    `json:"number"`
	Title    string   `json:"title"`
	Source   string   `json:"source"`
	Target   string   `json:"target"`
	URL      string   `json:"url"`      // page in the AWS console
	Existing bool     `json:"existing"` // it was open before; nothing was made
	Warnings []string `json:"warnings"`
}

// PullTitle is the title that is proposed: "KEY: Merge SOURCE to TARGET",
// within MaxTitle by shortening the branch names.
func PullTitle(key ferry.IssueKey, source, target string) string {
	head := ""
	if key != "" {
		head = string(key) + ": "
	}
	room := MaxTitle - utf8.RuneCountInString(head+"Merge  to ")
	s, t := utf8.RuneCountInString(source), utf8.RuneCountInString(target)
	if s+t > room {
		half := room / 2
		switch {
		case s <= half:
			target = shorten(target, room-s)
		case t <= half:
			source = shorten(source, room-t)
		default:
			source, target = shorten(source, half), shorten(target, half)
		}
	}
	return head + "Merge " + source + " to " + target
}

// shorten cuts s to n characters, the last of them "…".
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:max(n-1, 0)]) + "…"
}

// CreatePull opens a pull request at the host. An open one of the same
// branches is returned instead. It is in the books, and on its way to Jira,
// when CreatePull returns. A repeat with the same token returns the one that
// was made. Errors are those of CreateBranch.
func (h *Host) CreatePull(ctx context.Context, who Person, n NewPull) (Pull, error) {
	if err := h.mayPull(ctx); err != nil {
		return Pull{}, err
	}
	i, err := h.account(ctx, who, n.Repository)
	if err != nil {
		return Pull{}, err
	}
	if n.Title == "" {
		n.Title = PullTitle(n.Issue, n.Source, n.Target)
	}
	if n.Description, err = h.withBackLink(ctx, n.Description, n.Issue); err != nil {
		return Pull{}, err
	}
	if err := n.check(); err != nil {
		return Pull{}, err
	}
	var p Pull
	in, done, err := h.begin(ctx, who, n.Token, []any{"pull request", n.Repository.ID, n.Source, n.Target, n.Title, n.Description}, &p)
	if err != nil || done {
		return p, err
	}
	credential := ""
	err = func() error {
		var c *codecommit.Client
		if c, credential, err = h.client(ctx, who, i); err != nil {
			return err
		}
		p, err = h.createPull(ctx, c, i, n, in)
		return err
	}()
	if err == nil {
		err = h.done(ctx, in, p)
	}
	return p, h.audit(ctx, who, credential, "pull-request.create", n.Repository.Path(), fmt.Sprintf("%s to %s, number %d", n.Source, n.Target, p.Number), err)
}

// withBackLink ends the description with the issue that it was made from.
func (h *Host) withBackLink(ctx context.Context, description string, key ferry.IssueKey) (string, error) {
	if key == "" {
		return description, nil
	}
	site, err := h.Store.JiraSite(ctx)
	if errors.Is(err, ferry.ErrNotFound) {
		return description, nil
	}
	if err != nil {
		return "", err
	}
	line := fmt.Sprintf("Made from %s: %s/browse/%s", key, strings.TrimRight(site.URL, "/"), key)
	if description == "" {
		return line, nil
	}
	return strings.TrimRight(description, "\n") + "\n\n" + line, nil
}

func (n NewPull) check() error {
	why := ""
	switch {
	case n.Source == "" || n.Target == "":
		why = "a source and a target branch are needed"
	case n.Source == n.Target:
		why = "source and target are the same branch; choose two"
	case strings.TrimSpace(n.Title) == "":
		why = "a title is needed"
	case utf8.RuneCountInString(n.Title) > MaxTitle:
		why = fmt.Sprintf("the title is longer than %d characters", MaxTitle)
	case utf8.RuneCountInString(n.Description) > MaxDescription:
		why = fmt.Sprintf("the description, with the line that leads back to the issue, is longer than %d characters", MaxDescription)
	}
	if why != "" {
		return &ferry.Message{Kind: ferry.ErrInvalid, Text: why}
	}
	return nil
}

func (h *Host) createPull(ctx context.Context, c *codecommit.Client, i ferry.Integration, n NewPull, in *intent) (Pull, error) {
	refs, err := h.freshRefs(ctx, n.Repository)
	if err != nil {
		return Pull{}, err
	}
	source, target := refs[ferry.RefName("refs/heads/"+n.Source)], refs[ferry.RefName("refs/heads/"+n.Target)]
	for name, oid := range map[string]ferry.OID{n.Source: source, n.Target: target} {
		if oid.IsZero() {
			return Pull{}, &ferry.Message{Kind: ferry.ErrNotFound, Text: fmt.Sprintf("the branch %s is gone; reload and choose again", name)}
		}
	}
	ahead, _, err := h.Git.AheadBehind(ctx, h.Mirror.Path(n.Repository.ID), target, source)
	if err != nil {
		return Pull{}, err
	}
	if ahead == 0 {
		return Pull{}, &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf("nothing to merge: %s has no commit that %s lacks", n.Source, n.Target)}
	}
	p := Pull{Title: n.Title, Source: n.Source, Target: n.Target, Warnings: n.warnings()}
	if !in.again {
		open, err := h.openPull(ctx, n)
		if err != nil {
			return Pull{}, err
		}
		if open != nil {
			p.Number, p.Title, p.URL, p.Existing = open.Number, open.Title, open.URL, true
			return p, nil
		}
	}
	made, err := c.CreatePullRequest(ctx, codecommit.NewPullRequest{Repository: n.Repository.Name, Source: n.Source, Target: n.Target,
		Title: n.Title, Description: n.Description, Token: in.clientToken()})
	if err != nil {
		return Pull{}, err
	}
	if p.Number, err = strconv.ParseInt(made.ID, 10, 64); err != nil {
		return Pull{}, fmt.Errorf("pull request %.40q: %w", made.ID, err)
	}
	p.URL = consoleLinks(n.Repository).PullRequest(made.ID)
	if err := h.enter(context.WithoutCancel(ctx), n.Repository, i, made); err != nil {
		h.Log.Warn("entering a new pull request", "repo", n.Repository.Path(), "number", p.Number, "err", err)
		h.Wake(n.Repository.ID) // the next look finds it
	}
	return p, nil
}

// warnings says what the person may not have meant.
func (n NewPull) warnings() []string {
	if n.Issue == "" {
		return []string{}
	}
	o := projectOf(n.Issue)
	if slices.Contains(smartcommit.Keys(n.Title, o), n.Issue) || slices.Contains(smartcommit.Keys(n.Source, o), n.Issue) {
		return []string{}
	}
	return []string{fmt.Sprintf("neither the title nor the branch holds %s; the pull request is tied to it by its description or commits only", n.Issue)}
}

// openPull returns the open pull request of the same two branches, or nil.
func (h *Host) openPull(ctx context.Context, n NewPull) (*store.PullRequest, error) {
	open, err := h.Store.PullRequests(ctx, store.PullRequestFilter{Repository: n.Repository.ID, Status: "open"})
	if err != nil {
		return nil, err
	}
	for i, p := range open {
		if p.Source.Short() == n.Source && p.Destination.Short() == n.Target {
			return &open[i], nil
		}
	}
	return nil, nil
}

// enter writes a pull request that was just made into the books.
func (h *Host) enter(ctx context.Context, repo ferry.Repository, i ferry.Integration, made codecommit.PullRequest) error {
	defer h.lock(repo.ID)()
	l := &look{h: h, repo: repo, in: i, fresh: true}
	var err error
	if l.client, err = h.Client(ctx, i); err != nil {
		return err
	}
	if l.options, err = h.Parse(ctx); err != nil {
		return err
	}
	if err := l.write(ctx, []codecommit.PullRequest{made}); err != nil {
		return err
	}
	if l.queued {
		h.queued()
	}
	return nil
}
