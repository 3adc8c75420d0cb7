package jira

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"

	"gitferry/internal/ferry"
)

// Server is what a site says of itself to anybody.
type Server struct {
	Kind    Kind
	Version string
	BaseURL string
}

// Server asks which Jira answers at the site's address. It needs no
// credentials, so it tells a wrong address from a wrong password.
func (c *Client) Server(ctx context.Context) (Server, error) {
	var a struct {
		DeploymentType string `json:"deploymentType"`
		Version        string `json:"version"`
		BaseURL        string `json:"baseUrl"`
	}
	ask := func(version string) error {
		return c.do(ctx, call{
			op: "asking which Jira this is", method: http.MethodGet,
			url: c.site.BaseURL + "/rest/api/" + version + "/serverInfo", want: []int{http.StatusOK}, into: &a,
			shape: func() bool { return a.Version != "" || a.DeploymentType != "" },
		})
	}
	var err error
	if c.site.Kind == Cloud {
		err = ask("3")
	}
	if c.site.Kind == DataCenter || classOf(err) == NotFound {
		err = ask("2") // both have it, so a site of the other edition is recognised
	}
	if err != nil {
		return Server{}, err
	}
	kind := DataCenter
	if strings.EqualFold(a.DeploymentType, "cloud") {
		kind = Cloud
	}
	return Server{Kind: kind, Version: a.Version, BaseURL: a.BaseURL}, nil
}

// FindCloudID asks the site for the UUID that development information is
// addressed to, GET /_edge/tenant_info. It needs no credentials. A renamed
// site answers with a redirect, which is an error of class Moved.
func (c *Client) FindCloudID(ctx context.Context) (string, error) {
	var a struct {
		CloudID string `json:"cloudId"`
	}
	err := c.do(ctx, call{
		op: "asking for the cloud id", method: http.MethodGet,
		url: c.site.BaseURL + "/_edge/tenant_info", want: []int{http.StatusOK}, into: &a,
		shape: func() bool { return a.CloudID != "" },
	})
	return a.CloudID, err
}

// An Account is the person or service account behind the credentials, or a
// user found by a search.
type Account struct {
	ID       string `json:"accountId"` // Cloud
	Name     string `json:"name"`      // Data Center: user name
	Key      string `json:"key"`       // Data Center
	Type     string `json:"accountType"`
	Email    string `json:"emailAddress"` // empty if hidden by the profile
	Display  string `json:"displayName"`
	TimeZone string `json:"timeZone"`
	Active   bool   `json:"active"`
}

// Same reports whether a and b are the same account.
func (a Account) Same(b Account) bool {
	return a.ID != "" && a.ID == b.ID || a.ID == "" && a.Name != "" && a.Name == b.Name
}

// Myself returns the account the client acts as.
func (c *Client) Myself(ctx context.Context) (Account, error) {
	var a Account
	err := c.doREST(ctx, call{
		op: "asking who is signed in", method: http.MethodGet, want: []int{http.StatusOK}, into: &a,
		shape: func() bool { return a.ID != "" || a.Name != "" },
	}, "/myself")
	return a, err
}

// Configuration is what a site sets for time tracking.
type Configuration struct {
	TimeTracking bool
	HoursPerDay  float64
	DaysPerWeek  float64
}

// Configuration returns the site's time tracking settings, which durations
// in days and weeks need. Any signed-in account may ask.
func (c *Client) Configuration(ctx context.Context) (Configuration, error) {
	var a struct {
		Enabled  *bool `json:"timeTrackingEnabled"`
		Settings struct {
			Hours float64 `json:"workingHoursPerDay"`
			Days  float64 `json:"workingDaysPerWeek"`
		} `json:"timeTrackingConfiguration"`
	}
	err := c.doREST(ctx, call{
		op: "asking for the time tracking settings", method: http.MethodGet, want: []int{http.StatusOK}, into: &a,
		shape: func() bool { return a.Enabled != nil },
	}, "/configuration")
	if err != nil {
		return Configuration{}, err
	}
	conf := Configuration{TimeTracking: *a.Enabled, HoursPerDay: a.Settings.Hours, DaysPerWeek: a.Settings.Days}
	if conf.HoursPerDay <= 0 || conf.HoursPerDay > 24 {
		conf.HoursPerDay = 8
	}
	if conf.DaysPerWeek <= 0 || conf.DaysPerWeek > 7 {
		conf.DaysPerWeek = 5
	}
	return conf, nil
}

// NeededPermissions are the permission keys that the commands need.
var NeededPermissions = []string{
	"BROWSE_PROJECTS", "ADD_COMMENTS", "WORK_ON_ISSUES", "TRANSITION_ISSUES",
	"EDIT_ISSUES", "ASSIGN_ISSUES", "LINK_ISSUES",
}

// MissingPermissions returns those of NeededPermissions that the account has
// not, in one project or, with an empty project, in none at all.
func (c *Client) MissingPermissions(ctx context.Context, project string) ([]string, error) {
	q := url.Values{}
	if c.site.Kind == Cloud { // Data Center takes no list and answers with all
		q.Set("permissions", strings.Join(NeededPermissions, ","))
	}
	if project != "" {
		q.Set("projectKey", project)
	}
	var a struct {
		Permissions map[string]struct {
			Have bool `json:"havePermission"`
		} `json:"permissions"`
	}
	err := c.doREST(ctx, call{
		op: "asking for permissions", method: http.MethodGet, query: q, want: []int{http.StatusOK}, into: &a,
		shape: func() bool { return a.Permissions != nil },
	}, "/mypermissions")
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, p := range NeededPermissions {
		if !a.Permissions[p].Have {
			missing = append(missing, p)
		}
	}
	return missing, nil
}

// A Probe is what the connection check found.
type Probe struct {
	Server  Server
	CloudID string // Cloud only
	Account Account
	Configuration
	Missing []string // permissions that are missing everywhere
	Devinfo error    // why development information cannot be sent; Cloud only
}

// Probe makes the calls of a connection check: which Jira, which account,
// which settings, which permissions, and on Cloud whether the client
// credentials are good. It fails with the first refusal of the REST API; a
// refusal of the client credentials is told in the result. A site of the
// other edition than expected is ferry.ErrInvalid.
func (c *Client) Probe(ctx context.Context) (Probe, error) {
	var p Probe
	var err error
	if p.Server, err = c.Server(ctx); err != nil {
		return p, err
	}
	if p.Server.Kind != c.site.Kind {
		return p, &ferry.Message{Kind: ferry.ErrInvalid,
			Text: fmt.Sprintf("%s is Jira %s, but is configured as %s", c.site.BaseURL, p.Server.Kind, c.site.Kind)}
	}
	if p.Account, err = c.Myself(ctx); err != nil {
		return p, err
	}
	if p.Configuration, err = c.Configuration(ctx); err != nil {
		return p, err
	}
	if p.Missing, err = c.MissingPermissions(ctx, ""); err != nil {
		return p, err
	}
	if c.site.Kind == Cloud {
		if p.CloudID, err = c.FindCloudID(ctx); err != nil {
			return p, err
		}
		if c.site.ClientID != "" {
			p.Devinfo = c.CheckDevinfo(ctx)
		}
	}
	return p, nil
}

// maxProjectPages bounds the walk over a site's projects: 10,000 projects.
const maxProjectPages = 200

// Projects returns the keys of all projects that the account can see, sorted.
func (c *Client) Projects(ctx context.Context) ([]string, error) {
	type project struct {
		Key string `json:"key"`
	}
	const op = "listing projects"
	var keys []string
	add := func(ps []project) {
		for _, p := range ps {
			if p.Key != "" {
				keys = append(keys, p.Key)
			}
		}
	}
	if c.site.Kind == DataCenter {
		var all []project
		err := c.doREST(ctx, call{op: op, method: http.MethodGet, want: []int{http.StatusOK}, into: &all,
			shape: func() bool { return all != nil }}, "/project")
		if err != nil {
			return nil, err
		}
		add(all)
		sort.Strings(keys)
		return keys, nil
	}
	for page, start := 0, 0; page < maxProjectPages; page++ {
		var a struct {
			Values []project `json:"values"`
			IsLast bool      `json:"isLast"`
		}
		err := c.doREST(ctx, call{op: op, method: http.MethodGet,
			query: url.Values{"startAt": {strconv.Itoa(start)}, "maxResults": {"50"}},
			want:  []int{http.StatusOK}, into: &a, shape: func() bool { return a.Values != nil }}, "/project/search")
		if err != nil {
			return nil, err
		}
		add(a.Values)
		start += len(a.Values)
		if a.IsLast || len(a.Values) == 0 {
			break
		}
	}
	sort.Strings(keys)
	return keys, nil
}
