package discovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// Found is what one look at an account brought.
type Found struct {
	Added   []ferry.Repository
	Renamed []ferry.Repository
	Missing []ferry.Repository
	// Unconnected are the names that are there and not connected.
	Unconnected []string
}

// Look reads the account's list of repositories. New ones are connected if the
// integration connects all, unless somebody disconnected them, or if connect
// says so; renamed ones follow and answer under their old path for 30 days;
// ones that are gone are marked missing, come back when they are seen again,
// and are disconnected at the second look in a row, at least an hour later,
// that misses them. A failed look changes nothing but the integration's
// problem.
func (d *Discovery) Look(ctx context.Context, id ferry.IntegrationID, connect func(name string) bool) (Found, error) {
	done, err := d.turn(ctx, id)
	if err != nil {
		return Found{}, err
	}
	defer done()
	i, err := d.Store.Integration(ctx, id)
	if err != nil {
		return Found{}, err
	}
	found, err := d.look(ctx, i, connect)
	problem := ""
	if err != nil {
		problem = "reading the list of repositories: " + text(err)
		d.logIntegration(ctx, id, "error", "%s", problem)
	}
	if problem != i.Problem {
		err = errors.Join(err, d.Store.NoteIntegration(ctx, id, "", problem))
	}
	if len(found.Added)+len(found.Renamed) > 0 {
		if _, jobErr := d.Store.Enqueue(ctx, store.Job{Integration: id, Op: store.OpTriggers, Source: "scheduled", Priority: 20}); jobErr != nil {
			err = errors.Join(err, jobErr)
		}
		d.queued()
	}
	return found, err
}

func text(err error) string {
	var m *ferry.Message
	if errors.As(err, &m) {
		return m.Text
	}
	return err.Error()
}

func (d *Discovery) look(ctx context.Context, i ferry.Integration, connect func(string) bool) (Found, error) {
	var f Found
	if i.Kind != ferry.KindCodeCommit {
		return f, nil
	}
	c, err := d.Client(ctx, i)
	if err != nil {
		return f, err
	}
	if i.Account == "" {
		if who, err := c.Identity(ctx); err == nil {
			i.Account = who.Account
			if err := d.Store.NoteIntegration(ctx, i.ID, i.Account, i.Problem); err != nil {
				return f, err
			}
		}
	}
	listed, err := d.list(ctx, c)
	if err != nil {
		return f, err
	}
	err = d.compare(ctx, i, listed, connect, &f)
	return f, err
}

// list reads the whole list with what is known of each repository. Without
// the right to read details, names and ids must do.
func (d *Discovery) list(ctx context.Context, c *codecommit.Client) ([]codecommit.Repository, error) {
	names, err := c.ListRepositories(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = n.Name
	}
	details, _, err := c.BatchGetRepositories(ctx, all)
	if err != nil {
		if !errors.Is(err, ferry.ErrDenied) {
			return nil, err
		}
		d.Log.Warn("repository details cannot be read; default branches are taken from git", "err", err)
	}
	byID := make(map[string]codecommit.Repository, len(details))
	for _, r := range details {
		byID[r.ID] = r
	}
	listed := make([]codecommit.Repository, len(names))
	for i, n := range names {
		r, ok := byID[n.ID]
		if !ok {
			r = codecommit.Repository{ID: n.ID}
		}
		r.Name = n.Name // the list decides: a rename may fall between the two calls
		listed[i] = r
	}
	return listed, nil
}

// connectChunk is how many repositories are connected in one transaction.
const connectChunk = 200

// compare brings the books in step with the list.
func (d *Discovery) compare(ctx context.Context, i ferry.Integration, listed []codecommit.Repository, connect func(string) bool, f *Found) error {
	known, err := d.Store.Repositories(ctx, store.RepositoryFilter{Integration: i.ID})
	if err != nil {
		return err
	}
	unticked, err := d.Store.Unticked(ctx, i.ID)
	if err != nil {
		return err
	}
	tables, err := d.Store.Timetables(ctx)
	if err != nil {
		return err
	}
	byHost := make(map[string]ferry.Repository, len(known))
	for _, r := range known {
		byHost[r.HostID] = r
	}
	var added, renamed []ferry.Repository
	for _, l := range listed {
		r, ok := byHost[l.ID]
		delete(byHost, l.ID)
		switch {
		case !ok && (connect != nil && connect(l.Name) || i.ConnectAll && !unticked[l.ID]):
			if r, ok := d.fresh(ctx, i, l); ok {
				added = append(added, r)
			}
		case !ok:
			f.Unconnected = append(f.Unconnected, l.Name)
		default:
			followed, err := d.follow(ctx, i, r, l, tables[r.ID].Misses)
			if err != nil {
				return err
			}
			if followed.Name != r.Name {
				renamed = append(renamed, followed)
			}
		}
	}
	// What is gone first: a new repository may have taken its name.
	for _, r := range byHost {
		if err := d.missed(ctx, r, f); err != nil {
			return err
		}
	}
	if len(renamed) > 0 {
		if err := d.Store.RenameRepositories(ctx, renamed); err != nil {
			return err
		}
		f.Renamed = renamed
		for _, r := range renamed {
			d.logIntegration(ctx, i.ID, "info", "%s was renamed at the host; its old path answers for 30 days", r.Path())
		}
	}
	for len(added) > 0 {
		part := added[:min(connectChunk, len(added))]
		added = added[len(part):]
		if part, err = d.Store.ConnectRepositories(ctx, part); err != nil {
			return fmt.Errorf("connecting repositories: %w", err)
		}
		f.Added = append(f.Added, part...)
		d.queued()
	}
	switch n := len(f.Added); {
	case n == 1:
		d.logIntegration(ctx, i.ID, "info", "%s was connected", f.Added[0].Path())
	case n > 1:
		d.logIntegration(ctx, i.ID, "info", "%d repositories were connected, %s first", n, f.Added[0].Path())
	}
	return nil
}

// fresh is a repository to connect. One whose name cannot stand in a path is
// passed over, and the log says so.
func (d *Discovery) fresh(ctx context.Context, i ferry.Integration, l codecommit.Repository) (ferry.Repository, bool) {
	name, err := ferry.ParseRepositoryName(l.Name)
	if err != nil {
		d.logIntegration(ctx, i.ID, "warning", "a repository is not connected: %s", text(err))
		return ferry.Repository{}, false
	}
	return ferry.Repository{IntegrationID: i.ID, Owner: i.Slug, Name: name, Region: i.Region, HostID: l.ID, CloneURL: cloneURL(i, name),
		DefaultBranch: l.DefaultBranch, State: ferry.RepositoryEnabled, SmartCommits: true, CreatedAt: l.Created}, true
}

// follow takes over what changed of a known repository but its name, which
// it returns with the repository. A default branch that moved leads to a
// reindex, for what is merged is counted against it.
func (d *Discovery) follow(ctx context.Context, i ferry.Integration, r ferry.Repository, l codecommit.Repository, misses int) (_ ferry.Repository, err error) {
	if r.State == ferry.RepositoryMissing || misses > 0 {
		if err := d.Store.FoundAgain(ctx, r.ID); err != nil {
			return r, err
		}
		r.State = ferry.RepositoryEnabled
		d.logIntegration(ctx, i.ID, "info", "%s is back", r.Path())
	}
	if made := l.Created.Truncate(time.Millisecond); !made.IsZero() && !made.Equal(r.CreatedAt) {
		r.CreatedAt = made
		if err := d.Store.UpdateRepository(ctx, r); err != nil {
			return r, err
		}
	}
	if l.DefaultBranch != "" && l.DefaultBranch != r.DefaultBranch {
		if r, err = d.moveDefault(ctx, r, l.DefaultBranch); err != nil {
			return r, err
		}
	}
	if _, err := ferry.ParseRepositoryName(l.Name); err != nil {
		d.logIntegration(ctx, i.ID, "warning", "%s keeps its name here: %s", r.Path(), text(err))
		return r, nil
	}
	name, address := r.Name, r.CloneURL
	r.Name, r.CloneURL = l.Name, cloneURL(i, l.Name)
	if name != l.Name || address == r.CloneURL {
		return r, nil
	}
	return r, d.Store.UpdateRepository(ctx, r) // the end point moved
}

// moveDefault writes a new default branch and has what follows from it done.
func (d *Discovery) moveDefault(ctx context.Context, r ferry.Repository, branch string) (ferry.Repository, error) {
	before := r.DefaultBranch
	r.DefaultBranch = branch
	if err := d.Store.UpdateRepository(ctx, r); err != nil {
		return r, err
	}
	if before == "" {
		return r, nil // it was empty, or not known yet
	}
	if err := d.Store.AddLog(ctx, store.LogLine{Repository: r.ID, Level: "info",
		Text: fmt.Sprintf("the default branch moved from %s to %s at the host", before, branch)}); err != nil {
		return r, err
	}
	_, err := d.Store.Enqueue(ctx, store.Job{Repository: r.ID, Op: store.OpReindex, Source: "scheduled", Priority: 20})
	d.queued()
	return r, err
}

// Describe asks the host for the default branch of a repository and returns
// the repository as it is known then. Without the right to ask, what is known
// stays.
func (d *Discovery) Describe(ctx context.Context, r ferry.Repository) (ferry.Repository, error) {
	i, err := d.Store.Integration(ctx, r.IntegrationID)
	if err != nil || i.Kind != ferry.KindCodeCommit {
		return r, err
	}
	c, err := d.Client(ctx, i)
	if err != nil {
		return r, err
	}
	found, _, err := c.BatchGetRepositories(ctx, []string{r.Name})
	if errors.Is(err, ferry.ErrDenied) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	for _, l := range found {
		if l.ID == r.HostID && l.DefaultBranch != "" && l.DefaultBranch != r.DefaultBranch {
			r.DefaultBranch = l.DefaultBranch
			return r, d.Store.UpdateRepository(ctx, r)
		}
	}
	return r, nil
}

// missed records that the list lacks a repository, and disconnects it at the
// second miss.
func (d *Discovery) missed(ctx context.Context, r ferry.Repository, f *Found) error {
	t, err := d.Store.Missed(ctx, r.ID)
	if err != nil {
		return err
	}
	if t.Misses < 2 || d.Disconnect == nil {
		if r.State == ferry.RepositoryEnabled {
			r.State = ferry.RepositoryMissing
			f.Missing = append(f.Missing, r)
			d.logIntegration(ctx, r.IntegrationID, "warning", "%s is gone at the host; it is disconnected if it stays so for an hour", r.Path())
		}
		return nil
	}
	waiting, err := d.Disconnect(ctx, r)
	if err != nil {
		return fmt.Errorf("disconnecting %s, which is gone at the host: %w", r.Path(), err)
	}
	if waiting == 0 {
		d.logIntegration(ctx, r.IntegrationID, "info", "%s was disconnected: it is gone at the host", r.Path())
	}
	return nil
}

func cloneURL(i ferry.Integration, name string) string {
	url := codecommit.CloneURL(i.Region, i.GitEndpoint, name)
	if i.GitAuth == ferry.GitAuthSSH {
		return codecommit.WithSSHKeyID(url, i.SSHKeyID)
	}
	return url
}
