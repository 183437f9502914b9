package ledger

import (
	"context"
	"errors"

	"github.com/tokenos/tokenos/apikey"
)

// Makers of keys wait here for each other until the commit, and nobody else
// does. It comes before the audit's chain in every transaction.
const (
	takeStatusIndex = `UPDATE status_indexes SET last = last + 1 WHERE id = 1 RETURNING last`
	lastStatusIndex = `UPDATE status_indexes SET last = last WHERE id = 1 RETURNING last`
	moveStatusIndex = `UPDATE status_indexes SET last = $1 WHERE id = 1`
)

// birth gives a new key its place in the status lists. An index is never given
// twice, because the row that counts them outlives the keys.
func (t tx) birth(ctx context.Context, up apikey.Upkeep) (apikey.Upkeep, error) {
	taken, err := rowsOf[struct{ Last int64 }](ctx, t, takeStatusIndex)
	if err == nil && len(taken) != 1 {
		err = undecodable("status_indexes", "1", errors.New("it is missing"))
	}
	if err == nil {
		up.StatusIndex = taken[0].Last
	}
	return up, err
}

// placed gives those of the records that have no place in the status lists one
// behind all others. It changes records in place.
func (t tx) placed(ctx context.Context, records []apikey.Record) error {
	was, err := rowOf[struct{ Last int64 }](ctx, t, lastStatusIndex)
	if err != nil {
		return err
	}
	last := was.Last
	for _, r := range records {
		last = max(last, r.StatusIndex)
	}
	for i := range records {
		if records[i].StatusIndex == 0 {
			last++
			records[i].StatusIndex = last
		}
	}
	_, err = t.exec(ctx, moveStatusIndex, last)
	return err
}
