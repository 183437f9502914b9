package web_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/ledgertest"
	"github.com/tokenos/tokenos/web"
)

// squeezed are the headers of a browser in which a person follows a link.
var squeezed = []string{"Accept-Encoding", "gzip, br", "Sec-Fetch-Site", "same-origin"}

// What a person asks for within the dashboard is compressed; what another site may
// have asked for, a form's answer and a page that opens the door are not.
func TestCompressed(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b := s.as(t, web.RoleEditor)
	once := s.links.New()
	for _, c := range []struct {
		path string
		with []string
		want string
	}{
		{"/keys", squeezed, "gzip"},
		{"/keys", append(squeezed, htmx("div#results")...), "gzip"},
		{"/keys", []string{"Accept-Encoding", "gzip", "Sec-Fetch-Site", "none"}, "gzip"},
		{"/keys", []string{"Accept-Encoding", "br,GZIP", "Sec-Fetch-Site", "none"}, "gzip"},
		{"/keys", []string{"Accept-Encoding", "gzip;q=0, notgzip", "Sec-Fetch-Site", "none"}, ""},
		{"/keys", []string{"Accept-Encoding", "br", "Sec-Fetch-Site", "none"}, ""},
		{"/keys", []string{"Accept-Encoding", "gzip", "Sec-Fetch-Site", "cross-site"}, ""},
		{"/keys", []string{"Accept-Encoding", "gzip", "Sec-Fetch-Site", "same-site"}, ""},
		{"/keys", []string{"Accept-Encoding", "gzip"}, ""},
		{once, squeezed, ""},
		{"/sign-in", squeezed, ""},
	} {
		if got := b.get(c.path, c.with...); got.header.Get("Content-Encoding") != c.want {
			t.Errorf("%s with %v: status %d, compressed with %q, want %q", c.path, c.with, got.status, got.header.Get("Content-Encoding"), c.want)
		}
	}
	if got := b.post("/keys/new", url.Values{"name": {"billing"}}, squeezed...); got.header.Get("Content-Encoding") != "" || got.Find("form").Length() == 0 {
		t.Errorf("a form's answer: status %d, compressed with %q", got.status, got.header.Get("Content-Encoding"))
	}
}

// sizeMost is how many bytes a page and all that it loads may have, as they are
// sent. The API's reference is Swagger UI, which alone is larger.
const sizeMost = 100_000

// Every page with all that it loads on a first visit is small, also if it is full.
func TestPageSize(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	if err := ledgertest.Seed(t.Context(), s.Ledger, 1100); err != nil {
		t.Fatal(err)
	}
	b := s.as(t, web.RoleAdmin)
	for _, id := range []int{0, 10, 20} { // some events
		if _, err := s.Service.Disable(apikey.WithCaller(t.Context(), apikey.Caller{Principal: "user:size", Rights: apikeytest.All}), ledgertest.Key(id).ID, apikey.DisableParams{}); err != nil {
			t.Fatal(err)
		}
	}
	if figures := b.get("/").text(".figure-count"); figures != "1 000+ 0 1 000+ 25" {
		t.Errorf("the figures are %s", figures)
	}
	key := "/keys/" + ledgertest.Key(30).ID
	for _, path := range []string{"/", "/keys", "/keys?q=billing", "/keys/new", key, key + "?tab=credentials", key + "?tab=usage", key + "?tab=events", key + "?tab=code", key + "?tab=danger",
		key + "/rotate", key + "/first-token", "/activity", "/tools", "/settings"} {
		if size, loads := b.weigh(path); size > sizeMost || loads < 4 {
			t.Errorf("%s and the %d things it loads have %d bytes, of at most %d", path, loads, size, sizeMost)
		}
	}
	if size, loads := s.browser(t).weigh("/sign-in"); size > sizeMost || loads < 4 {
		t.Errorf("the sign-in and the %d things it loads have %d bytes, of at most %d", loads, size, sizeMost)
	}
}

// weigh is how many bytes a page has with what it loads, and how much that is.
func (b *browser) weigh(path string) (size, loads int) {
	b.t.Helper()
	page := b.get(path, squeezed...)
	wantStatus(b.t, path, page, http.StatusOK)
	size = len(page.body)
	doc := page.Document
	if page.header.Get("Content-Encoding") == "gzip" {
		plain, err := gzip.NewReader(strings.NewReader(page.body))
		if err != nil {
			b.t.Fatal(err)
		}
		if doc, err = goquery.NewDocumentFromReader(io.LimitReader(plain, 10<<20)); err != nil {
			b.t.Fatal(err)
		}
	}
	doc.Find("link[href], script[src], img[src]").Each(func(_ int, e *goquery.Selection) {
		asset := b.get(e.AttrOr("href", e.AttrOr("src", "")), squeezed...)
		wantStatus(b.t, path, asset, http.StatusOK)
		loads++
		size += len(asset.body)
	})
	return size, loads
}
