package contract

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

//go:embed testdata/*.openapi.json
var files embed.FS

// The descriptions, by file name.
const (
	cloud   = "jira-cloud"
	dc      = "jira-dc"
	devinfo = "jira-devinfo"
)

// openDescription reads a description and drops its servers, so that paths
// alone decide.
func openDescription(name string) (routers.Router, error) {
	raw, err := files.ReadFile("testdata/" + name + ".openapi.json")
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	admitNull(tree)
	if raw, err = json.Marshal(tree); err != nil {
		return nil, fmt.Errorf("writing %s: %w", name, err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	doc.Servers = nil
	for _, item := range doc.Paths.Map() {
		item.Servers = nil
		for _, op := range item.Operations() {
			op.Servers = nil
		}
	}
	return gorillamux.NewRouter(doc)
}

// admitNull lets members whose schema is empty be null. An empty schema means
// any value; the validator takes it for any value but null.
func admitNull(tree any) {
	switch v := tree.(type) {
	case []any:
		for _, e := range v {
			admitNull(e)
		}
	case map[string]any:
		for name, e := range v {
			if s, is := e.(map[string]any); is && len(s) == 0 && name == "additionalProperties" {
				s["nullable"] = true
			}
			members, is := e.(map[string]any)
			if !is || name != "properties" {
				continue
			}
			for _, m := range members {
				if s, is := m.(map[string]any); is && len(s) == 0 {
					s["nullable"] = true
				}
			}
		}
		for _, e := range v {
			admitNull(e)
		}
	}
}

var descriptions = sync.OnceValue(func() map[string]routers.Router {
	all := map[string]routers.Router{}
	for _, name := range []string{cloud, dc, devinfo} {
		r, err := openDescription(name)
		if err != nil {
			panic(fmt.Sprintf("contract: %v", err)) // a fixed file
		}
		all[name] = r
	}
	return all
})

var (
	devinfoPath = regexp.MustCompile(`^/jira/devinfo/0\.1/cloud/[^/]+(/.*)$`)
	cloudPath   = regexp.MustCompile(`^(?:/ex/jira/[^/]+)?(/rest/api/3/.*)$`)
	dcPath      = regexp.MustCompile(`^(?:/[^/]+)?/rest(/api/2/.*)$`)
	// unchecked are calls that exist in Jira and stand in no description here.
	unchecked = regexp.MustCompile(`^GET .*/rest/api/[23]/issue/[^/]+/changelog$|^POST .*/rest/bitbucket/1\.0/repository/[^/]+/sync$`)
)

// place returns the description that a path belongs to and the path in it.
func place(path string) (name, inside string) {
	if path == "/oauth/token" || path == "/_edge/tenant_info" {
		return devinfo, path
	}
	for name, form := range map[string]*regexp.Regexp{devinfo: devinfoPath, cloud: cloudPath, dc: dcPath} {
		if m := form.FindStringSubmatch(path); m != nil {
			return name, m[1]
		}
	}
	return "", ""
}

// located is a request found in a description.
type located struct {
	description string
	route       *routers.Route
	params      map[string]string
	input       *openapi3filter.RequestValidationInput
}

// locate finds the operation of a request.
func locate(r *http.Request, body []byte) (*located, error) {
	name, inside := place(r.URL.EscapedPath())
	if name == "" {
		return nil, fmt.Errorf("no description has this path")
	}
	u, err := url.Parse(inside)
	if err != nil {
		return nil, fmt.Errorf("reading the path: %w", err)
	}
	u.RawQuery = r.URL.RawQuery
	clone := r.Clone(context.WithoutCancel(r.Context()))
	clone.URL, clone.Host = u, "jira.invalid"
	clone.Body, clone.ContentLength = http.NoBody, int64(len(body))
	if len(body) > 0 {
		clone.Body = io.NopCloser(bytes.NewReader(body))
	}
	route, params, err := descriptions()[name].FindRoute(clone)
	if err != nil {
		return nil, fmt.Errorf("%s does not have this operation: %w", name, err)
	}
	return &located{name, route, params, &openapi3filter.RequestValidationInput{
		Request: clone, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
			IncludeResponseStatus: true, RejectWhenRequestBodyNotSpecified: true,
			SkipSettingDefaults: true, MultiError: true,
		},
	}}, nil
}

// unknownParameters returns the query parameters that the operation does not
// have. The development information API takes any as properties.
func (l *located) unknownParameters() []string {
	if l.description == devinfo {
		return nil
	}
	var unknown []string
	for name := range l.input.Request.URL.Query() {
		known := slices.ContainsFunc(l.route.Operation.Parameters, func(p *openapi3.ParameterRef) bool {
			return p.Value.In == openapi3.ParameterInQuery && p.Value.Name == name
		})
		if !known {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// Response checks an answer against the description of its request's
// operation. The request's own body is not needed.
func Response(r *http.Request, status int, header http.Header, body []byte) error {
	l, err := locate(r, nil)
	if err != nil {
		return err
	}
	options := *l.input.Options
	// A description may name a type for an answer that has no body; a live
	// site sends neither.
	options.ExcludeResponseBody = len(body) == 0 && (status == http.StatusNoContent || l.free(status))
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: l.input, Status: status, Header: plainType(header), Options: &options,
	}
	in.SetBodyBytes(body)
	return openapi3filter.ValidateResponse(context.Background(), in)
}

// free reports whether the description allows any body for a status.
func (l *located) free(status int) bool {
	ref := l.route.Operation.Responses.Status(status)
	if ref == nil || ref.Value == nil {
		return false
	}
	media := ref.Value.Content.Get("application/json")
	return media != nil && (media.Schema == nil || media.Schema.Value.IsEmpty())
}

// plainType returns header with the parameters of the content type cut off.
func plainType(header http.Header) http.Header {
	h := header.Clone()
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	h.Set("Content-Type", strings.TrimSpace(media))
	return h
}
