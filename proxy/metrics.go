package proxy

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what the doors do. A nil Metrics counts nothing.
type Metrics struct {
	pushes  *prometheus.CounterVec
	took    prometheus.Histogram
	fetches prometheus.Counter
}

// Ends of a push, as the label "result".
const (
	pushAccepted = "accepted" // upstream took a ref or more
	pushRefused  = "refused"  // by a check or a rule, before the release
	pushRejected = "rejected" // by upstream, every ref
	pushUnknown  = "unknown"  // the outcome could not be told to the client
	pushAborted  = "aborted"  // the client left, or was not understood
)

// NewMetrics makes the metrics of the doors and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		pushes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gitferry_pushes_total",
			Help: "Pushes by their end: accepted, refused (by a check or a rule), rejected (by the upstream), unknown, aborted."}, []string{"result"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gitferry_push_seconds",
			Help: "Time from a push's commands to its answer, for accepted pushes.", Buckets: prometheus.ExponentialBuckets(0.01, 2.5, 10)}),
		fetches: prometheus.NewCounter(prometheus.CounterOpts{Name: "gitferry_fetches_total", Help: "Requests for objects."}),
	}
	r.MustRegister(m.pushes, m.took, m.fetches)
	return m
}

func (m *Metrics) pushed(result string, took time.Duration) {
	if m == nil {
		return
	}
	m.pushes.WithLabelValues(result).Inc()
	if result == pushAccepted {
		m.took.Observe(took.Seconds())
	}
}

func (m *Metrics) fetched() {
	if m != nil {
		m.fetches.Inc()
	}
}
