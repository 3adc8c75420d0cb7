package proxy

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"gitferry/internal/policy"
)

// Every push is counted by its end, and every fetch.
func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.rules = policy.Rules{RequireKey: true}
		w.Metrics = NewMetrics(prometheus.NewRegistry())
	})
	work := w.work()
	work.Commit("DEMO-1 one", "a", "1")
	work.Run("push", "-q", w.url, "HEAD:refs/heads/main")
	work.Run("push", "-q", w.sshURL(), "HEAD:refs/heads/other")
	work.Commit("no key", "a", "2")
	work.Fails("push", w.url, "HEAD:refs/heads/main")
	work.Run("push", "-q", w.url, "HEAD~:refs/heads/main") // nothing to do
	for _, url := range w.urls() {
		work.Run("clone", "-q", "--bare", url, t.TempDir())
	}
	w.settled()
	for result, want := range map[string]float64{pushAccepted: 2, pushRefused: 1, pushRejected: 0, pushUnknown: 0, pushAborted: 0} {
		if got := testutil.ToFloat64(w.Metrics.pushes.WithLabelValues(result)); got != want {
			t.Errorf("%s pushes: %v, want %v", result, got, want)
		}
	}
	if got := testutil.ToFloat64(w.Metrics.fetches); got != 2 {
		t.Errorf("fetches: %v, want 2", got)
	}
}
