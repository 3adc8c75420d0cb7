package store

import (
	"encoding/json"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// ms and at translate times; the zero time is 0.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// A stamp scans a time column.
type stamp struct{ t *time.Time }

func (s stamp) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("time column holds %T", v)
	}
	*s.t = at(n)
	return nil
}

// An oidColumn scans an object name column.
type oidColumn struct{ o *ferry.OID }

func (c oidColumn) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(c.o) {
		return fmt.Errorf("object name column holds %T of %d bytes", v, len(b))
	}
	copy(c.o[:], b)
	return nil
}

// A jsonColumn scans a column of JSON.
type jsonColumn struct{ v any }

func (c jsonColumn) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("JSON column holds %T", v)
	}
	return json.Unmarshal([]byte(text), c.v)
}

// asJSON encodes a list for a JSON column; a nil list becomes [].
func asJSON[T any](list []T) string {
	if len(list) == 0 {
		return "[]"
	}
	b, err := json.Marshal(list)
	if err != nil {
		panic("store: encoding a list of plain values: " + err.Error()) // strings, OIDs and structs of them
	}
	return string(b)
}

// orNull stores 0 as NULL, for references.
func orNull[T ~int64](id T) any {
	if id == 0 {
		return nil
	}
	return int64(id)
}

// limited returns n within 1 and 1000, or otherwise when n is 0 or beyond.
func limited(n, otherwise int) int {
	if n <= 0 || n > 1000 {
		return otherwise
	}
	return n
}
