-- What the memory of keys (apikey/snapshot.go) must hear of changes beside the
-- events: that one that narrows was accepted, or given up.

-- +goose Up
-- When the row was last written, for changes that narrow: what it counts differs
-- between the databases, see ledger/facts.go.
ALTER TABLE changes ADD COLUMN touched BIGINT NOT NULL DEFAULT 0;
CREATE INDEX changes_touched ON changes (touched, op) WHERE action IN ('key.disabled', 'key.revoked', 'rotation.completed');

-- SQLite's count of such writes. Postgres counts transactions instead.
ALTER TABLE chain ADD COLUMN touches BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE chain DROP COLUMN touches;
DROP INDEX changes_touched;
ALTER TABLE changes DROP COLUMN touched;
