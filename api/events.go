package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
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
	last, err := strconv.ParseInt(c.echo.Request().Header.Get("Last-Event-ID"), 10, 64)
	if err != nil {
		if last, err = s.lastMovement(c); err != nil {
			return err
		}
	}
	jobs := make(map[int64]Job)
	first := true
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
		now := make(map[int64]Job, len(latest))
		for _, j := range latest {
			now[j.ID] = JobOf(j)
			if before, ok := jobs[j.ID]; !first && (!ok || before != now[j.ID]) {
				news = append(news, event{"job", "", now[j.ID]})
			}
		}
		jobs, first = now, false
		return news, nil
	})
}

// lastMovement returns the end of a repository's log.
func (s *Server) lastMovement(c *call) (last int64, err error) {
	for {
		log, err := s.Store.Movements(c.ctx, c.repo.ID, last, 1000)
		if err != nil || len(log) == 0 {
			return last, err
		}
		last = log[len(log)-1].Seq
	}
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
