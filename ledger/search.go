package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/tokenos/tokenos/apikey"
)

// A list is read in one of two ways, whichever looks at fewer rows. Either the
// index of its order is walked, each key being held against the filter, until
// the page is full: quick when many keys match. Or the keys under the filter's
// rarest term are gathered and sorted: quick when few match. To know which,
// matches are counted, but never further than fewMatches. Both ways cost the
// same at any number of keys.

// fewMatches is how many keys may be gathered and sorted for one page.
const fewMatches = 2000

// clause is a piece of SQL with its values.
type clause struct {
	text string
	args []any
	// term is the number, from 1, of the term that selects nothing else: who
	// starts there need not check it again. Zero: none.
	term int
}

// filter is a query as SQL.
type filter struct {
	where []clause // must all hold for a key k
	// terms select key_id, each a superset of what matches.
	terms []clause
	// owned counts the owner's keys, for which there is an index in every order.
	owned *clause
	// partial is the index of the keys with the status, if that has one of its own.
	partial string
	dialect dialect
}

// beyondAll follows every text that begins like the one before it.
const beyondAll = "\U0010FFFF"

func filterOf(q apikey.Query, d dialect) filter {
	f := filter{dialect: d}
	and := func(text string, args ...any) { f.where = append(f.where, clause{text: text, args: args}) }
	kind := clause{text: "kind = ?", args: []any{string(q.Kind)}}
	if q.Kind == "" {
		kind = clause{text: "kind IN ('api', 'management')"}
	}
	and("k."+kind.text, kind.args...)
	kind = f.owners(q, kind)
	if q.Environment != "" {
		and("k.environment = ?", string(q.Environment))
	}
	if q.AuthMethod != "" {
		and("k.auth_method = ?", string(q.AuthMethod))
	}
	if !q.ExpiresBefore.IsZero() {
		and("k.expires_at < ?", unix(q.ExpiresBefore))
	}
	if q.RootID != "" {
		f.term("SELECT id AS key_id FROM keys WHERE root_id = ?", q.RootID)
		and("k.root_id = ?", q.RootID)
	}
	if q.IDPrefix != "" {
		f.term("SELECT id AS key_id FROM keys WHERE id >= ? AND id < ?", q.IDPrefix, q.IDPrefix+beyondAll)
		and("k.id >= ? AND k.id < ?", q.IDPrefix, q.IDPrefix+beyondAll)
	}
	for _, w := range q.Words {
		f.indexed("kind = 'w' AND term >= ? AND term < ?", w, w+beyondAll)
	}
	if q.Scope != "" {
		f.indexed("kind = 's' AND term = ?", q.Scope)
	}
	if q.LabelKey != "" {
		f.indexed("kind = 'l' AND term = ?", labelText(q.LabelKey, q.LabelValue))
	}
	f.unused(q, kind)
	f.status(q.Status, kind, unix(q.Now))
	return f
}

// unused selects by what was not used, or not asked for, since a moment.
func (f *filter) unused(q apikey.Query, kind clause) {
	for _, u := range []struct {
		column string
		since  time.Time
	}{{"last_used_at", q.UnusedSince}, {"scope_asked_at", q.ScopeUnusedSince}} {
		if u.since.IsZero() {
			continue
		}
		at := u.since.Unix()
		f.keys(kind, u.column+" < ?", at)
		for _, column := range []string{"k." + u.column, "k.created_at"} {
			if column != orderOf(q) { // as an expression, or the planners read all by this column and sort them
				column += " + 0"
			}
			f.where = append(f.where, clause{text: column + " < ?", args: []any{at}})
		}
	}
}

// owners are the one asked for, or the caller's. It returns kind, narrowed to
// the owner if there is only one.
func (f *filter) owners(q apikey.Query, kind clause) clause {
	owners := q.Owners
	if q.Owner != "" {
		owners = []string{q.Owner}
	}
	switch len(owners) {
	case 0:
	case 1:
		f.where = append(f.where, clause{text: "k.owner = ?", args: []any{owners[0]}})
		kind = clause{text: kind.text + " AND owner = ?", args: append(slices.Clone(kind.args), owners[0])}
		f.owned = &clause{text: "SELECT id AS key_id FROM keys WHERE " + kind.text, args: kind.args}
	default: // as an expression, or the planners read all their keys to sort them
		f.where = append(f.where, clause{text: "(k.owner || '') IN (?)", args: []any{bun.List(owners)}})
		f.keys(kind, "owner IN (?)", bun.List(owners))
	}
	return kind
}

func (f *filter) term(text string, args ...any) {
	f.terms = append(f.terms, clause{text: text, args: args})
}

// keys selects by a condition on keys that an index answers.
func (f *filter) keys(kind clause, text string, args ...any) {
	f.term("SELECT id AS key_id FROM keys WHERE "+kind.text+" AND "+text, append(slices.Clone(kind.args), args...)...)
}

// few is keys by a status whose keys have an index of their own. It is named
// because SQLite, which has no statistics, takes one of all keys instead.
func (f *filter) few(index string, kind clause, text string) {
	f.partial = index
	f.term("SELECT id AS key_id FROM keys"+f.dialect.readBy(index)+" WHERE "+kind.text+" AND "+text, kind.args...)
}

// indexed selects by the index of terms.
func (f *filter) indexed(text string, args ...any) {
	f.term("SELECT key_id FROM key_terms WHERE "+text, args...)
	// The limit keeps Postgres from joining with all keys under the term first.
	f.where = append(f.where, clause{"EXISTS (SELECT 1 FROM key_terms t WHERE t.key_id = k.id AND " + text + " LIMIT 1 OFFSET 0)", args, len(f.terms)})
}

// status selects as [apikey.Definition.StatusAt] derives it. NOT keeps SQLite
// from choosing an index for a condition that most keys meet.
func (f *filter) status(s apikey.Status, kind clause, now int64) {
	const none = "1152921504606846976"
	and := func(text string, args ...any) { f.where = append(f.where, clause{text: text, args: args}) }
	if s == apikey.StatusRevoked {
		and("k.revoked_at < " + none)
		f.few("keys_revoked", kind, "revoked_at < "+none)
	} else if s != "" {
		and("k.revoked_at = " + none)
	}
	switch s {
	case apikey.StatusDisabled:
		and("k.disabled_at < "+none+" AND k.disabled_until > ?", now)
		f.few("keys_disabled", kind, "disabled_at < "+none)
	case apikey.StatusExpired:
		and("(k.disabled_at = "+none+" OR k.disabled_until <= ?)", now)
		and("(k.expires_at <= ? OR k.ends_at <= ?)", now, now)
		f.term("SELECT id AS key_id FROM keys WHERE "+kind.text+" AND expires_at <= ? UNION SELECT id FROM keys WHERE "+kind.text+" AND ends_at <= ? AND ends_at < "+none,
			slices.Concat(kind.args, []any{now}, kind.args, []any{now})...)
	case apikey.StatusActive:
		and("(k.disabled_at = "+none+" OR k.disabled_until <= ?)", now)
		and("NOT (k.expires_at <= ?) AND NOT (k.ends_at <= ?)", now, now)
	}
}

// start is where reading begins: at the keys a term selects, or, when zero, at
// the index of the order.
type start struct {
	term   *clause
	number int    // of the term, from 1
	keys   int    // under the term, or in the order, at most fewMatches
	by     string // what names the index to walk; "": the planner chooses
}

// cheapest finds the start that looks at the fewest keys.
func (d *DB) cheapest(ctx context.Context, f filter) (start, error) {
	few := fewMatches
	if len(f.terms) == 0 {
		return start{}, nil
	}
	count := func(c clause) (n int, err error) {
		args := append(slices.Clone(c.args), few)
		err = d.read.NewRaw("SELECT COUNT(*) FROM (SELECT key_id FROM ("+c.text+") s LIMIT ?) n", args...).Scan(ctx, &n)
		return n, err
	}
	if f.owned != nil {
		n, err := count(*f.owned)
		if err != nil {
			return start{}, err
		}
		few = min(few, max(n, 1))
	}
	best := start{keys: few}
	for i, c := range f.terms {
		n, err := count(c)
		if err != nil {
			return start{}, err
		}
		if n < few {
			few, best = n, start{term: &f.terms[i], number: i + 1, keys: n}
		}
		if few == 0 {
			break
		}
	}
	return best, nil
}

// query is a select from the start that holds the whole filter.
func (s start) query(d *DB, f filter) *bun.SelectQuery {
	sel := d.read.NewSelect()
	if s.term == nil {
		sel.TableExpr("keys AS k" + s.by)
	} else {
		// Materialized and first in a cross join: neither planner may turn it round.
		sel.WithQuery(bun.NewWithQuery("m", d.read.NewRaw("SELECT DISTINCT key_id FROM ("+s.term.text+") s", s.term.args...)).Materialized())
		sel.TableExpr("m CROSS JOIN keys AS k").Where("k.id = m.key_id")
	}
	for _, c := range f.where {
		if c.term == 0 || c.term != s.number {
			sel.Where(c.text, c.args...)
		}
	}
	return sel
}

// page selects the records of the page that q asks for. Gathered keys beyond a
// page are sorted without their definitions, which takes half as long.
func (s start) page(d *DB, f filter, q apikey.Query) *bun.SelectQuery {
	sel := s.query(d, f).Limit(int64(q.Limit))
	paged(sel, q)
	if s.term == nil || s.keys <= q.Limit {
		return sel.ColumnExpr(recordColumns).Join(joinPredecessor)
	}
	found := d.read.NewSelect().WithQuery(bun.NewWithQuery("page", sel.ColumnExpr("k.id")).Materialized())
	found.TableExpr("page CROSS JOIN keys AS k").Where("k.id = page.id").ColumnExpr(recordColumns).Join(joinPredecessor)
	return ordered(found, q)
}
