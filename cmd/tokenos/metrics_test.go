//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// scrape is a page of metrics, by series.
type scrape struct {
	text   string
	series map[string]float64
}

func (s *site) scrape(ctx context.Context) (scrape, error) {
	a := ask(ctx, http.DefaultClient, http.MethodGet, "http://"+s.ops+"/metrics", "")
	if a.err != nil || a.status != http.StatusOK {
		return scrape{}, fmt.Errorf("metrics: %d, %w", a.status, a.err)
	}
	out := scrape{a.body, map[string]float64{}}
	for _, line := range lines(a.body) {
		name, value, _ := strings.Cut(line, "} ")
		if name == line {
			name, value, _ = strings.Cut(line, " ")
		} else {
			name += "}"
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			out.series[name] = n
		}
	}
	return out, nil
}

// wants is what of the scrape is not as wanted.
func (s scrape) wants(want map[string]float64) error {
	got := map[string]float64{}
	for name := range want {
		if n, there := s.series[name]; there {
			got[name] = n
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return errors.New("metrics (-want +got):\n" + diff)
	}
	return nil
}

// The running program counts exactly what was done: tokens bought and denied with
// the reason, requests by route, calls to Hydra, what the limits refused. No
// secret, id or owner is in the page, and only the side for operators has it.
func TestMetrics(t *testing.T) {
	s, at := hookedSite(t, hookSecret)
	s.env = append(s.env, "TOKENOS_LIMITS_SELF_PER_MINUTE=1", "TOKENOS_LIMITS_SELF_BURST=2")
	admin := s.bootstrap(t)
	c := s.serve(t)
	eventually(t, func(ctx context.Context) error { return s.ready(ctx, http.StatusOK) })
	token := hydratest.MustBuy(t, admin)
	api := func(method, path, body string, status int) string {
		t.Helper()
		a := ask(t.Context(), http.DefaultClient, method, "http://"+s.api+path, body,
			"X-Forwarded-Proto", "https", "Authorization", "Bearer "+token, "Content-Type", "application/json")
		if a.status != status {
			t.Fatalf("%s %s: %d %s (%v), want %d", method, path, a.status, a.body, a.err, status)
		}
		return a.body
	}
	var made struct {
		Key    struct{ ID string } `json:"key"`
		Secret string              `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(api("POST", "/v1/keys", `{"name":"counted","owner":"acme-corporation","scopes":["a"]}`, 201)), &made); err != nil || made.Secret == "" {
		t.Fatalf("no key was made: %v", err)
	}
	key := hydratest.Purchase{TokenURL: admin.TokenURL, ID: made.Key.ID, Secret: made.Secret, Scopes: []string{"a"}}
	bought := hydratest.MustBuy(t, key)
	api("POST", "/v1/keys/"+key.ID+"/disable", "", 200)
	if _, err := hydratest.Buy(t.Context(), key); hydratest.Status(err) != http.StatusForbidden {
		t.Fatalf("a disabled key: %v", err)
	}
	for _, status := range []int{200, 200, 429} {
		api("GET", "/v1/self", "", status)
	}
	api("GET", "/"+key.ID, "", 404)
	api("GET", "/metrics", "", 404)
	statusOf(t.Context(), "http://"+at)

	var page scrape
	eventually(t, func(ctx context.Context) (err error) {
		if page, err = s.scrape(ctx); err != nil {
			return err
		}
		return page.wants(countedInTestMetrics)
	})
	asks := page.series[`tokenos_hook_decisions_total{reason="",result="canary"}`]
	refused, passed := page.series[`tokenos_hook_request_duration_seconds_count{status="403"}`], page.series[`tokenos_hook_request_duration_seconds_count{status="204"}`]
	if asks < 2 || refused+passed != asks+1 {
		t.Errorf("the canary was asked about %v times, Hydra was refused %v times and let pass %v times", asks, refused, passed)
	}
	for name, most := range map[string]float64{"tokenos_hook_asked_age_seconds": 300, "tokenos_hook_memory_age_seconds": 10} {
		if age, there := page.series[name]; !there || age < 0 || age > most {
			t.Errorf("%s is %v", name, age)
		}
	}
	if problems, err := promlint.New(strings.NewReader(page.text)).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	for what, secret := range map[string]string{"key's id": key.ID, "key's secret": key.Secret, "token": bought, "management key's id": admin.ID, "management key's secret": admin.Secret,
		"management token": token, "server secret": siteSecret, "hook's secret": hookSecret, "owner": "acme-corporation", "key's name": "counted\""} {
		if strings.Contains(page.text, secret) {
			t.Errorf("the metrics hold the %s", what)
		}
	}
	s.stop(t, c)
}

// countedInTestMetrics is what TestMetrics does.
var countedInTestMetrics = map[string]float64{
	`tokenos_hook_decisions_total{reason="",result="allowed"}`:        2, // the management key and the key
	`tokenos_hook_decisions_total{reason="disabled",result="denied"}`: 1,
	`tokenos_hook_decisions_total{reason="expired",result="denied"}`:  0,
	`tokenos_hook_decisions_total{reason="unknown",result="denied"}`:  0,
	`tokenos_hook_decisions_total{reason="",result="foreign"}`:        0,
	`tokenos_hook_decisions_total{reason="",result="undecided"}`:      0,
	`tokenos_hook_request_duration_seconds_count{status="200"}`:       2,
	`tokenos_hook_unauthenticated_requests_total`:                     1,
	`tokenos_hook_asked`:                           1,
	`tokenos_hook_keys`:                            2,
	`tokenos_changes{state="begun"}`:               0,
	`tokenos_changes{state="stale"}`:               0,
	`tokenos_changes{state="queued"}`:              0,
	`tokenos_part_up{part="ledger"}`:               1,
	`tokenos_part_up{part="hydra"}`:                1,
	`tokenos_usage_tokens_total{result="written"}`: 3,
	`tokenos_usage_tokens_total{result="lost"}`:    0,
	`tokenos_usage_batches_total{result="failed"}`: 0,
	`tokenos_usage_tokens_waiting`:                 0,
	`tokenos_hydra_call_duration_seconds_count{operation="create_client",result="ok"}`:                      2, // the canary and the key
	`tokenos_http_request_duration_seconds_count{method="POST",route="/v1/keys",status="2xx"}`:              1,
	`tokenos_http_request_duration_seconds_count{method="POST",route="/v1/keys/{id}/disable",status="2xx"}`: 1,
	`tokenos_http_request_duration_seconds_count{method="GET",route="/v1/self",status="2xx"}`:               2,
	`tokenos_http_request_duration_seconds_count{method="GET",route="/v1/self",status="4xx"}`:               1,
	`tokenos_http_request_duration_seconds_count{method="GET",route="none",status="4xx"}`:                   2,
	`tokenos_http_rate_limited_requests_total{limit="self"}`:                                                1,
	`tokenos_http_rate_limited_requests_total{limit="address"}`:                                             0,
}

// With ops.metrics off there are none, and the rest of the side is as it was.
func TestMetricsOff(t *testing.T) {
	a := &app{metrics: newMetrics(false)}
	for _, c := range []struct {
		metrics      bool
		method, path string
		want         int
	}{{true, "GET", "/metrics", 200}, {true, "HEAD", "/metrics", 200}, {true, "POST", "/metrics", 404}, {true, "GET", "/health/alive", 200}, {false, "GET", "/metrics", 404}, {false, "GET", "/health/alive", 200}} {
		rec := httptest.NewRecorder()
		a.log = slog.New(slog.DiscardHandler)
		a.opsHandler(handlers.Config{}, c.metrics).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil))
		if rec.Code != c.want {
			t.Errorf("%+v: %d", c, rec.Code)
		}
	}
}

// Calls to Hydra are counted by how they ended, a verdict that is none by its own
// word, and everything has a good name, is documented, and nothing else is.
func TestMetricsNames(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: apikeytest.Hooked})
	m := newMetrics(true)
	m.watch(&standing{service: w.Service, hooked: true})
	gone := &apikey.Error{Kind: apikey.ErrUnavailable}
	for want, o := range map[string]hydra.Observation{
		"ok": {Attempts: 1}, "not_found": {Attempts: 1, Err: apikey.ErrNotFound}, "exists": {Attempts: 1, Err: apikey.ErrClientExists}, "not_sent": {Err: gone},
		"unavailable": {Attempts: 3, Err: gone}, "refused": {Attempts: 1, Err: &apikey.Error{Kind: apikey.ErrInternal}},
	} {
		o.Operation = "put client"
		m.observeCall(o)
		if n := testutil.CollectAndCount(m.calls.MustCurryWith(prometheus.Labels{"operation": "put_client", "result": want}).(prometheus.Collector)); n == 0 {
			t.Errorf("%s is not counted", want)
		}
	}
	if n := testutil.ToFloat64(m.retries.WithLabelValues("put_client")); n != 2 {
		t.Errorf("%v retries, want 2", n)
	}
	m.counted(func(context.Context, apikey.TokenRequest) apikey.Decision { return apikey.Decision{} })(t.Context(), apikey.TokenRequest{})
	if n := testutil.ToFloat64(m.decisions.WithLabelValues("undecided", "")); n != 1 {
		t.Errorf("%v undecided, want 1", n)
	}
	m.observeRequest(handlers.Observation{Route: "/v1/keys", Method: "GET", Status: 499})
	m.observePart("ledger", errors.New("away"))
	if problems, err := testutil.GatherAndLint(m.registry); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}

	var names []string
	all := make(chan *prometheus.Desc)
	go func() {
		m.registry.Describe(all)
		close(all)
	}()
	named := regexp.MustCompile(`fqName: "(tokenos_[a-z_]+)"`)
	for d := range all {
		if found := named.FindStringSubmatch(d.String()); found != nil {
			names = append(names, found[1])
		}
	}
	raw, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, found := range regexp.MustCompile("(?m)^\\| `(tokenos_[a-z_]+)`").FindAllStringSubmatch(string(raw), -1) {
		documented = append(documented, found[1])
	}
	slices.Sort(names)
	slices.Sort(documented)
	if diff := cmp.Diff(names, documented); diff != "" {
		t.Errorf("docs/operations.md (-code +document):\n%s", diff)
	}
}
