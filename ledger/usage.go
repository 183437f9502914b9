package ledger

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

const (
	// No row: the batch was added before. On Postgres this waits for one that may
	// still commit.
	enterBatch = `INSERT INTO usage_writers (id, number, at) VALUES ($1, $2, $3)
		ON CONFLICT (id) DO UPDATE SET number = excluded.number, at = excluded.at WHERE usage_writers.number < excluded.number`

	// longestUnasked is the scope of a key that has waited longest to be asked for.
	longestUnasked = `(SELECT COALESCE(MIN(COALESCE(u.last_asked_at, 0)), 0) FROM key_terms s
		LEFT JOIN usage_scopes u ON u.key_id = s.key_id AND u.scope = s.term WHERE s.key_id = keys.id AND s.kind = 's')`

	forgetScopes = `DELETE FROM usage_scopes WHERE key_id = $1
		AND NOT EXISTS (SELECT 1 FROM key_terms t WHERE t.key_id = usage_scopes.key_id AND t.kind = 's' AND t.term = usage_scopes.scope)`
	askScopes    = `UPDATE keys SET scope_asked_at = ` + longestUnasked + ` WHERE id = $1 AND scope_asked_at <> ` + longestUnasked
	deleteHours  = `DELETE FROM usage_hours WHERE key_id = $1`
	deleteDays   = `DELETE FROM usage_days WHERE key_id = $1`
	deleteScopes = `DELETE FROM usage_scopes WHERE key_id = $1`

	hoursOf = `SELECT hour AS at, outcome, tokens FROM usage_hours WHERE key_id = $1 AND hour >= $2 AND hour < $3 ORDER BY hour, outcome`
	daysOf  = `SELECT at, outcome, CAST(SUM(tokens) AS BIGINT) AS tokens FROM (
			SELECT day AS at, outcome, tokens FROM usage_days WHERE key_id = $1 AND day >= $2 AND day < $3
			UNION ALL SELECT hour - hour % 86400, outcome, tokens FROM usage_hours WHERE key_id = $1 AND hour >= $2 AND hour < $3) u
		GROUP BY at, outcome ORDER BY at, outcome`
	scopesOf = `SELECT u.scope, u.last_asked_at FROM key_terms t JOIN usage_scopes u ON u.key_id = t.key_id AND u.scope = t.term
		WHERE t.key_id = $1 AND t.kind = 's' ORDER BY u.scope`
)

// rowsAtOnce are the numbers of rows for which there are statements on many,
// greatest first: few, because the databases prepare each.
var rowsAtOnce = []int{256, 64, 16, 4, 1}

// many makes a statement on many rows, for each number of them: {rows} becomes
// the rows, with values from $from on. first is the first row, which may tell the
// types, and row each further one.
func many(text string, from int, first, row string) map[int]string {
	out := map[int]string{}
	for _, n := range rowsAtOnce {
		var b strings.Builder
		value := from
		for i := range n {
			next := ", " + row
			if i == 0 {
				next = first
			}
			for part := range strings.SplitAfterSeq(next, "?") {
				fixed, isValue := strings.CutSuffix(part, "?")
				b.WriteString(fixed)
				if isValue {
					b.WriteString(mark(value))
					value++
				}
			}
		}
		out[n] = strings.ReplaceAll(text, "{rows}", b.String())
	}
	return out
}

// countTokens adds to the counts of hours.
const countTokens = `INSERT INTO usage_hours (key_id, hour, outcome, tokens) VALUES {rows}
	ON CONFLICT (key_id, hour, outcome) DO UPDATE SET tokens = usage_hours.tokens + excluded.tokens`

var (
	addIssued = many(countTokens, 1, "(?, ?, ?, ?)", "(?, ?, ?, ?)")
	addAsked  = many(`INSERT INTO usage_scopes (key_id, scope, last_asked_at) SELECT v.column1, v.column2, v.column3 FROM (VALUES {rows}) v
		WHERE EXISTS (SELECT 1 FROM key_terms t WHERE t.key_id = v.column1 AND t.kind = 's' AND t.term = v.column2)
		ON CONFLICT (key_id, scope) DO UPDATE SET last_asked_at = excluded.last_asked_at WHERE usage_scopes.last_asked_at < excluded.last_asked_at`,
		1, "(CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT))", "(?, ?, ?)")
	addLast = many(`UPDATE keys SET last_used_at = CASE WHEN v.column2 > last_used_at THEN v.column2 ELSE last_used_at END,
		last_denial = CASE WHEN v.column3 > 0 AND v.column3 >= last_denied_at THEN v.column4 ELSE last_denial END,
		last_denied_at = CASE WHEN v.column3 > last_denied_at THEN v.column3 ELSE last_denied_at END,
		scope_asked_at = `+longestUnasked+` FROM (VALUES {rows}) v WHERE keys.id = v.column1`,
		1, "(CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS TEXT))", "(?, ?, ?, ?)")
	moveHours = many(`INSERT INTO usage_days (key_id, day, outcome, tokens)
		SELECT key_id, hour - hour % 86400, outcome, CAST(SUM(tokens) AS BIGINT) FROM usage_hours WHERE hour < $1 AND key_id IN ({rows}) GROUP BY 1, 2, 3
		ON CONFLICT (key_id, day, outcome) DO UPDATE SET tokens = usage_days.tokens + excluded.tokens`, 2, "?", "?")
	forgetHours = many(`DELETE FROM usage_hours WHERE hour < $1 AND key_id IN ({rows})`, 2, "?", "?")
	// With {lock}, others that count or change these keys wait; in this order, so
	// that none waits in a circle.
	lockKeys = many(`SELECT id FROM keys WHERE id IN ({rows}) ORDER BY id{lock}`, 1, "?", "?")
)

// inParts gives f the statement and the values for some of the rows, until it
// had all.
func inParts(texts map[int]string, values [][]any, f func(text string, args []any) error) error {
	for _, n := range rowsAtOnce {
		for len(values) >= n {
			if err := f(texts[n], slices.Concat(values[:n]...)); err != nil {
				return err
			}
			values = values[n:]
		}
	}
	return nil
}

// execMany runs a statement on all rows.
func (t tx) execMany(ctx context.Context, texts map[int]string, values [][]any, before ...any) error {
	return inParts(texts, values, func(text string, args []any) error {
		_, err := t.exec(ctx, text, slices.Concat(before, args)...)
		return err
	})
}

// lock holds the rows of those of the keys that there are until the commit. ids
// are sorted. Whoever counts for a key, or changes or deletes it, holds its row.
func (t tx) lock(ctx context.Context, ids []string) (there map[string]bool, err error) {
	values := make([][]any, 0, len(ids))
	for _, id := range ids {
		values = append(values, []any{id})
	}
	there = map[string]bool{}
	err = inParts(lockKeys, values, func(text string, args []any) error {
		found, err := rowsOf[struct{ ID string }](ctx, t, text, args...)
		for _, k := range found {
			there[k.ID] = true
		}
		return err
	})
	return there, err
}

// AddUsage implements [apikey.Ledger].
func (d *DB) AddUsage(ctx context.Context, b apikey.UsageBatch) error {
	return d.transact(ctx, "add usage", func(t tx) error {
		fresh, err := t.exec(ctx, enterBatch, b.Writer, b.Number, unix(b.At))
		if err != nil || fresh == 0 {
			return err
		}
		ids := make([]string, 0, len(b.Keys))
		for _, k := range b.Keys {
			ids = append(ids, k.ID)
		}
		there, err := t.lock(ctx, ids)
		if err != nil {
			return err
		}
		var known []apikey.KeyUsage
		for _, k := range b.Keys {
			if there[k.ID] {
				known = append(known, k)
			}
		}
		return t.addUsage(ctx, known, b.At)
	})
}

// addUsage adds to the counts of keys that there are, whose rows are held.
func (t tx) addUsage(ctx context.Context, keys []apikey.KeyUsage, at time.Time) error {
	var issued, denied, asked, last [][]any
	for _, k := range keys {
		issued, denied, asked, last = append(issued, issuedOf(k)...), append(denied, deniedOf(k)...), append(asked, askedOf(k)...), append(last, lastOf(k))
	}
	if err := t.execMany(ctx, addIssued, issued); err != nil {
		return err
	}
	fresh, err := t.addDenials(ctx, denied)
	if err != nil {
		return err
	}
	if err := t.execMany(ctx, addAsked, asked); err != nil {
		return err
	}
	if err := t.execMany(ctx, addLast, last); err != nil {
		return err
	}
	return t.tellDenials(ctx, fresh, at)
}

func issuedOf(k apikey.KeyUsage) (out [][]any) {
	for _, h := range k.Hours {
		if h.Issued > 0 {
			out = append(out, []any{k.ID, h.From.Unix(), "", h.Issued})
		}
	}
	return out
}

func deniedOf(k apikey.KeyUsage) (out [][]any) {
	for _, h := range k.Hours {
		for reason, n := range h.DeniedBy {
			out = append(out, []any{k.ID, h.From.Unix(), string(reason), n})
		}
	}
	return out
}

func askedOf(k apikey.KeyUsage) (out [][]any) {
	for _, a := range k.Asked {
		out = append(out, []any{k.ID, a.Scope, a.LastAskedAt.Unix()})
	}
	return out
}

func lastOf(k apikey.KeyUsage) []any {
	deniedAt, denial := int64(0), ""
	if k.LastDenial != nil {
		deniedAt, denial = k.LastDenial.At.Unix(), string(k.LastDenial.Reason)
	}
	return []any{k.ID, sinceZero(k.LastUsedAt), deniedAt, denial}
}

// sinceZero is a moment as a column holds it in which 0 is never.
func sinceZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// usageRow is one count.
type usageRow struct {
	At      int64
	Outcome string
	Tokens  int64
}

// Usage implements [apikey.Ledger]. One statement reads hours and days, so none
// is seen in both, or in neither, while it is moved.
func (d *DB) Usage(ctx context.Context, q apikey.UsageQuery) (out apikey.UsageRecord, err error) {
	text := daysOf
	if q.By == apikey.ByHour {
		text = hoursOf
	}
	counts, err := readRows[usageRow](ctx, d, text, q.KeyID, q.From.Unix(), q.To.Unix())
	if err != nil {
		return out, fault("read usage", err)
	}
	for _, c := range counts {
		at := time.Unix(c.At, 0).UTC()
		if n := len(out.Periods); n == 0 || !out.Periods[n-1].From.Equal(at) {
			out.Periods = append(out.Periods, apikey.PeriodCounts{From: at, TokenCounts: apikey.NewTokenCounts()})
		}
		out.Periods[len(out.Periods)-1].Add(apikey.Denial(c.Outcome), c.Tokens)
	}
	asked, err := readRows[struct {
		Scope       string
		LastAskedAt int64
	}](ctx, d, scopesOf, q.KeyID)
	for _, a := range asked {
		at := time.Unix(a.LastAskedAt, 0).UTC()
		out.Asked = append(out.Asked, apikey.ScopeUsage{Scope: a.Scope, LastAskedAt: &at})
	}
	return out, fault("read usage", err)
}

// readRows reads what a fixed statement selects.
func readRows[T any](ctx context.Context, d *DB, text string, args ...any) (out []T, err error) {
	found, err := d.read.DB.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	err = d.read.ScanRows(ctx, found, &out)
	return out, err
}
