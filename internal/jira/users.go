package jira

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"gitferry/internal/ferry"
)

// How long the outcome of a user search is kept; user searches have a small
// rate limit of their own (jira.md 3.8).
const (
	userHitLife  = 24 * time.Hour
	userMissLife = time.Hour
	maxUserHits  = 10000
)

type userHit struct {
	account Account
	err     error
	at      time.Time
}

type userCache struct {
	mu   sync.Mutex
	hits map[string]userHit // guarded by mu
}

// FindUser finds the one account that may be assigned issues of the project
// and that is meant by who: an e-mail address, or a user name (Data Center), or a name.
// None is ferry.ErrNotFound, several are ferry.ErrConflict; both with a text
// for people.
func (c *Client) FindUser(ctx context.Context, who, project string) (Account, error) {
	cached := project + " " + strings.ToLower(who)
	c.users.mu.Lock()
	hit, ok := c.users.hits[cached]
	c.users.mu.Unlock()
	age := c.now().Sub(hit.at)
	if ok && age >= 0 && (hit.err == nil && age < userHitLife || hit.err != nil && age < userMissLife) {
		return hit.account, hit.err
	}
	q := url.Values{"project": {project}, "maxResults": {"50"}}
	if c.site.Kind == Cloud {
		q.Set("query", who)
	} else {
		q.Set("username", who)
	}
	var found []Account
	err := c.doREST(ctx, call{
		op: "looking for a user for " + project, method: http.MethodGet, query: q,
		want: []int{http.StatusOK}, into: &found, shape: func() bool { return found != nil },
	}, "/user/assignable/search")
	if err != nil {
		return Account{}, err
	}
	account, err := c.pick(who, found)
	c.users.mu.Lock()
	defer c.users.mu.Unlock()
	if len(c.users.hits) >= maxUserHits {
		clear(c.users.hits)
	}
	c.users.hits[cached] = userHit{account, err, c.now()}
	return account, err
}

// pick chooses among the hits of a search, which match by prefix only.
func (c *Client) pick(who string, found []Account) (Account, error) {
	isMail := strings.Contains(who, "@")
	var exact, near []Account
	for _, a := range found {
		if !a.Active || c.site.Kind == Cloud && a.Type != "" && a.Type != "atlassian" {
			continue
		}
		switch {
		case strings.EqualFold(a.Email, who) || strings.EqualFold(a.Name, who) || !isMail && strings.EqualFold(a.Display, who):
			exact = append(exact, a)
		case !isMail || c.site.Kind == Cloud && a.Email == "":
			// An address hidden by the profile: the search matched it.
			near = append(near, a)
		}
	}
	if len(exact) == 0 {
		exact = near
	}
	switch len(exact) {
	case 1:
		return exact[0], nil
	case 0:
		return Account{}, &ferry.Message{Kind: ferry.ErrNotFound, Text: fmt.Sprintf("no assignable user matches %q", who)}
	}
	names := make([]string, 0, len(exact))
	for _, a := range exact[:min(len(exact), 5)] {
		names = append(names, a.Display)
	}
	return Account{}, &ferry.Message{Kind: ferry.ErrConflict,
		Text: fmt.Sprintf("several users match %q: %s", who, strings.Join(names, ", "))}
}
