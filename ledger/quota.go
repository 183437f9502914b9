package ledger

import (
	"context"

	"github.com/tokenos/tokenos/apikey"
)

const (
	// To write the row is to lock it until the transaction ends, on Postgres also
	// against one that has not been committed yet.
	lockQuota = `INSERT INTO quotas (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = excluded.name`
	// One statement, so that a change that is done meanwhile is counted once: as
	// begun, or as its key. No further than the quota: more does not matter.
	usedQuota = `SELECT COUNT(*) AS used FROM (
		SELECT k.id FROM keys k WHERE k.kind = 'api' AND k.revoked_at = 1152921504606846976 AND k.ends_at = 1152921504606846976
			AND k.owner = $1 AND k.environment = $2 AND k.id <> $3
		UNION ALL SELECT c.key_id FROM changes c WHERE c.state = 'begun' AND c.quota <> '' AND c.quota = $4 AND c.key_id <> $3
		LIMIT $5) places`
	takeQuota = `UPDATE changes SET quota = $1 WHERE op = $2`
)

// quotaName names a quota; an environment has no colon.
func quotaName(q apikey.Quota) string { return string(q.Environment) + ":" + q.Owner }

// take takes a place of the quota for the change, or fails with an
// [apikey.QuotaError]. It must come after the key's lock and before its public
// keys, in every transaction, so that no two wait for each other.
func (t tx) take(ctx context.Context, q apikey.Quota, c apikey.Change) error {
	name := quotaName(q)
	if _, err := t.exec(ctx, lockQuota, name); err != nil {
		return err
	}
	used, err := rowOf[struct{ Used int }](ctx, t, usedQuota, q.Owner, string(q.Environment), c.KeyID, name, q.Max)
	if err != nil {
		return err
	}
	if used.Used >= q.Max {
		return planError{&apikey.QuotaError{Quota: q}}
	}
	_, err = t.exec(ctx, takeQuota, name, c.Op)
	return err
}
