package jira

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

var allStatuses = []*status{statusToDo, statusInProgress, statusInReview, statusDone}

// load replaces the state by the records in raw; users stay.
func (st *site) load(raw []byte) error {
	fresh := newSite(st.now, Config{Empty: true, Settings: st.settings})
	fresh.users = st.users
	dec := json.NewDecoder(bytes.NewReader(raw))
	for n := 1; ; n++ {
		var r record
		err := dec.Decode(&r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break // the end, or a last line that was cut off
		}
		if err == nil {
			err = fresh.apply(r)
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", n, err)
		}
	}
	fresh.touched = nil
	*st = *fresh
	return nil
}

func (st *site) named(name string) *user {
	return st.user(func(u *user) bool { return u.Name == name })
}

// author returns the user of a name; a user who is no longer configured gives
// way to the service account.
func (st *site) author(name string) *user {
	if u := st.named(name); u != nil {
		return u
	}
	return st.users[0]
}

// apply carries one record out.
func (st *site) apply(r record) error {
	switch {
	case r.CloudID != "":
		st.cloudID = r.CloudID
	case r.Project != nil:
		p := st.project(r.Project.Key)
		if p == nil {
			if !projectKey.MatchString(r.Project.Key) {
				return fmt.Errorf("project key %q is malformed", r.Project.Key)
			}
			p = st.addProject(Project{Key: r.Project.Key, Name: r.Project.Name})
		}
		p.last = r.Project.Last
	case r.Issue != nil:
		return st.applyIssue(r.Issue)
	case r.Comment != nil:
		return st.applyComment(r.Comment)
	case r.Worklog != nil:
		return st.applyWorklog(r.Worklog)
	case r.Repository != nil && r.Repository.Gone:
		delete(st.repositories, r.Repository.ID)
	case r.Repository != nil:
		repo := st.repositories[r.Repository.ID]
		if repo == nil {
			repo = &devRepository{id: r.Repository.ID, entities: map[entityKey]*devEntity{}}
			st.repositories[repo.id] = repo
		}
		repo.sequence, repo.raw = r.Repository.Sequence, r.Repository.Raw
	case r.Entity != nil:
		st.applyEntity(r.Entity)
	}
	return nil
}

func (st *site) applyIssue(r *issueRecord) error {
	at := slices.IndexFunc(allStatuses, func(s *status) bool { return s.id == r.Status })
	p := st.project(r.Project)
	if at < 0 || p == nil {
		return fmt.Errorf("issue %s: unknown status %q or project %q", r.Key, r.Status, r.Project)
	}
	is := st.byID[r.ID]
	if is == nil {
		is = &issue{id: r.ID}
		st.issues = append(st.issues, is)
		st.byID[is.id] = is
		st.lastIssue = max(st.lastIssue, is.id)
	}
	is.key, is.former, is.project, is.summary, is.status = r.Key, r.Former, p, r.Summary, allStatuses[at]
	is.resolution, is.assignee, is.reporter = r.Resolution, st.named(r.Assignee), st.author(r.Reporter)
	is.labels, is.fix, is.affects, is.properties = r.Labels, r.Fix, r.Affects, orEmpty(r.Properties)
	is.created, is.updated = r.Created, r.Updated
	is.links, is.history = nil, nil
	for _, l := range r.Links {
		is.links = append(is.links, &remoteLink{l.ID, l.GlobalID, l.Request})
		st.lastLink = max(st.lastLink, l.ID)
	}
	for _, h := range r.History {
		is.history = append(is.history, &change{h.ID, st.author(h.Author), h.Created, h.Items, h.Metadata})
		st.lastHistory = max(st.lastHistory, h.ID)
	}
	for _, k := range append([]string{is.key}, is.former...) {
		st.byKey[k] = is
	}
	return nil
}

func orEmpty(p properties) properties {
	if p == nil {
		return properties{}
	}
	return p
}

func (st *site) applyComment(r *entryRecord) error {
	is, m := st.byID[r.Issue], st.comments[r.ID]
	if is == nil {
		return fmt.Errorf("comment %d: no issue %d", r.ID, r.Issue)
	}
	st.lastComment = max(st.lastComment, r.ID)
	if r.Gone {
		is.comments = slices.DeleteFunc(is.comments, func(o *comment) bool { return o == m })
		delete(st.comments, r.ID)
		return nil
	}
	if m == nil {
		m = &comment{id: r.ID, issue: is}
		is.comments = append(is.comments, m)
		st.comments[m.id] = m
	}
	m.author, m.body, m.visibility = st.author(r.Author), text{r.ADF, r.Wiki}, r.Visibility
	m.properties, m.created, m.updated = orEmpty(r.Properties), r.Created, r.Updated
	return nil
}

func (st *site) applyWorklog(r *entryRecord) error {
	is, w := st.byID[r.Issue], st.worklogs[r.ID]
	if is == nil {
		return fmt.Errorf("worklog %d: no issue %d", r.ID, r.Issue)
	}
	st.lastWorklog = max(st.lastWorklog, r.ID)
	if r.Gone {
		is.worklogs = slices.DeleteFunc(is.worklogs, func(o *worklog) bool { return o == w })
		delete(st.worklogs, r.ID)
		return nil
	}
	if w == nil {
		w = &worklog{id: r.ID, issue: is}
		is.worklogs = append(is.worklogs, w)
		st.worklogs[w.id] = w
	}
	w.author, w.seconds, w.started, w.visibility = st.author(r.Author), r.Seconds, r.Started, r.Visibility
	w.properties, w.created, w.updated, w.comment = orEmpty(r.Properties), r.Created, r.Updated, nil
	if r.ADF != nil {
		w.comment = &text{r.ADF, r.Wiki}
	}
	return nil
}

func (st *site) applyEntity(r *entityRecord) {
	repo, key := st.repositories[r.Repository], entityKey{r.Kind, r.ID}
	switch {
	case repo == nil:
	case r.Gone:
		delete(repo.entities, key)
	default:
		repo.entities[key] = &devEntity{
			entityKey: key, repository: r.Repository, sequence: r.Sequence, keys: r.Keys, raw: r.Raw,
			properties: r.Properties, stored: r.Stored, visible: r.Visible,
		}
	}
}
