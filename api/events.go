package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// Bounds of a stream of server-sent events.
const (
	eventsEvery   = time.Second      // how often the books are looked at
	eventsSilence = 15 * time.Second // after it a comment keeps the connection open
	eventsLife    = time.Hour        // then the client comes back by itself
	eventsAtOnce  = 50               // streams at a time
	eventsTaken   = time.Minute      // in which a client must take what is sent
)

// event is one server-sent event. The id is where a client that comes back
// goes on; empty: as before.
type event struct {
	kind, id string
	data     any
}

// stream sends what look finds until the client goes, its rights end, or
// eventsLife is over.
func (s *Server) stream(c *call, look func(ctx context.Context) ([]event, error)) error {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return &ferry.Message{Kind: ferry.ErrUnavailable, Text: "too many streams are open; try again later"}
	}
	ctx, cancel := context.WithTimeout(c.ctx, eventsLife)
	defer cancel()
	w := c.echo.Response()
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	tick := time.NewTicker(eventsEvery)
	defer tick.Stop()
	for spoke := (time.Time{}); ; {
		// Rights are asked at each look, as by a request of its own.
		if err := s.admit(c); err != nil {
			return nil
		}
		news, err := look(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.Log.Warn("streaming events", "request_id", c.request, "err", err)
			}
			return nil // the answer has begun; the client comes back
		}
		if len(news) > 0 || time.Since(spoke) > eventsSilence {
			spoke = time.Now()
			_ = http.NewResponseController(w).SetWriteDeadline(spoke.Add(eventsTaken))
			if err := sendEvents(w, news); err != nil {
				return nil // the client went away
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.Stopping:
			return nil
		case <-tick.C:
		}
	}
}

// sendEvents writes events, or a comment if there are none.
func sendEvents(w *echo.Response, news []event) error {
	if len(news) == 0 {
		if _, err := fmt.Fprint(w, ": nothing new\n\n"); err != nil {
			return err
		}
	}
	for _, e := range news {
		text, err := json.Marshal(e.data)
		if err != nil {
			return err
		}
		if e.id != "" {
			e.id = "id: " + e.id + "\n"
		}
		if _, err := fmt.Fprintf(w, "event: %s\n%sdata: %s\n\n", e.kind, e.id, text); err != nil {
			return err
		}
	}
	w.Flush()
	return nil
}

// repositoryEvents streams what happens to a repository: "movement" for each
// ref that moved, "job" when work on it begins, goes on or ends. A client that
// comes back with Last-Event-ID misses no movement.
func (s *Server) repositoryEvents(c *call) error {
	last, err := s.since(c)
	if err != nil {
		return err
	}
	var jobs changes[Job]
	return s.stream(c, func(ctx context.Context) ([]event, error) {
		var news []event
		log, err := s.Store.Movements(ctx, c.repo.ID, last, maxPage)
		if err != nil {
			return nil, err
		}
		for _, m := range log {
			last = m.Seq
			news = append(news, event{"movement", strconv.FormatInt(m.Seq, 10), movementOf(m)})
		}
		latest, err := s.Store.Jobs(ctx, store.JobFilter{Repository: c.repo.ID, Limit: 10})
		if err != nil {
			return nil, err
		}
		var work []Job
		for _, j := range latest {
			work = append(work, JobOf(j))
		}
		for _, j := range jobs.of(work, func(j Job) string { return fmt.Sprint(j.ID) }) {
			news = append(news, event{"job", "", j})
		}
		return news, nil
	})
}

// since is the movement after which a stream goes on: the one that a client
// which comes back names, else the latest.
func (s *Server) since(c *call) (int64, error) {
	if last, err := strconv.ParseInt(c.echo.Request().Header.Get("Last-Event-ID"), 10, 64); err == nil {
		return last, nil
	}
	return s.Store.LastMovement(c.ctx)
}

// watched is how many of the latest pushes, jobs and deliveries a stream
// compares with what it saw a second before.
const watched = 100

// changes remembers rows and tells which are new or differ from before.
type changes[Row comparable] struct {
	before map[string]Row
	begun  bool
}

// of returns the rows that changed, oldest first; rows come newest first. The
// first time there are none.
func (c *changes[Row]) of(rows []Row, id func(Row) string) []Row {
	now := make(map[string]Row, len(rows))
	var changed []Row
	for _, r := range slices.Backward(rows) {
		now[id(r)] = r
		if before, ok := c.before[id(r)]; c.begun && (!ok || before != r) {
			changed = append(changed, r)
		}
	}
	c.before, c.begun = now, true
	return changed
}

// pushNews, jobNews and deliveryNews are what a stream of everything says.
type (
	pushNews struct {
		ID         ferry.PushID    `json:"id"`
		Repository string          `json:"repository"`
		State      store.PushState `json:"state"`
		Reason     string          `json:"reason,omitempty"`
	}
	jobNews struct {
		Job
		Path string `json:"path,omitempty"` // of the repository
	}
	deliveryNews struct {
		ID         string `json:"id"`
		Kind       string `json:"kind"`
		State      string `json:"state"`
		Repository string `json:"repository,omitempty"`
		EntityID   string `json:"entity_id"`
		Attempts   int    `json:"attempts"`
		Problem    string `json:"problem,omitempty"`
	}
	movementNews struct {
		Repository string `json:"repository"`
		movement
	}
)

// allEvents streams what happens to everything that the subject may see:
// "movement" for each ref that moved and "job" for work in repositories that
// may be read; "push" and "delivery" for changes of those in repositories that
// may be maintained, to administrators of all. A client that comes back with
// Last-Event-ID misses no movement; of the others, only the latest hundred of
// each are watched.
func (s *Server) allEvents(c *call) error {
	last, err := s.since(c)
	if err != nil {
		return err
	}
	var pushes changes[pushNews]
	var jobs changes[jobNews]
	var deliveries changes[deliveryNews]
	return s.stream(c, func(ctx context.Context) ([]event, error) {
		paths, err := s.paths(ctx)
		if err != nil {
			return nil, err
		}
		administrator := c.may(ferry.ActionAdmin, "")
		sees := func(path string) bool { return path != "" && c.may(ferry.ActionRead, path) }
		keeps := func(path string) bool { return administrator || path != "" && c.may(ferry.ActionMaintain, path) }
		var news []event
		log, err := s.Store.AllMovements(ctx, last, 1000)
		if err != nil {
			return nil, err
		}
		for _, m := range log {
			last = m.Seq
			if path := paths[m.Repository]; sees(path) {
				news = append(news, event{"movement", strconv.FormatInt(m.Seq, 10), movementNews{path, movementOf(m)}})
			}
		}
		latest, err := s.Store.AllPushes(ctx, watched)
		if err != nil {
			return nil, err
		}
		var pushed []pushNews
		for _, p := range latest {
			if path := paths[p.Repository]; keeps(path) {
				pushed = append(pushed, pushNews{p.ID, path, p.State, p.Reason})
			}
		}
		for _, p := range pushes.of(pushed, func(p pushNews) string { return fmt.Sprint(p.ID) }) {
			news = append(news, event{"push", "", p})
		}
		work, err := s.Store.Jobs(ctx, store.JobFilter{Limit: watched})
		if err != nil {
			return nil, err
		}
		var worked []jobNews
		for _, j := range work {
			if path := paths[j.Repository]; sees(path) || administrator {
				worked = append(worked, jobNews{JobOf(j), path})
			}
		}
		for _, j := range jobs.of(worked, func(j jobNews) string { return fmt.Sprint(j.ID) }) {
			news = append(news, event{"job", "", j})
		}
		sent, err := s.Store.Deliveries(ctx, store.DeliveryFilter{Limit: watched})
		if err != nil {
			return nil, err
		}
		var heard []deliveryNews
		for _, d := range sent {
			if path := paths[d.Repository]; keeps(path) {
				heard = append(heard, deliveryNews{d.ID, d.Kind, d.State, path, d.EntityID, d.Attempts, d.Problem})
			}
		}
		for _, d := range deliveries.of(heard, func(d deliveryNews) string { return d.ID }) {
			news = append(news, event{"delivery", "", d})
		}
		return news, nil
	})
}

// paths are the paths of all repositories.
func (s *Server) paths(ctx context.Context) (map[ferry.RepositoryID]string, error) {
	repos, err := s.Store.Repositories(ctx, store.RepositoryFilter{})
	paths := make(map[ferry.RepositoryID]string, len(repos))
	for _, r := range repos {
		paths[r.ID] = r.Path()
	}
	return paths, err
}

// deliveryEvents streams "deliveries", the counts of admin/state, at first and
// whenever they change.
func (s *Server) deliveryEvents(c *call) error {
	before := ""
	return s.stream(c, func(ctx context.Context) ([]event, error) {
		n, err := s.Store.Counts(ctx)
		if err != nil {
			return nil, err
		}
		state := stateFromCounts(n)
		now := fmt.Sprint(state.Idle, state.Counts, state.UnresolvedPushes)
		if now == before {
			return nil, nil
		}
		before = now
		return []event{{"deliveries", "", map[string]any{"idle": state.Idle, "counts": state.Counts, "unresolved_pushes": state.UnresolvedPushes}}}, nil
	})
}

// events makes a route that streams.
func events(path, id, summary string, action ferry.Action, h func(*Server, *call) error) route {
	return route{method: http.MethodGet, path: path, id: id, summary: summary, action: action, status: http.StatusOK, stream: h}
}
