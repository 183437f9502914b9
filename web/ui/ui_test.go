package ui_test

import (
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/a-h/templ"

	"github.com/tokenos/tokenos/web/ui"
)

func render(t *testing.T, c templ.Component) *goquery.Document {
	t.Helper()
	var b strings.Builder
	if err := c.Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// A field's hint and error are tied to its control, for whoever does not see them.
func TestField(t *testing.T) {
	const hostile = `"><script>alert(1)</script>`
	doc := render(t, ui.Input(ui.InputProps{FieldProps: ui.FieldProps{ID: "name", Label: "Name", Hint: "For people", Error: hostile, Required: true}, Value: hostile, MaxLength: 100}))
	input := doc.Find("input#name")
	if input.AttrOr("aria-describedby", "") != "name-hint name-error" || input.AttrOr("aria-invalid", "") != "true" || input.AttrOr("value", "") != hostile || input.AttrOr("maxlength", "") != "100" {
		html, _ := doc.Html()
		t.Error(html)
	}
	if doc.Find("label[for=name]").Length() != 1 || doc.Find("#name-error").Text() != hostile || doc.Find("script, .optional").Length() != 0 {
		html, _ := doc.Html()
		t.Error(html)
	}
	plain := render(t, ui.TextArea(ui.FieldProps{ID: "note", Label: "Note"}, "</textarea><b>", 3))
	if a := plain.Find("textarea"); a.AttrOr("aria-describedby", "none") != "none" || a.AttrOr("required", "no") != "no" || a.Text() != "</textarea><b>" || plain.Find(".optional").Length() != 1 {
		t.Error(plain.Text())
	}
}

// The summary leads to the fields, and there is none without a fault.
func TestErrors(t *testing.T) {
	doc := render(t, ui.Errors([]ui.FormError{{ID: "name", Text: "Name: is too long."}, {Text: "Too many."}}))
	if doc.Find(`[role=alert] a[href="#name"]`).Length() != 1 || doc.Find("li").Length() != 2 || !strings.Contains(doc.Text(), "2 things") {
		t.Error(doc.Text())
	}
	if doc := render(t, ui.Errors(nil)); doc.Find("[role=alert]").Length() != 0 {
		t.Error("a summary of nothing")
	}
}

// A moment is told in the largest unit that fits.
func TestAgo(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{0: "just now", -30 * time.Second: "just now", -3 * time.Minute: "3 min ago", -time.Hour: "1 hour ago", -25 * time.Hour: "1 day ago",
		-21 * day: "21 days ago", -70 * day: "2 months ago", -400 * day: "1 year ago", 20 * time.Second: "in a moment", 2 * day: "in 2 days", 900 * day: "in 2 years"} {
		if got := ui.Ago(now.Add(d), now); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
