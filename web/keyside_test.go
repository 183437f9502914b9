package web_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/web"
)

// counted answers with made-up usage and events, which would take many tokens and
// changes to make; everything else is real.
type counted struct {
	apikey.API
	usage  apikey.Usage
	asked  []apikey.UsageParams
	events apikey.Page[apikey.Event]
	pages  []apikey.PageParams
}

func (c *counted) Usage(_ context.Context, _ string, p apikey.UsageParams) (apikey.Usage, error) {
	c.asked = append(c.asked, p)
	return c.usage, nil
}

func (c *counted) KeyEvents(_ context.Context, _ string, p apikey.PageParams) (apikey.Page[apikey.Event], error) {
	c.pages = append(c.pages, p)
	return c.events, nil
}

// withCounts puts counted between the dashboard and the service.
func withCounts(c *counted) func(*site, *web.Config) {
	return func(_ *site, cfg *web.Config) { c.API, cfg.API = cfg.API, c }
}

// The picture and the table show the same counts, each reason has its words, and
// one bar stands for each period.
func TestUsageChart(t *testing.T) {
	t.Parallel()
	c := &counted{}
	s := newSite(t, apikeytest.Options{Idle: true}, withCounts(c))
	k := s.key(t, apikey.CreateParams{Name: "counted"})
	day := s.Clock.Now().UTC().Truncate(24 * time.Hour)
	c.usage = apikey.Usage{By: apikey.ByDay, Totals: apikey.NewTokenCounts(), LastDenial: &apikey.LastDenial{Reason: apikey.DeniedExpired, At: day},
		Scopes: []apikey.ScopeUsage{{Scope: "orders:read", LastAskedAt: &day}, {Scope: hostile[0]}}}
	for i, n := range []apikey.TokenCounts{{Issued: 1200, DeniedBy: map[apikey.Denial]int64{}}, {Issued: 300, Denied: 3, DeniedBy: map[apikey.Denial]int64{apikey.DeniedExpired: 2, "later": 1}}} {
		c.usage.Data = append(c.usage.Data, apikey.PeriodCounts{From: day.AddDate(0, 0, i-1), TokenCounts: n})
		c.usage.Totals.Issued += n.Issued
		c.usage.Totals.Denied += n.Denied
	}
	c.usage.Totals.DeniedBy = c.usage.Data[1].DeniedBy
	b := s.as(t, web.RoleViewer)
	for span, bars := range map[string]int{"24h": 24, "7d": 7, "30d": 30} {
		got := b.get("/keys/" + k.ID + "?tab=usage&span=" + span)
		wantClean(t, span, got)
		if n := got.Find(".chart g").Length(); n != bars {
			t.Errorf("%s has %d bars, want %d", span, n, bars)
		}
		asked := c.asked[len(c.asked)-1]
		length := map[apikey.UsagePeriod]time.Duration{apikey.ByHour: time.Hour, apikey.ByDay: 24 * time.Hour}[asked.By]
		if want := s.Clock.Now().UTC().Truncate(length).Add(-time.Duration(bars-1) * length); asked.From == nil || !asked.From.Equal(want) {
			t.Errorf("%s asks from %v, want %v", span, asked.From, want)
		}
	}
	got := b.get("/keys/" + k.ID + "?tab=usage&span=7d")
	if label := got.Find(".chart svg").AttrOr("aria-label", ""); !strings.Contains(label, "1\u202f500 issued, 3 denied") {
		t.Errorf("the picture is told as %q", label)
	}
	if scale := got.text(".chart-scale"); scale != "2 000 1 000 0" {
		t.Errorf("the scale is %q", scale)
	}
	last := got.Find(".chart g").Last()
	if issued, denied := last.Find("rect.issued"), last.Find("rect.denied"); issued.AttrOr("height", "") != "27.0" || issued.AttrOr("y", "") != "153.0" || denied.AttrOr("height", "") != "0.3" {
		t.Errorf("the last bar is %s high at %s, its denied part %s", issued.AttrOr("height", ""), issued.AttrOr("y", ""), denied.AttrOr("height", ""))
	}
	if rows := got.Find(".data tbody tr"); rows.Length() != 2 || !strings.Contains(got.text(".data tbody"), "1: later; 2: the key had expired") && !strings.Contains(got.text(".data tbody"), "2: the key had expired; 1: later") {
		t.Errorf("the table says %s", got.text(".data tbody"))
	}
	if said := got.text("main"); !strings.Contains(said, "because the key had expired") || !strings.Contains(said, hostile[0]+" never asked for") {
		t.Errorf("the page says %s", said)
	}
}

// Events show what changed, whatever was written in it, and lead to older ones.
func TestKeyEventPages(t *testing.T) {
	t.Parallel()
	c := &counted{}
	for i, text := range hostile {
		c.events.Data = append(c.events.Data, apikey.Event{ID: int64(100 - i), Action: apikey.ActionUpdate, Principal: "user:" + text, Address: "192.0.2.1", UserAgent: text, RequestID: "req_" + fmt.Sprint(i),
			Before: map[string]any{"name": text, "labels": map[string]any{"note": text}}, After: map[string]any{"name": "after", "scopes": []any{text}}})
	}
	c.events.NextCursor = "88"
	s := newSite(t, apikeytest.Options{Idle: true}, withCounts(c))
	k := s.key(t, apikey.CreateParams{Name: "told"})
	b := s.as(t, web.RoleViewer)
	got := b.get("/keys/" + k.ID + "?tab=events&cursor=101")
	wantStatus(t, "the page", got, http.StatusOK)
	wantClean(t, "the page", got)
	if last := c.pages[len(c.pages)-1]; last.Cursor != "101" || last.Limit < 1 {
		t.Errorf("asked for %+v", last)
	}
	if next := got.Find("a[rel=next]").AttrOr("href", ""); next != "/keys/"+k.ID+"?cursor=88&tab=events" {
		t.Errorf("the next page is %s", next)
	}
	if got.Find(`.pager a[href="/keys/`+k.ID+`?tab=events"]`).Length() != 1 {
		t.Error("nothing leads to the newest events")
	}
	got.Find(".key-event").Each(func(i int, e *goquery.Selection) {
		if said := e.Text(); !strings.Contains(said, "user:"+hostile[i]) || !strings.Contains(said, "192.0.2.1, "+hostile[i]) || !strings.Contains(said, "req_"+fmt.Sprint(i)) || e.Find("tbody tr").Length() != 3 {
			t.Errorf("event %d says %s", i, said)
		}
	})
}
