package ledger

import (
	"context"
	"encoding/json"

	"github.com/tokenos/tokenos/apikey"
)

// JWTUse tells of the keys that buy JWTs and have not been revoked.
type JWTUse struct {
	Keys    int             // at most 10,000 are counted
	Longest apikey.Duration // the longest lifetime of their tokens
}

const jwtUseMost = 10_000

// The format stands in the definition alone. Text cannot look like it: a quote in
// a JSON string is escaped.
const selectJWTUse = `SELECT definition FROM keys WHERE definition LIKE '%"format":"jwt"%' AND revoked_at = 1152921504606846976 LIMIT $1`

// JWTUse reads every key, so it is for a look now and then: a third of a second
// for 100,000.
func (d *DB) JWTUse(ctx context.Context) (out JWTUse, err error) {
	const act = "count keys with JWTs"
	rows, err := d.read.DB.QueryContext(ctx, selectJWTUse, jwtUseMost)
	if err != nil {
		return JWTUse{}, fault(act, err)
	}
	defer func() { _ = rows.Close() }() // Err tells
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return JWTUse{}, fault(act, err)
		}
		var definition struct {
			Token apikey.TokenSettings `json:"token"`
		}
		if err := json.Unmarshal([]byte(text), &definition); err != nil {
			return JWTUse{}, undecodable("keys", act, err)
		}
		out.Keys++
		out.Longest = max(out.Longest, definition.Token.Lifetime)
	}
	return out, fault(act, rows.Err())
}
