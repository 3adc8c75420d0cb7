package mirror

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
)

// copyCall is a first copy in progress, shared by all who wait for it.
type copyCall struct {
	done chan struct{}
	err  error // set before done is closed

	mu   sync.Mutex
	line string // guarded by mu; git's latest progress line
}

// Write keeps the latest complete progress line of git.
func (c *copyCall) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for part := range bytes.FieldsFuncSeq(p, func(r rune) bool { return r == '\r' || r == '\n' }) {
		if len(part) <= 200 {
			c.line = string(part)
		}
	}
	return len(p), nil
}

func (c *copyCall) latest() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.line
}

// Copy makes the first copy of repo if there is none yet and waits for it.
// Concurrent calls share one copy, which goes on when a caller gives up.
// progress, if not nil, is called about once a second with git's own progress
// line. Errors are those of Refresh.
func (d *Dir) Copy(ctx context.Context, repo ferry.Repository, progress func(line string)) error {
	s, err := d.state(ctx, repo)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.copied {
		s.mu.Unlock()
		return nil
	}
	call := s.copying
	if call == nil {
		call = &copyCall{done: make(chan struct{})}
		s.copying = call
		go d.copy(context.WithoutCancel(ctx), repo, s, call)
	}
	s.mu.Unlock()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := ""; ; {
		select {
		case <-call.done:
			return call.err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if line := call.latest(); progress != nil && line != last {
				progress(line)
				last = line
			}
		}
	}
}

// copy runs a first copy to its end.
func (d *Dir) copy(ctx context.Context, repo ferry.Repository, s *state, call *copyCall) {
	err := errUpstreamMoved
	for try := 0; try < lookRetries && errors.Is(err, errUpstreamMoved); try++ {
		err = d.contained(func() error { return d.firstCopy(ctx, repo, s, call) })
	}
	s.mu.Lock()
	s.copying = nil
	s.mu.Unlock()
	d.judge(ctx, repo, err)
	call.err = err
	close(call.done)
	if err == nil && d.Moved != nil {
		d.Moved(repo.ID)
	}
}

func (d *Dir) firstCopy(ctx context.Context, repo ferry.Repository, s *state, call *copyCall) error {
	start := d.now()
	if err := git.Init(s.path); err != nil {
		return err
	}
	if err := writeConfig(s.path); err != nil {
		return err
	}
	theirs, head, err := d.upstreamRefs(ctx, repo, s)
	if err != nil {
		return err
	}
	// A copy that was cut short may have left refs behind.
	left, err := d.Git.Refs(ctx, s.path)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.know(left)
	if head != "" {
		s.setHead(head)
	}
	epoch := s.epoch
	s.mu.Unlock()
	if _, err := d.moveTo(ctx, repo, s, theirs, epoch, call); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.path, copiedMark), nil, 0o600); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.copied, s.ahead, s.sorted = true, nil, nil
	if len(theirs) > 0 {
		s.packs = upkeepAfter // what makes reads fast is not there yet
	}
	s.lookedAt, s.failure = start, nil
	return nil
}
