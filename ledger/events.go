package ledger

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/uptrace/bun"

	"github.com/tokenos/tokenos/apikey"
)

const (
	// The update is the lock: on Postgres others wait here until we commit.
	nextEvents = `UPDATE chain SET event_id = event_id + $1, quiet = CASE WHEN $2 = 0 THEN 0 ELSE quiet + $2 END WHERE id = 1 RETURNING event_id, mac`
	moveHead   = `UPDATE chain SET mac = $1 WHERE id = 1`
)

var insertEvents = many(`INSERT INTO events (id, payload, mac, mac_key, key_id, owner, kind, at, denial) VALUES {rows}`, 1,
	"(?, ?, ?, ?, ?, ?, ?, ?, ?)", "(?, ?, ?, ?, ?, ?, ?, ?, ?)")

// append adds events to the chain, so that ids grow by one in the order of the
// commits and every reader of the feed sees them in that order. All are denials or
// none is.
func (t tx) append(ctx context.Context, events ...apikey.Event) error {
	denial := denialOf(events[0].Action)
	head, err := rowOf[headRow](ctx, t, nextEvents, len(events), denial*int64(len(events)))
	if err != nil {
		return err
	}
	var rows [][]any
	first, mac := head.EventID-int64(len(events))+1, head.Mac
	for i, e := range events {
		e.ID, e.KeyName = first+int64(i), ""
		payload, err := jsonText(e)
		if err != nil {
			return err
		}
		if mac, err = t.d.chain.current.mac(mac, payload); err != nil {
			return err
		}
		rows = append(rows, []any{e.ID, payload, mac, t.d.chain.current.id, e.KeyID, e.Owner, string(e.Kind), unix(e.At), denial})
	}
	if err := t.execMany(ctx, insertEvents, rows); err != nil {
		return err
	}
	_, err = t.exec(ctx, moveHead, mac)
	return err
}

// denialOf is 1 for an event that tells of refused tokens.
func denialOf(a apikey.Action) int64 {
	if a == apikey.ActionDeny {
		return 1
	}
	return 0
}

// Events implements [apikey.Ledger].
func (d *DB) Events(ctx context.Context, q apikey.EventQuery) ([]apikey.Event, error) {
	if q.Limit <= 0 {
		return nil, nil
	}
	sel := d.read.NewSelect().ColumnExpr("id, payload").TableExpr("events").Limit(int64(q.Limit))
	if len(q.Owners) > 0 {
		sel.Where("owner IN (?)", bun.List(q.Owners))
	}
	if q.Kind != "" {
		sel.Where("kind = ?", string(q.Kind))
	}
	if q.KeyID != "" {
		sel.Where("key_id = ?", q.KeyID)
	}
	if q.Changes {
		sel.Where("denial = 0")
	}
	if q.After > 0 {
		sel.Where("id > ?", q.After)
	}
	if q.Before > 0 {
		sel.Where("id < ?", q.Before)
	}
	if err := mentions(sel, q); err != nil {
		return nil, err
	}
	if q.Descending {
		sel.OrderExpr("id DESC")
	} else {
		sel.OrderExpr("id")
	}
	var ids []int64
	var payloads []string
	if err := sel.Scan(ctx, &ids, &payloads); err != nil {
		return nil, fault("read events", err)
	}
	out := make([]apikey.Event, len(payloads))
	for i, p := range payloads {
		if err := json.Unmarshal([]byte(p), &out[i]); err != nil {
			return nil, undecodable("events", strconv.FormatInt(ids[i], 10), err)
		}
	}
	return out, nil
}
