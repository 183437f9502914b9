package main

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/ledger"
)

// standing tells Prometheus how the parts stand when it asks. It asks nobody
// itself: what costs a query was looked up before.
type standing struct {
	service *apikey.Service
	hooked  bool

	mu      sync.Mutex
	backlog *ledger.Backlog // nil: not known
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tokenos_"+name, help, labels, nil)
}

var (
	hookAsked      = desc("hook_asked", "Whether Hydra was last seen to ask us before it issues a token, and not more than five minutes ago: 1 or 0.")
	hookAskedAge   = desc("hook_asked_age_seconds", "Time since Hydra was last seen to ask us; absent if it never was.")
	hookKeys       = desc("hook_keys", "Keys in memory.")
	hookMemoryAge  = desc("hook_memory_age_seconds", "Time since the memory of keys was last like the ledger; absent until every key is there.")
	changes        = desc("changes", "Accepted changes that are not done, up to 10000 of each state; absent while the ledger does not answer.", "state")
	usageBatches   = desc("usage_batches_total", "Batches of counted tokens handed to the ledger, by result; a failed one is handed over again.", "result")
	usageTokens    = desc("usage_tokens_total", "Token requests that were counted for their key, by whether the ledger has them or there was no room for them.", "result")
	usageWaiting   = desc("usage_tokens_waiting", "Token requests that were counted and are not in the ledger yet.")
	standingAlways = []*prometheus.Desc{changes, usageBatches, usageTokens, usageWaiting}
	standingHook   = []*prometheus.Desc{hookAsked, hookAskedAge, hookKeys, hookMemoryAge}
)

// watch adds how the parts stand.
func (m *metrics) watch(s *standing) { m.registry.MustRegister(s) }

// look counts the changes that are not done.
func (s *standing) look(ctx context.Context, count func(context.Context) (ledger.Backlog, error)) {
	b, err := count(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backlog = &b
	if err != nil {
		s.backlog = nil // an old number would look like a good one
	}
}

// Describe implements [prometheus.Collector].
func (s *standing) Describe(to chan<- *prometheus.Desc) {
	all := standingAlways
	if s.hooked {
		all = append(all, standingHook...)
	}
	for _, d := range all {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (s *standing) Collect(to chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	s.mu.Lock()
	backlog := s.backlog
	s.mu.Unlock()
	if backlog != nil {
		tell(changes, prometheus.GaugeValue, float64(backlog.Begun), "begun")
		tell(changes, prometheus.GaugeValue, float64(backlog.Stale), "stale")
		tell(changes, prometheus.GaugeValue, float64(backlog.Queued), "queued")
	}
	u := s.service.UsageState()
	tell(usageBatches, prometheus.CounterValue, float64(u.Batches), "written")
	tell(usageBatches, prometheus.CounterValue, float64(u.Failures), "failed")
	tell(usageTokens, prometheus.CounterValue, float64(u.Written), "written")
	tell(usageTokens, prometheus.CounterValue, float64(u.Lost), "lost")
	tell(usageWaiting, prometheus.GaugeValue, float64(u.Waiting))
	if !s.hooked {
		return
	}
	h := s.service.HookState()
	asked := 0.0
	if h.Asked {
		asked = 1
	}
	tell(hookAsked, prometheus.GaugeValue, asked)
	tell(hookKeys, prometheus.GaugeValue, float64(h.Keys))
	if !h.AskedAt.IsZero() {
		tell(hookAskedAge, prometheus.GaugeValue, since(h.AskedAt))
	}
	if !h.FreshAt.IsZero() {
		tell(hookMemoryAge, prometheus.GaugeValue, since(h.FreshAt))
	}
}

// since is the time since a moment in seconds, never below zero.
func since(t time.Time) float64 { return max(0, time.Since(t).Seconds()) }
