package ledger

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"github.com/tokenos/tokenos/apikey"
)

// Which keys are not used, in the order in which they were made: often the first
// in that order are in use, and walking it would look at them all. So the days on
// which keys were made are gone through instead. An index tells for each how many
// match, without a look at those that do not, and once enough are counted the
// keys of these days are gathered. That costs a seek for each day that passes, and
// what matches on the last of them, at any number of keys.

const daySeconds = 86400

// unusedDays are the days that make a page: in a row of its own how many match up
// to that day, at most a page of each. A row for each day, because the planners
// must not choose in which order the days are gone through.
const unusedDays = `WITH RECURSIVE days(day, found) AS (
		SELECT ? + 0, CAST(0 AS BIGINT)
		UNION ALL SELECT day + ?, found + (SELECT COUNT(*) FROM (?) c) FROM days WHERE day <> ? AND found < ?)
	SELECT day, found FROM days ORDER BY found`

// ordersUnused reports whether the query is one of those.
func ordersUnused(q apikey.Query) bool {
	byCreation := q.Sort == "" || q.Sort == apikey.SortCreatedAt
	return byCreation && q.Kind != "" && (!q.UnusedSince.IsZero() || !q.ScopeUnusedSince.IsZero())
}

// unusedFrom is a start at the keys that the page is of.
func (d *DB) unusedFrom(ctx context.Context, f filter, q apikey.Query) (start, error) {
	column, since, by := "last_used_at", q.UnusedSince.Unix(), d.dialect.readBy("keys_day_used")
	if q.UnusedSince.IsZero() {
		column, since, by = "scope_asked_at", q.ScopeUnusedSince.Unix(), d.dialect.readBy("keys_day_asked")
	}
	first, last, step, err := d.daysOf(ctx, q, since)
	if err != nil {
		return start{}, err
	}
	onDay := d.read.NewSelect().TableExpr("keys AS k"+by).ColumnExpr("1").Where("k.created_at / 86400 = day + ?", step).Where("k."+column+" < ?", since).Limit(int64(q.Limit))
	for _, c := range f.where {
		onDay.Where(c.text, c.args...)
	}
	after(onDay, q)
	var rows []struct{ Day, Found int64 }
	if err := d.read.NewRaw(unusedDays, first-step, step, onDay, last, q.Limit).Scan(ctx, &rows); err != nil {
		return start{}, err
	}
	days, found := []int64{first}, int64(0) // never empty
	for _, r := range rows {
		if r.Found > found {
			days, found = append(days, r.Day), r.Found
		}
	}
	return start{keys: fewMatches, term: &clause{
		text: "SELECT id AS key_id FROM keys" + by + " WHERE kind = ? AND created_at / 86400 IN (?) AND " + column + " < ?",
		args: []any{string(q.Kind), bun.List(slices.Compact(days)), since}}}, nil
}

// daysOf are the first and the last day to go through, and the step between two.
// All lie within the days on which keys were made, whatever moment is asked for.
func (d *DB) daysOf(ctx context.Context, q apikey.Query, since int64) (first, last, step int64, err error) {
	var made struct{ Oldest, Newest int64 }
	err = d.read.NewRaw("SELECT COALESCE((SELECT MIN(created_at) FROM keys WHERE kind = ?), 0) AS oldest, COALESCE((SELECT MAX(created_at) FROM keys WHERE kind = ?), 0) AS newest",
		string(q.Kind), string(q.Kind)).Scan(ctx, &made)
	oldest, newest := made.Oldest/daySeconds, made.Newest/daySeconds
	within := func(at int64) int64 { return min(max(at/daySeconds, oldest), newest) }
	first, last, step = oldest, within(since), 1
	if q.Descending {
		first, last, step = last, first, -1
	}
	if q.After != nil {
		first = within(q.After.Number)
	}
	if (last-first)*step < 0 {
		last = first
	}
	return first, last, step, err
}
