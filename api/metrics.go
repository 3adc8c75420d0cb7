package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// metrics answers with the numbers of the instance in the text format of
// Prometheus, to a token of an administrator with the scope api:read: they
// tell nothing to strangers (security reference, API-12). No number is told
// of a single repository, user or issue.
func (s *Server) metrics(c echo.Context) error {
	subject, err := s.signIn(c.Request())
	if err != nil {
		return err
	}
	if !subject.User.Admin || ferry.Check(subject, ferry.ActionAPIRead, "", time.Now()) != nil {
		return &ferry.Message{Kind: ferry.ErrDenied, Text: "metrics need a token of an administrator with the scope api:read"}
	}
	promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2}).ServeHTTP(c.Response(), c.Request())
	return nil
}

// measured counts requests by the route they took.
func measured(r prometheus.Registerer) echo.MiddlewareFunc {
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gitferry_http_request_seconds",
		Help: "Time to answer requests to pages and APIs, by route and status.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 8)},
		[]string{"method", "route", "status"})
	r.MustRegister(took)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			err := next(c)
			if err != nil {
				c.Error(err) // writes the answer, so that its status is known
			}
			route := c.Path() // the template, not what was asked for
			took.WithLabelValues(c.Request().Method, route, strconv.Itoa(c.Response().Status)).Observe(time.Since(start).Seconds())
			return nil
		}
	}
}

// books tells what the books hold when somebody asks.
type books struct {
	store                             *store.Store
	actions, entities, jobs, oldest   *prometheus.Desc
	unresolved, repositories, version *prometheus.Desc
	info                              string // the version
}

func newBooks(st *store.Store, version string) *books {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("gitferry_"+name, help, labels, nil)
	}
	return &books{store: st, info: version,
		actions:      desc("actions", "Smart-commit actions by state.", "state"),
		entities:     desc("entities", "Commits, branches and pull requests for Jira by state.", "state"),
		jobs:         desc("jobs", "Jobs of the index by state.", "state"),
		oldest:       desc("oldest_seconds", "Age of the oldest row that is not at its end.", "of"),
		unresolved:   desc("unresolved_pushes", "Pushes whose outcome is not known yet."),
		repositories: desc("repositories", "Connected repositories."),
		version:      desc("build_info", "The running version; always 1.", "version"),
	}
}

// Describe and Collect implement prometheus.Collector.
func (b *books) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(b, out) }

// Collect counts anew.
func (b *books) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(b.version, 1, b.info)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	n, err := b.store.Counts(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(b.actions, err)
		return
	}
	n.Actions[store.ActionDead] += 0 // an alarm needs a number also while there are none
	n.Entities[store.EntityDead] += 0
	n.Jobs[store.JobFailed] += 0
	for state, count := range n.Actions {
		gauge(b.actions, float64(count), string(state))
	}
	for state, count := range n.Entities {
		gauge(b.entities, float64(count), string(state))
	}
	for state, count := range n.Jobs {
		gauge(b.jobs, float64(count), string(state))
	}
	for of, at := range map[string]time.Time{"action": n.OldestAction, "entity": n.OldestEntity, "job": n.OldestJob} {
		age := 0.0
		if !at.IsZero() {
			age = time.Since(at).Seconds()
		}
		gauge(b.oldest, age, of)
	}
	gauge(b.unresolved, float64(n.UnresolvedPushes))
	gauge(b.repositories, float64(n.Repositories))
}

func (s *Server) health(c echo.Context) error {
	if err := s.Store.Ping(c.Request().Context()); err != nil {
		return &ferry.Message{Kind: ferry.ErrUnavailable, Text: "the database cannot be read", Cause: err}
	}
	return c.String(http.StatusOK, "ok\n")
}
