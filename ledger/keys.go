package ledger

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"github.com/tokenos/tokenos/apikey"
)

// Key implements [apikey.Ledger]. Absent and outside the view are one query and
// one answer.
func (d *DB) Key(ctx context.Context, id string, v apikey.View) (apikey.Record, error) {
	sel := d.read.NewSelect().ColumnExpr(recordColumns).TableExpr("keys AS k").Where("k.id = ?", id)
	if len(v.Owners) > 0 {
		sel.Where("k.owner IN (?)", bun.List(v.Owners))
	}
	records, err := d.records(ctx, sel)
	if err != nil {
		return apikey.Record{}, fault("read key", err)
	}
	if len(records) == 0 {
		return apikey.Record{}, notFound()
	}
	return records[0], nil
}

// records reads what sel selects, with what is pending.
func (d *DB) records(ctx context.Context, sel *bun.SelectQuery) ([]apikey.Record, error) {
	var rows []recordRow
	if err := sel.Scan(ctx, &rows); err != nil {
		return nil, err
	}
	out := make([]apikey.Record, 0, len(rows))
	for _, row := range rows {
		r, err := row.record()
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, d.addPending(ctx, out)
}

// Keys implements [apikey.Ledger]. How it stays flat in the number of keys is
// in search.go.
func (d *DB) Keys(ctx context.Context, q apikey.Query) (records []apikey.Record, count int, err error) {
	count = -1
	if q.Count {
		count = 0
	}
	if q.Owner != "" && len(q.Owners) > 0 && !slices.Contains(q.Owners, q.Owner) {
		return nil, count, nil
	}
	f := filterOf(q)
	from, err := d.cheapest(ctx, f)
	if err != nil {
		return nil, count, fault("list keys", err)
	}
	if q.Count {
		n, err := from.query(d, f).Count(ctx)
		if err != nil {
			return nil, -1, fault("count keys", err)
		}
		count = int(n)
	}
	if q.Limit <= 0 {
		return nil, count, nil
	}
	sel := from.query(d, f).ColumnExpr(recordColumns).Limit(int64(q.Limit))
	paged(sel, q)
	records, err = d.records(ctx, sel)
	return records, count, fault("list keys", err)
}

// paged orders the list and begins it after q.After. Row values are compared as
// a whole, which an index on both columns answers directly.
func paged(sel *bun.SelectQuery, q apikey.Query) {
	column, order, beyond := "k.created_at", "ASC", ">"
	switch q.Sort {
	case apikey.SortUpdatedAt:
		column = "k.updated_at"
	case apikey.SortExpiresAt:
		column = "k.expires_at"
	case apikey.SortName:
		column = "k.name_key"
	}
	if q.Descending {
		order, beyond = "DESC", "<"
	}
	if q.After != nil {
		var value any = q.After.Number
		if q.Sort == apikey.SortName {
			value = q.After.Text
		}
		sel.Where("("+column+", k.id) "+beyond+" (?, ?)", value, q.After.ID)
	}
	sel.OrderExpr(column + " " + order + ", k.id " + order)
}
