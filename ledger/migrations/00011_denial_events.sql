-- Events that tell of refused tokens (ledger/denials.go). They change nothing, so
-- whoever follows what changes leaves them out.

-- +goose Up
-- How many of the hour's tokens an event has told of; 0 where tokens were denied:
-- none has told of the hour. What was denied before there were such events counts
-- as told.
ALTER TABLE usage_hours ADD COLUMN told BIGINT NOT NULL DEFAULT 0;
UPDATE usage_hours SET told = tokens;

ALTER TABLE events ADD COLUMN denial BIGINT NOT NULL DEFAULT 0; -- 1: it tells of refused tokens
-- How many such events are the newest: event_id less quiet is that of the last change.
ALTER TABLE chain ADD COLUMN quiet BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE chain DROP COLUMN quiet;
ALTER TABLE events DROP COLUMN denial;
ALTER TABLE usage_hours DROP COLUMN told;
