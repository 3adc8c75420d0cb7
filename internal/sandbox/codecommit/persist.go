package codecommit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// What is kept beside the bare repositories, so that a stand-in started again
// on the same directory knows them by their ids and names. Credentials, fault
// rules, the ledger and messages on their way are not kept.
type (
	savedState struct {
		Regions map[string]savedRegion `json:"regions"`
	}
	savedRegion struct {
		LastPull     int               `json:"last_pull"`
		Repositories []savedRepository `json:"repositories"`
		Pulls        []savedPull       `json:"pulls"`
		Topics       []savedTopic      `json:"topics"`
		Comments     []comment         `json:"comments,omitempty"`
	}
	savedRepository struct {
		ID            string    `json:"id"`
		Name          string    `json:"name"`
		Description   string    `json:"description"`
		DefaultBranch string    `json:"default_branch"`
		Created       time.Time `json:"created"`
		Modified      time.Time `json:"modified"`
		Triggers      []trigger `json:"triggers"`
		TriggersID    string    `json:"triggers_id"`
	}
	savedPull struct {
		ID                string                     `json:"id"`
		RepositoryID      string                     `json:"repository_id"`
		RepositoryName    string                     `json:"repository_name"`
		Title             string                     `json:"title"`
		Description       string                     `json:"description"`
		Author            string                     `json:"author"` // user name, as are all below
		Token             string                     `json:"token"`
		Request           string                     `json:"request"`
		Created           time.Time                  `json:"created"`
		Active            time.Time                  `json:"active"`
		Closed            bool                       `json:"closed"`
		Revision          string                     `json:"revision"`
		Source            string                     `json:"source"`
		Destination       string                     `json:"destination"`
		SourceCommit      string                     `json:"source_commit"`
		DestinationCommit string                     `json:"destination_commit"`
		MergeBase         string                     `json:"merge_base"`
		MergedBy          string                     `json:"merged_by,omitempty"`
		MergeCommit       string                     `json:"merge_commit,omitempty"`
		MergeOption       string                     `json:"merge_option,omitempty"`
		Events            []savedEvent               `json:"events"`
		Approvals         map[string][]savedApproval `json:"approvals"` // by revision
	}
	savedEvent struct {
		Kind   string    `json:"kind"`
		At     time.Time `json:"at"`
		Actor  string    `json:"actor"`
		Member string    `json:"member"`
		Facts  obj       `json:"facts"`
	}
	savedApproval struct {
		User  string `json:"user"` // ARN
		State string `json:"state"`
	}
	savedTopic struct {
		ARN           string              `json:"arn"`
		Attributes    map[string]string   `json:"attributes"`
		Events        bool                `json:"events"`
		Subscriptions []savedSubscription `json:"subscriptions"`
	}
	savedSubscription struct {
		ARN           string            `json:"arn"`
		Protocol      string            `json:"protocol"`
		Endpoint      string            `json:"endpoint"`
		Token         string            `json:"token"`
		Asked         time.Time         `json:"asked"`
		Confirmed     bool              `json:"confirmed"`
		Authenticated bool              `json:"authenticated"`
		Attributes    map[string]string `json:"attributes"`
	}
)

func (s *Server) stateFile() string { return filepath.Join(s.cfg.Dir, "state.json") }

// save writes the state down. A failure is logged: the stand-in goes on and
// only a restart would miss the change.
func (s *Server) save() {
	s.saving.Lock()
	defer s.saving.Unlock()
	b, err := json.Marshal(s.snapshot())
	if err == nil {
		next := s.stateFile() + ".new"
		if err = os.WriteFile(next, b, 0o600); err == nil {
			err = os.Rename(next, s.stateFile())
		}
	}
	if err != nil {
		s.cfg.Log.Error("saving the state", "err", err)
	}
}

func (s *Server) snapshot() savedState {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := savedState{Regions: map[string]savedRegion{}}
	for name, g := range s.regions {
		saved := savedRegion{LastPull: g.lastPull}
		for _, name := range sortedKeys(g.repositories) {
			r := g.repositories[name]
			saved.Repositories = append(saved.Repositories, savedRepository{r.id, r.name, r.description, r.defaultBranch, r.created, r.modified, r.triggers, r.triggersID})
		}
		for _, id := range sortedKeys(g.pulls) {
			saved.Pulls = append(saved.Pulls, g.pulls[id].saved())
		}
		for _, m := range g.comments {
			saved.Comments = append(saved.Comments, *m)
		}
		for _, arn := range sortedKeys(g.topics) {
			t := g.topics[arn]
			topic := savedTopic{ARN: arn, Attributes: t.attributes, Events: t.events}
			for _, sub := range t.subscriptions {
				topic.Subscriptions = append(topic.Subscriptions, savedSubscription(*sub))
			}
			saved.Topics = append(saved.Topics, topic.clone())
		}
		state.Regions[name] = saved
	}
	return state
}

// clone copies the maps, which go on changing while the state is written.
func (t savedTopic) clone() savedTopic {
	t.Attributes = copyOf(t.Attributes)
	for i := range t.Subscriptions {
		t.Subscriptions[i].Attributes = copyOf(t.Subscriptions[i].Attributes)
	}
	return t
}

func copyOf[V any](m map[string]V) map[string]V {
	c := make(map[string]V, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// saved returns the pull request as it is kept. The caller holds Server.mu.
func (p *pullRequest) saved() savedPull {
	v := savedPull{
		ID: p.id, RepositoryID: p.repository.id, RepositoryName: p.repositoryName, Title: p.title, Description: p.description,
		Author: p.author.User, Token: p.token, Request: p.request, Created: p.created, Active: p.active, Closed: p.closed,
		Revision: p.revision, Source: p.source, Destination: p.destination,
		SourceCommit: p.sourceCommit, DestinationCommit: p.destinationCommit, MergeBase: p.mergeBase,
		Approvals: map[string][]savedApproval{},
	}
	if m := p.merge; m != nil {
		v.MergedBy, v.MergeCommit, v.MergeOption = m.by.User, m.commit, m.option
	}
	for _, e := range p.events {
		v.Events = append(v.Events, savedEvent{e.kind, e.at, e.actor.User, e.member, e.facts})
	}
	for revision, list := range p.approvals {
		for _, a := range list {
			v.Approvals[revision] = append(v.Approvals[revision], savedApproval(a))
		}
	}
	return v
}

// restore reads what an earlier run saved, if there was one.
func (s *Server) restore() error {
	b, err := os.ReadFile(s.stateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var state savedState
	if err == nil {
		err = json.Unmarshal(b, &state)
	}
	if err != nil {
		return fmt.Errorf("reading the stand-in's saved state: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, saved := range state.Regions {
		g := s.inRegion(name)
		g.lastPull = saved.LastPull
		byID := map[string]*repository{}
		for _, v := range saved.Repositories {
			r := &repository{id: v.ID, region: g, dir: s.repositoryDir(v.ID), name: v.Name, description: v.Description, defaultBranch: v.DefaultBranch,
				created: v.Created, modified: v.Modified, triggers: v.Triggers, triggersID: v.TriggersID}
			g.repositories[v.Name], byID[v.ID] = r, r
		}
		for _, v := range saved.Pulls {
			g.pulls[v.ID] = s.restorePull(v, byID[v.RepositoryID], g)
		}
		for _, m := range saved.Comments {
			g.comments = append(g.comments, &m)
		}
		for _, v := range saved.Topics {
			t := &topic{arn: v.ARN, attributes: v.Attributes, events: v.Events}
			for _, sub := range v.Subscriptions {
				kept := subscription(sub)
				t.subscriptions = append(t.subscriptions, &kept)
			}
			g.topics[v.ARN] = t
		}
	}
	return nil
}

// restorePull rebuilds a pull request; r is nil if its repository was deleted.
func (s *Server) restorePull(v savedPull, r *repository, g *region) *pullRequest {
	if r == nil {
		r = &repository{id: v.RepositoryID, region: g, name: v.RepositoryName}
	}
	p := &pullRequest{
		id: v.ID, repository: r, repositoryName: v.RepositoryName, title: v.Title, description: v.Description,
		author: s.userNamed(v.Author), token: v.Token, request: v.Request, created: v.Created, active: v.Active, closed: v.Closed,
		revision: v.Revision, source: v.Source, destination: v.Destination,
		sourceCommit: v.SourceCommit, destinationCommit: v.DestinationCommit, mergeBase: v.MergeBase,
		approvals: map[string][]approval{},
	}
	if v.MergeOption != "" {
		p.merge = &mergeRecord{s.userNamed(v.MergedBy), v.MergeCommit, v.MergeOption}
	}
	for _, e := range v.Events {
		p.events = append(p.events, pullEvent{e.Kind, e.At, s.userNamed(e.Actor), e.Member, e.Facts})
	}
	for revision, list := range v.Approvals {
		for _, a := range list {
			p.approvals[revision] = append(p.approvals[revision], approval(a))
		}
	}
	return p
}

// userNamed finds a user, or stands in for one that is no more.
func (s *Server) userNamed(name string) *identity {
	for _, id := range s.users {
		if id.User == name {
			return id
		}
	}
	return &identity{Credentials: Credentials{User: name, ARN: s.arn("iam", "", "user/"+name)}}
}
