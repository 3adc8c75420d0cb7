package ghapi

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// operation is one path of the contract.
type operation struct {
	match *regexp.Regexp
	name  string
	item  *openapi3.PathItem
}

// contract loads GitHub's description once.
func contract(t testing.TB) []operation {
	t.Helper()
	ops, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	return ops
}

var loadContract = sync.OnceValues(func() ([]operation, error) {
	doc, err := openapi3.NewLoader().LoadFromFile("testdata/github-v3.openapi.json")
	if err != nil {
		return nil, err
	}
	// What an event holds fits several of these, in GitHub's own answers too:
	// the payload of a creation is one of a deletion with more members.
	payload := doc.Components.Schemas["event"].Value.Properties["payload"].Value
	payload.OneOf, payload.AnyOf = nil, payload.OneOf
	// A router would not take slashes within a parameter.
	deep := regexp.MustCompile(`\{(ref|path|basehead|branch|dir|tree_sha)\}`)
	var ops []operation
	for _, name := range doc.Paths.InMatchingOrder() {
		pattern := regexp.QuoteMeta(name)
		pattern = strings.NewReplacer(`\{`, "{", `\}`, "}").Replace(pattern)
		pattern = deep.ReplaceAllString(pattern, `.+`)
		pattern = regexp.MustCompile(`\{[a-z_]+\}`).ReplaceAllString(pattern, `[^/]+`)
		ops = append(ops, operation{regexp.MustCompile("^/api/v3" + pattern + "$"), name, doc.Paths.Value(name)})
	}
	return ops, nil
})

// checked is a transport that holds every answer against the contract.
type checked struct {
	t        testing.TB
	contract []operation
	fitted   sync.Map // "METHOD path" of each answer that was held against a schema and fits
}

func (c *checked) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err == nil && strings.HasPrefix(r.URL.Path, "/api/v3") {
		c.check(r, resp, body)
	}
	return resp, err
}

// beyond are statuses of rules of ours that GitHub's description does not
// name for every route.
var beyond = map[int]bool{401: true, 403: true, 404: true, 409: true, 400: true, 501: true, 415: true, 422: true, 503: true, 304: true, 406: true}

func (c *checked) check(r *http.Request, resp *http.Response, body []byte) {
	c.t.Helper()
	var op *openapi3.Operation
	var others []*openapi3.Operation // that a ref with slashes may have been meant for
	name := ""
	best := 1 << 20
	for _, o := range c.contract {
		// The most specific path is the one with the fewest deep parameters.
		if found := o.item.GetOperation(r.Method); found != nil && o.match.MatchString(r.URL.Path) {
			others = append(others, found)
			if n := strings.Count(o.name, "{ref}")*10 + strings.Count(o.name, "{") - strings.Count(o.name, "/"); n < best {
				best, op, name = n, found, o.name
			}
		}
	}
	isJSON := strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json")
	if resp.StatusCode >= 400 {
		var e struct{ Message, Documentation_url, Status string }
		if !isJSON || json.Unmarshal(body, &e) != nil || e.Message == "" || e.Documentation_url == "" || e.Status == "" {
			c.t.Errorf("%s %s: %d without GitHub's error body: %s", r.Method, r.URL, resp.StatusCode, body)
		}
	}
	if op == nil || resp.StatusCode == http.StatusNotModified {
		return
	}
	documented := op.Responses.Status(resp.StatusCode)
	if documented == nil {
		if !beyond[resp.StatusCode] {
			c.t.Errorf("%s %s: status %d is not in the contract of %s", r.Method, r.URL, resp.StatusCode, name)
		}
		return
	}
	content := documented.Value.Content.Get("application/json")
	fits := func() { c.fitted.Store(r.Method+" "+r.URL.Path, name) }
	if content == nil && len(body) == 0 {
		fits()
	}
	if content == nil || !isJSON || content.Schema == nil || strings.Contains(r.Header.Get("Accept"), "object") {
		return
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		c.t.Errorf("%s %s: %v in %s", r.Method, r.URL, err, body)
		return
	}
	if err := content.Schema.Value.VisitJSON(v, openapi3.VisitAsResponse(), openapi3.MultiErrors()); err != nil {
		for _, o := range others {
			if d := o.Responses.Status(resp.StatusCode); o != op && d != nil && d.Value.Content.Get("application/json") != nil &&
				d.Value.Content.Get("application/json").Schema.Value.VisitJSON(v, openapi3.VisitAsResponse()) == nil {
				fits()
				return
			}
		}
		text := err.Error()
		c.t.Errorf("%s %s does not fit %s:\n%.1500s\n%.600s", r.Method, r.URL, name, text, indent(body))
		return
	}
	fits()
}

// Every operation of GitHub's description has a route.
func TestContractIsCovered(t *testing.T) {
	var ours []*regexp.Regexp
	for _, r := range routes {
		pattern := regexp.MustCompile(`:[a-z]+`).ReplaceAllString(r.path, `[^/]+`)
		ours = append(ours, regexp.MustCompile("^"+r.method+" "+strings.ReplaceAll(pattern, "*", ".+")+"$"))
	}
	parameter := regexp.MustCompile(`\{[a-z_]+\}`)
	for _, o := range contract(t) {
		for method := range o.item.Operations() {
			name := method + " " + o.name
			path := method + " /api/v3" + parameter.ReplaceAllString(o.name, "1")
			found := false
			for _, r := range ours {
				found = found || r.MatchString(path)
			}
			if !found {
				t.Errorf("%s has no route", name)
			}
		}
	}
}
