package bench

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A sample is what one run of one side took.
type sample struct {
	wall time.Duration
	cpu  time.Duration // of the server and its children
	peak int64         // bytes resident, server and children; 0: not watched
	own  int64         // of peak, the most of the server itself at any time
}

// A side is one of the two that are compared.
type side struct {
	pid    int             // of the server
	run    func(round int) // what is measured
	rss    bool            // watch memory
	settle func(round int) // waits for what goes on after the answer, may be nil
	end    func(round int) // after the measurement, may be nil
}

// A row is a line of the table.
type row struct {
	what, against, mark string
	wall, cpu           []float64 // ratios, one a round
	ours, theirs        []sample
	note                string
	idle                int64 // bytes resident of our server before; 0: not told
}

// compare runs both sides in turn, the order changing, after one round that
// does not count.
func (b *bench) compare(what, against, mark string, rounds int, ours, theirs side) *row {
	b.t.Helper()
	r := &row{what: what, against: against, mark: mark}
	for i := range rounds + 1 {
		var a, c sample
		if i%2 == 0 {
			a, c = b.measure(ours, i), b.measure(theirs, i)
		} else {
			c, a = b.measure(theirs, i), b.measure(ours, i)
		}
		if i == 0 {
			continue
		}
		r.ours, r.theirs = append(r.ours, a), append(r.theirs, c)
		r.wall = append(r.wall, float64(a.wall)/float64(c.wall))
		if c.cpu > 0 {
			r.cpu = append(r.cpu, float64(a.cpu)/float64(c.cpu))
		}
	}
	b.add(r)
	return r
}

func (b *bench) add(r *row) {
	b.rows = append(b.rows, r)
	b.t.Log(r.line())
}

func (b *bench) measure(s side, round int) sample {
	b.t.Helper()
	var peak *watch
	if s.rss {
		peak = watchMemory(s.pid)
	}
	before := cpuOf(b.t, s.pid)
	start := time.Now()
	s.run(round)
	out := sample{wall: time.Since(start)}
	if s.settle != nil {
		s.settle(round)
	}
	time.Sleep(60 * time.Millisecond) // what follows an answer belongs to it
	out.cpu = cpuOf(b.t, s.pid) - before
	if peak != nil {
		out.peak, out.own = peak.stop()
	}
	if s.end != nil {
		s.end(round)
	}
	return out
}

const clockTick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on

// cpuOf is the processor time of a process and of its children that ended.
func cpuOf(t testing.TB, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	// Fields 14 to 17 (proc(5)) count from behind the name in brackets.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks int64
	for _, f := range fields[11:15] {
		n, err := strconv.ParseInt(f, 10, 64)
		must(t, err)
		ticks += n
	}
	return time.Duration(ticks) * clockTick
}

// resident is the memory of a process that is its own or mapped from files.
func resident(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}

// A watch samples the memory of a process with its children.
type watch struct {
	end  chan struct{}
	done sync.WaitGroup
	most int64
	own  int64
}

func watchMemory(pid int) *watch {
	w := &watch{end: make(chan struct{})}
	w.done.Go(func() {
		for {
			sum := resident(pid)
			w.own = max(w.own, sum)
			for _, child := range children(pid) {
				sum += resident(child)
			}
			w.most = max(w.most, sum)
			select {
			case <-w.end:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return w
}

// stop returns the most that both were together, and the process alone.
func (w *watch) stop() (most, own int64) {
	close(w.end)
	w.done.Wait()
	return w.most, w.own
}

// children lists the processes below pid.
func children(pid int) []int {
	var all []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, l := range lists {
		b, _ := os.ReadFile(l)
		for f := range strings.FieldsSeq(string(b)) {
			if n, err := strconv.Atoi(f); err == nil {
				all = append(append(all, n), children(n)...)
			}
		}
	}
	return all
}

// spread is the median and the quartiles.
func spread(v []float64) (q1, median, q3 float64) {
	if len(v) == 0 {
		return 0, 0, 0
	}
	s := slices.Sorted(slices.Values(v))
	at := func(p float64) float64 {
		i := p * float64(len(s)-1)
		low := int(i)
		high := min(low+1, len(s)-1)
		return s[low] + (s[high]-s[low])*(i-float64(low))
	}
	return at(0.25), at(0.5), at(0.75)
}

func medianOf(samples []sample, of func(sample) float64) float64 {
	var v []float64
	for _, s := range samples {
		v = append(v, of(s))
	}
	_, m, _ := spread(v)
	return m
}

func ratio(v []float64) string {
	if len(v) == 0 {
		return "–"
	}
	q1, m, q3 := spread(v)
	return fmt.Sprintf("%.3g (%.3g–%.3g)", m, q1, q3)
}

func (r *row) line() string {
	wall := func(s sample) float64 { return float64(s.wall) / 1e6 }
	cpu := func(s sample) float64 { return float64(s.cpu) / 1e6 }
	peak := func(s sample) float64 { return float64(s.peak) / (1 << 20) }
	times, memory := "–", "–"
	if len(r.ours) > 0 && len(r.theirs) > 0 {
		times = fmt.Sprintf("%.4g / %.4g ms, cpu %.4g / %.4g ms", medianOf(r.ours, wall), medianOf(r.theirs, wall), medianOf(r.ours, cpu), medianOf(r.theirs, cpu))
		if m := medianOf(r.ours, peak); m > 0 {
			memory = fmt.Sprintf("%.3g / %.3g", m, medianOf(r.theirs, peak))
		}
		if r.idle > 0 {
			own := medianOf(r.ours, func(s sample) float64 { return float64(s.own-r.idle) / (1 << 20) })
			memory += fmt.Sprintf("; itself %.3g above idle", own)
		}
	}
	if r.note != "" {
		times = r.note
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |", r.what, r.against, r.mark, ratio(r.wall), ratio(r.cpu), times, memory)
}

func (b *bench) write(w io.Writer) error {
	var text strings.Builder
	text.WriteString("| What | Against | Mark | Wall, median of ratios (quartiles) | Server's CPU, the same | Medians, gitferry / other | Peak memory, MiB |\n|---|---|---|---|---|---|---|\n")
	for _, r := range b.rows {
		text.WriteString(r.line() + "\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}
