package index

import (
	"testing"
	"time"

	"gitferry/internal/store"
)

// The numbers of product-behaviour.md 8.2, which may vary by a tenth.
func TestWait(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	x := &Index{PollMin: 450 * time.Second, PollTriggered: time.Hour, PollMax: 24 * time.Hour}
	for name, c := range map[string]struct {
		table           store.Timetable
		changed, failed bool
		want            time.Duration
	}{
		"never moved":              {store.Timetable{}, false, false, 450 * time.Second},
		"moved just now":           {store.Timetable{ChangedAt: ago(48 * time.Hour)}, true, false, 450 * time.Second},
		"quiet for a day":          {store.Timetable{ChangedAt: ago(24 * time.Hour)}, false, false, 6 * time.Hour},
		"quiet for a year":         {store.Timetable{ChangedAt: ago(365 * 24 * time.Hour)}, false, false, 24 * time.Hour},
		"with triggers":            {store.Timetable{ChangedAt: ago(time.Hour), NotifiedAt: ago(time.Hour)}, false, false, time.Hour},
		"with triggers, for a day": {store.Timetable{ChangedAt: ago(24 * time.Hour), NotifiedAt: ago(24 * time.Hour)}, false, false, 6 * time.Hour},
		"the first copy failed":    {store.Timetable{}, false, true, time.Minute},
		"failed, worked just now":  {store.Timetable{LookedAt: ago(time.Minute), NotifiedAt: ago(time.Hour)}, false, true, 450 * time.Second},
		"failed for a long time":   {store.Timetable{LookedAt: ago(24 * time.Hour), ChangedAt: ago(48 * time.Hour)}, false, true, 15 * time.Minute},
	} {
		got := x.wait(now, c.table, c.changed, c.failed)
		if got < c.want*9/10 || got > c.want*11/10+1 {
			t.Errorf("%s: the next look is in %s, want about %s", name, got, c.want)
		}
	}
	if got := (&Index{PollMax: time.Hour}).wait(now, store.Timetable{}, true, false); got != never {
		t.Errorf("polling switched off: the next look is in %s", got)
	}
}
