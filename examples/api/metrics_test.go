package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tokenos/tokenos/keyauth"
)

// observed tells Prometheus what keyauth does. Give it to Config.Observe.
func observed(r prometheus.Registerer) func(keyauth.Observation) {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "keyauth_operation_duration_seconds", Help: "Time by operation, format of the token and reason of failure.",
		Buckets: prometheus.ExponentialBuckets(0.000005, 4, 10), // 5 µs to 1.3 s
	}, []string{"operation", "format", "reason", "cached"})
	r.MustRegister(seconds)
	return func(o keyauth.Observation) {
		seconds.WithLabelValues(string(o.Operation), string(o.Format), string(o.Reason), strconv.FormatBool(o.Cached)).Observe(o.Duration.Seconds())
	}
}

// An API that tells Prometheus why it refuses: here a request comes without a
// token.
func Example_metrics() {
	registry := prometheus.NewRegistry()
	v, err := keyauth.New(keyauth.Config{
		Audiences: []string{"https://api.example.com"},
		Introspection: keyauth.Introspection{
			URL:   "https://keys.example.com/v1/introspect",
			Token: func(context.Context) (string, error) { return "token-of-this-api", nil },
		},
		Observe: observed(registry),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer v.Close() //nolint:errcheck // always nil

	orders := v.Require("orders:read")(http.NotFoundHandler())
	orders.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(context.Background(), http.MethodGet, "https://api.example.com/orders", nil))

	metrics := httptest.NewRecorder() // in earnest on a listener that only Prometheus reaches
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(metrics, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(metrics.Body.String()) {
		if strings.Contains(line, "_count") {
			fmt.Print(line)
		}
	}
	// Output:
	// keyauth_operation_duration_seconds_count{cached="false",format="",operation="request",reason="missing"} 1
}

// docs/keyauth.md shows this very function, and its metric has a good name.
func TestObservedIsDocumented(t *testing.T) {
	code, err := os.ReadFile("metrics_test.go")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../docs/keyauth.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(code), "\nfunc observed(")
	body, _, _ := strings.Cut(rest, "\n}\n")
	if want := "func observed(" + body + "\n}\n"; len(body) < 100 || !strings.Contains(string(guide), want) {
		t.Errorf("docs/keyauth.md does not have\n%s", want)
	}
	registry := prometheus.NewRegistry()
	observed(registry)(keyauth.Observation{Operation: keyauth.OpVerify})
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}
