package store

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// notBefore is the cursor of the newest row there can be.
var notBefore = [2]int64{math.MaxInt64, math.MaxInt64}

// cursor writes the place of a row in a list by (time, id), newest first.
func cursor(at, id int64) string { return fmt.Sprintf("%d.%d", at, id) }

// parseCursor reads what cursor wrote; empty is notBefore.
func parseCursor(s string) (c [2]int64, err error) {
	if s == "" {
		return notBefore, nil
	}
	time, id, _ := strings.Cut(s, ".")
	for i, part := range []string{time, id} {
		if c[i], err = strconv.ParseInt(part, 10, 64); err != nil {
			return c, invalid("cursor %.40q: want one that a list gave", s)
		}
	}
	return c, nil
}
