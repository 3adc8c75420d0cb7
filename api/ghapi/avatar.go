package ghapi

import (
	"fmt"
	"hash/fnv"
	"html"
	"unicode"
)

// avatar draws a picture of a name: its first letter on a colour of its own.
// Nothing is looked up, so it tells nobody who there is.
func (s *Server) avatar(c *call) (any, error) {
	name := c.param("user")
	letter := '?'
	for _, r := range name {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			letter = unicode.ToUpper(r)
			break
		}
	}
	h := fnv.New32a()
	h.Write([]byte(name)) // never fails
	c.header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	c.header().Set("Cache-Control", "public, max-age=86400")
	c.header().Del("Vary")
	return text{kind: "image/svg+xml", body: fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" width="80" height="80" viewBox="0 0 80 80">`+
		`<rect width="80" height="80" fill="hsl(%d,45%%,40%%)"/><text x="40" y="54" font-family="sans-serif" font-size="40" text-anchor="middle" fill="#fff">%s</text></svg>`,
		h.Sum32()%360, html.EscapeString(string(letter)))}, nil
}
