package jira

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A site is the state behind all faces. Whoever uses it holds Server.mu.
type site struct {
	now      func() time.Time
	settings Settings
	cloudID  string

	users    []*user
	projects []*project
	issues   []*issue          // in order of id
	byKey    map[string]*issue // by present and former keys
	byID     map[int64]*issue
	comments map[int64]*comment
	worklogs map[int64]*worklog

	repositories map[string]*devRepository

	lastIssue, lastComment, lastWorklog, lastLink, lastHistory int64
	touched                                                    []any                 // changed by the request being answered, see keep.go
	writes                                                     map[int64][]time.Time // by issue, for the per-issue limit
}

type user struct {
	User
	accountID string
	key       string // Data Center's internal key
}

type project struct {
	id       int64
	key      string
	name     string
	last     int64 // number of the newest issue
	versions []version
}

type version struct {
	id                 int64
	name               string
	released, archived bool
}

type issue struct {
	id         int64
	key        string
	project    *project
	summary    string
	status     *status
	resolution string
	assignee   *user
	reporter   *user
	labels     []string
	fix        []string // names of versions
	affects    []string
	comments   []*comment
	worklogs   []*worklog
	properties properties
	links      []*remoteLink
	history    []*change
	former     []string // keys from before a move
	created    time.Time
	updated    time.Time
}

// text is rich text in both forms, whichever it was written in.
type text struct {
	adf  json.RawMessage
	wiki string
}

type comment struct {
	id               int64
	issue            *issue
	author           *user
	body             text
	visibility       json.RawMessage
	properties       properties
	created, updated time.Time
}

type worklog struct {
	id               int64
	issue            *issue
	author           *user
	seconds          int64
	started          time.Time
	comment          *text
	visibility       json.RawMessage
	properties       properties
	created, updated time.Time
}

type remoteLink struct {
	id       int64
	globalID string
	request  map[string]json.RawMessage // application, relationship, object as sent
}

// A change is one entry of the history tab.
type change struct {
	id       int64
	author   *user
	created  time.Time
	items    []changeItem
	metadata json.RawMessage
}

type changeItem struct {
	Field     string  `json:"field"`
	FieldType string  `json:"fieldtype"`
	From      *string `json:"from"`
	FromText  *string `json:"fromString"`
	To        *string `json:"to"`
	ToText    *string `json:"toString"`
}

// properties are entity properties: any JSON by key.
type properties map[string]json.RawMessage

func (p properties) keys() []string {
	keys := make([]string, 0, len(p))
	for k := range p {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// projectKey is the form that Jira Cloud takes (platform description of
// project creation).
var projectKey = regexp.MustCompile(`^[A-Z][A-Z0-9]{1,9}$`)

func newSite(now func() time.Time, cfg Config) *site {
	st := &site{
		now: now, settings: cfg.Settings, cloudID: randomUUID(),
		byKey: map[string]*issue{}, byID: map[int64]*issue{},
		comments: map[int64]*comment{}, worklogs: map[int64]*worklog{},
		repositories: map[string]*devRepository{}, writes: map[int64][]time.Time{},
		lastIssue: 10000, lastComment: 10000, lastWorklog: 20000, lastLink: 30000, lastHistory: 40000,
	}
	for _, u := range append(sampleUsers(), cfg.Users...) {
		st.addUser(u)
	}
	projects := cfg.Projects
	if !cfg.Empty {
		projects = append(sampleProjects(), projects...)
	}
	for _, p := range projects {
		st.addProject(p)
	}
	st.touched = nil
	return st
}

func (st *site) addUser(u User) {
	if u.Name == "" || st.user(func(o *user) bool { return o.Name == u.Name }) != nil {
		panic(fmt.Sprintf("jira stand-in: user %q is empty or given twice", u.Name))
	}
	if u.Display == "" {
		u.Display = u.Name
	}
	sum := sha256.Sum256([]byte(u.Name))
	st.users = append(st.users, &user{
		User:      u,
		accountID: fmt.Sprintf("712020:%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]),
		key:       fmt.Sprintf("JIRAUSER%d", 10100+len(st.users)),
	})
}

// user returns the first user that fits, or nil.
func (st *site) user(fits func(*user) bool) *user {
	if i := slices.IndexFunc(st.users, fits); i >= 0 {
		return st.users[i]
	}
	return nil
}

func (st *site) addProject(p Project) *project {
	if !projectKey.MatchString(p.Key) || st.project(p.Key) != nil {
		panic(fmt.Sprintf("jira stand-in: project key %q is malformed or given twice", p.Key))
	}
	if p.Name == "" {
		p.Name = p.Key
	}
	pr := &project{id: int64(10000 + len(st.projects)), key: p.Key, name: p.Name}
	for i, v := range sampleVersions {
		v.id = pr.id*10 + int64(i)
		pr.versions = append(pr.versions, v)
	}
	st.projects = append(st.projects, pr)
	st.touch(pr)
	for n := range p.Issues {
		st.addIssue(pr, sampleSummary(n), st.users[0])
	}
	return pr
}

// project finds a project by key, case ignored, or by id; nil if there is none.
func (st *site) project(keyOrID string) *project {
	for _, p := range st.projects {
		if strings.EqualFold(p.key, keyOrID) || strconv.FormatInt(p.id, 10) == keyOrID {
			return p
		}
	}
	return nil
}

func (st *site) addIssue(p *project, summary string, reporter *user) *issue {
	p.last++
	st.lastIssue++
	now := st.now()
	is := &issue{
		id: st.lastIssue, key: fmt.Sprintf("%s-%d", p.key, p.last), project: p, summary: summary,
		status: statusToDo, reporter: reporter, properties: properties{}, created: now, updated: now,
	}
	st.issues = append(st.issues, is)
	st.byID[is.id] = is
	st.byKey[is.key] = is
	st.touch(p)
	st.touch(is)
	return is
}

// issue finds an issue by key, present or former, case ignored, or by id; nil
// if there is none.
func (st *site) issue(keyOrID string) *issue {
	if is := st.byKey[strings.ToUpper(keyOrID)]; is != nil {
		return is
	}
	id, err := strconv.ParseInt(keyOrID, 10, 64)
	if err != nil {
		return nil
	}
	return st.byID[id]
}

// move gives the issue a key in another project; the former key still finds it.
func (st *site) move(is *issue, to *project) {
	to.last++
	is.former = append(is.former, is.key)
	is.project, is.key = to, fmt.Sprintf("%s-%d", to.key, to.last)
	st.byKey[is.key] = is
	is.updated = st.now()
	st.touch(to)
	st.touch(is)
}

// record adds an entry to the issue's history.
func (st *site) record(is *issue, by *user, metadata json.RawMessage, items ...changeItem) {
	if len(items) == 0 {
		return
	}
	st.touch(is)
	st.lastHistory++
	is.updated = st.now()
	is.history = append(is.history, &change{id: st.lastHistory, author: by, created: is.updated, items: items, metadata: metadata})
}

// edited describes a change of a field from one text to another; the texts
// stand for ids too where Jira has none to show.
func edited(field, from, to string) changeItem {
	ref := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	return changeItem{Field: field, FieldType: "jira", From: ref(from), FromText: ref(from), To: ref(to), ToText: ref(to)}
}
