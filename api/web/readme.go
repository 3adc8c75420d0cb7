package web

import (
	"bytes"
	"context"
	"html/template"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	mdtext "github.com/yuin/goldmark/text"

	"gitferry/internal/git"
)

// A readme is the README of a directory: HTML made of Markdown, or text.
type readme struct {
	Name string
	// HTML is the one place where a page holds markup that was not written in
	// a template: it went through bluemonday.
	HTML template.HTML
	Text string
}

var readmeNames = []string{"readme.md", "readme.markdown", "readme.txt", "readme"}

// findReadme reads the README of a directory, nil if it has none.
func (s *Server) findReadme(ctx context.Context, h repoHead, at place, dir string, entries []git.TreeEntry) *readme {
	for _, want := range readmeNames {
		for _, e := range entries {
			if e.Kind != "blob" || e.Mode == "120000" || strings.ToLower(e.Name) != want {
				continue
			}
			b, err := s.Git.BlobByOID(ctx, s.Mirror.Path(h.Repo.ID), e.OID, maxReadme)
			if err != nil || bytes.IndexByte(b.Data, 0) >= 0 {
				return nil
			}
			source := strings.ToValidUTF8(string(b.Data), string(utf8.RuneError))
			if !strings.HasSuffix(want, "md") && !strings.HasSuffix(want, "markdown") {
				return &readme{Name: e.Name, Text: source}
			}
			base := h.Base
			return &readme{Name: e.Name, HTML: markdown(source, relative{base, at.Name, dir})}
		}
	}
	return nil
}

// relative makes addresses of our pages out of relative ones in a README.
type relative struct{ base, ref, dir string }

// link returns where a link leads; ok is false if it must not be followed.
func (l relative) link(dest, view string) (string, bool) {
	u, err := url.Parse(dest)
	if err != nil {
		return "", false
	}
	switch {
	case u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "mailto":
		return u.String(), true
	case u.Scheme != "" || u.Host != "" || u.Opaque != "":
		return "", false
	case u.Path == "":
		return "#" + url.PathEscape(u.Fragment), u.Fragment != ""
	}
	p := path.Join("/", l.dir, u.Path)
	if strings.HasPrefix(u.Path, "/") {
		p = path.Clean(u.Path)
	}
	out := l.base + "/" + view + "/" + escapePath(l.ref+p)
	if u.Fragment != "" {
		out += "#" + url.PathEscape(u.Fragment)
	}
	return out, true
}

var (
	markdownParser = goldmark.New(goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.TaskList), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	markdownPolicy = readmePolicy()
)

// readmePolicy allows what Markdown makes and nothing that could run, load
// from elsewhere, or look like a part of our page.
func readmePolicy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "em", "strong", "del", "code", "pre", "blockquote", "ul", "ol", "li",
		"table", "thead", "tbody", "tr", "th", "td")
	p.AllowStandardURLs()
	p.AllowAttrs("href").OnElements("a")
	p.AllowAttrs("src", "alt").OnElements("img")
	p.RequireNoFollowOnLinks(true)
	p.RequireNoReferrerOnLinks(true)
	return p
}

// markdown renders a README. Headings move one level down, since the page has
// its own first one; images of other hosts become links, which the content
// security policy would block otherwise.
func markdown(source string, l relative) template.HTML {
	src := []byte(source)
	doc := markdownParser.Parser().Parse(mdtext.NewReader(src))
	var images []*ast.Image
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the function returns no error
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			n.Level = min(n.Level+1, 6)
		case *ast.Link:
			dest, ok := l.link(string(n.Destination), "blob")
			if !ok {
				dest = ""
			}
			n.Destination = []byte(dest)
		case *ast.Image:
			images = append(images, n)
		}
		return ast.WalkContinue, nil
	})
	for _, n := range images {
		dest, ok := l.link(string(n.Destination), "raw")
		switch {
		case ok && strings.HasPrefix(dest, "/"):
			n.Destination = []byte(dest)
		default:
			word := ast.NewString([]byte("image: " + string(n.Destination)))
			n.Parent().ReplaceChild(n.Parent(), n, word)
		}
	}
	var out bytes.Buffer
	if err := markdownParser.Renderer().Render(&out, src, doc); err != nil {
		return ""
	}
	return template.HTML(markdownPolicy.SanitizeBytes(out.Bytes())) // sanitised: the only such conversion
}
