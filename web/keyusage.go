package web

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/tokenos/tokenos/apikey"
)

// usageSpan is a stretch of time that the chart shows.
type usageSpan struct {
	id, label string
	by        apikey.UsagePeriod
	length    time.Duration // of one bar
	bars      int
}

var usageSpans = []usageSpan{
	{"24h", "24 hours", apikey.ByHour, time.Hour, 24},
	{"7d", "7 days", apikey.ByDay, 24 * time.Hour, 7},
	{"30d", "30 days", apikey.ByDay, 24 * time.Hour, 30},
}

type usageView struct {
	keyView
	span  usageSpan
	usage apikey.Usage
	chart chart
}

func (d *Dashboard) keyUsage(r *http.Request, v keyView) (templ.Component, error) {
	wanted := cmp.Or(r.URL.Query().Get("span"), "7d")
	i := slices.IndexFunc(usageSpans, func(s usageSpan) bool { return s.id == wanted })
	if i < 0 {
		return nil, apikey.ErrNotFound
	}
	span := usageSpans[i]
	// The period that is now is the last bar.
	from := v.now.UTC().Truncate(span.length).Add(-time.Duration(span.bars-1) * span.length)
	used, err := d.API.Usage(r.Context(), v.key.ID, apikey.UsageParams{By: span.by, From: &from})
	if err != nil {
		return nil, err
	}
	return keyUsage(usageView{v, span, used, newChart(span, from, used.Data)}), nil
}

// The chart's drawing area, in its own units: the picture is stretched to the width
// of the page, so no text stands in it.
const (
	chartWidth  = 720.0
	chartHeight = 180.0
)

// chart is what a picture of tokens is drawn from: one bar for each period.
type chart struct {
	top  int64 // the number at the upper edge: even, and at least 2
	bars []bar
}

// bar is one period: issued tokens below, denied ones on top of them.
type bar struct {
	at             time.Time
	label          string
	counts         apikey.TokenCounts
	x, width       string
	issued, denied stretch
}

// stretch is a rectangle's vertical part.
type stretch struct{ y, height string }

func newChart(span usageSpan, from time.Time, data []apikey.PeriodCounts) chart {
	counts := map[time.Time]apikey.TokenCounts{}
	var most int64
	for _, p := range data {
		counts[p.From.UTC()] = p.TokenCounts
		most = max(most, p.Issued+p.Denied)
	}
	c := chart{top: roundTop(most)}
	step := chartWidth / float64(span.bars)
	for i := range span.bars {
		at := from.Add(time.Duration(i) * span.length)
		n := counts[at]
		high := func(n int64) float64 { return chartHeight * float64(n) / float64(c.top) }
		c.bars = append(c.bars, bar{at: at, label: span.name(at), counts: n, x: unit(float64(i)*step + step*0.14), width: unit(step * 0.72),
			issued: stretch{unit(chartHeight - high(n.Issued)), unit(high(n.Issued))},
			denied: stretch{unit(chartHeight - high(n.Issued) - high(n.Denied)), unit(high(n.Denied))}})
	}
	return c
}

// name is a period for people.
func (s usageSpan) name(at time.Time) string {
	if s.by == apikey.ByHour {
		return at.Format("2 Jan, 15:04")
	}
	return at.Format("2 Jan 2006")
}

func unit(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

// roundTop is the least of 2, 4, 6, 10, 20, 40 ... that n fits under, so that the
// half of it is whole.
func roundTop(n int64) int64 {
	for size := int64(1); ; size *= 10 {
		for _, m := range []int64{2, 4, 6, 10} {
			if m*size >= n {
				return m * size
			}
		}
	}
}

// said is the chart for people who do not see it.
func (v usageView) said() string {
	return fmt.Sprintf("Tokens of the last %s: %s issued, %s denied. The table below has the numbers.", v.span.label, amount(v.usage.Totals.Issued), amount(v.usage.Totals.Denied))
}

// denialNames are the reasons of refusals, for people.
var denialNames = map[apikey.Denial]string{
	apikey.DeniedDisabled: "the key was disabled", apikey.DeniedExpired: "the key had expired", apikey.DeniedReplaced: "it had been replaced, and its grace period was over",
	apikey.DeniedRevoked: "the key was revoked", apikey.DeniedUnknown: "the key was not known yet", apikey.DeniedNoCredential: "every public key had ended",
}

func denialName(d apikey.Denial) string { return cmp.Or(denialNames[d], string(d)) }

// reasons are why tokens were denied, in a sentence; "" for none.
func reasons(c apikey.TokenCounts) string {
	var out []string
	for _, why := range slices.Sorted(maps.Keys(c.DeniedBy)) {
		if n := c.DeniedBy[why]; n > 0 {
			out = append(out, amount(n)+": "+denialName(why))
		}
	}
	return strings.Join(out, "; ")
}

func amount(n int64) string { return number(int(n)) }
