package apikeytest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// The same request with the same Idempotency-Key gives the same answer, with
// the same secret; another body is refused; another caller's is another key.
func testIdempotency(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	p := apikey.CreateParams{Name: "once", Owner: "idempotency", Scopes: []string{"a"}, IdempotencyKey: "idempotency-test-0001"}
	first, err := api.Create(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := api.Create(ctx, p)
	if err != nil || again.Key.ID != first.Key.ID || !again.Secret.Equal(first.Secret) {
		t.Errorf("repeated: %s, same secret %v, %v; want %s", again.Key.ID, again.Secret.Equal(first.Secret), err, first.Key.ID)
	}
	if !f.Works(t, again.Key, again.Secret, nil) {
		t.Error("the repeated secret does not work")
	}
	other := p
	other.Name = "twice"
	_, err = api.Create(ctx, other)
	wantErr(t, "another body", err, apikey.ErrIdempotencyMismatch)
	stranger, sctx := f.As(t, All)
	theirs, err := stranger.Create(sctx, p)
	if err != nil || theirs.Key.ID == first.Key.ID || theirs.Secret.Equal(first.Secret) {
		t.Errorf("another caller's same header: %s, %v", theirs.Key.ID, err)
	}
	d := apikey.DisableParams{IdempotencyKey: "idempotency-test-0002"}
	one, err := api.Disable(ctx, first.Key.ID, d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Enable(ctx, first.Key.ID, apikey.ActionParams{IdempotencyKey: "idempotency-test-0003"}); err != nil {
		t.Fatal(err)
	}
	two, err := api.Disable(ctx, first.Key.ID, d)
	if err != nil || two.Key.Revision != one.Key.Revision || two.Key.Status != apikey.StatusDisabled {
		t.Errorf("repeated disable: revision %d, %s, %v", two.Key.Revision, two.Key.Status, err)
	}
	if k, err := api.Get(ctx, first.Key.ID); err != nil || k.Status != apikey.StatusActive {
		t.Errorf("a repeated disable disabled again: %s, %v", k.Status, err)
	}
}

// Lists filter, search, sort and page; a cursor goes with its list alone.
func testList(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	var ids []string
	for i := range 7 {
		end := f.Clock.Now().Add(time.Duration(10-i) * time.Hour)
		p := apikey.CreateParams{Name: fmt.Sprintf("Worker %d", i), Owner: "list", Scopes: []string{"a", fmt.Sprintf("s:%d", i)}, Labels: map[string]string{"n": fmt.Sprint(i)}, ExpiresAt: apikey.SetTo(end)}
		if i%2 == 1 {
			p.AuthMethod, p.Environment = apikey.ClientSecretPost, apikey.Test
		}
		issued, err := api.Create(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, issued.Key.ID)
		f.Clock.Advance(time.Second)
	}
	if _, err := api.Disable(ctx, ids[2], apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	before := f.Clock.Now().Add(5*time.Hour + time.Minute)
	for name, c := range map[string]struct {
		p    apikey.ListParams
		want []int
	}{
		"owner, oldest first":   {apikey.ListParams{Owner: "list", Sort: "created_at"}, []int{0, 1, 2, 3, 4, 5, 6}},
		"newest first":          {apikey.ListParams{Owner: "list"}, []int{6, 5, 4, 3, 2, 1, 0}},
		"soonest to expire":     {apikey.ListParams{Owner: "list", Sort: "expires_at"}, []int{6, 5, 4, 3, 2, 1, 0}},
		"by name":               {apikey.ListParams{Owner: "list", Sort: "name"}, []int{0, 1, 2, 3, 4, 5, 6}},
		"by name, downwards":    {apikey.ListParams{Owner: "list", Sort: "-name"}, []int{6, 5, 4, 3, 2, 1, 0}},
		"status":                {apikey.ListParams{Owner: "list", Status: apikey.StatusDisabled}, []int{2}},
		"environment":           {apikey.ListParams{Owner: "list", Environment: apikey.Test, Sort: "name"}, []int{1, 3, 5}},
		"auth method":           {apikey.ListParams{Owner: "list", AuthMethod: apikey.ClientSecretPost, Sort: "name"}, []int{1, 3, 5}},
		"scope":                 {apikey.ListParams{Owner: "list", Scope: "s:4"}, []int{4}},
		"label":                 {apikey.ListParams{Owner: "list", Label: "n:3"}, []int{3}},
		"expires before":        {apikey.ListParams{Owner: "list", ExpiresBefore: &before, Sort: "name"}, []int{5, 6}},
		"words begin":           {apikey.ListParams{Owner: "list", Q: "wor", Sort: "name"}, []int{0, 1, 2, 3, 4, 5, 6}},
		"all words":             {apikey.ListParams{Owner: "list", Q: "WORKER 5"}, []int{5}},
		"id":                    {apikey.ListParams{Q: ids[3]}, []int{3}},
		"beginning of an id":    {apikey.ListParams{Q: ids[3][:30]}, []int{3}},
		"root id":               {apikey.ListParams{RootID: ids[1]}, []int{1}},
		"wildcards are letters": {apikey.ListParams{Owner: "list", Label: "n:%"}, nil},
	} {
		page, err := api.List(ctx, c.p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []int
		for _, k := range page.Data {
			got = append(got, slices.Index(ids, k.ID))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	f.testPaging(t, ids)
}

func (f Fixture) testPaging(t *testing.T, ids []string) {
	api, ctx := f.As(t, All)
	for _, sort := range []string{"created_at", "-created_at", "name", "-name", "expires_at", "-updated_at"} {
		var seen []string
		p := apikey.ListParams{Owner: "list", Sort: sort, Limit: 3, Count: true}
		for {
			page, err := api.List(ctx, p)
			if err != nil {
				t.Fatal(err)
			}
			if page.Count == nil || *page.Count != 7 {
				t.Errorf("%s: count %v, want 7", sort, page.Count)
			}
			for _, k := range page.Data {
				seen = append(seen, k.ID)
			}
			if p.Cursor = page.NextCursor; p.Cursor == "" {
				break
			}
		}
		if len(seen) != 7 || len(slices.Compact(slices.Sorted(slices.Values(seen)))) != 7 {
			t.Errorf("%s: pages show %d keys, want each of %d once", sort, len(seen), len(ids))
		}
	}
	first, err := api.List(ctx, apikey.ListParams{Owner: "list", Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]apikey.ListParams{
		"another filter": {Cursor: first.NextCursor},
		"another order":  {Owner: "list", Sort: "name", Cursor: first.NextCursor},
		"altered":        {Owner: "list", Cursor: "A" + first.NextCursor},
		"garbage":        {Owner: "list", Cursor: "junk"},
	} {
		_, err := api.List(ctx, p)
		wantErr(t, "cursor with "+name, err, apikey.ErrInvalid)
	}
	stranger, sctx := f.As(t, All, "list")
	_, err = stranger.List(sctx, apikey.ListParams{Owner: "list", Cursor: first.NextCursor})
	wantErr(t, "cursor of another caller's view", err, apikey.ErrInvalid)
	for _, p := range []apikey.ListParams{{Limit: 201}, {Limit: -1}, {Sort: "owner"}, {Status: "dead"}, {Label: "x"}, {Q: strings.Repeat("x", 201)}} {
		_, err := api.List(ctx, p)
		wantErr(t, fmt.Sprintf("%+v", p), err, apikey.ErrInvalid)
	}
}

// Each change leaves one event, in order, with who, what, before and after, and
// never a secret.
func testEvents(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	start := lastEvent(t, f)
	issued := f.make(t, api, ctx, "events")
	id := issued.Key.ID
	name := "renamed"
	if _, err := api.Update(ctx, id, apikey.UpdateParams{Name: &name}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Disable(ctx, id, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Disable(ctx, id, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	page, err := api.KeyEvents(ctx, id, apikey.PageParams{})
	if err != nil {
		t.Fatal(err)
	}
	var got []apikey.Action
	for _, e := range page.Data {
		got = append(got, e.Action)
		if e.Principal == "" || e.At.IsZero() || e.KeyID != id || e.Owner != "events" {
			t.Errorf("event lacks something: %+v", e)
		}
	}
	if want := []apikey.Action{apikey.ActionDisable, apikey.ActionUpdate, apikey.ActionCreate}; !slices.Equal(got, want) {
		t.Fatalf("actions %v, want %v", got, want)
	}
	update := page.Data[1]
	if update.Before["name"] != "plain" || update.After["name"] != "renamed" || len(update.After) != 1 {
		t.Errorf("before %v, after %v", update.Before, update.After)
	}
	if raw, _ := json.Marshal(page.Data); strings.Contains(string(raw), issued.Secret.Reveal()) {
		t.Error("an event holds the secret")
	}
	feed, err := api.Events(ctx, apikey.FeedParams{After: start, Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	last := start
	for _, e := range feed.Data {
		if e.ID <= last {
			t.Errorf("event %d after %d", e.ID, last)
		}
		last = e.ID
	}
	if one, err := api.KeyEvents(ctx, id, apikey.PageParams{Limit: 1}); err != nil || len(one.Data) != 1 || one.NextCursor == "" {
		t.Errorf("page of one: %+v, %v", one, err)
	} else if two, err := api.KeyEvents(ctx, id, apikey.PageParams{Limit: 5, Cursor: one.NextCursor}); err != nil || len(two.Data) != 2 || two.NextCursor != "" {
		t.Errorf("the rest: %+v, %v", two, err)
	}
}

func lastEvent(t *testing.T, f Fixture) int64 {
	t.Helper()
	api, ctx := f.As(t, All)
	var last int64
	for {
		page, err := api.Events(ctx, apikey.FeedParams{After: last, Limit: 200})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Data) == 0 {
			return last
		}
		last = page.Data[len(page.Data)-1].ID
	}
}
