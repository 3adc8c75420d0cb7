package jira

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

//go:embed pages/*.html
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// A browsePage is what the page of an issue shows.
type browsePage struct {
	Site, Key, Project, Summary, Status, Category, Resolution, Assignee string
	Labels, Fix, Affects                                                []string
	Spent                                                               string
	Comments, Worklogs                                                  []entryView
	Links                                                               []linkView
	Commits, Branches, PullRequests                                     []linkView
	History                                                             []entryView
}

type entryView struct{ Who, When, What, Text string }

type linkView struct{ Title, URL, Repository, Note string }

type overviewPage struct {
	Site     string
	Projects []projectView
}

type projectView struct {
	Key, Name string
	Issues    []issueView
	More      int
}

type issueView struct {
	Key, Summary, Status, Category string
	Comments, Worklogs             int
}

// shownPerProject is how many issues of a project the overview lists.
const shownPerProject = 50

// siteOf returns the path below which the pages of the request lie.
func siteOf(r *http.Request) string {
	if strings.HasPrefix(r.URL.Path, "/dc/") {
		return "/dc"
	}
	return ""
}

func (s *Server) overview(w http.ResponseWriter, r *http.Request) {
	page := overviewPage{Site: siteOf(r)}
	s.mu.Lock()
	for _, p := range s.site.projects {
		v := projectView{Key: p.key, Name: p.name}
		for _, is := range s.site.issues {
			if is.project != p {
				continue
			}
			if len(v.Issues) == shownPerProject {
				v.More++
				continue
			}
			v.Issues = append(v.Issues, issueView{is.key, is.summary, is.status.name, is.status.category, len(is.comments), len(is.worklogs)})
		}
		page.Projects = append(page.Projects, v)
	}
	s.mu.Unlock()
	s.show(w, "overview.html", page)
}

func (s *Server) browse(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	is := s.site.issue(r.PathValue("issue"))
	if is == nil {
		s.mu.Unlock()
		http.Error(w, "no such issue", http.StatusNotFound)
		return
	}
	page := s.site.browsePage(is)
	s.mu.Unlock()
	page.Site = siteOf(r)
	s.show(w, "issue.html", page)
}

func (s *Server) show(w http.ResponseWriter, name string, page any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, page); err != nil {
		s.log.Error("rendering a page", "page", name, "err", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'")
	h.Set("Cache-Control", "no-store")
	w.Write(b.Bytes())
}

func shownTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func (st *site) browsePage(is *issue) browsePage {
	p := browsePage{
		Key: is.key, Project: is.project.key, Summary: is.summary, Status: is.status.name, Category: is.status.category,
		Resolution: is.resolution, Labels: slices.Clone(is.labels), Fix: slices.Clone(is.fix), Affects: slices.Clone(is.affects),
		Spent: spell(is.spent()),
	}
	if is.assignee != nil {
		p.Assignee = is.assignee.Display
	}
	for _, m := range is.comments {
		p.Comments = append(p.Comments, entryView{Who: m.author.Display, When: shownTime(m.created), Text: m.body.wiki})
	}
	for _, w := range is.worklogs {
		v := entryView{Who: w.author.Display, When: shownTime(w.started), What: spell(w.seconds)}
		if w.comment != nil {
			v.Text = w.comment.wiki
		}
		p.Worklogs = append(p.Worklogs, v)
	}
	for _, h := range is.history {
		for _, item := range h.items {
			p.History = append(p.History, entryView{Who: h.author.Display, When: shownTime(h.created), What: item.Field, Text: orNone(item.FromText) + " → " + orNone(item.ToText)})
		}
	}
	for _, l := range is.links {
		var o struct{ URL, Title, Summary string }
		if json.Unmarshal(l.request["object"], &o) == nil {
			p.Links = append(p.Links, linkView{Title: o.Title, URL: webAddress(o.URL), Note: o.Summary})
		}
	}
	for _, r := range st.repositories {
		for _, e := range r.sorted() {
			if slices.Contains(e.keys, is.key) {
				p.add(r, e)
			}
		}
	}
	return p
}

func orNone(s *string) string {
	if s == nil {
		return "none"
	}
	return *s
}

// webAddress returns u if it is an http or https address, else "".
func webAddress(u string) string {
	if p, err := url.Parse(u); err != nil || p.Scheme != "http" && p.Scheme != "https" {
		return ""
	}
	return u
}

// add puts an entity of a repository where the page shows it.
func (p *browsePage) add(r *devRepository, e *devEntity) {
	var in devEntityBody
	if json.Unmarshal(e.raw, &in) != nil || in.URL == nil {
		return
	}
	v := linkView{URL: webAddress(*in.URL), Repository: r.id}
	var name string
	if json.Unmarshal(r.raw["name"], &name) == nil && name != "" {
		v.Repository = name
	}
	switch e.kind {
	case kindCommit:
		subject, _, _ := strings.Cut(*in.Message, "\n")
		v.Title, v.Note = *in.DisplayID, subject
		p.Commits = append(p.Commits, v)
	case kindBranch:
		v.Title = *in.Name
		p.Branches = append(p.Branches, v)
	default:
		v.Title, v.Note = *in.Title, *in.Status
		p.PullRequests = append(p.PullRequests, v)
	}
}
