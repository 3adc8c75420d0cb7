package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// chartDays is how far back charts go.
const chartDays = 30

// pushChart counts pushes per day.
func (s *Server) pushChart(r *request) (chart, error) {
	today := r.now.UTC().Truncate(24 * time.Hour)
	from := today.AddDate(0, 0, 1-chartDays)
	list, err := s.Store.PushBuckets(r.ctx(), 0, from, 24*time.Hour)
	counts := make(map[string]int, len(list))
	for _, b := range list {
		counts[b.From.Format(time.DateOnly)] = b.Count
	}
	return dayChart("Pushes per day", from, chartDays, counts, "pushes"), err
}

// latencyChart draws how long commands waited over the last 24 hours: mean
// and longest, hour by hour.
func (s *Server) latencyChart(r *request) (chart, error) {
	const hours = 24
	from := r.now.UTC().Truncate(time.Hour).Add(-(hours - 1) * time.Hour)
	list, err := s.Store.DeliveryBuckets(r.ctx(), from, time.Hour)
	c := chart{ID: "chart-latency", Title: "Time until a command has run, last 24 hours", Legend: []string{"mean", "longest"}, Head: []string{"Hour", "Commands", "Mean", "Longest"}}
	if err != nil {
		return c, err
	}
	byHour := make(map[int64]store.Bucket, len(list))
	longest, total := time.Duration(0), 0
	for _, b := range list {
		byHour[b.From.Unix()] = b
		longest, total = max(longest, b.Max), total+b.Count
	}
	c.Empty = total == 0
	top := scale(longest.Seconds())
	step := float64(chartWidth-chartLeft) / (hours - 1)
	var mean, most strings.Builder
	for i := range hours {
		at := from.Add(time.Duration(i) * time.Hour)
		b := byHour[at.Unix()]
		x := chartLeft + float64(i)*step
		fmt.Fprintf(&mean, "%.1f,%.1f ", x, chartY(b.Mean.Seconds(), top))
		fmt.Fprintf(&most, "%.1f,%.1f ", x, chartY(b.Max.Seconds(), top))
		if i%6 == 0 {
			c.Labels = append(c.Labels, tick{X: x, Y: chartHeight - 6, Text: at.Format("15:04")})
		}
		c.Rows = append(c.Rows, []string{at.Format("15:04"), num(b.Count), durationText(b.Mean), durationText(b.Max)})
	}
	c.Lines = []string{mean.String(), most.String()}
	c.Ticks = []tick{{Y: chartY(top, top), Text: durationText(time.Duration(top * float64(time.Second)))}, {Y: chartY(0, top), Text: "0"}}
	c.Summary = fmt.Sprintf("%s, the longest waited %s", plural(total, "command", "commands"), durationText(longest))
	return c, nil
}

// freshChart draws how long ago each upstream was looked at, the oldest first.
func (s *Server) freshChart(r *request) (chart, error) {
	const most = 20
	c := chart{ID: "chart-fresh", Title: "Age of mirrors", Head: []string{"Repository", "Last look"}}
	repos, err := s.Store.Repositories(r.ctx(), store.RepositoryFilter{State: ferry.RepositoryEnabled})
	if err != nil {
		return c, err
	}
	type age struct {
		name   string
		age    time.Duration
		failed bool
	}
	var ages []age
	for _, repo := range repos {
		view, err := s.Mirror.View(r.ctx(), repo)
		if err != nil {
			return c, err
		}
		if !view.LookedAt.IsZero() {
			ages = append(ages, age{repo.Path(), r.now.Sub(view.LookedAt), view.Failure != nil})
		}
	}
	sortBy(ages, func(a, b age) int { return int(b.age/time.Second) - int(a.age/time.Second) })
	c.Empty = len(ages) == 0
	stale := 0
	for _, a := range ages {
		if a.failed {
			stale++
		}
	}
	ages = ages[:min(len(ages), most)]
	if len(ages) > 0 {
		top := scale(ages[0].age.Seconds())
		step := float64(chartWidth-chartLeft) / float64(len(ages))
		for i, a := range ages {
			y := chartY(a.age.Seconds(), top)
			class := "bar"
			if a.failed {
				class = "badbar"
			}
			c.Bars = append(c.Bars, bar{X: chartLeft + float64(i)*step + 1, Y: y, W: max(1, min(step-2, 40)), H: max(1, chartHeight-chartBottom-y), Class: class, Tip: a.name + ": " + durationText(a.age)})
			c.Rows = append(c.Rows, []string{a.name, durationText(a.age) + " ago"})
		}
		c.Ticks = []tick{{Y: chartY(top, top), Text: durationText(time.Duration(top * float64(time.Second)))}, {Y: chartY(0, top), Text: "0"}}
		c.Summary = fmt.Sprintf("the oldest look is %s old; %s", durationText(ages[0].age), plural(stale, "upstream does not answer", "upstreams do not answer"))
	}
	return c, nil
}

type activityView struct {
	page
	Section string
	Charts  []chart
	Counts  store.Counts
}

// adminActivity shows the charts.
func (s *Server) adminActivity(r *request) error {
	v := activityView{page: s.page(r, "Activity", "admin"), Section: "activity"}
	for _, make := range []func(*request) (chart, error){s.pushChart, s.latencyChart, s.freshChart} {
		c, err := make(r)
		if err != nil {
			return err
		}
		v.Charts = append(v.Charts, c)
	}
	var err error
	if v.Counts, err = s.Store.Counts(r.ctx()); err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "admin_activity", &v)
}
