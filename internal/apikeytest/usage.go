package apikeytest

import (
	"context"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
)

// use adds what a key was used for to the ledger, as its writer does.
func (f Fixture) use(t *testing.T, uses ...apikey.KeyUsage) {
	t.Helper()
	slices.SortFunc(uses, func(a, b apikey.KeyUsage) int { return slices.Compare([]byte(a.ID), []byte(b.ID)) })
	if err := f.AddUsage(t.Context(), apikey.UsageBatch{Writer: rand.Text(), Number: 1, At: f.Clock.Now(), Keys: uses}); err != nil {
		t.Fatal(err)
	}
}

// issuedTo is one token of a key at a moment, with the scopes asked for.
func issuedTo(id string, at time.Time, scopes ...string) apikey.KeyUsage {
	at = at.UTC().Truncate(time.Second)
	counts := apikey.NewTokenCounts()
	counts.Add("", 1)
	u := apikey.KeyUsage{ID: id, LastUsedAt: at, Hours: []apikey.PeriodCounts{{From: at.Truncate(time.Hour), TokenCounts: counts}}}
	for _, s := range scopes {
		u.Asked = append(u.Asked, apikey.ScopeUsage{Scope: s, LastAskedAt: &at})
	}
	return u
}

// Usage counts a key's tokens by hour and day, says when it was last used and
// refused and each scope asked for, and is for who sees the key.
func testUsage(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	issued, err := api.Create(ctx, apikey.CreateParams{Name: "usage", Owner: "usage", Scopes: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	id := issued.Key.ID
	unused, err := api.Usage(ctx, id, apikey.UsageParams{})
	if err != nil || issued.Key.LastUsedAt != nil || unused.LastUsedAt != nil || unused.LastDenial != nil || unused.Data == nil || len(unused.Data) != 0 ||
		unused.Totals.Issued != 0 || unused.Totals.DeniedBy == nil || !cmp.Equal(unused.Scopes, []apikey.ScopeUsage{{Scope: "a"}, {Scope: "b"}}) || unused.By != apikey.ByDay {
		t.Errorf("a key that was never used: %+v, %v", unused, err)
	}

	at := f.Clock.Now().UTC().Truncate(24 * time.Hour).Add(-time.Second) // the last of yesterday
	first, second := issuedTo(id, at, "a"), issuedTo(id, at.Add(time.Second), "a")
	second.LastDenial = &apikey.LastDenial{Reason: apikey.DeniedExpired, At: at.Add(time.Second)}
	second.Hours[0].Add(apikey.DeniedExpired, 3)
	second.Hours[0].Add(apikey.DeniedNoCredential, 1)
	f.use(t, first)
	f.use(t, second)
	midnight := at.Add(time.Second)
	want := apikey.Usage{By: apikey.ByDay, From: midnight.Add(-24 * time.Hour), To: midnight.Add(24 * time.Hour),
		Data:       []apikey.PeriodCounts{{From: midnight.Add(-24 * time.Hour), TokenCounts: first.Hours[0].TokenCounts}, {From: midnight, TokenCounts: second.Hours[0].TokenCounts}},
		Totals:     apikey.TokenCounts{Issued: 2, Denied: 4, DeniedBy: map[apikey.Denial]int64{apikey.DeniedExpired: 3, apikey.DeniedNoCredential: 1}},
		LastUsedAt: &midnight, LastDenial: second.LastDenial, Scopes: []apikey.ScopeUsage{{Scope: "a", LastAskedAt: &midnight}, {Scope: "b"}}}
	got, err := api.Usage(ctx, id, apikey.UsageParams{From: &at})
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("by day: %v (-want +got):\n%s", err, diff)
	}
	// An hour alone, though the time after it is one nanosecond.
	got, err = api.Usage(ctx, id, apikey.UsageParams{By: apikey.ByHour, From: &at, To: new(at.Add(time.Nanosecond))})
	if err != nil || !got.From.Equal(at.Truncate(time.Hour)) || !got.To.Equal(midnight) || len(got.Data) != 1 || got.Totals.Issued != 1 || got.Totals.Denied != 0 {
		t.Errorf("one hour: %+v, %v", got, err)
	}
	for name, p := range map[string]apikey.UsageParams{"week": {By: "week"}, "sql": {By: "day'; DROP TABLE keys --"}, "backwards": {From: &midnight, To: &at}, "nothing": {From: &at, To: &at}} {
		_, err := api.Usage(ctx, id, p)
		wantErr(t, name, err, apikey.ErrInvalid)
	}
	year := func(y int) *time.Time { return new(time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC)) }
	for name, p := range map[string]apikey.UsageParams{"all time": {From: year(2), To: year(9999)}, "the past": {From: year(1000), To: year(1001), By: apikey.ByHour}, "the future": {From: year(9000), To: year(9001)}} {
		if got, err := api.Usage(ctx, id, p); err != nil || got.To.Sub(got.From) > apikey.MaxDaysKept+24*time.Hour || len(got.Data) > 2 {
			t.Errorf("%s: %v to %v, %d periods, %v", name, got.From, got.To, len(got.Data), err)
		}
	}

	stranger, sctx := f.As(t, All, "somebody else")
	_, err = stranger.Usage(sctx, id, apikey.UsageParams{})
	wantErr(t, "of another owner", err, apikey.ErrNotFound)
	for _, id := range []string{apikey.NewID(apikey.Live, at), "no such key", "..", ""} {
		_, err = api.Usage(ctx, id, apikey.UsageParams{})
		wantErr(t, "of nobody", err, apikey.ErrNotFound)
	}
	f.testLastUsed(t, api, ctx, issued, midnight)
}

// testLastUsed: every answer about a key that was used says so, and the key's
// deletion ends it.
func (f Fixture) testLastUsed(t *testing.T, api apikey.API, ctx context.Context, issued apikey.Issued, at time.Time) { //nolint:revive // the API comes with its context
	t.Helper()
	id := issued.Key.ID
	used := func(what string, got *time.Time, err error) {
		t.Helper()
		if err != nil || got == nil || !got.Equal(at) {
			t.Errorf("%s: last used %v, %v; want %v", what, got, err, at)
		}
	}
	k, err := api.Get(ctx, id)
	used("get", k.LastUsedAt, err)
	self, err := holder(t, api).Self(t.Context(), apikey.HolderCredential{Own: apikey.Credential{Method: apikey.ClientSecretBasic, ID: id, Secret: issued.Secret}})
	used("self", self.LastUsedAt, err)
	if self.LastDenial == nil || self.LastDenial.Reason != apikey.DeniedExpired || !self.LastDenial.At.Equal(at) {
		t.Errorf("self: last denial %+v", self.LastDenial)
	}
	name := "used"
	u, err := api.Update(ctx, id, apikey.UpdateParams{Name: &name})
	used("update", u.LastUsedAt, err)
	rotated, err := api.Rotate(ctx, id, apikey.RotateParams{})
	if err != nil || rotated.Key.LastUsedAt != nil || len(rotated.Others) != 1 {
		t.Fatalf("rotate: %+v, %v", rotated.Key.LastUsedAt, err)
	}
	used("the other key of the chain", rotated.Others[0].LastUsedAt, nil)
	for what, act := range map[string]func() (apikey.Result, error){
		"dry run": func() (apikey.Result, error) { return api.Revoke(ctx, id, apikey.RevokeParams{DryRun: true}) },
		"disable": func() (apikey.Result, error) { return api.Disable(ctx, id, apikey.DisableParams{}) },
	} {
		r, err := act()
		used(what, r.Key.LastUsedAt, err)
	}
	page, err := api.List(ctx, apikey.ListParams{Owner: "usage", Sort: "-last_used_at"})
	if err != nil || len(page.Data) != 2 {
		t.Fatalf("list: %d keys, %v", len(page.Data), err)
	}
	used("list", page.Data[0].LastUsedAt, nil)
	r, err := api.Revoke(ctx, id, apikey.RevokeParams{})
	used("revoke", r.Key.LastUsedAt, err)
	if err := api.Delete(ctx, id); err != nil {
		t.Fatal(err)
	}
	f.use(t, issuedTo(id, at)) // written late
	_, err = api.Usage(ctx, id, apikey.UsageParams{})
	wantErr(t, "of a deleted key", err, apikey.ErrNotFound)
}

// Lists find what is not used, to the second, and by scopes that nobody asks
// for; a key that is too young to tell is not found.
func testUnused(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	make := func(name string) string {
		issued, err := api.Create(ctx, apikey.CreateParams{Name: name, Owner: "unused", Scopes: []string{"a", "b"}})
		if err != nil {
			t.Fatal(err)
		}
		return issued.Key.ID
	}
	const day = 24 * time.Hour
	names := map[string]string{}
	for _, name := range []string{"never", "before", "at", "both scopes", "one scope"} {
		names[make(name)] = name
	}
	f.Clock.Advance(20 * day)
	names[make("young")] = "young"
	page, err := api.List(ctx, apikey.ListParams{Owner: "unused", Sort: "-created_at", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	since := page.Data[0].CreatedAt // the young key is not older than this
	id := func(name string) string {
		for id, n := range names {
			if n == name {
				return id
			}
		}
		t.Fatal(name)
		return ""
	}
	f.use(t, issuedTo(id("before"), since.Add(-time.Second), "a", "b"), issuedTo(id("at"), since, "a", "b"),
		issuedTo(id("both scopes"), since.Add(time.Minute), "a", "b"), issuedTo(id("one scope"), since.Add(time.Hour), "b"))
	f.Clock.Advance(9 * day)
	month := f.Clock.Now().Add(-8 * day)
	for name, c := range map[string]struct {
		p    apikey.ListParams
		want []string
	}{
		"longest unused first":          {apikey.ListParams{Sort: "last_used_at"}, []string{"never", "young", "before", "at", "both scopes", "one scope"}},
		"last used first":               {apikey.ListParams{Sort: "-last_used_at"}, []string{"one scope", "both scopes", "at", "before", "young", "never"}},
		"not since a moment":            {apikey.ListParams{LastUsedBefore: &since}, []string{"never", "before"}},
		"nor at it":                     {apikey.ListParams{LastUsedBefore: new(since.Add(time.Second)), Sort: "last_used_at"}, []string{"never", "young", "before", "at"}},
		"nor within its second":         {apikey.ListParams{LastUsedBefore: new(since.Add(time.Millisecond)), Sort: "last_used_at"}, []string{"never", "young", "before", "at"}},
		"for long":                      {apikey.ListParams{LastUsedBefore: &month, Sort: "-last_used_at"}, []string{"one scope", "both scopes", "at", "before", "young", "never"}},
		"since the beginning":           {apikey.ListParams{LastUsedBefore: new(time.Unix(0, 0))}, nil},
		"a scope for 10 days":           {apikey.ListParams{UnusedScopes: 10}, []string{"never", "one scope"}},
		"a scope for 8 days":            {apikey.ListParams{UnusedScopes: 8, Sort: "name"}, []string{"at", "before", "both scopes", "never", "one scope", "young"}},
		"a scope for longer than it is": {apikey.ListParams{UnusedScopes: 30}, nil},
		"at most":                       {apikey.ListParams{UnusedScopes: 3650}, nil},
		"a scope, and not used":         {apikey.ListParams{UnusedScopes: 10, LastUsedBefore: &since}, []string{"never"}},
		"beside another filter":         {apikey.ListParams{UnusedScopes: 10, Q: "scope"}, []string{"one scope"}},
	} {
		c.p.Owner, c.p.Count = "unused", true
		page, err := api.List(ctx, c.p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, k := range page.Data {
			got = append(got, names[k.ID])
		}
		if !slices.Equal(got, c.want) || *page.Count != len(c.want) {
			t.Errorf("%s: got %v, count %d; want %v", name, got, *page.Count, c.want)
		}
	}
	for _, n := range []int{-1, 3651, 1 << 40} {
		_, err := api.List(ctx, apikey.ListParams{UnusedScopes: n})
		wantErr(t, "unused scopes", err, apikey.ErrInvalid)
	}
	f.testUnusedPages(t, since)
}

// testUnusedPages: pages by last use show each key once; a cursor goes with its
// filters.
func (f Fixture) testUnusedPages(t *testing.T, since time.Time) {
	api, ctx := f.As(t, All)
	for _, sort := range []string{"last_used_at", "-last_used_at"} {
		seen := map[string]bool{}
		p := apikey.ListParams{Owner: "unused", Sort: sort, Limit: 1}
		for n := 0; ; n++ {
			page, err := api.List(ctx, p)
			if err != nil || n > 6 {
				t.Fatal(n, err)
			}
			for _, k := range page.Data {
				seen[k.ID] = true
			}
			if p.Cursor = page.NextCursor; p.Cursor == "" {
				break
			}
		}
		if len(seen) != 6 {
			t.Errorf("%s: pages show %d keys, want 6", sort, len(seen))
		}
		first, err := api.List(ctx, apikey.ListParams{Owner: "unused", Sort: sort, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []apikey.ListParams{{LastUsedBefore: &since}, {UnusedScopes: 10}} {
			p.Owner, p.Sort, p.Cursor = "unused", sort, first.NextCursor
			_, err := api.List(ctx, p)
			wantErr(t, "cursor with another filter", err, apikey.ErrInvalid)
		}
	}
}
