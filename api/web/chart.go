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
	chartLeft   = 0
	chartBottom = 24
	chartTop    = 28 // room for the highest value above its line
)

// A chart is drawn by the template chart as inline SVG, with its numbers as a
// table beside it for those who do not see it.
type chart struct {
	ID, Title, Summary string
	Bars               []bar
	Lines              []string // points of up to two lines
	Legend             []string // of the lines
	Top                string   // what the upper line stands for
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
	End  bool // the text ends at X
}

// label names a place on the lower edge, within the chart.
func label(x float64, text string) tick {
	const widest = 90
	if x > chartWidth-widest {
		return tick{X: chartWidth, Y: chartHeight - 6, Text: text, End: true}
	}
	return tick{X: x, Y: chartHeight - 6, Text: text}
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

// dayChart draws one bar a day of what is called one, and many when there are more.
func dayChart(title string, from time.Time, days int, counts map[string]int, one, many string) chart {
	c := chart{ID: "chart-" + strings.ReplaceAll(strings.ToLower(title), " ", "-"), Title: title, Head: []string{"Day", strings.ToUpper(many[:1]) + many[1:]}}
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
			c.Labels = append(c.Labels, label(x, day.Format("2 Jan")))
		}
		c.Rows = append(c.Rows, []string{day.Format("2 Jan 2006"), num(n)})
	}
	c.Top = plural(int(top), one, many)
	c.Summary = fmt.Sprintf("%s in %d days, at most %s on one day", plural(total, one, many), days, num(most))
	return c
}

func upper(s string) string { return strings.ToUpper(s) }
