package ledger

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/uptrace/bun"

	"github.com/tokenos/tokenos/apikey"
)

// A key and what is pending in one statement, because every request reads the
// key of its token: at most one change is begun, any number are queued.
const (
	readKey = `SELECT ` + recordColumns + `, b.op AS begun_op, b.action AS begun_action, q.op AS queued_op, q.action AS queued_action FROM keys k` + joinPredecessor + `
		LEFT JOIN changes b ON b.key_id = k.id AND b.state = 'begun' LEFT JOIN changes q ON q.key_id = k.id AND q.state = 'queued' WHERE k.id = `
	inLine        = ` ORDER BY q.created_at, q.op`
	readAnyKey    = readKey + `$1` + inLine
	readOwnersKey = readKey + `$1 AND k.owner = $2` + inLine
)

// pendedRow is a key beside the change that is begun and one that is queued.
type pendedRow struct {
	recordRow
	BegunOp, BegunAction, QueuedOp, QueuedAction *string
}

// Key implements [apikey.Ledger]. Absent and outside the view are one query and
// one answer.
func (d *DB) Key(ctx context.Context, id string, v apikey.View) (r apikey.Record, err error) {
	rows, err := d.pended(ctx, id, v)
	if err != nil {
		return r, fault("read key", err)
	}
	if len(rows) == 0 {
		return r, notFound()
	}
	if r, err = rows[0].record(); err != nil {
		return r, err
	}
	if op := rows[0].BegunOp; op != nil {
		r.Pending = append(r.Pending, apikey.PendingChange{Op: *op, Action: apikey.Action(*rows[0].BegunAction), State: apikey.ChangeBegun})
	}
	for _, row := range rows {
		if row.QueuedOp != nil {
			r.Pending = append(r.Pending, apikey.PendingChange{Op: *row.QueuedOp, Action: apikey.Action(*row.QueuedAction), State: apikey.ChangeQueued})
		}
	}
	return r, nil
}

// pended reads a key, prepared for the views that nearly all callers have:
// planning this takes Postgres several times as long as doing it.
func (d *DB) pended(ctx context.Context, id string, v apikey.View) (rows []pendedRow, err error) {
	text, args := readAnyKey, []any{id}
	switch len(v.Owners) {
	case 0:
	case 1:
		text, args = readOwnersKey, append(args, v.Owners[0])
	default:
		err = d.read.NewRaw(readKey+"? AND k.owner IN (?)"+inLine, id, bun.List(v.Owners)).Scan(ctx, &rows)
		return rows, err
	}
	found, err := d.prepared[text].QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	err = d.read.ScanRows(ctx, found, &rows)
	return rows, err
}

// KeyNames implements [apikey.Ledger]. Names stand in the definitions alone.
func (d *DB) KeyNames(ctx context.Context, ids []string, v apikey.View) (map[string]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	sel := d.read.NewSelect().Column("id", "definition").TableExpr("keys").Where("id IN (?)", bun.List(ids))
	if len(v.Owners) > 0 {
		sel.Where("owner IN (?)", bun.List(v.Owners))
	}
	var rows []struct{ ID, Definition string }
	if err := sel.Scan(ctx, &rows); err != nil {
		return nil, fault("read names of keys", err)
	}
	out := make(map[string]string, len(rows))
	for _, r := range rows {
		var key struct{ Name string }
		if err := json.Unmarshal([]byte(r.Definition), &key); err != nil {
			return nil, undecodable("keys", r.ID, err)
		}
		out[r.ID] = key.Name
	}
	return out, nil
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
	f := filterOf(q, d.dialect)
	from, err := d.cheapest(ctx, f)
	if err != nil {
		return nil, count, fault("list keys", err)
	}
	if q.Count {
		all := from
		if f.partial != "" { // a count has no order to walk in
			all.by = d.dialect.readBy(f.partial)
		}
		if count, err = d.count(ctx, all.query(d, f), q.CountMost); err != nil {
			return nil, -1, fault("count keys", err)
		}
	}
	if q.Limit <= 0 {
		return nil, count, nil
	}
	if from.term == nil && from.keys == fewMatches && ordersUnused(q) {
		if from, err = d.unusedFrom(ctx, f, q); err != nil {
			return nil, count, fault("list keys", err)
		}
	}
	records, err = d.records(ctx, from.page(d, f, q))
	return records, count, fault("list keys", err)
}

// count is how many rows sel has; it looks at no more than most if that is set.
func (d *DB) count(ctx context.Context, sel *bun.SelectQuery, most int) (n int, err error) {
	sel = sel.ColumnExpr("1")
	if most > 0 {
		sel = sel.Limit(int64(most))
	}
	err = d.read.NewRaw("SELECT COUNT(*) FROM (?) AS counted", sel).Scan(ctx, &n)
	return n, err
}

// orderOf is the column that the list is ordered by.
func orderOf(q apikey.Query) string {
	switch q.Sort {
	case apikey.SortUpdatedAt:
		return "k.updated_at"
	case apikey.SortExpiresAt:
		return "k.expires_at"
	case apikey.SortName:
		return "k.name_key"
	case apikey.SortLastUsedAt:
		return "k.last_used_at"
	}
	return "k.created_at"
}

func ordered(sel *bun.SelectQuery, q apikey.Query) *bun.SelectQuery {
	order := "ASC"
	if q.Descending {
		order = "DESC"
	}
	return sel.OrderExpr(orderOf(q) + " " + order + ", k.id " + order)
}

// paged orders the list and begins it after q.After.
func paged(sel *bun.SelectQuery, q apikey.Query) {
	after(sel, q)
	ordered(sel, q)
}

// after begins the list after q.After. Row values are compared as a whole, which
// an index on both columns answers directly.
func after(sel *bun.SelectQuery, q apikey.Query) {
	beyond := ">"
	if q.Descending {
		beyond = "<"
	}
	if q.After != nil {
		var value any = q.After.Number
		if q.Sort == apikey.SortName {
			value = q.After.Text
		}
		sel.Where("("+orderOf(q)+", k.id) "+beyond+" (?, ?)", value, q.After.ID)
	}
}
