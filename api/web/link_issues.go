package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/issues"
	"gitferry/internal/store"
)

// maxHits is how many issues a search shows.
const maxHits = 10

// linkView is the dialog Associated issues, which is a page too.
type linkView struct {
	page
	repoHead
	What    string // "commit abc1234", "branch x", "pull request #1"
	About   string // its subject or title
	Action  string // address of the form
	Back    string
	Have    []linkRow
	Removed []linkRow
	Q       string
	Hits    []issues.Hit
	Found   bool // a search was made
	Problem string
}

// A linkRow is an issue that an object belongs to, or belonged to.
type linkRow struct {
	Key     ferry.IssueKey
	Summary string
	Reason  string
	By      string
	At      time.Time
	Kept    bool
}

// A linkTarget is what a person changes the issues of.
type linkTarget struct {
	store.Object
	what, about string
	back, form  string
	links       []store.Link
}

// commitTarget is the commit of the path.
func (s *Server) commitTarget(r *request) (linkTarget, error) {
	oid, err := s.commitNamed(r.ctx(), r.repo, param(r, "sha"))
	if err != nil {
		return linkTarget{}, err
	}
	c, err := s.Store.CommitByOID(r.ctx(), r.repo.ID, oid)
	if err != nil {
		return linkTarget{}, err
	}
	at := repoPath(r.repo) + "/commit/" + oid.String()
	return linkTarget{Object: store.Object{Repository: r.repo.ID, Kind: store.EntityCommit, ID: oid.String()},
		what: "commit " + oid.Short(), about: subjectLine(c.Message), back: at, form: at + "/issues", links: c.Links}, nil
}

// branchTarget is the branch that the query names.
func (s *Server) branchTarget(r *request) (linkTarget, error) {
	name := ferry.RefName("refs/heads/" + r.form("name"))
	refs, err := s.Store.Refs(r.ctx(), r.repo.ID)
	if err != nil {
		return linkTarget{}, err
	}
	tip, ok := refs[name]
	if !ok {
		return linkTarget{}, ferry.ErrNotFound
	}
	t := linkTarget{Object: store.Object{Repository: r.repo.ID, Kind: store.EntityBranch, ID: string(name)}, what: "branch " + name.Short(),
		back: repoPath(r.repo) + "/branches", form: repoPath(r.repo) + "/branches/issues?name=" + url.QueryEscape(name.Short())}
	named, err := s.Store.RefKeys(r.ctx(), r.repo.ID, name)
	if err != nil {
		return t, err
	}
	ofTip, err := s.Store.KeysOf(r.ctx(), r.repo.ID, []ferry.OID{tip})
	if err != nil {
		return t, err
	}
	var keys []ferry.IssueKey
	reasons := make(map[ferry.IssueKey]string)
	for _, k := range ofTip[tip] {
		keys, reasons[k] = append(keys, k), "tip"
	}
	for _, k := range named {
		keys, reasons[k] = append(keys, k), "branch"
	}
	if keys, err = s.Store.WithHand(r.ctx(), t.Object, keys); err != nil {
		return t, err
	}
	for _, k := range slices.Compact(slices.Sorted(slices.Values(keys))) {
		t.links = append(t.links, store.Link{Key: k, Reason: reasons[k]})
	}
	return t, nil
}

// pullTarget is the pull request of the path.
func (s *Server) pullTarget(r *request) (linkTarget, error) {
	p, err := s.pullOf(r)
	if err != nil {
		return linkTarget{}, err
	}
	number := strconv.FormatInt(p.Number, 10)
	at := repoPath(r.repo) + "/pull/" + number
	t := linkTarget{Object: store.Object{Repository: r.repo.ID, Kind: store.EntityPullRequest, ID: number},
		what: "pull request #" + number, about: p.Title, back: at, form: at + "/issues"}
	for _, k := range p.Keys {
		t.links = append(t.links, store.Link{Key: k, Reason: "pull"})
	}
	return t, nil
}

type targetOf func(*Server, *request) (linkTarget, error)

// linkOf reads what a request is about and what belongs to it.
func (s *Server) linkOf(r *request, of targetOf) (t linkTarget, v linkView, err error) {
	if t, err = of(s, r); err == nil {
		v, err = s.linkView(r, t)
	}
	return t, v, err
}

// linkIssues shows the dialog, linkIssuesPost searches and saves.
func linkIssues(of targetOf) func(*Server, *request) error {
	return func(s *Server, r *request) error {
		_, v, err := s.linkOf(r, of)
		if err != nil {
			return err
		}
		return s.render(r, http.StatusOK, "link_issues", &v)
	}
}

func linkIssuesPost(of targetOf) func(*Server, *request) error {
	return func(s *Server, r *request) error {
		t, v, err := s.linkOf(r, of)
		if err != nil {
			return err
		}
		fields := r.Request().PostForm
		for i := range v.Have {
			v.Have[i].Kept = slices.Contains(fields["keep"], string(v.Have[i].Key)) || !slices.Contains(fields["had"], string(v.Have[i].Key))
		}
		add := parseKeys(fields["add"])
		typed := parseKeys(strings.FieldsFunc(v.Q, func(c rune) bool { return c == ' ' || c == ',' }))
		if r.form("do") == "find" || v.Q != "" && len(typed) == 0 {
			return s.linkSearch(r, &v, add)
		}
		var remove []ferry.IssueKey
		for _, row := range v.Have {
			if !row.Kept {
				remove = append(remove, row.Key)
			}
		}
		add = append(add, typed...)
		changed, err := s.Issues.Associate(r.ctx(), r.subject, r.repo, t.Object, add, remove)
		if err != nil {
			if v.Problem = text(err); v.Problem == "" || errors.Is(err, ferry.ErrNotFound) {
				return err
			}
			return s.render(r, http.StatusUnprocessableEntity, "link_issues", &v)
		}
		if !changed {
			return s.done(r, t.back, "Nothing was changed.")
		}
		s.audit(r, "issues.change", r.repo.Path()+" "+t.what, detailOf(add, remove))
		return s.done(r, t.back, "The issues of "+t.what+" are changed. Jira is told.")
	}
}

func parseKeys(words []string) []ferry.IssueKey {
	var keys []ferry.IssueKey
	for _, w := range words {
		key, err := ferry.ParseIssueKey(strings.ToUpper(strings.TrimSpace(w)))
		if err != nil {
			return nil
		}
		keys = append(keys, key)
	}
	return keys
}

func detailOf(add, remove []ferry.IssueKey) string {
	var parts []string
	for _, k := range add {
		parts = append(parts, "+"+string(k))
	}
	for _, k := range remove {
		parts = append(parts, "-"+string(k))
	}
	return strings.Join(parts, " ")
}

// linkSearch shows what the search finds beside what was ticked before.
func (s *Server) linkSearch(r *request, v *linkView, ticked []ferry.IssueKey) error {
	v.Found = true
	hits, err := s.Issues.Search(r.ctx(), r.subject, v.Q, maxHits)
	if err != nil {
		s.Log.Warn("searching for issues", "err", err)
		v.Problem = "Jira does not answer the search. Enter the whole key instead."
	}
	for _, k := range ticked {
		v.Have = append(v.Have, linkRow{Key: k, Reason: "to be added", Kept: true})
	}
	v.Hits = slices.DeleteFunc(hits, func(h issues.Hit) bool {
		return slices.ContainsFunc(v.Have, func(row linkRow) bool { return row.Key == h.Key })
	})
	return s.render(r, http.StatusOK, "link_issues", v)
}

// linkView prepares the dialog.
func (s *Server) linkView(r *request, t linkTarget) (linkView, error) {
	if !s.Issues.MayAssociate(r.ctx(), r.subject, r.repo, t.Object) {
		return linkView{}, &ferry.Message{Kind: ferry.ErrDenied, Text: "The issues of this " + t.what +
			" may be changed by its author, by whoever administers the repository, and, with a Jira token of their own, by administrators of the Jira project."}
	}
	h, err := s.repoHead(r, "")
	if err != nil {
		return linkView{}, err
	}
	v := linkView{page: s.page(r, "Associated issues · "+t.what, "repos"), repoHead: h, What: t.what, About: t.about, Action: t.form, Back: t.back, Q: r.form("q")}
	decided, err := s.Store.HandLinks(r.ctx(), t.Object)
	if err != nil {
		return v, err
	}
	var keys []ferry.IssueKey
	for _, l := range t.links {
		row := linkRow{Key: l.Key, Reason: reasonWords(l.Reason), Kept: true}
		for _, d := range decided {
			if d.Key == l.Key && d.Linked {
				row.Reason, row.By, row.At = reasonWords(store.ReasonManual), d.By, d.At
			}
		}
		keys, v.Have = append(keys, l.Key), append(v.Have, row)
	}
	for _, d := range decided {
		if !d.Linked {
			v.Removed = append(v.Removed, linkRow{Key: d.Key, By: d.By, At: d.At})
		}
	}
	known, err := s.Store.IssuesCached(r.ctx(), keys, issueAge)
	for i := range v.Have {
		if of := known[v.Have[i].Key]; of.Summary != "" && s.Issues.Knows(r.ctx(), r.subject, of.Key) {
			v.Have[i].Summary = of.Summary
		}
	}
	return v, err
}

// A suggestion is one line below a field.
type suggestion struct {
	Value string `json:"value"`
	Text  string `json:"text"`
}

// suggestIssues answers a field that completes issue keys.
func (s *Server) suggestIssues(r *request) error {
	list := []suggestion{}
	if q := r.form("q"); q != "" && len(q) <= 200 {
		hits, err := s.Issues.Search(r.ctx(), r.subject, q, maxHits)
		if err != nil && !errors.Is(err, ferry.ErrNotFound) {
			s.Log.Warn("searching for issues", "err", err)
		}
		for _, h := range hits {
			list = append(list, suggestion{string(h.Key), strings.TrimSpace(string(h.Key) + " " + h.Summary)})
		}
	}
	b, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return s.write(r, http.StatusOK, "application/json", b)
}

// mayLink reports whether the reader may change the issues of a commit by
// this author; it is what a list shows the way in by.
func (s *Server) mayLink(r *request, repo ferry.Repository, author store.Person) bool {
	u := r.subject.User
	return r.admin() || r.can(ferry.ActionMaintain, repo.Path()) ||
		slices.ContainsFunc(append([]string{u.Email}, u.Aliases...), func(e string) bool { return e != "" && strings.EqualFold(e, author.Email) })
}
