-- The next job is found in the order of the queue, without sorting all that
-- wait.

DROP INDEX job_by_state;
CREATE INDEX job_by_state ON job (state, priority DESC, not_before_at, id);
