package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"strings"
	"sync"
	"time"

	"gitferry/internal/store"
)

//go:embed templates/*.html
var templateFiles embed.FS

// page is what every view embeds: the frame around it.
type page struct {
	Title   string
	Nav     string // which entry of the main menu is current
	User    string // display name, "" if not signed in
	Admin   bool
	Theme   string // "", "light" or "dark"
	Token   string // for forms
	Flash   *flash
	Version string
	Query   string // what stands in the search field
	Refresh int    // seconds after which the script looks again; 0: never
	Now     time.Time
	Left    int  // seconds until the session ends; 0: nobody is signed in
	Longer  bool // using a page makes the session longer
}

// frame gives render the page of a view.
func (p *page) frame() *page { return p }

type framed interface{ frame() *page }

// page starts the view of a page.
func (s *Server) page(r *request, title, nav string) page {
	p := page{Title: title, Nav: nav, Theme: r.theme, Token: newFormToken(r.cookie), Version: s.Version, Now: r.now, Flash: s.takeFlash(r)}
	if r.signedIn() {
		p.User, p.Admin = display(r.subject.User.Display, r.subject.User.Name), r.admin()
		idle, life := store.SessionIdle, r.session.CreatedAt.Add(store.SessionLife).Sub(r.now)
		p.Left, p.Longer = max(1, int(min(idle, life)/time.Second)), idle < life
	}
	return p
}

func display(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

// parseTemplates parses each page together with the frame and the components.
// A template that does not parse is a fault of the build that every test of
// this package finds.
func parseTemplates(assets map[string]string) map[string]*template.Template {
	shared := template.Must(template.New("base.html").Funcs(functions(assets)).ParseFS(templateFiles, "templates/base.html", "templates/components.html"))
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	pages := make(map[string]*template.Template)
	for _, f := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(f, "templates/"), ".html")
		if name == "base" || name == "components" {
			continue
		}
		pages[name] = template.Must(template.Must(shared.Clone()).ParseFS(templateFiles, f))
	}
	return pages
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxKept is the largest buffer that is used again, in bytes.
const maxKept = 1 << 20

// render writes a page. It is complete in memory before the first byte goes
// out, so that a fault still gives a clean error page.
func (s *Server) render(r *request, status int, name string, view framed) error {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	defer func() {
		if b.Cap() <= maxKept {
			buffers.Put(b)
		}
	}()
	t, ok := s.pages[name]
	if !ok {
		return fmt.Errorf("no template %s", name)
	}
	if err := t.ExecuteTemplate(b, "base.html", view); err != nil {
		return fmt.Errorf("rendering %s: %w", name, err)
	}
	return s.write(r, status, "text/html; charset=utf-8", visible(b.Bytes()))
}

// compressFrom is the size from which an answer is compressed, in bytes.
const compressFrom = 1 << 10

func (s *Server) write(r *request, status int, contentType string, body []byte) error {
	h := r.Response().Header()
	h.Set("Content-Type", contentType)
	h.Add("Vary", "Accept-Encoding")
	if len(body) < compressFrom || !strings.Contains(r.Request().Header.Get("Accept-Encoding"), "gzip") {
		r.Response().WriteHeader(status)
		_, err := r.Response().Write(body)
		return gone(err)
	}
	h.Set("Content-Encoding", "gzip")
	r.Response().WriteHeader(status)
	z := gzip.NewWriter(r.Response())
	if _, err := z.Write(body); err != nil {
		return gone(err)
	}
	return gone(z.Close())
}

// gone forgets that a reader went away: nobody is left to be told.
func gone(error) error { return nil }
