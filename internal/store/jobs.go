package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// JobOp is what a job does.
type JobOp string

const (
	OpSync        JobOp = "sync"
	OpReindex     JobOp = "reindex"
	OpCopy        JobOp = "copy"
	OpPurge       JobOp = "purge"
	OpUpkeep      JobOp = "upkeep"
	OpWithdraw    JobOp = "withdraw"    // take back what Jira shows of the repository
	OpHistory     JobOp = "history"     // tell Jira of the repository once more; see SendHistory
	OpIntegration JobOp = "integration" // look at an account
	OpTriggers    JobOp = "triggers"    // set up, or take away, an account's triggers
)

// JobState is where a job stands.
type JobState string

const (
	JobQueued   JobState = "queued"
	JobRunning  JobState = "running"
	JobDone     JobState = "done"
	JobFailed   JobState = "failed"
	JobCanceled JobState = "canceled"
)

// A Job is one piece of background work on a repository or an integration.
type Job struct {
	ID          int64
	Repository  ferry.RepositoryID  // 0: none
	Integration ferry.IntegrationID // 0: none
	Op          JobOp
	Source      string // "manual", "webhook", "scheduled", "push" or "initial"
	Priority    int    // higher goes first
	State       JobState
	QueuedAt    time.Time
	NotBefore   time.Time // zero: at once; at most 24 hours ahead
	StartedAt   time.Time
	FinishedAt  time.Time
	Problem     string
	Done, Total int64 // progress; Total 0: not known
}

// A JobFilter narrows Jobs. Zero fields do not narrow.
type JobFilter struct {
	Repository  ferry.RepositoryID
	Integration ferry.IntegrationID
	Op          JobOp
	State       JobState
	Limit       int   // 0 or more than 1000: 1000
	Before      int64 // ids below this one
}

// Enqueue queues a job and returns its id. There is one queued job per
// repository or integration and operation: a second one takes the higher
// priority (and that one's source) and the nearer time. A running job does
// not stop another from being queued behind it.
func (s *Store) Enqueue(ctx context.Context, j Job) (id int64, err error) {
	err = s.write(ctx, "queueing a "+string(j.Op)+" job", func(tx *sql.Tx) error {
		id, err = enqueue(ctx, tx, j, s.now())
		return err
	})
	return id, err
}

func enqueue(ctx context.Context, tx *sql.Tx, j Job, now time.Time) (id int64, err error) {
	switch j.Op {
	case OpSync, OpReindex, OpCopy, OpPurge, OpUpkeep, OpHistory, OpWithdraw, OpIntegration, OpTriggers:
	default:
		return 0, invalid("operation %.40q of a job", j.Op)
	}
	if j.NotBefore.Before(now) {
		j.NotBefore = now
	}
	err = tx.QueryRowContext(ctx, `
		INSERT INTO job (
			repository_id, integration_id, op, source, priority, state, queued_at, not_before_at,
			started_at, finished_at, problem, done, total, boot)
		VALUES (?, ?, ?, ?, ?, 'queued', ?, ?, 0, 0, '', 0, 0, '')
		ON CONFLICT (COALESCE(repository_id, 0), COALESCE(integration_id, 0), op) WHERE state = 'queued'
		DO UPDATE SET
			source = CASE WHEN excluded.priority > priority THEN excluded.source ELSE source END,
			priority = max(priority, excluded.priority),
			not_before_at = min(not_before_at, excluded.not_before_at)
		RETURNING id`,
		orNull(j.Repository), orNull(j.Integration), j.Op, j.Source, j.Priority,
		ms(now), ms(j.NotBefore)).Scan(&id)
	return id, err
}

const jobColumns = `
	id, COALESCE(repository_id, 0), COALESCE(integration_id, 0), op, source, priority, state,
	queued_at, not_before_at, started_at, finished_at, problem, done, total`

func scanJob(row scanner) (j Job, err error) {
	err = row.Scan(&j.ID, &j.Repository, &j.Integration, &j.Op, &j.Source, &j.Priority, &j.State,
		stamp{&j.QueuedAt}, stamp{&j.NotBefore}, stamp{&j.StartedAt}, stamp{&j.FinishedAt}, &j.Problem, &j.Done, &j.Total)
	return j, err
}

// jobReady says that job q may start: it is due (a time beyond maxWait stems
// from a step of the clock) and its repository or integration has no running
// job. Its arguments are now and now + maxWait.
const jobReady = `
	q.state = 'queued' AND (q.not_before_at <= ?1 OR q.not_before_at > ?2)
	AND NOT EXISTS (
		SELECT 1 FROM job b
		WHERE b.state = 'running' AND b.repository_id IS q.repository_id AND b.integration_id IS q.integration_id)`

// queryNextJob finds the job to start. A job that waits for its time, or for
// another of its repository, is passed over.
const queryNextJob = `
	SELECT q.id FROM job q
	WHERE ` + jobReady + `
	ORDER BY q.priority DESC, q.not_before_at, q.id
	LIMIT 1`

// ClaimJob starts the due job of the highest priority and returns it; ok is
// false if there is none. Of one repository or integration only one job runs
// at a time. boot names this process, for RequeueRunning.
func (s *Store) ClaimJob(ctx context.Context, boot string) (j Job, ok bool, err error) {
	err = s.write(ctx, "claiming a job", func(tx *sql.Tx) error {
		now := s.now()
		j, err = scanJob(tx.QueryRowContext(ctx, `
			UPDATE job SET state = 'running', started_at = ?1, boot = ?3
			WHERE id = (`+queryNextJob+`)
			RETURNING `+jobColumns, ms(now), ms(now.Add(maxWait)), boot))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		ok = err == nil
		return err
	})
	if err != nil || !ok {
		return Job{}, false, err
	}
	return j, true, nil
}

// ProgressJob records how far a running job is. It fails with
// ferry.ErrConflict if the job is not running any more: it was canceled, and
// whoever runs it stops.
func (s *Store) ProgressJob(ctx context.Context, id, done, total int64) error {
	return s.write(ctx, fmt.Sprintf("recording progress of job %d", id), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE job SET done = ?, total = ?
			WHERE id = ? AND state = 'running'`, done, total, id)
		return one(res, err, conflict("job %d is not running any more", id))
	})
}

// A JobEnd is what becomes of a job.
type JobEnd struct {
	Problem string    // empty: the job is done
	Look    *Look     // nil: the job looked at no repository
	Lines   []LogLine // for people to read
}

// FinishJob ends a running job: done, or with a problem failed. A job that
// was canceled meanwhile stays canceled. All that the end brings is written in
// one transaction; what concerns a repository or integration that is gone by
// now goes with it.
func (s *Store) FinishJob(ctx context.Context, id int64, end JobEnd) error {
	state := JobDone
	if end.Problem != "" {
		state = JobFailed
	}
	return s.write(ctx, fmt.Sprintf("finishing job %d", id), func(tx *sql.Tx) error {
		var there bool
		err := tx.QueryRowContext(ctx, `
			UPDATE job SET
				state = CASE state WHEN 'running' THEN ?1 ELSE state END,
				problem = CASE state WHEN 'running' THEN ?2 ELSE problem END,
				finished_at = CASE state WHEN 'running' THEN ?3 ELSE finished_at END,
				boot = ''
			WHERE id = ?4
			RETURNING TRUE`, state, end.Problem, ms(s.now()), id).Scan(&there)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // removed with what it worked on
		}
		if err != nil {
			return err
		}
		if end.Look != nil {
			if err := looked(ctx, tx, *end.Look, s.now()); err != nil {
				return err
			}
		}
		for _, l := range end.Lines {
			if err := addLog(ctx, tx, l, s.now()); err != nil {
				return err
			}
		}
		return nil
	})
}

// CancelJob cancels a queued or running job; a running one learns of it by
// ProgressJob. A job that ended fails with ferry.ErrConflict.
func (s *Store) CancelJob(ctx context.Context, id int64) error {
	return s.write(ctx, fmt.Sprintf("canceling job %d", id), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE job SET state = 'canceled', finished_at = ?, boot = ''
			WHERE id = ? AND state IN ('queued', 'running')`, ms(s.now()), id)
		return one(res, err, conflict("job %d is neither queued nor running", id))
	})
}

// CancelQueued cancels all queued jobs, leaves running ones, and returns how
// many it canceled.
func (s *Store) CancelQueued(ctx context.Context) (int, error) {
	var n int64
	err := s.write(ctx, "clearing the queue", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE job SET state = 'canceled', finished_at = ? WHERE state = 'queued'`, ms(s.now()))
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return int(n), err
}

// Jobs returns jobs, newest first.
func (s *Store) Jobs(ctx context.Context, f JobFilter) ([]Job, error) {
	var w where
	if f.Repository != 0 {
		w.add("repository_id = ?", f.Repository)
	}
	if f.Integration != 0 {
		w.add("integration_id = ?", f.Integration)
	}
	if f.Op != "" {
		w.add("op = ?", f.Op)
	}
	if f.State != "" {
		w.add("state = ?", f.State)
	}
	if f.Before != 0 {
		w.add("id < ?", f.Before)
	}
	list, err := collect(ctx, s.r, scanJob, `SELECT `+jobColumns+` FROM job`+w.String()+`
		ORDER BY id DESC LIMIT ?`, append(w.args, limited(f.Limit, 1000))...)
	if err != nil {
		return nil, fmt.Errorf("reading jobs: %w", err)
	}
	return list, nil
}

// RequeueRunning queues the jobs again that earlier processes were running;
// boot names the present one. Where the same work is queued already, the
// interrupted job is canceled instead.
func (s *Store) RequeueRunning(ctx context.Context, boot string) error {
	return s.write(ctx, "queueing interrupted jobs again", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `
			UPDATE job SET state = 'canceled', finished_at = ?1, boot = '', problem = 'interrupted by a restart'
			WHERE state = 'running' AND boot <> ?2 AND EXISTS (
				SELECT 1 FROM job b
				WHERE b.op = job.op AND b.repository_id IS job.repository_id AND b.integration_id IS job.integration_id
					AND (b.state = 'queued' OR b.state = 'running' AND b.boot <> ?2 AND b.id < job.id))`,
			ms(s.now()), boot); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			UPDATE job SET state = 'queued', started_at = 0, boot = ''
			WHERE state = 'running' AND boot <> ?`, boot)
		return err
	})
}
