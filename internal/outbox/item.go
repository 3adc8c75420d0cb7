package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

// An item is an entity in the form in which Jira gets it: one of commit,
// branch and pull, or withdraw.
type item struct {
	store.Entity
	repository ferry.Repository
	keys       []ferry.IssueKey // those that Jira Cloud can have
	withdraw   bool
	commit     *jira.DevCommit
	branch     *jira.DevBranch
	pull       *jira.DevPullRequest
}

// item reads from the books what the entity is now. An entity that lost its
// keys or is gone is withdrawn.
func (b *batch) item(ctx context.Context, e store.Entity) (item, error) {
	repo, err := b.repository(ctx, e.Repository)
	if err != nil {
		return item{}, err
	}
	it := item{Entity: e, repository: repo, keys: jira.CloudKeys(e.Keys)}
	if len(it.keys) == 0 {
		it.withdraw = true
		return it, nil
	}
	switch e.Kind {
	case store.EntityCommit:
		oid, err := ferry.ParseOID(e.EntityID)
		if err != nil {
			return it, refusal(err.Error())
		}
		if it.commit, err = b.devCommit(ctx, repo, oid, e.Version); err == nil {
			it.commit.Keys = it.keys
		}
		return it.unlessGone(err)
	case store.EntityBranch:
		it.branch, err = b.devBranch(ctx, repo, it)
		return it.unlessGone(err)
	case store.EntityPullRequest:
		it.pull, err = b.devPull(ctx, repo, it)
		return it.unlessGone(err)
	}
	return it, refusal(fmt.Sprintf("%q is no kind of development information", e.Kind))
}

func (it item) unlessGone(err error) (item, error) {
	if isNotFound(err) {
		it.withdraw = true
		return it, nil
	}
	return it, err
}

// ref names the item as Jira does.
func (it item) ref(b *batch) jira.EntityRef {
	r := jira.EntityRef{Repository: b.repositoryID(it.Repository), Kind: jira.EntityKind(it.Kind), ID: it.EntityID}
	if it.Kind == store.EntityBranch {
		r.ID = jira.EntityID(ferry.RefName(it.EntityID).Short())
	}
	return r
}

// commits returns the commits in the item, to be changed in place.
func (it item) commits() []*jira.DevCommit {
	switch {
	case it.commit != nil:
		return []*jira.DevCommit{it.commit}
	case it.branch != nil:
		return []*jira.DevCommit{&it.branch.Tip}
	}
	return nil
}

// trim drops what an item can do without and reports whether there was any.
func (it item) trim() bool {
	trimmed := false
	for _, c := range it.commits() {
		trimmed = trimmed || len(c.Files) > 0
		c.Files = nil
	}
	return trimmed
}

func (b *batch) devCommit(ctx context.Context, repo ferry.Repository, oid ferry.OID, version int64) (*jira.DevCommit, error) {
	c, err := b.w.Store.CommitByOID(ctx, repo.ID, oid)
	if err != nil {
		return nil, err
	}
	d := &jira.DevCommit{
		ID: oid.String(), DisplayID: oid.Short(), Sequence: version, Message: c.Message,
		Author: jira.DevAuthor{Name: c.Author.Name, Email: c.Author.Email},
		URL:    b.w.Links.Commit(repo, oid), Authored: jira.DevTime{Time: c.AuthoredAt},
	}
	if Processor(b.site.Processor) != ProcessorJira {
		d.Message = smartcommit.Defuse(c.Message)
	}
	if len(c.Parents) > 1 {
		d.Flags = []string{jira.MergeCommit}
	}
	files, total, err := b.w.Files(ctx, repo.ID, oid)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		// The mirror may be away for a while; the commit matters more than
		// the list of its files.
		b.w.Log.Warn("listing the files of a commit", "repo", repo.Path(), "commit", oid, "err", err)
	}
	d.FileCount = total
	for _, f := range files[:min(len(files), 10)] {
		d.Files = append(d.Files, jira.DevFile{Path: f.Path, URL: b.w.Links.File(repo, oid, f.Path),
			Change: changeType(f.Change), Added: f.Added, Removed: f.Removed})
	}
	return d, nil
}

func changeType(s string) string {
	switch t := strings.ToUpper(s); t {
	case "ADDED", "COPIED", "DELETED", "MODIFIED", "MOVED":
		return t
	}
	return "UNKNOWN"
}

func (b *batch) devBranch(ctx context.Context, repo ferry.Repository, it item) (*jira.DevBranch, error) {
	name := ferry.RefName(it.EntityID)
	refs, err := b.w.Store.Refs(ctx, repo.ID)
	if err != nil {
		return nil, err
	}
	oid, ok := refs[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, ferry.ErrNotFound)
	}
	tip, err := b.devCommit(ctx, repo, oid, it.Version)
	if err != nil {
		if isNotFound(err) { // the index is about to have it
			return nil, errors.New("the tip of " + string(name) + " is not indexed yet")
		}
		return nil, err
	}
	// The same keys as the commit has on its own, or the later of the two
	// would change the commit's links.
	keys, err := b.w.Store.KeysOf(ctx, repo.ID, []ferry.OID{oid})
	if err != nil {
		return nil, err
	}
	tip.Keys = jira.CloudKeys(keys[oid])
	if tip.Sequence, err = b.commitVersion(ctx, repo.ID, oid, keys[oid], it.Version); err != nil {
		return nil, err
	}
	d := &jira.DevBranch{ID: jira.EntityID(name.Short()), Sequence: it.Version, Keys: it.keys,
		Name: name.Short(), URL: b.w.Links.Branch(repo, name), Tip: *tip}
	// Only CodeCommit has pull requests, and the main branch is where they go.
	if repo.Region != "" && name.Short() != repo.DefaultBranch && len(it.keys) > 0 {
		d.NewPull = b.w.Links.NewPull(repo, it.keys[0], name)
	}
	return d, nil
}

// maxLook bounds the search for a commit among the deliveries of an issue.
const maxLook = 1000

// commitVersion returns the version of a commit's own delivery, so that the
// commit as the tip of a branch goes with the number it has on its own. A
// commit without one gets the branch's, which any later one exceeds.
func (b *batch) commitVersion(ctx context.Context, repo ferry.RepositoryID, oid ferry.OID, keys []ferry.IssueKey, branch int64) (int64, error) {
	if len(keys) == 0 {
		return branch, nil
	}
	list, err := b.w.Store.Deliveries(ctx, store.DeliveryFilter{Key: keys[0], Repository: repo, Limit: maxLook})
	if err != nil {
		return 0, err
	}
	for _, d := range list {
		if d.Kind == string(store.EntityCommit) && d.EntityID == oid.String() {
			return d.Version, nil
		}
	}
	return branch, nil
}

func (b *batch) devPull(ctx context.Context, repo ferry.Repository, it item) (*jira.DevPullRequest, error) {
	number, err := strconv.ParseInt(it.EntityID, 10, 64)
	if err != nil {
		return nil, refusal(fmt.Sprintf("pull request %.40q: not a number", it.EntityID))
	}
	pulls, err := b.w.Store.PullRequests(ctx, store.PullRequestFilter{Repository: repo.ID, Number: number, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(pulls) == 0 {
		return nil, fmt.Errorf("pull request %d: %w", number, ferry.ErrNotFound)
	}
	p := pulls[0]
	author, err := b.person(ctx, p.Author, p.AuthorARN)
	if err != nil {
		return nil, err
	}
	d := &jira.DevPullRequest{
		ID: it.EntityID, DisplayID: "#" + it.EntityID, Sequence: it.Version, Keys: it.keys,
		Status: pullStatus(p), Title: p.Title, Author: author,
		Source: p.Source.Short(), SourceURL: b.w.Links.Branch(repo, p.Source),
		Destination: p.Destination.Short(), DestinationURL: b.w.Links.Branch(repo, p.Destination),
		Updated: jira.DevTime{Time: p.UpdatedAt}, URL: b.w.Links.Pull(repo, number),
	}
	for _, r := range p.Reviewers {
		approval := "UNAPPROVED"
		if r.Approved {
			approval = "APPROVED"
		}
		who, err := b.person(ctx, r.Name, r.ARN)
		if err != nil {
			return nil, err
		}
		d.Reviewers = append(d.Reviewers, jira.DevReviewer{Name: who.Name, Email: who.Email, Approval: approval})
	}
	return d, nil
}

// person is somebody whom AWS names: one of our users, if that is known, whom
// Jira finds by the address.
func (b *batch) person(ctx context.Context, name, arn string) (jira.DevAuthor, error) {
	if arn != "" {
		switch u, err := b.w.Store.UserByARN(ctx, arn); {
		case err == nil:
			return jira.DevAuthor{Name: cmp.Or(u.Display, u.Name), Email: u.Email}, nil
		case !errors.Is(err, ferry.ErrNotFound):
			return jira.DevAuthor{}, err
		}
	}
	return jira.DevAuthor{Name: name, Email: emailOf(name)}, nil
}

// emailOf returns a name that is an address, as session names of assumed
// roles often are; Jira finds its users by it.
func emailOf(name string) string {
	if at := strings.LastIndexByte(name, '@'); at > 0 && strings.Contains(name[at:], ".") && !strings.ContainsAny(name, " /") {
		return name
	}
	return ""
}

func pullStatus(p store.PullRequest) string {
	switch {
	case p.Merged:
		return "MERGED"
	case strings.EqualFold(p.Status, "open"):
		return "OPEN"
	case strings.EqualFold(p.Status, "closed"):
		return "DECLINED"
	}
	return "UNKNOWN"
}
