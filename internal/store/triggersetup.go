package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// TriggerState is how far the triggers of an account are set up.
type TriggerState string

const (
	TriggersPending   TriggerState = "pending"   // subscribed, not confirmed yet
	TriggersConfirmed TriggerState = "confirmed" // messages come
	TriggersPolling   TriggerState = "polling"   // there are none; Problem says why
	TriggersEnded     TriggerState = "ended"     // somebody ended the subscription at AWS
)

// A TriggerSetup is what gitferry made at AWS for one account to be told of
// movements.
type TriggerSetup struct {
	Integration  ferry.IntegrationID
	State        TriggerState
	Topic        string    // ARN; empty: none yet
	Own          bool      // the topic is gitferry's, to be deleted with the integration
	Subscription string    // ARN; empty: none
	Endpoint     string    // fingerprint of the address that was subscribed
	AskedAt      time.Time // when the subscription was last asked for
	MessageAt    time.Time // when the last genuine message came
	Problem      string    // why there is polling only
	Missing      []string  // IAM actions that would help
	CheckedAt    time.Time
}

// TriggerSetup returns what is set up for an integration. It fails with
// ferry.ErrNotFound if nothing ever was.
func (s *Store) TriggerSetup(ctx context.Context, id ferry.IntegrationID) (TriggerSetup, error) {
	t, err := scanTriggerSetup(s.r.QueryRowContext(ctx, selectTriggerSetup+` WHERE integration_id = ?`, id))
	if err != nil {
		return t, fmt.Errorf("reading the triggers of integration %d: %w", id, kind(err))
	}
	return t, nil
}

// TriggerSetups returns the set-ups of all integrations.
func (s *Store) TriggerSetups(ctx context.Context) ([]TriggerSetup, error) {
	return collect(ctx, s.r, scanTriggerSetup, selectTriggerSetup+` ORDER BY integration_id`)
}

const selectTriggerSetup = `
	SELECT integration_id, state, topic, own, subscription, endpoint, asked_at, message_at, problem, missing, checked_at
	FROM trigger_setup`

func scanTriggerSetup(row scanner) (t TriggerSetup, err error) {
	err = row.Scan(&t.Integration, &t.State, &t.Topic, &t.Own, &t.Subscription, &t.Endpoint,
		stamp{&t.AskedAt}, stamp{&t.MessageAt}, &t.Problem, jsonColumn{&t.Missing}, stamp{&t.CheckedAt})
	return t, err
}

// SetTriggerSetup writes what is set up for t.Integration. MessageAt is left
// as it is (TakeTrigger moves it), and so is a confirmation that came for the
// subscription asked for at t.AskedAt.
func (s *Store) SetTriggerSetup(ctx context.Context, t TriggerSetup) error {
	return s.write(ctx, "writing a set-up of triggers", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO trigger_setup (
				integration_id, state, topic, own, subscription, endpoint, asked_at, message_at, problem, missing, checked_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?)
			ON CONFLICT (integration_id) DO UPDATE SET
				state = CASE WHEN excluded.state = 'pending' AND state = 'confirmed' AND asked_at = excluded.asked_at
					THEN state ELSE excluded.state END,
				topic = excluded.topic, own = excluded.own, subscription = excluded.subscription,
				endpoint = excluded.endpoint, asked_at = excluded.asked_at, problem = excluded.problem,
				missing = excluded.missing, checked_at = excluded.checked_at`,
			t.Integration, t.State, t.Topic, t.Own, t.Subscription, t.Endpoint, ms(t.AskedAt), t.Problem, asJSON(t.Missing), ms(t.CheckedAt))
		return err
	})
}

// ConfirmTriggers records that the subscription to a topic is confirmed. It
// fails with ferry.ErrNotFound if the integration does not use that topic.
func (s *Store) ConfirmTriggers(ctx context.Context, id ferry.IntegrationID, topic, subscription string) error {
	return s.write(ctx, "recording a confirmation", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE trigger_setup SET state = 'confirmed', subscription = ?, problem = '', missing = '[]'
			WHERE integration_id = ? AND topic = ?`, subscription, id, topic)
		return one(res, err, ferry.ErrNotFound)
	})
}

// EndTriggers records that the messages of an integration have ended: state
// is TriggersEnded or TriggersPolling. Its repositories are polled as if no
// trigger had ever come.
func (s *Store) EndTriggers(ctx context.Context, id ferry.IntegrationID, state TriggerState, problem string) error {
	return s.write(ctx, "recording the end of triggers", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `
			UPDATE trigger_setup SET state = ?, subscription = '', problem = ? WHERE integration_id = ?`, state, problem, id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			UPDATE timetable SET notified_at = 0, next_at = min(next_at, ?)
			WHERE notified_at > 0 AND repository_id IN (SELECT id FROM repository WHERE integration_id = ?)`, ms(s.now().Add(time.Minute)), id)
		return err
	})
}

// RecheckTriggers has everything that is set up for an integration looked at
// again.
func (s *Store) RecheckTriggers(ctx context.Context, id ferry.IntegrationID) error {
	return s.write(ctx, "having triggers looked at again", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE trigger_setup SET checked_at = 0 WHERE integration_id = ?`, id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			UPDATE repository_trigger SET checked_at = 0
			WHERE repository_id IN (SELECT id FROM repository WHERE integration_id = ?)`, id)
		return err
	})
}

// A RepositoryTrigger is the trigger in one repository's list at AWS.
type RepositoryTrigger struct {
	Repository ferry.RepositoryID
	Topic      string // where it leads; empty: it is not there
	Problem    string // why it is not there
	CheckedAt  time.Time
}

// RepositoryTriggers returns the triggers of an integration's repositories.
func (s *Store) RepositoryTriggers(ctx context.Context, id ferry.IntegrationID) (map[ferry.RepositoryID]RepositoryTrigger, error) {
	list, err := collect(ctx, s.r, func(row scanner) (t RepositoryTrigger, err error) {
		err = row.Scan(&t.Repository, &t.Topic, &t.Problem, stamp{&t.CheckedAt})
		return t, err
	}, `
		SELECT t.repository_id, t.topic, t.problem, t.checked_at
		FROM repository_trigger t JOIN repository r ON r.id = t.repository_id
		WHERE r.integration_id = ?`, id)
	if err != nil {
		return nil, fmt.Errorf("reading triggers of integration %d: %w", id, err)
	}
	out := make(map[ferry.RepositoryID]RepositoryTrigger, len(list))
	for _, t := range list {
		out[t.Repository] = t
	}
	return out, nil
}

// SetRepositoryTrigger writes what is known of a repository's trigger.
func (s *Store) SetRepositoryTrigger(ctx context.Context, t RepositoryTrigger) error {
	return s.write(ctx, "writing the trigger of a repository", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT OR REPLACE INTO repository_trigger (repository_id, topic, problem, checked_at)
			VALUES (?, ?, ?, ?)`, t.Repository, t.Topic, t.Problem, ms(t.CheckedAt))
		return err
	})
}

// A Taken is a call of a trigger and what it causes.
type Taken struct {
	Call  TriggerCall // Result is written unless the message is known already
	Topic string      // of a message with an id; empty: every call is new
	Jobs  []Job
	// Proof says that the call proves the subscription of Call.Integration to
	// be confirmed.
	Proof bool
}

// TakeTrigger records a call with everything that it causes, in one
// transaction. A message that was taken before causes nothing and is logged
// as "duplicate"; first tells.
func (s *Store) TakeTrigger(ctx context.Context, t Taken) (first bool, err error) {
	now := s.now()
	err = s.write(ctx, "taking a trigger", func(tx *sql.Tx) error {
		first = true
		if t.Topic != "" {
			res, err := tx.ExecContext(ctx, `
				INSERT INTO sns_message (topic, message_id, seen_at) VALUES (?, ?, ?)
				ON CONFLICT DO NOTHING`, t.Topic, t.Call.MessageID, ms(now))
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			first = n == 1
		}
		if !first {
			t.Call.Result = "duplicate"
			return addTriggerCall(ctx, tx, t.Call, now)
		}
		for _, j := range t.Jobs {
			if _, err := enqueue(ctx, tx, j, now); err != nil {
				return err
			}
			if j.Repository != 0 {
				if _, err := tx.ExecContext(ctx, `UPDATE timetable SET notified_at = ? WHERE repository_id = ?`, ms(now), j.Repository); err != nil {
					return err
				}
			}
		}
		if t.Proof {
			if _, err := tx.ExecContext(ctx, `
				UPDATE trigger_setup SET message_at = ?, state = CASE state WHEN 'pending' THEN 'confirmed' ELSE state END
				WHERE integration_id = ? AND topic = ?`, ms(now), t.Call.Integration, t.Topic); err != nil {
				return err
			}
		}
		return addTriggerCall(ctx, tx, t.Call, now)
	})
	return first && err == nil, err
}

// ClearTriggerCalls empties the log of trigger calls.
func (s *Store) ClearTriggerCalls(ctx context.Context) error {
	return s.write(ctx, "clearing the log of triggers", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM trigger_call`)
		return err
	})
}
