package ledger

import "context"

// Number is what a query with one number answers.
func (d *DB) Number(ctx context.Context, text string, args ...any) (n int, err error) {
	err = d.read.DB.QueryRowContext(ctx, text, args...).Scan(&n)
	return n, err
}
