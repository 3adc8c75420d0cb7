package ghapi

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// A page is the part of a list that is asked for.
type page struct {
	number, size int
	asked        bool // by a parameter
}

func (p page) start() int { return (p.number - 1) * p.size }

// maxStart bounds how far into a list a page may lie, so that sums stay small.
const maxStart = 100_000_000

// page reads the parameters page and per_page; junk is the default.
func (c *call) page(size, most int) page {
	p := page{number: 1, size: size, asked: c.query("page") != "" || c.query("per_page") != ""}
	if n, err := strconv.Atoi(c.query("per_page")); err == nil && n > 0 {
		p.size = min(n, most)
	}
	if n, err := strconv.Atoi(c.query("page")); err == nil && n > 0 && n < maxStart/most {
		p.number = n
	}
	return p
}

// links sets the Link header. total is the length of the list; -1 if it was
// not counted, with more saying that there is another page.
func (s *Server) links(c *call, p page, total int, more bool) {
	last := 0
	if total >= 0 {
		last = (total + p.size - 1) / p.size
		more = p.number < last
	}
	var parts []string
	add := func(number int, rel string) {
		q := c.echo.Request().URL.Query()
		q.Del("access_token")
		q.Set("page", strconv.Itoa(number))
		q.Set("per_page", strconv.Itoa(p.size))
		u := url.URL{RawQuery: strings.ReplaceAll(q.Encode(), ",", "%2C")}
		path := strings.ReplaceAll(c.echo.Request().URL.EscapedPath(), ",", "%2C")
		parts = append(parts, fmt.Sprintf(`<%s%s?%s>; rel="%s"`, s.PublicURL, path, u.RawQuery, rel))
	}
	if more {
		add(p.number+1, "next")
		if last > 0 {
			add(last, "last")
		}
	}
	if p.number > 1 {
		add(1, "first")
		add(p.number-1, "prev")
	}
	if len(parts) > 0 {
		c.header().Set("Link", strings.Join(parts, ", "))
	}
}

// cut returns the page of a list that is read as a whole, and sets the links.
func cut[From any](s *Server, c *call, all []From, show func(From) object) []object {
	p := c.page(30, 100)
	s.links(c, p, len(all), false)
	out := []object{}
	start := min(p.start(), len(all))
	for _, v := range all[start:min(start+p.size, len(all))] {
		out = append(out, show(v))
	}
	return out
}
