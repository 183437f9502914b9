package apikeytest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// The feed is read from either end and narrowed by action, key, principal and
// time; its pages follow one another without a gap, for the caller's owners alone.
func testFeed(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	start := lastEvent(t, f)
	one, two := f.make(t, api, ctx, "feed").Key.ID, f.make(t, api, ctx, "feed").Key.ID
	// A text of a key's own that looks like an action is none.
	label := "key.disabled"
	if _, err := api.Update(ctx, one, apikey.UpdateParams{Labels: map[string]*string{"action": &label}}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{one, two} {
		if _, err := api.Disable(ctx, id, apikey.DisableParams{}); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{"key.created " + one, "key.created " + two, "key.updated " + one, "key.disabled " + one, "key.disabled " + two}
	page, err := api.KeyEvents(ctx, one, apikey.PageParams{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	me, early, late := page.Data[0].Principal, page.Data[0].At.Add(-time.Hour), page.Data[0].At.Add(time.Hour)
	for _, c := range []struct {
		p    apikey.FeedParams
		want []string
	}{
		{apikey.FeedParams{}, all},
		{apikey.FeedParams{KeyID: two}, []string{all[1], all[4]}},
		{apikey.FeedParams{Action: apikey.ActionDisable}, all[3:]},
		{apikey.FeedParams{Action: apikey.ActionDisable, KeyID: one}, all[3:4]},
		{apikey.FeedParams{Action: apikey.ActionRevoke}, nil},
		{apikey.FeedParams{Principal: me, Since: &early}, all},
		{apikey.FeedParams{Principal: me[:len(me)-1]}, nil},
		{apikey.FeedParams{Principal: strings.Repeat("_", len(me))}, nil},
		{apikey.FeedParams{Since: &late}, nil},
	} {
		for _, newest := range []bool{false, true} {
			for _, limit := range []int{1, 200} {
				p, want := c.p, slices.Clone(c.want)
				if p.After, p.Newest, p.Limit = start, newest, limit; newest {
					slices.Reverse(want)
				}
				got := readFeed(t, f, p)
				if !slices.Equal(got, want) {
					t.Errorf("%+v: got %v, want %v", p, got, want)
				}
			}
		}
	}
	other, octx := f.As(t, All, "somebody else")
	if page, err := other.Events(octx, apikey.FeedParams{After: start, Newest: true, KeyID: one}); err != nil || len(page.Data) > 0 {
		t.Errorf("another owner's events: %v, %v", page.Data, err)
	}
	for _, p := range []apikey.FeedParams{{After: -1}, {Before: -1}, {Action: "key.converged"}, {Action: "x"}, {KeyID: "a b"}, {Principal: strings.Repeat("x", 301)}, {Limit: 201}} {
		_, err := api.Events(ctx, p)
		wantErr(t, fmt.Sprintf("%+v", p), err, apikey.ErrInvalid)
	}
}

// readFeed reads a feed page by page: from the newest to its end, from the oldest
// until nothing new comes.
func readFeed(t *testing.T, f Fixture, p apikey.FeedParams) (out []string) {
	t.Helper()
	api, ctx := f.As(t, All)
	for range 1000 {
		page, err := api.Events(ctx, p)
		if err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		for _, e := range page.Data {
			if e.Owner == "feed" {
				out = append(out, string(e.Action)+" "+e.KeyID)
			}
		}
		var next int64
		if _, err := fmt.Sscan(page.NextCursor, &next); p.Newest && err != nil || !p.Newest && next <= p.After {
			return out
		}
		if p.Newest {
			p.Before = next
		} else {
			p.After = next
		}
	}
	return out
}
