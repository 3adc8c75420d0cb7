package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/internal/weblink"
)

const perPage = 10 // rows of a list of repositories

type reposView struct {
	page
	Q     string
	Rows  []repoRow
	Pager pager
	None  bool // there is no repository at all that the user may see
}

type repoRow struct {
	Name, Href string
	State      lozenge
	Issue      ferry.IssueKey // of the latest commit that names one
	By         store.Person
	At         time.Time
	Subject    string
	CommitHref string
	Console    string // page at AWS, "" if not known
}

// A pager leads through a list.
type pager struct {
	From, To, Total int // Total 0: not known
	Prev, Next      string
}

// newPager makes the pager of page n, counted from 1. u is the list's address.
func newPager(u *url.URL, n, size, total int) pager {
	p := pager{From: min((n-1)*size+1, total), To: min(n*size, total), Total: total}
	if n > 1 {
		p.Prev = withQuery(u, "page", strconv.Itoa(n-1))
	}
	if p.To < total {
		p.Next = withQuery(u, "page", strconv.Itoa(n+1))
	}
	return p
}

// withQuery returns an address of this server with one query value changed.
func withQuery(u *url.URL, name, value string) string {
	q := u.Query()
	q.Set(name, value)
	return (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: q.Encode()}).String()
}

// pageNumber reads ?page=, counted from 1.
func pageNumber(r *request) int {
	n, err := strconv.Atoi(r.QueryParam("page"))
	if err != nil || n < 1 || n > 1_000_000 {
		return 1
	}
	return n
}

// repositories lists what the user may read.
func (s *Server) repositories(r *request) error {
	v := reposView{page: s.page(r, "Repositories", "repos"), Q: r.form("q")}
	all, err := s.readable(r)
	if err != nil {
		return err
	}
	v.None = len(all) == 0
	names := namesOf(all)
	shown := slices.DeleteFunc(all, func(repo ferry.Repository) bool {
		return !strings.Contains(strings.ToLower(repo.Path()), strings.ToLower(v.Q))
	})
	slices.SortStableFunc(shown, func(a, b ferry.Repository) int {
		if c := strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)); c != 0 {
			return c
		}
		return strings.Compare(a.Owner, b.Owner)
	})
	n := pageNumber(r)
	v.Pager = newPager(r.Request().URL, n, perPage, len(shown))
	for _, repo := range shown[min(len(shown), (n-1)*perPage):min(len(shown), n*perPage)] {
		row, err := s.repoRow(r, repo, names[repo.ID])
		if err != nil {
			return err
		}
		v.Rows = append(v.Rows, row)
	}
	return s.render(r, http.StatusOK, "repos", &v)
}

func (s *Server) repoRow(r *request, repo ferry.Repository, name string) (repoRow, error) {
	row := repoRow{Name: name, Href: repoPath(repo), Console: console(repo).Repository()}
	view, err := s.Mirror.View(r.ctx(), repo)
	if err != nil {
		return row, err
	}
	row.State = repoState(repo, view.Failure, view.Copied, len(view.Refs) == 0)
	latest, err := s.Store.LinkedCommits(r.ctx(), repo.ID, store.AllCommits, store.Page{Limit: 1})
	if err != nil {
		return row, err
	}
	if len(latest) > 0 {
		c := latest[0]
		row.By, row.At, row.Subject, row.CommitHref = c.Author, c.CommittedAt, c.Message, row.Href+"/commit/"+c.OID.String()
	}
	linked, err := s.Store.LinkedCommits(r.ctx(), repo.ID, store.OnlyLinked, store.Page{Limit: 1})
	if err == nil && len(linked) > 0 && len(linked[0].Links) > 0 {
		row.Issue = linked[0].Links[0].Key
	}
	return row, err
}

// repoState is a repository's state in the words that all lists use.
func repoState(repo ferry.Repository, failure error, copied, empty bool) lozenge {
	switch {
	case repo.State == ferry.RepositoryDisabled:
		return lozenge{"neutral", "DISABLED"}
	case repo.State == ferry.RepositoryMissing:
		return lozenge{"bad", "MISSING"}
	case repo.Degraded != "":
		return lozenge{"bad", "DEGRADED"}
	case failure != nil:
		return lozenge{"bad", "ERROR"}
	case empty && !repo.IndexedAt.IsZero():
		return lozenge{"neutral", "EMPTY"}
	case repo.IndexedAt.IsZero() && copied:
		return lozenge{"info", "INDEXING"}
	case repo.IndexedAt.IsZero():
		return lozenge{"warn", "QUEUED"}
	}
	return lozenge{"ok", "INDEXED"}
}

// hostLinks makes addresses of a repository's pages at its host; those that
// are not known are empty.
type hostLinks interface {
	Repository() string
	Commit(id string) string
	Branch(name string) string
	Tag(name string) string
	PullRequest(number string) string
}

// console makes the addresses of a repository's pages at AWS, and those of a
// single git repository by its templates.
func console(repo ferry.Repository) hostLinks {
	if repo.Region == "" {
		t, err := weblink.Parse(repo.WebLinks)
		if err != nil {
			t = weblink.Templates{}
		}
		return t.Links()
	}
	return codecommit.ConsoleLinks(repo.Region, "", repo.Name)
}
