package jira

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// state shows everything as JSON; with only it shows one issue.
//
//	{"settings": {…}, "users": […], "projects": […],
//	 "issues": {"DEMO-1": {…}}, "repositories": {"repo": {…}}}
//
// Each issue has its comments, worklogs, status, resolution, assignee (a user
// name), labels, versions, properties, remote links, history and, under
// "development", the commits, branches and pull requests linked to it.
func (st *site) state(only *issue) any {
	linked := st.development()
	if only != nil {
		return viewState(only, linked[only.key])
	}
	issues := object{}
	for _, is := range st.issues {
		issues[is.key] = viewState(is, linked[is.key])
	}
	repositories := object{}
	for id, r := range st.repositories {
		repositories[id] = object{"repository": r.raw, "update_sequence_id": r.sequence, "development": r.view(func(*devEntity) bool { return true })}
	}
	users, projects := []any{}, []any{}
	for _, u := range st.users {
		users = append(users, object{"name": u.Name, "display": u.Display, "email": u.Email, "account_id": u.accountID, "active": !u.Inactive})
	}
	for _, p := range st.projects {
		versions := []any{}
		for _, v := range p.versions {
			versions = append(versions, object{"name": v.name, "released": v.released, "archived": v.archived})
		}
		projects = append(projects, object{"id": p.id, "key": p.key, "name": p.name, "issues": p.last, "versions": versions})
	}
	return object{
		"settings": st.settings, "cloud_id": st.cloudID, "users": users, "projects": projects,
		"issues": issues, "repositories": repositories,
	}
}

// A development is what a development tool stored, by kind.
type development struct {
	Commits      []object `json:"commits"`
	Branches     []object `json:"branches"`
	PullRequests []object `json:"pull_requests"`
}

func (d *development) add(repository string, e *devEntity) {
	o := object{"repository": repository, "id": e.id, "update_sequence_id": e.sequence, "issue_keys": e.keys, "properties": e.properties, "data": e.raw}
	switch e.kind {
	case kindCommit:
		d.Commits = append(d.Commits, o)
	case kindBranch:
		d.Branches = append(d.Branches, o)
	default:
		d.PullRequests = append(d.PullRequests, o)
	}
}

func newDevelopment() *development {
	return &development{Commits: []object{}, Branches: []object{}, PullRequests: []object{}}
}

// sorted returns the entities in order of storing.
func (r *devRepository) sorted() []*devEntity {
	return slices.SortedFunc(maps.Values(r.entities), func(a, b *devEntity) int {
		if d := a.stored.Compare(b.stored); d != 0 {
			return d
		}
		if a.sequence != b.sequence {
			return int(min(max(a.sequence-b.sequence, -1), 1))
		}
		if a.kind+a.id < b.kind+b.id {
			return -1
		}
		return 1
	})
}

func (r *devRepository) view(fits func(*devEntity) bool) *development {
	d := newDevelopment()
	for _, e := range r.sorted() {
		if fits(e) {
			d.add(r.id, e)
		}
	}
	return d
}

// development groups what is stored by issue key.
func (st *site) development() map[string]*development {
	linked := map[string]*development{}
	for _, id := range slices.Sorted(maps.Keys(st.repositories)) {
		for _, e := range st.repositories[id].sorted() {
			for _, k := range e.keys {
				if linked[k] == nil {
					linked[k] = newDevelopment()
				}
				linked[k].add(id, e)
			}
		}
	}
	return linked
}

func viewState(is *issue, d *development) object {
	if d == nil {
		d = newDevelopment()
	}
	comments, worklogs, links, history := []any{}, []any{}, []any{}, []any{}
	for _, m := range is.comments {
		comments = append(comments, object{
			"id": strconv.FormatInt(m.id, 10), "author": userName(m.author), "text": m.body.wiki, "body": m.body.adf,
			"properties": m.properties, "created": stamp(m.created),
		})
	}
	for _, w := range is.worklogs {
		o := object{
			"id": strconv.FormatInt(w.id, 10), "author": userName(w.author), "seconds": w.seconds,
			"started": stamp(w.started), "text": "", "properties": w.properties, "created": stamp(w.created),
		}
		if w.comment != nil {
			o["text"], o["comment"] = w.comment.wiki, w.comment.adf
		}
		worklogs = append(worklogs, o)
	}
	for _, l := range is.links {
		links = append(links, object{"id": l.id, "global_id": l.globalID, "request": l.request})
	}
	for _, h := range is.history {
		history = append(history, object{"author": userName(h.author), "created": stamp(h.created), "items": h.items, "history_metadata": raw(h.metadata)})
	}
	return object{
		"id": strconv.FormatInt(is.id, 10), "key": is.key, "project": is.project.key, "summary": is.summary, "status": is.status.name,
		"resolution": is.resolution, "assignee": userName(is.assignee), "reporter": userName(is.reporter),
		"labels": slices.Concat([]string{}, is.labels), "fix_versions": slices.Concat([]string{}, is.fix),
		"affects_versions": slices.Concat([]string{}, is.affects), "comments": comments, "worklogs": worklogs,
		"seconds_spent": is.spent(), "properties": is.properties, "remote_links": links, "history": history, "development": d,
	}
}

// raw makes JSON null of a message that was never set.
func raw(m json.RawMessage) any {
	if m == nil {
		return nil
	}
	return m
}
