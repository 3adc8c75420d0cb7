package api

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

// A page is a part of a list. Next, if there is more, goes into the parameter
// "after" of the next request; what it holds is nobody's business.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

const (
	maxPage     = 100
	defaultPage = 50
)

// paged are the parameters of lists, before those given.
func paged(more ...param) []param {
	return append([]param{{"limit", "how many, 1 to 100; 50 if it is left out"}, {"after", "the member next of the page before"}}, more...)
}

// limit reads the parameter of that name.
func (c *call) limit() (int, error) {
	text := c.value("limit")
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, echo.NewHTTPError(http.StatusBadRequest, "limit: want a number from 1 to 100")
	}
	return n, nil
}

// after reads the parameter of that name where it is a number; 0 if it is
// left out.
func (c *call) after() (int64, error) {
	text := c.value("after")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, errCursor
	}
	return n, nil
}

var errCursor = echo.NewHTTPError(http.StatusBadRequest, "after: this is not a cursor of this list")

// cut makes the page of a list that is read as a whole, such as the users.
func cut[From, To any](c *call, all []From, show func(From) To) (page[To], error) {
	p := page[To]{Items: []To{}}
	limit, err := c.limit()
	if err != nil {
		return p, err
	}
	start, err := c.after()
	if err != nil {
		return p, err
	}
	rest := all[min(int(start), len(all)):]
	for _, v := range rest[:min(limit, len(rest))] {
		p.Items = append(p.Items, show(v))
	}
	if len(rest) > limit {
		p.Next = strconv.Itoa(int(start) + limit)
	}
	return p, nil
}

// maxReads bounds how often a filtered list is read for one page.
const maxReads = 20

// walk makes the page of a list that is read part by part, of which the
// subject may see only what keep lets through. A page may therefore be short,
// or empty, and still have a next one.
func walk[From, To any](c *call, read func(before string, limit int) ([]From, error), cursor func(From) string,
	keep func(From) bool, show func(From) To) (page[To], error) {
	p := page[To]{Items: []To{}}
	limit, err := c.limit()
	if err != nil {
		return p, err
	}
	before := c.value("after")
	for range maxReads {
		part, err := read(before, maxPage)
		if err != nil {
			return p, err
		}
		for i, v := range part {
			before = cursor(v)
			if keep(v) {
				p.Items = append(p.Items, show(v))
			}
			if len(p.Items) == limit {
				if i < len(part)-1 || len(part) == maxPage {
					p.Next = before
				}
				return p, nil
			}
		}
		if len(part) < maxPage {
			return p, nil
		}
	}
	p.Next = before
	return p, nil
}
