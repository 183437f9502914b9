package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

const (
	finishChange = `UPDATE changes SET state = 'done' WHERE op = $1 AND state = 'begun' AND attempt = $2
		RETURNING key_id, replay_hash, COALESCE((SELECT k.terms FROM keys k WHERE k.id = changes.key_id), '') AS terms`
	abandonChange = `UPDATE changes SET state = 'abandoned', recheck_at = $1, touched = {touch} WHERE op = $2 AND attempt = $3 AND state IN ('begun', 'queued') RETURNING key_id, action, target, successor`
	releaseChange = `UPDATE changes SET lease_until = {now} + $1 WHERE op = $2 AND state = 'begun' AND attempt = $3`
	takeChange    = `UPDATE changes SET lease_until = {now} + $1, attempt = attempt + 1 WHERE op = $2 AND state = 'begun' AND attempt = $3 AND lease_until <= {now}`

	claimSecret     = `UPDATE keys SET unclaimed = '' WHERE id = $1 AND unclaimed = $2 AND NOT EXISTS (SELECT 1 FROM changes c WHERE c.key_id = keys.id AND c.state = 'begun')`
	unclaimedSecret = `SELECT unclaimed FROM keys WHERE id = $1`

	deleteTerms      = `DELETE FROM key_terms WHERE key_id = $1`
	deleteKey        = `DELETE FROM keys WHERE id = $1`
	freePublicKeys   = `DELETE FROM public_keys WHERE key_id = $1`
	freePublicKey    = `DELETE FROM public_keys WHERE key_id = $1 AND thumbprint = $2`
	unbornPublicKeys = `DELETE FROM public_keys WHERE key_id = $1 AND NOT EXISTS (SELECT 1 FROM keys k WHERE k.id = public_keys.key_id)`
)

// fixed are the statements that SQLite keeps prepared on its writer.
var fixed = []string{insertReplay, takeReplay, answerReplay, forgetReplay, sameInLine, insertChange, queueChange, forgetChange, targetChange, settleChange,
	promoteChange, changeState, selectRecord, selectPending, finishChange, abandonChange, releaseChange, takeChange,
	claimSecret, unclaimedSecret, upsertKey, deleteTerms, deleteKey, freePublicKeys, freePublicKey, unbornPublicKeys, nextEvents, insertEvents[1], moveHead,
	countTouch, lockQuota, usedQuota, takeQuota, takeStatusIndex, holdOperation, takeOperation, saveOperation, enterBatch, forgetScopes, askScopes, deleteHours, deleteDays, deleteScopes}

// Finish implements [apikey.Ledger].
func (d *DB) Finish(ctx context.Context, f apikey.Finish) error {
	return d.transact(ctx, "finish", func(t tx) error {
		was, err := rowOf[finishedRow](ctx, t, finishChange, f.Op, f.Attempt)
		if err != nil {
			return err
		}
		if was.KeyID != f.Target.ID {
			return &apikey.Error{Kind: apikey.ErrInternal, Cause: fmt.Errorf("ledger: finish %q: it is a change of another key", f.Op)}
		}
		if f.Delete {
			err = t.remove(ctx, was.KeyID)
		} else {
			err = t.store(ctx, f.Target, f.Upkeep, was.Terms)
		}
		if err != nil {
			return err
		}
		if was.ReplayHash != nil {
			if _, err := t.exec(ctx, answerReplay, answer(f.Answer), was.ReplayHash, f.Op); err != nil {
				return err
			}
		}
		if f.Successor != nil {
			if err := t.store(ctx, f.Successor.Target, f.Successor.Upkeep, ""); err != nil {
				return err
			}
		}
		if f.Event == nil {
			return nil
		}
		// Last, because from here to the commit all events wait for this one.
		if f.Successor == nil {
			return t.append(ctx, *f.Event)
		}
		return t.append(ctx, *f.Event, f.Successor.Event)
	})
}

// Claim implements [apikey.Ledger]. A change that is begun holds what it read of
// the key and would write it back.
func (d *DB) Claim(ctx context.Context, id, op string) error {
	return d.transact(ctx, "claim", func(t tx) error {
		n, err := t.exec(ctx, claimSecret, id, op)
		if err != nil || n == 1 {
			return err
		}
		rows, err := rowsOf[struct{ Unclaimed string }](ctx, t, unclaimedSecret, id)
		if err == nil && len(rows) == 1 && rows[0].Unclaimed == op {
			return &apikey.Error{Kind: apikey.ErrBusy, RetryAfter: retryAfter}
		}
		return err
	})
}

// finishedRow is what T2 must know of its change and of the key before it.
type finishedRow struct {
	KeyID      string
	ReplayHash []byte
	Terms      string
}

// store writes the key, and its terms if they differ from those before; "": the
// key is new.
func (t tx) store(ctx context.Context, d apikey.Definition, up apikey.Upkeep, before string) (err error) {
	if before == "" {
		if up, err = t.birth(ctx, up); err != nil {
			return err
		}
	}
	terms := termsOf(d)
	row, err := newKeyRow(d, up, terms)
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, upsertKey, row.values()...); err != nil || row.Terms == before {
		return err
	}
	if before != "" {
		if _, err := t.exec(ctx, deleteTerms, d.ID); err != nil {
			return err
		}
	}
	if len(terms) > 0 {
		if _, err := t.NewInsert().Model(&terms).Exec(ctx); err != nil {
			return err
		}
	}
	if before == "" { // new: nothing was asked for
		return nil
	}
	for _, text := range []string{forgetScopes, askScopes} {
		if _, err := t.exec(ctx, text, d.ID); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes the record and what was counted; its events stay, its public
// keys are free again. The key's row comes before the counts: who counts holds it.
func (t tx) remove(ctx context.Context, id string) error {
	for _, text := range []string{deleteTerms, deleteKey, freePublicKeys, deleteHours, deleteDays, deleteScopes} {
		if _, err := t.exec(ctx, text, id); err != nil {
			return err
		}
	}
	return nil
}

// Abandon implements [apikey.Ledger], for queued changes as well. The public
// keys that did not come to be used are free again.
func (d *DB) Abandon(ctx context.Context, op string, attempt int, recheck time.Time) error {
	return d.transact(ctx, "abandon", func(t tx) error {
		if err := t.countTouch(ctx); err != nil {
			return err
		}
		was, err := rowOf[abandonedRow](ctx, t, abandonChange, unix(recheck), op, attempt)
		if err != nil {
			return err
		}
		switch apikey.Action(was.Action) {
		case apikey.ActionCreate:
			_, err = t.exec(ctx, unbornPublicKeys, was.KeyID)
		case apikey.ActionAddPublicKey:
			err = t.freeAdded(ctx, op, was)
		case apikey.ActionRotate:
			err = t.freeRotated(ctx, op, was)
		}
		return err
	})
}

// abandonedRow is what is known of a change that is given up.
type abandonedRow struct{ KeyID, Action, Target, Successor string }

// freeRotated frees the public keys of an abandoned rotation.
func (t tx) freeRotated(ctx context.Context, op string, was abandonedRow) error {
	if was.Successor == "" {
		return t.freeAdded(ctx, op, was)
	}
	var unborn apikey.Definition
	if err := json.Unmarshal([]byte(was.Successor), &unborn); err != nil {
		return undecodable("changes", op, err)
	}
	_, err := t.exec(ctx, unbornPublicKeys, unborn.ID)
	return err
}

// freeAdded frees the public keys that an abandoned change would have added.
func (t tx) freeAdded(ctx context.Context, op string, was abandonedRow) error {
	var target apikey.Definition
	if err := json.Unmarshal([]byte(was.Target), &target); err != nil {
		return undecodable("changes", op, err)
	}
	have, _, err := t.record(ctx, was.KeyID, op)
	if err != nil {
		return err
	}
	for _, p := range target.PublicKeys {
		if slices.ContainsFunc(have.PublicKeys, func(h apikey.PublicKey) bool { return h.KID == p.KID }) {
			continue
		}
		if _, err := t.exec(ctx, freePublicKey, was.KeyID, p.KID); err != nil {
			return err
		}
	}
	return nil
}

// Release implements [apikey.Ledger]; ErrNotFound when the change is not begun.
func (d *DB) Release(ctx context.Context, op string, attempt int, wait time.Duration) error {
	return d.transact(ctx, "release", func(t tx) error {
		n, err := t.exec(ctx, releaseChange, millis(wait), op, attempt)
		if err == nil && n == 0 {
			return notFound()
		}
		return err
	})
}

// Take implements [apikey.Ledger].
func (d *DB) Take(ctx context.Context, op string, attempt int, lease time.Duration) (mine bool, err error) {
	err = d.transact(ctx, "take", func(t tx) error {
		n, err := t.exec(ctx, takeChange, millis(lease), op, attempt)
		mine = n == 1
		return err
	})
	return mine && err == nil, err
}

// Import writes records as they are, all or none, without changes and events:
// for moving a ledger to another database, and for filling one to measure it.
// Pending changes and counts of tokens are left out. Records without a place in the
// status lists get one, in their order; the others keep theirs, which nobody else
// may have.
func (d *DB) Import(ctx context.Context, records []apikey.Record) error {
	const atOnce = 200 // rows a statement, so that it stays below every limit
	records = slices.Clone(records)
	return d.transact(ctx, "import", func(t tx) error {
		if err := t.placed(ctx, records); err != nil {
			return err
		}
		for some := range slices.Chunk(records, atOnce) {
			if err := t.importSome(ctx, some); err != nil {
				return err
			}
		}
		if d.dialect.single {
			return nil
		}
		_, err := t.exec(ctx, "ANALYZE keys, key_terms") // or Postgres plans for empty tables for a minute
		return err
	})
}

func (t tx) importSome(ctx context.Context, records []apikey.Record) error {
	var keys []keyRow
	var terms []termRow
	for _, r := range records {
		own := termsOf(r.Definition)
		row, err := newKeyRow(r.Definition, r.Upkeep, own)
		if err != nil {
			return err
		}
		if err := t.claimPublicKeys(ctx, nil, r.Definition); err != nil {
			return err
		}
		row.LastUsedAt = sinceZero(r.LastUsedAt)
		if r.LastDenial != nil {
			row.LastDeniedAt, row.LastDenial = r.LastDenial.At.Unix(), string(r.LastDenial.Reason)
		}
		keys, terms = append(keys, row), append(terms, own...)
	}
	_, err1 := t.NewInsert().Model(&keys).Exec(ctx)
	if err1 != nil || len(terms) == 0 {
		return err1
	}
	_, err2 := t.NewInsert().Model(&terms).Exec(ctx)
	return errors.Join(err1, err2)
}
