package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"gitferry/internal/ferry"
	"gitferry/internal/sns"
	"gitferry/internal/store"
	"gitferry/internal/triggers"
)

// hooks receives the calls that say that something moved upstream. A call is
// only a hint to look: it causes rows in the queue and nothing else, and is
// answered in less than a second. SNS takes every answer below 500 as
// delivered, so what cannot be judged or written now is answered 503, and what
// is forged, unknown or unwanted 403 or 404 (security.md 9).
type hooks struct {
	*Server
	verifier sns.Verifier
	places   chan struct{} // one for each call under way

	mu    sync.Mutex
	woken map[ferry.RepositoryID]time.Time // guarded by mu; when a look was last asked for
	wrong wrongSecrets                     // guarded by mu
}

const (
	hookPlaces = 64                     // calls under way; more are answered 503
	hookTime   = 900 * time.Millisecond // for everything that a call waits for
	// coalesce is the least time between two looks that triggers cause.
	coalesce = 2 * time.Second
)

func newHooks(s *Server) *hooks {
	h := &hooks{Server: s, places: make(chan struct{}, hookPlaces), woken: make(map[ferry.RepositoryID]time.Time)}
	h.verifier = sns.Verifier{Fetch: h.fetchCertificate, Log: s.Log}
	return h
}

// A hook is one call, once its secret was found to be right.
type hook struct {
	ctx         context.Context
	req         *http.Request
	route       store.TriggerRoute
	integration ferry.Integration // of routes integration and repo
	repository  ferry.Repository  // of route repo
}

var (
	errBusy     = echo.NewHTTPError(http.StatusServiceUnavailable, "busy; send it again")
	errHookGone = echo.NewHTTPError(http.StatusNotFound, "there is nothing at this address")
)

// serve makes the handler of the addresses of one route.
func (h *hooks) serve(route string) echo.HandlerFunc {
	return func(c echo.Context) error {
		select {
		case h.places <- struct{}{}:
			defer func() { <-h.places }()
		default:
			return errBusy
		}
		c.Response().Header().Set("Cache-Control", "no-store")
		switch c.Request().Method {
		case http.MethodGet, http.MethodPost, http.MethodPut:
		default:
			c.Response().Header().Set("Allow", "GET, POST, PUT")
			return echo.NewHTTPError(http.StatusMethodNotAllowed, "call it with GET, POST or PUT")
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request().Context()), hookTime)
		defer cancel()
		k, err := h.admit(ctx, c, route)
		if err == nil {
			err = h.take(k)
		}
		var answer *echo.HTTPError
		switch {
		case err == nil:
			return c.String(http.StatusOK, "ok\n")
		case errors.As(err, &answer):
			return err
		}
		h.Log.Error("taking a trigger", "route", route, "err", err)
		return errBusy
	}
}

// admit checks the secret and finds what the address is for.
func (h *hooks) admit(ctx context.Context, c echo.Context, route string) (*hook, error) {
	k := &hook{ctx: ctx, req: c.Request(), route: store.TriggerRoute{Route: route}}
	if route != "install" {
		id, err := strconv.ParseInt(c.Param("id"), 10, 64)
		if err != nil || id <= 0 {
			return nil, errHookGone
		}
		if route == "integration" {
			k.route.Integration = ferry.IntegrationID(id)
		} else {
			k.route.Repository = ferry.RepositoryID(id)
		}
	}
	right, err := h.Store.IsTriggerSecret(ctx, k.route, c.Param("secret"))
	if err != nil {
		return nil, err
	}
	if !right {
		h.countWrong(route, c.Request().RemoteAddr)
		return nil, errHookGone
	}
	if k.route.Repository != 0 {
		if k.repository, err = h.Store.Repository(ctx, k.route.Repository); err != nil {
			return nil, err
		}
		k.integration, err = h.Store.Integration(ctx, k.repository.IntegrationID)
	} else if k.route.Integration != 0 {
		k.integration, err = h.Store.Integration(ctx, k.route.Integration)
	}
	return k, err
}

// wrongSecrets counts calls with wrong secrets, for the log.
type wrongSecrets struct {
	total, untold int
	told          time.Time
}

// countWrong counts, and tells at most once a minute: whoever guesses shall
// not fill the log.
func (h *hooks) countWrong(route, address string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong.total++
	h.wrong.untold++
	if time.Since(h.wrong.told) >= time.Minute {
		h.Log.Warn("calls of trigger addresses with a wrong secret", "route", route, "address", address, "count", h.wrong.untold, "total", h.wrong.total)
		h.wrong.untold, h.wrong.told = 0, time.Now()
	}
}

// call is the row of the log for a call.
func (k *hook) call(result, detail string) store.TriggerCall {
	return store.TriggerCall{Route: k.route.Route, Integration: k.integration.ID, Repository: k.repository.ID,
		Address: k.req.RemoteAddr, Result: result, Detail: detail}
}

// take judges a call and does what it asks for.
func (h *hooks) take(k *hook) error {
	on, err := triggers.Enabled(k.ctx, h.Store)
	if err != nil {
		return err
	}
	if !on || k.integration.Disabled || k.repository.State == ferry.RepositoryDisabled {
		return h.Store.AddTriggerCall(k.ctx, k.call("disabled", "triggers are switched off for this"))
	}
	if k.req.Header.Get("X-Amz-Sns-Message-Type") != "" {
		return h.takeMessage(k)
	}
	jobs, err := h.everything(k)
	if err != nil {
		return err
	}
	_, err = h.Store.TakeTrigger(k.ctx, store.Taken{Call: k.call("accepted", fmt.Sprintf("%s: %d looks", k.req.Method, len(jobs))), Jobs: jobs})
	h.ring(jobs)
	return err
}

// ring wakes the index now, and when looks that have to wait come due.
func (h *hooks) ring(jobs []store.Job) {
	h.Index.Ring()
	for _, j := range jobs {
		if wait := time.Until(j.NotBefore); wait > 0 {
			time.AfterFunc(wait+time.Millisecond, h.Index.Ring)
			return
		}
	}
}

// everything is a look at all that an address covers.
func (h *hooks) everything(k *hook) ([]store.Job, error) {
	if k.repository.ID != 0 {
		return []store.Job{h.job(k.repository.ID)}, nil
	}
	repos, err := h.Store.Repositories(k.ctx, store.RepositoryFilter{Integration: k.integration.ID, State: ferry.RepositoryEnabled})
	if err != nil {
		return nil, err
	}
	var jobs []store.Job
	for _, r := range repos {
		jobs = append(jobs, h.job(r.ID))
	}
	if k.integration.Kind == ferry.KindCodeCommit {
		jobs = append(jobs, store.Job{Integration: k.integration.ID, Op: store.OpIntegration, Source: "webhook", Priority: 22})
	}
	return jobs, nil
}

// job is a look at a repository, not sooner than coalesce after the last one.
func (h *hooks) job(id ferry.RepositoryID) store.Job {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	at := now
	if last, ok := h.woken[id]; ok && last.Add(coalesce).After(now) {
		at = last.Add(coalesce)
		if last.After(now) {
			at = last // one is waiting already
		}
	}
	h.woken[id] = at
	return store.Job{Repository: id, Op: store.OpSync, Source: "webhook", Priority: 22, NotBefore: at}
}

// fetchCertificate reads a certificate of SNS. Clear text is for the stand-in
// on this machine, whose address the rules allowed.
func (h *hooks) fetchCertificate(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := h.Dialer.HTTPClient(strings.HasPrefix(url, "http:")).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answer %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, sns.MaxCertificate+1))
}

// plainText reports whether a body may be one of SNS.
func plainText(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && (kind == "text/plain" || kind == "application/json")
}
