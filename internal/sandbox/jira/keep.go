package jira

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Keep makes the state outlive the process. It replaces the state by what file
// holds, if there is such a file, and from then on appends every change to it
// before the request that made it is answered. Credentials, settings, ledger
// and fault rules are not kept. It is called once, before the first request.
//
// The file has one JSON record a line; of several records about one thing the
// last holds. A line that was cut off at the end is dropped.
func (s *Server) Keep(file string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the state: %w", err)
	}
	if len(raw) > 0 {
		if err := s.site.load(raw); err != nil {
			return fmt.Errorf("reading the state in %s: %w", file, err)
		}
		s.auth.credentials.CloudID = s.site.cloudID
	}
	// Write everything anew, so that the file does not grow over many starts.
	next := file + ".new"
	if err := os.WriteFile(next, s.site.all(), 0o600); err != nil {
		return fmt.Errorf("writing the state: %w", err)
	}
	if err := os.Rename(next, file); err != nil {
		return fmt.Errorf("replacing the state: %w", err)
	}
	s.kept, err = os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("opening the state: %w", err)
	}
	s.site.touched = nil
	return nil
}

// Close closes the file of Keep.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		return nil
	}
	err := s.kept.Close()
	s.kept = nil
	return err
}

// touch notes that v changed: a *project, *issue, *comment, *worklog,
// *devRepository or *devEntity.
func (st *site) touch(v any) {
	if !slices.Contains(st.touched, v) {
		st.touched = append(st.touched, v)
	}
}

// save appends what the request touched. The caller holds mu.
func (s *Server) save() error {
	touched := s.site.touched
	s.site.touched = nil
	if s.kept == nil || len(touched) == 0 {
		return nil
	}
	var b bytes.Buffer
	for _, v := range touched {
		s.site.write(&b, v)
	}
	if _, err := s.kept.Write(b.Bytes()); err != nil {
		return fmt.Errorf("keeping the state: %w", err)
	}
	return nil
}

// A record is one line of the file; one member is set.
type record struct {
	CloudID    string            `json:"cloud_id,omitempty"`
	Project    *projectRecord    `json:"project,omitempty"`
	Issue      *issueRecord      `json:"issue,omitempty"`
	Comment    *entryRecord      `json:"comment,omitempty"`
	Worklog    *entryRecord      `json:"worklog,omitempty"`
	Repository *repositoryRecord `json:"repository,omitempty"`
	Entity     *entityRecord     `json:"entity,omitempty"`
}

type projectRecord struct {
	Key, Name string
	Last      int64
}

type issueRecord struct {
	ID                             int64
	Key, Project, Summary, Status  string
	Former                         []string
	Resolution, Assignee, Reporter string
	Labels, Fix, Affects           []string
	Properties                     properties
	Links                          []linkRecord
	History                        []historyRecord
	Created, Updated               time.Time
}

type linkRecord struct {
	ID       int64
	GlobalID string
	Request  map[string]json.RawMessage
}

type historyRecord struct {
	ID       int64
	Author   string
	Created  time.Time
	Items    []changeItem
	Metadata json.RawMessage `json:",omitempty"`
}

// An entryRecord is a comment or a worklog.
type entryRecord struct {
	ID, Issue        int64
	Author           string
	ADF              json.RawMessage `json:",omitempty"`
	Wiki             string
	Seconds          int64
	Started          time.Time
	Visibility       json.RawMessage `json:",omitempty"`
	Properties       properties
	Created, Updated time.Time
	Gone             bool
}

type repositoryRecord struct {
	ID       string
	Sequence int64
	Raw      map[string]json.RawMessage
	Gone     bool
}

type entityRecord struct {
	Repository, Kind, ID string
	Sequence             int64
	Keys                 []string
	Raw                  json.RawMessage
	Properties           map[string]string
	Stored, Visible      time.Time
	Gone                 bool
}

func userName(u *user) string {
	if u == nil {
		return ""
	}
	return u.Name
}

// all returns the whole state as records.
func (st *site) all() []byte {
	var b bytes.Buffer
	writeRecord(&b, record{CloudID: st.cloudID})
	for _, p := range st.projects {
		st.write(&b, p)
	}
	for _, is := range st.issues {
		st.write(&b, is)
		for _, m := range is.comments {
			st.write(&b, m)
		}
		for _, w := range is.worklogs {
			st.write(&b, w)
		}
	}
	for _, r := range st.repositories {
		st.write(&b, r)
		for _, e := range r.sorted() {
			st.write(&b, e)
		}
	}
	return b.Bytes()
}

func writeRecord(b *bytes.Buffer, r record) {
	if err := encode(b, r); err != nil {
		panic(fmt.Sprintf("encoding a record: %v", err)) // it holds JSON values only
	}
}

// write adds the record of one thing.
func (st *site) write(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case *project:
		writeRecord(b, record{Project: &projectRecord{v.key, v.name, v.last}})
	case *issue:
		writeRecord(b, record{Issue: v.record()})
	case *comment:
		writeRecord(b, record{Comment: &entryRecord{
			ID: v.id, Issue: v.issue.id, Author: v.author.Name, ADF: v.body.adf, Wiki: v.body.wiki, Visibility: v.visibility,
			Properties: v.properties, Created: v.created, Updated: v.updated, Gone: st.comments[v.id] == nil,
		}})
	case *worklog:
		r := &entryRecord{
			ID: v.id, Issue: v.issue.id, Author: v.author.Name, Seconds: v.seconds, Started: v.started, Visibility: v.visibility,
			Properties: v.properties, Created: v.created, Updated: v.updated, Gone: st.worklogs[v.id] == nil,
		}
		if v.comment != nil {
			r.ADF, r.Wiki = v.comment.adf, v.comment.wiki
		}
		writeRecord(b, record{Worklog: r})
	case *devRepository:
		writeRecord(b, record{Repository: &repositoryRecord{v.id, v.sequence, v.raw, st.repositories[v.id] != v}})
	case *devEntity:
		r := st.repositories[v.repository]
		writeRecord(b, record{Entity: &entityRecord{
			v.repository, v.kind, v.id, v.sequence, v.keys, v.raw, v.properties, v.stored, v.visible,
			r == nil || r.entities[v.entityKey] != v,
		}})
	}
}

func (is *issue) record() *issueRecord {
	r := &issueRecord{
		ID: is.id, Key: is.key, Former: is.former, Project: is.project.key, Summary: is.summary, Status: is.status.id,
		Resolution: is.resolution, Assignee: userName(is.assignee), Reporter: userName(is.reporter),
		Labels: is.labels, Fix: is.fix, Affects: is.affects, Properties: is.properties, Created: is.created, Updated: is.updated,
	}
	for _, l := range is.links {
		r.Links = append(r.Links, linkRecord{l.id, l.globalID, l.request})
	}
	for _, h := range is.history {
		r.History = append(r.History, historyRecord{h.id, h.author.Name, h.created, h.items, h.metadata})
	}
	return r
}
