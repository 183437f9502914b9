package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/internal/ledgertest"
	"github.com/tokenos/tokenos/internal/runtest"
	"github.com/tokenos/tokenos/web"
)

// paintRounds is how often each page is loaded, cold and then warm.
const paintRounds = 10

// paintPages are the pages of BenchmarkFirstPaint.
func paintPages() [][2]string {
	key := "/keys/" + ledgertest.Key(many/2).ID
	return [][2]string{
		{"the browser alone", "/health/live"}, // a line of text
		{"overview", "/"},
		{"keys", "/keys"},
		{"keys, search", "/keys?q=billing+gateway"},
		{"keys, filters", "/keys?status=active&expires=90d&sort=name"},
		{"keys, unused", "/keys?status=active&unused=90d"},
		{"key", key},
		{"key, code", key + "?tab=code"},
		{"new key", "/keys/new"},
		{"activity", "/activity"},
	}
}

// painted is one load of one page: milliseconds since the navigation began, and
// bytes as they were sent.
type painted struct {
	Page      string  `json:"page"`
	Cache     string  `json:"cache"` // cold: nothing is in it
	FirstByte float64 `json:"first_byte"`
	Paint     float64 `json:"paint"` // first contentful paint
	Whole     float64 `json:"whole"` // nothing is waited for any more
	Bytes     float64 `json:"bytes"`
}

// BenchmarkFirstPaint loads pages of the dashboard in Debian's Chromium, with
// 100,000 keys in the ledger, and prints a table.
func BenchmarkFirstPaint(b *testing.B) {
	for _, name := range placeNames {
		b.Run(name, func(b *testing.B) {
			runner, chromium := runtest.Playwright(b, "the first paint")
			p := build(b, name, nil)
			fill(b, p.Ledger, many)
			for i := range 60 { // a page of events
				if _, err := p.Service.Create(as(b.Context()), newKey(fmt.Sprint("painted-", i))); err != nil {
					b.Fatal(err)
				}
			}
			address, link := p.dashboard(b)
			pages, err := json.Marshal(paintPages())
			if err != nil {
				b.Fatal(err)
			}
			paints := filepath.Join(b.TempDir(), "paints")
			env := []string{"TOKENOS_CHROMIUM=" + chromium, "TOKENOS_BROWSER_OUTPUT=" + b.TempDir(), fmt.Sprintf("TOKENOS_DEV={\"api_url\":%q}", address),
				"TOKENOS_PAGES=" + string(pages), "TOKENOS_PAINTS=" + paints, "TOKENOS_ROUNDS=" + fmt.Sprint(paintRounds)}
			files := map[string]string{"playwright.config.mjs": read(b, runtest.Path("e2e", "browser", "playwright.config.mjs")), "paint.spec.mjs": read(b, "testdata/paint.spec.mjs")}
			for b.Loop() {
				out, errOut, err := runner.Run(b, files, "playwright.config.mjs", append(env, "TOKENOS_LINK="+address+link())...)
				if err != nil {
					b.Fatalf("%v\n%s%s", err, out, errOut)
				}
			}
			reportPaints(b, paints)
		})
	}
}

func read(b *testing.B, path string) string {
	b.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	return string(raw)
}

// dashboard serves the pages on a loopback port; link signs in once.
func (p *place) dashboard(b *testing.B) (address string, link func() string) {
	b.Helper()
	links := &web.Links{}
	d, err := web.New(web.Config{API: p.Service, Introspector: p.Service, Sessions: p.Ledger, Links: links, CookieName: "tokenos-bench", Log: quiet,
		Parts: map[string]func(context.Context) error{"hydra": p.Clients.Ready, "ledger": p.Ledger.Ping}})
	if err != nil {
		b.Fatal(err)
	}
	pages := func(w http.ResponseWriter, r *http.Request, v *handlers.Visit) { d.Serve(w, r, (*web.Visit)(v)) }
	return serve(b, handlers.Config{Pages: pages, API: p.Service, Authenticate: p.Service.Authenticate, InsecureLoopback: true, Log: quiet}), links.New
}

// reportPaints prints the median and the 90th percentile for each page.
func reportPaints(b *testing.B, path string) {
	b.Helper()
	loads, order := map[string][]painted{}, []string(nil)
	for line := range strings.Lines(read(b, path)) {
		var l painted
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			b.Fatal(err)
		}
		name := l.Page + " | " + l.Cache
		if loads[name] == nil {
			order = append(order, name)
		}
		loads[name] = append(loads[name], l)
	}
	worst := map[string]float64{}
	var table strings.Builder
	table.WriteString("| Page | Cache | First byte | First contentful paint | Whole | Sent |\n|---|---|---:|---:|---:|---:|\n")
	for _, name := range order {
		all := loads[name]
		half, most := quantiles(all, func(l painted) float64 { return l.Paint })
		worst[all[0].Cache] = max(worst[all[0].Cache], half)
		byteHalf, byteMost := quantiles(all, func(l painted) float64 { return l.FirstByte })
		wholeHalf, wholeMost := quantiles(all, func(l painted) float64 { return l.Whole })
		sent, _ := quantiles(all, func(l painted) float64 { return l.Bytes })
		fmt.Fprintf(&table, "| %s | %.0f / %.0f | %.0f / %.0f | %.0f / %.0f | %.1f kB |\n", name, byteHalf, byteMost, half, most, wholeHalf, wholeMost, sent/1000)
	}
	_, _ = os.Stdout.WriteString("\n" + table.String()) // b.Log would cut it
	b.ReportMetric(0, "ns/op")                          // it would be that of the whole table
	for cache, paint := range worst {
		b.ReportMetric(paint, cache+"-worst-p50-ms")
	}
}

// quantiles are the median and the 90th percentile.
func quantiles(all []painted, of func(painted) float64) (half, most float64) {
	values := make([]float64, len(all))
	for i, l := range all {
		values[i] = of(l)
	}
	slices.Sort(values)
	return values[len(values)/2], values[len(values)*9/10]
}
