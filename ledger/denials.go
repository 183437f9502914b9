package ledger

import (
	"context"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// The row of an hour in which a key was denied tokens for a reason is there once,
// whoever counts, and tells of how many of them an event has told. So the
// transaction that makes the row writes the event, and no other does.

var (
	addDenied = many(countTokens+` RETURNING key_id, outcome, told`, 1, "(?, ?, ?, ?)", "(?, ?, ?, ?)")
	untold    = many(`SELECT k.id AS key_id, k.root_id, k.owner, k.kind, k.revision, u.outcome AS reason, CAST(SUM(u.tokens - u.told) AS BIGINT) AS count
		FROM (VALUES {rows}) v JOIN keys k ON k.id = v.column1 JOIN usage_hours u ON u.key_id = v.column1 AND u.outcome = v.column2
		GROUP BY k.id, u.outcome ORDER BY k.id, u.outcome`, 1, "(CAST(? AS TEXT), CAST(? AS TEXT))", "(?, ?)")
	setTold = many(`UPDATE usage_hours SET told = tokens FROM (VALUES {rows}) v
		WHERE key_id = v.column1 AND outcome = v.column2 AND told < tokens`, 1, "(CAST(? AS TEXT), CAST(? AS TEXT))", "(?, ?)")
)

// deniedRow is a count of denied tokens; Told is 0 if no event tells of its hour.
type deniedRow struct {
	KeyID, Outcome string
	Told           int64
}

// addDenials counts denied tokens. It tells for which keys and reasons there is an
// hour of which no event tells, each once.
func (t tx) addDenials(ctx context.Context, tokens [][]any) (fresh [][]any, err error) {
	seen := map[[2]string]bool{}
	err = inParts(addDenied, tokens, func(text string, args []any) error {
		rows, err := rowsOf[deniedRow](ctx, t, text, args...)
		for _, r := range rows {
			if pair := [2]string{r.KeyID, r.Outcome}; r.Told == 0 && !seen[pair] {
				seen[pair] = true
				fresh = append(fresh, []any{r.KeyID, r.Outcome})
			}
		}
		return err
	})
	return fresh, err
}

// tellDenials writes an event for each key and reason, of what was denied since
// the one before. Last in its transaction, as every event.
func (t tx) tellDenials(ctx context.Context, fresh [][]any, at time.Time) error {
	var events []apikey.Event
	err := inParts(untold, fresh, func(text string, args []any) error {
		rows, err := rowsOf[apikey.KeyDenials](ctx, t, text, args...)
		for _, d := range rows {
			events = append(events, d.Event(at))
		}
		return err
	})
	if err != nil || len(events) == 0 {
		return err
	}
	if err := t.execMany(ctx, setTold, fresh); err != nil {
		return err
	}
	return t.append(ctx, events...)
}
