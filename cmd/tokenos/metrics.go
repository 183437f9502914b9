package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/hydra"
)

const (
	metricsPath   = "/metrics"
	scrapeTime    = 5 * time.Second
	scrapesAtOnce = 4
)

// hookBuckets are for answers from memory; a quarter of a second is the limit.
var hookBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25}

// callBuckets are for requests and calls that wait for databases and each other.
var callBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25}

// denials are all reasons for which a key is refused a token.
var denials = []apikey.Denial{apikey.DeniedDisabled, apikey.DeniedExpired, apikey.DeniedReplaced, apikey.DeniedRevoked, apikey.DeniedUnknown, apikey.DeniedNoCredential}

// metrics are what this process tells Prometheus (docs/operations.md has the
// table). The rooms know none of the names: they tell observers, or answer how
// they stand. No label holds what a caller sent, nor a key, an owner or a name.
type metrics struct {
	registry *prometheus.Registry

	decisions *prometheus.CounterVec
	answers   *prometheus.HistogramVec
	strangers prometheus.Counter

	requests *prometheus.HistogramVec
	limited  *prometheus.CounterVec

	calls   *prometheus.HistogramVec
	retries *prometheus.CounterVec

	parts *prometheus.GaugeVec
}

// newMetrics registers all that is counted here; [metrics.watch] adds what is read
// from the parts. hooked: we are Hydra's token hook.
func newMetrics(hooked bool) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := gauge("build_info", "1, with the version of this program and of Go.", "version", "go_version")
	build.WithLabelValues(version(), runtime.Version()).Set(1)
	m.requests = histogram("http_request_duration_seconds", "Time of requests to the REST API, by route, method and class of status.", callBuckets, "route", "method", "status")
	m.limited = counter("http_rate_limited_requests_total", "Requests refused with 429, by the limit that was used up.", "limit")
	for _, limit := range []string{"address", "caller", "failures", "self"} {
		m.limited.WithLabelValues(limit)
	}
	m.calls = histogram("hydra_call_duration_seconds", "Time of calls to Hydra with all their attempts, by operation and result.", callBuckets, "operation", "result")
	m.retries = counter("hydra_retries_total", "Attempts after the first, of calls to Hydra.", "operation")
	m.parts = gauge("part_up", "Whether a part without which no key can be changed (ledger, hydra) answered when it was last asked: 1 or 0.", "part")
	m.registry.MustRegister(build, m.requests, m.limited, m.calls, m.retries, m.parts)

	m.decisions = counter("hook_decisions_total", "Token requests that Hydra asked about, by result, and by reason of a denial.", "result", "reason")
	m.answers = histogram("hook_request_duration_seconds", "Time of answers to Hydra at its token hook, by status.", hookBuckets, "status")
	m.strangers = prometheus.NewCounter(prometheus.CounterOpts{Namespace: "tokenos", Name: "hook_unauthenticated_requests_total", Help: "Requests to the token hook that did not show its secret."})
	for _, result := range []string{"allowed", "foreign", "undecided", "canary"} {
		m.decisions.WithLabelValues(result, "")
	}
	for _, why := range denials {
		m.decisions.WithLabelValues("denied", string(why))
	}
	if hooked {
		m.registry.MustRegister(m.decisions, m.answers, m.strangers)
	}
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "tokenos", Name: name, Help: help}, labels)
}

func gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "tokenos", Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "tokenos", Name: name, Help: help, Buckets: buckets}, labels)
}

// handler serves the metrics.
func (m *metrics) handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, MaxRequestsInFlight: scrapesAtOnce, Timeout: scrapeTime,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)})
}

// counted is decide with its decisions counted.
func (m *metrics) counted(decide func(context.Context, apikey.TokenRequest) apikey.Decision) func(context.Context, apikey.TokenRequest) apikey.Decision {
	return func(ctx context.Context, q apikey.TokenRequest) apikey.Decision {
		d := decide(ctx, q)
		result := "undecided"
		switch {
		case d.Canary:
			d.Denied, result = "", "canary"
		case d.Verdict == apikey.Allowed:
			result = "allowed"
		case d.Verdict == apikey.Refused:
			result = "denied"
		case d.Verdict == apikey.Foreign:
			result = "foreign"
		}
		m.decisions.WithLabelValues(result, string(d.Denied)).Inc()
		return d
	}
}

func (m *metrics) observeHook(o handlers.HookObservation) {
	if o.Stranger {
		m.strangers.Inc()
		return
	}
	m.answers.WithLabelValues(strconv.Itoa(o.Status)).Observe(o.Duration.Seconds())
}

func (m *metrics) observeRequest(o handlers.Observation) {
	m.requests.WithLabelValues(o.Route, o.Method, strconv.Itoa(o.Status/100)+"xx").Observe(o.Duration.Seconds())
	if o.Limited != "" {
		m.limited.WithLabelValues(o.Limited).Inc()
	}
}

func (m *metrics) observeCall(o hydra.Observation) {
	operation := strings.ReplaceAll(o.Operation, " ", "_")
	m.calls.WithLabelValues(operation, callResult(o)).Observe(o.Duration.Seconds())
	if o.Attempts > 1 {
		m.retries.WithLabelValues(operation).Add(float64(o.Attempts - 1))
	}
}

// callResult is how a call to Hydra ended, in a word.
func callResult(o hydra.Observation) string {
	switch {
	case o.Err == nil:
		return "ok"
	case errors.Is(o.Err, apikey.ErrNotFound):
		return "not_found"
	case errors.Is(o.Err, apikey.ErrClientExists):
		return "exists"
	case o.Attempts == 0:
		return "not_sent"
	case errors.Is(o.Err, apikey.ErrUnavailable):
		return "unavailable"
	}
	return "refused"
}

// observePart notes whether a part answered.
func (m *metrics) observePart(name string, err error) {
	up := 1.0
	if err != nil {
		up = 0
	}
	m.parts.WithLabelValues(name).Set(up)
}
