package web

import (
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// checkHTML parses a page and looks for what no page may have: markup that
// could run, ids twice, fields without a label, headings that jump.
func checkHTML(t testing.TB, where, body string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	ids := make(map[string]bool)
	labels := make(map[string]bool)
	var refs []string
	type control struct{ what, id string }
	var controls []control
	level, h1 := 0, 0
	var walk func(n *html.Node, labelled bool)
	walk = func(n *html.Node, labelled bool) {
		if n.Type == html.ElementNode {
			a := make(map[string]string)
			for _, x := range n.Attr {
				a[x.Key] = x.Val
				switch {
				case x.Key == "style", strings.HasPrefix(x.Key, "on"):
					t.Errorf("%s: <%s %s=%q>", where, n.Data, x.Key, x.Val)
				case scriptURL.MatchString(x.Val) && (x.Key == "href" || x.Key == "src" || x.Key == "action"):
					t.Errorf("%s: <%s %s=%q>", where, n.Data, x.Key, x.Val)
				}
			}
			if id := a["id"]; id != "" {
				if ids[id] {
					t.Errorf("%s: id %q stands twice", where, id)
				}
				ids[id] = true
			}
			for _, k := range []string{"aria-describedby", "aria-labelledby"} {
				refs = append(refs, strings.Fields(a[k])...)
			}
			switch n.Data {
			case "script":
				if !strings.HasPrefix(a["src"], "/static/app.") || n.FirstChild != nil {
					t.Errorf("%s: a script that is not ours: %v", where, n.Attr)
				}
			case "iframe", "object", "embed", "base", "style":
				t.Errorf("%s: <%s>", where, n.Data)
			case "label":
				labels[a["for"]] = true
				labelled = true
			case "input", "select", "textarea":
				if a["type"] != "hidden" && !labelled && a["aria-label"] == "" {
					controls = append(controls, control{n.Data + " " + a["name"], a["id"]})
				}
			case "h1", "h2", "h3", "h4", "h5", "h6":
				l := int(n.Data[1] - '0')
				if l == 1 {
					h1++
				}
				if l > level+1 {
					t.Errorf("%s: <%s> after <h%d>", where, n.Data, level)
				}
				level = l
			case "form":
				if strings.EqualFold(a["method"], "post") && !hasField(n, "_token") && a["action"] != "/setup" {
					t.Errorf("%s: form %s without token", where, a["action"])
				}
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c, labelled)
		}
	}
	walk(doc, false)
	for _, c := range controls {
		if c.id == "" || !labels[c.id] {
			t.Errorf("%s: %s has no label", where, c.what)
		}
	}
	for _, id := range refs {
		if !ids[id] && id != "dialog-title" {
			t.Errorf("%s: nothing has the id %q", where, id)
		}
	}
	if h1 != 1 {
		t.Errorf("%s: %d first headings, want 1", where, h1)
	}
}

var scriptURL = regexp.MustCompile(`(?i)^\s*(j\s*a\s*v\s*a\s*s\s*c\s*r\s*i\s*p\s*t|data|vbscript)\s*:`)

func hasField(n *html.Node, name string) bool {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == "input" {
			for _, a := range d.Attr {
				if a.Key == "name" && a.Val == name {
					return true
				}
			}
		}
	}
	return false
}
