package outbox

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	"gitferry/internal/store"
)

// Processor says who carries out smart commits; the Processor of a JiraSite.
type Processor string

const (
	// ProcessorGitferry: gitferry does. Messages go to Jira with their
	// commands defused, so that Jira's own processor finds none.
	ProcessorGitferry Processor = "gitferry"
	// ProcessorJira: Jira does. Messages go to it as they are.
	ProcessorJira Processor = "jira"
	// ProcessorOff: nobody does.
	ProcessorOff Processor = "off"
)

// Sites makes the clients of the Jira site in the books. While the settings
// of the site stay the same it hands out the same client, so that tokens,
// connections and user searches are shared between the outbox, the push
// policy and the pages. It may be used concurrently.
type Sites struct {
	Store     *store.Store
	Transport http.RoundTripper // nil: a transport with bounded times
	Product   string            // name and version told to Jira
	Now       func() time.Time  // nil: time.Now

	mu     sync.Mutex
	site   store.JiraSite // guarded by mu; what client was made of
	client *jira.Client   // guarded by mu
}

// Client returns a client that acts as the service account, and the settings
// it was made of. It fails with ferry.ErrNotFound if no site is connected.
func (s *Sites) Client(ctx context.Context) (*jira.Client, store.JiraSite, error) {
	site, err := s.Store.JiraSite(ctx)
	if err != nil {
		return nil, store.JiraSite{}, fmt.Errorf("reading the Jira site: %w", err)
	}
	same := site
	same.Problem, same.CheckedAt = "", time.Time{}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil && same == s.site {
		return s.client, site, nil
	}
	c, err := NewClient(site, jira.Options{Transport: s.Transport, Product: s.Product, Now: s.Now})
	if err != nil {
		return nil, store.JiraSite{}, err
	}
	s.site, s.client = same, c
	return c, site, nil
}

// NewClient makes a client of settings that need not be in the books yet, for
// the page that connects a site.
func NewClient(site store.JiraSite, o jira.Options) (*jira.Client, error) {
	kind := jira.Kind(site.Kind)
	j := jira.Site{
		Kind: kind, BaseURL: site.URL, CloudID: site.CloudID,
		DevinfoBase: site.DevinfoURL, TokenURL: site.TokenURL,
		Email: site.Email, APIToken: site.APIToken,
		ClientID: site.ClientID, ClientSecret: site.ClientSecret,
		PersonalAccessToken: site.PAT,
	}
	return jira.New(j, o)
}

// account returns the client to act with for a person: the one with the
// person's own Jira token if there is one, else the service account's. named
// says that the text must name the person, since Jira will not.
func (w *worker) account(ctx context.Context, service *jira.Client, user ferry.UserID) (c *jira.Client, named bool, err error) {
	if user == 0 || w.refusedToken(user) {
		return service, true, nil
	}
	token, email, err := w.Store.JiraToken(ctx, user)
	if isNotFound(err) || err == nil && token.IsZero() {
		return service, true, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading a personal Jira token: %w", err)
	}
	return service.As(email, token), false, nil
}

// tokenRest is for how long a personal token that Jira refused is not tried.
const tokenRest = 10 * time.Minute

func (w *worker) refusedToken(user ferry.UserID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.refused[user]
	return ok && w.Now().Sub(at).Abs() < tokenRest
}

func (w *worker) refuseToken(user ferry.UserID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused[user] = w.Now()
}
