package store

import (
	"context"
	"database/sql"
	"sync"
)

// maxPrepared bounds the statements that are kept ready. The texts of this
// package are fewer; those with lists of varying length may fill the rest.
const maxPrepared = 512

// readers is the pool of reading connections. It keeps statements ready: to
// make one ready takes longer than most of them run.
type readers struct {
	*sql.DB

	mu       sync.RWMutex
	prepared map[string]*sql.Stmt // guarded by mu; by text; closed with the pool
}

// statement returns the statement of a text, or nil where the pool itself has
// to do, and to say what is wrong.
func (r *readers) statement(ctx context.Context, text string) *sql.Stmt {
	r.mu.RLock()
	st, full := r.prepared[text], len(r.prepared) >= maxPrepared
	r.mu.RUnlock()
	if st != nil || full {
		return st
	}
	st, err := r.PrepareContext(ctx, text)
	if err != nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if other := r.prepared[text]; other != nil {
		st.Close()
		return other
	}
	if r.prepared == nil {
		r.prepared = make(map[string]*sql.Stmt)
	}
	r.prepared[text] = st
	return st
}

// QueryContext is that of sql.DB.
func (r *readers) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if st := r.statement(ctx, text); st != nil {
		return st.QueryContext(ctx, args...)
	}
	return r.DB.QueryContext(ctx, text, args...)
}

// QueryRowContext is that of sql.DB.
func (r *readers) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	if st := r.statement(ctx, text); st != nil {
		return st.QueryRowContext(ctx, args...)
	}
	return r.DB.QueryRowContext(ctx, text, args...)
}
