package store

import (
	"context"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// A Bucket counts what fell into one span of time.
type Bucket struct {
	From  time.Time
	Count int
	// Mean and Max are waiting times of what was delivered; zero for pushes.
	Mean, Max time.Duration
}

// PushBuckets counts the pushes since a time, in spans of the given length;
// spans without a push are not in the list. A repository of 0 is all of them.
func (s *Store) PushBuckets(ctx context.Context, repo ferry.RepositoryID, since time.Time, span time.Duration) ([]Bucket, error) {
	return s.buckets(ctx, "counting pushes", `
		SELECT received_at / ?1 * ?1, COUNT(*), 0, 0
		FROM push INDEXED BY push_by_time
		WHERE received_at >= ?2 AND (?3 = 0 OR repository_id = ?3)
		GROUP BY 1
		ORDER BY 1`, span.Milliseconds(), ms(since), repo)
}

// DeliveryBuckets tells how long the commands queued since a time waited
// until they were done, in spans of the given length by when they were queued.
func (s *Store) DeliveryBuckets(ctx context.Context, since time.Time, span time.Duration) ([]Bucket, error) {
	return s.buckets(ctx, "reading delivery times", `
		SELECT created_at / ?1 * ?1, COUNT(*), CAST(AVG(done_at - created_at) AS INTEGER), MAX(done_at - created_at)
		FROM action INDEXED BY action_by_time
		WHERE created_at >= ?2 AND state = 'done' AND done_at > 0
		GROUP BY 1
		ORDER BY 1`, span.Milliseconds(), ms(since))
}

func (s *Store) buckets(ctx context.Context, what, query string, args ...any) ([]Bucket, error) {
	list, err := collect(ctx, s.r, func(row scanner) (b Bucket, err error) {
		var mean, longest int64
		err = row.Scan(stamp{&b.From}, &b.Count, &mean, &longest)
		b.Mean, b.Max = time.Duration(mean)*time.Millisecond, time.Duration(longest)*time.Millisecond
		return b, err
	}, query, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return list, nil
}

// queuedFor is how long a command may wait before it is given up: older rows
// are in no queue.
const queuedFor = 7 * 24 * time.Hour

// QueueLengths tells how many commands waited at each of n moments, the first
// at since and then each span later.
func (s *Store) QueueLengths(ctx context.Context, since time.Time, span time.Duration, n int) ([]int, error) {
	rows, err := s.r.QueryContext(ctx, `
		SELECT created_at, CASE WHEN done_at = 0 AND state IN ('dead', 'skipped', 'done') THEN created_at ELSE done_at END
		FROM action INDEXED BY action_by_time
		WHERE created_at >= ?`, ms(since.Add(-queuedFor)))
	if err != nil {
		return nil, fmt.Errorf("counting waiting commands: %w", err)
	}
	defer rows.Close()
	// The first moment that is not before a time.
	moment := func(at int64) int {
		d := at - ms(since)
		if d <= 0 {
			return 0
		}
		return int(min(int64(n), (d+span.Milliseconds()-1)/span.Milliseconds()))
	}
	change := make([]int, n+1)
	for rows.Next() {
		var created, done int64
		if err := rows.Scan(&created, &done); err != nil {
			return nil, fmt.Errorf("counting waiting commands: %w", err)
		}
		change[moment(created)]++
		if done != 0 {
			change[moment(done)]--
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("counting waiting commands: %w", err)
	}
	lengths, waiting := make([]int, n), 0
	for i := range lengths {
		waiting += change[i]
		lengths[i] = waiting
	}
	return lengths, nil
}
