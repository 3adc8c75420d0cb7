package web

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
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
	return dayChart("Pushes per day", from, chartDays, counts, "push", "pushes"), err
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
			c.Labels = append(c.Labels, label(x, at.Format("15:04")))
		}
		c.Rows = append(c.Rows, []string{at.Format("15:04"), num(b.Count), durationText(b.Mean), durationText(b.Max)})
	}
	c.Lines = []string{mean.String(), most.String()}
	c.Top = durationText(time.Duration(top * float64(time.Second)))
	c.Summary = fmt.Sprintf("%s, the longest waited %s", plural(total, "command", "commands"), durationText(longest))
	return c, nil
}

// queueChart draws how many commands waited at each full hour of the last 24.
func (s *Server) queueChart(r *request) (chart, error) {
	const hours = 24
	from := r.now.UTC().Truncate(time.Hour).Add(-(hours - 1) * time.Hour)
	c := chart{ID: "chart-queue", Title: "Commands that waited, last 24 hours", Legend: []string{"waiting"}, Head: []string{"Hour", "Waiting"}}
	lengths, err := s.Store.QueueLengths(r.ctx(), from, time.Hour, hours)
	if err != nil {
		return c, err
	}
	most := slices.Max(lengths)
	c.Empty = most == 0
	top := scale(float64(most))
	step := float64(chartWidth-chartLeft) / (hours - 1)
	var line strings.Builder
	for i, n := range lengths {
		at := from.Add(time.Duration(i) * time.Hour)
		x := chartLeft + float64(i)*step
		fmt.Fprintf(&line, "%.1f,%.1f ", x, chartY(float64(n), top))
		if i%6 == 0 {
			c.Labels = append(c.Labels, label(x, at.Format("15:04")))
		}
		c.Rows = append(c.Rows, []string{at.Format("15:04"), num(n)})
	}
	c.Lines = []string{line.String()}
	c.Top = num(int(top))
	c.Summary = "At most " + plural(most, "command", "commands") + " waited at a full hour."
	return c, nil
}

// A freshRow is a mirror in the list of ages.
type freshRow struct {
	Name, Href string
	Age        time.Duration
	Failed     bool
	Width      float64 // of its bar, of 100
}

// A freshness is how long ago upstreams were looked at, the oldest first.
type freshness struct {
	Rows    []freshRow
	Summary string
}

// mirrorAges tells how old the mirrors of the twenty oldest repositories are.
func (s *Server) mirrorAges(r *request) (freshness, error) {
	const most = 20
	var f freshness
	repos, err := s.Store.Repositories(r.ctx(), store.RepositoryFilter{State: ferry.RepositoryEnabled})
	if err != nil {
		return f, err
	}
	stale := 0
	for _, repo := range repos {
		view, err := s.Mirror.View(r.ctx(), repo)
		if err != nil {
			return f, err
		}
		if view.LookedAt.IsZero() {
			continue
		}
		f.Rows = append(f.Rows, freshRow{Name: repo.Path(), Href: repositoryAdminPath(repo.ID), Age: max(0, r.now.Sub(view.LookedAt)), Failed: view.Failure != nil})
		if view.Failure != nil {
			stale++
		}
	}
	if len(f.Rows) == 0 {
		return f, nil
	}
	sortBy(f.Rows, func(a, b freshRow) int { return cmp.Compare(b.Age, a.Age) })
	f.Summary = fmt.Sprintf("The oldest look is %s old; %s.", durationText(f.Rows[0].Age), plural(stale, "upstream does not answer", "upstreams do not answer"))
	f.Rows = f.Rows[:min(len(f.Rows), most)]
	top := scale(f.Rows[0].Age.Seconds())
	for i := range f.Rows {
		f.Rows[i].Width = max(1, f.Rows[i].Age.Seconds()/top*100)
	}
	return f, nil
}

type activityView struct {
	page
	Section string
	Charts  []chart
	Mirrors freshness
	Counts  store.Counts
}

// adminActivity shows the charts.
func (s *Server) adminActivity(r *request) error {
	v := activityView{page: s.page(r, "Activity", "admin"), Section: "activity"}
	for _, make := range []func(*request) (chart, error){s.pushChart, s.latencyChart, s.queueChart} {
		c, err := make(r)
		if err != nil {
			return err
		}
		v.Charts = append(v.Charts, c)
	}
	var err error
	if v.Mirrors, err = s.mirrorAges(r); err != nil {
		return err
	}
	if v.Counts, err = s.Store.Counts(r.ctx()); err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "admin_activity", &v)
}
