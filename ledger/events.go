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
	nextEvent   = `UPDATE chain SET event_id = event_id + 1 WHERE id = 1 RETURNING event_id, mac`
	insertEvent = `INSERT INTO events (id, payload, mac, mac_key, key_id, owner, kind, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	moveHead    = `UPDATE chain SET mac = $1 WHERE id = 1`
)

// append adds the event to the chain, so that ids grow by one in the order of
// the commits and every reader of the feed sees them in that order.
func (t tx) append(ctx context.Context, e apikey.Event) error {
	head, err := rowOf[headRow](ctx, t, nextEvent)
	if err != nil {
		return err
	}
	e.ID = head.EventID
	payload, err := jsonText(e)
	if err != nil {
		return err
	}
	mac, err := t.d.chain.current.mac(head.Mac, payload)
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, insertEvent, e.ID, payload, mac, t.d.chain.current.id, e.KeyID, e.Owner, string(e.Kind), unix(e.At)); err != nil {
		return err
	}
	_, err = t.exec(ctx, moveHead, mac)
	return err
}

// Events implements [apikey.Ledger].
func (d *DB) Events(ctx context.Context, q apikey.EventQuery) ([]apikey.Event, error) {
	sel := d.read.NewSelect().ColumnExpr("payload").TableExpr("events").Limit(int64(q.Limit))
	if q.Limit <= 0 {
		return nil, nil
	}
	if len(q.Owners) > 0 {
		sel.Where("owner IN (?)", bun.List(q.Owners))
	}
	if q.Kind != "" {
		sel.Where("kind = ?", string(q.Kind))
	}
	if q.KeyID != "" {
		sel.Where("key_id = ?", q.KeyID)
	}
	if q.After > 0 {
		sel.Where("id > ?", q.After)
	}
	if q.Descending {
		if q.Before > 0 {
			sel.Where("id < ?", q.Before)
		}
		sel.OrderExpr("id DESC")
	} else {
		sel.OrderExpr("id")
	}
	var payloads []string
	if err := sel.Scan(ctx, &payloads); err != nil {
		return nil, fault("read events", err)
	}
	out := make([]apikey.Event, len(payloads))
	for i, p := range payloads {
		if err := json.Unmarshal([]byte(p), &out[i]); err != nil {
			return nil, undecodable("events", strconv.Itoa(i), err)
		}
	}
	return out, nil
}
