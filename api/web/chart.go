package web

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Size of a chart in its own units; the stylesheet scales it.
const (
	chartWidth  = 640
	chartHeight = 180
	chartLeft   = 48
	chartBottom = 24
	chartTop    = 12
)

// A chart is drawn by the template chart as inline SVG, with its numbers as a
// table beside it for those who do not see it.
type chart struct {
	ID, Title, Summary string
	Bars               []bar
	Lines              []string // points of up to two lines
	Legend             []string // of the lines
	Ticks              []tick   // at the left edge
	Labels             []tick   // at the lower edge
	Rows               [][]string
	Head               []string
	Empty              bool
}

type bar struct {
	X, Y, W, H float64
	Class      string
	Tip        string
}

type tick struct {
	X, Y float64
	Text string
}

// scale returns a round number not below max, for the upper end of an axis.
func scale(max float64) float64 {
	if max <= 0 {
		return 1
	}
	p := math.Pow(10, math.Floor(math.Log10(max)))
	for _, m := range []float64{1, 2, 5, 10} {
		if m*p >= max {
			return m * p
		}
	}
	return 10 * p
}

func chartY(v, top float64) float64 {
	return chartTop + (chartHeight-chartTop-chartBottom)*(1-v/top)
}

// dayChart draws one bar a day.
func dayChart(title string, from time.Time, days int, counts map[string]int, unit string) chart {
	c := chart{ID: "chart-" + strings.ReplaceAll(strings.ToLower(title), " ", "-"), Title: title, Head: []string{"Day", strings.ToUpper(unit[:1]) + unit[1:]}}
	most, total := 0, 0
	for _, n := range counts {
		most, total = max(most, n), total+n
	}
	c.Empty = total == 0
	top := scale(float64(most))
	step := float64(chartWidth-chartLeft) / float64(days)
	for i := range days {
		day := from.AddDate(0, 0, i)
		n := counts[day.Format(time.DateOnly)]
		y := chartY(float64(n), top)
		x := chartLeft + float64(i)*step
		if n > 0 {
			c.Bars = append(c.Bars, bar{X: x + 1, Y: y, W: step - 2, H: chartHeight - chartBottom - y, Class: "bar", Tip: day.Format("2 Jan") + ": " + num(n)})
		}
		if i%7 == 0 {
			c.Labels = append(c.Labels, tick{X: x, Y: chartHeight - 6, Text: day.Format("2 Jan")})
		}
		c.Rows = append(c.Rows, []string{day.Format("2 Jan 2006"), num(n)})
	}
	c.Ticks = []tick{{Y: chartY(top, top), Text: num(int(top))}, {Y: chartY(0, top), Text: "0"}}
	c.Summary = fmt.Sprintf("%s %s in %d days, at most %s on one day", num(total), unit, days, num(most))
	return c
}

func upper(s string) string { return strings.ToUpper(s) }
