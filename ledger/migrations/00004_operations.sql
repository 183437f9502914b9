-- Operations on everything of one owner, and which changes are part of one.

-- +goose Up
CREATE TABLE operations (
    id          TEXT COLLATE "binary" NOT NULL PRIMARY KEY,
    owner       TEXT COLLATE "binary" NOT NULL,
    action      TEXT COLLATE "binary" NOT NULL, -- apikey.Action
    state       TEXT COLLATE "binary" NOT NULL, -- apikey.OperationState
    narrows     BOOLEAN NOT NULL,
    line        TEXT COLLATE "binary" NOT NULL, -- apikey.OperationRecord.Line
    place       BIGINT NOT NULL,                -- the order in which they were accepted
    walked      BOOLEAN NOT NULL,
    attempt     BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,                -- by the database's clock, in milliseconds
    finished_at BIGINT NOT NULL,
    progress    TEXT NOT NULL                   -- apikey.OperationRecord as JSON; the columns above are drawn from it, or hold instead of it
);
CREATE UNIQUE INDEX operations_place ON operations (place);
CREATE INDEX operations_running ON operations (owner, place) WHERE state = 'running';
CREATE INDEX operations_finished ON operations (finished_at) WHERE finished_at < 1152921504606846976;

ALTER TABLE changes ADD COLUMN operation TEXT COLLATE "binary" NOT NULL DEFAULT '';
-- At most one change of a key under an operation, however often it is taken up.
CREATE UNIQUE INDEX changes_operation ON changes (operation, key_id) WHERE operation <> '' AND state <> 'abandoned';

-- +goose Down
DROP INDEX changes_operation;
ALTER TABLE changes DROP COLUMN operation;
DROP TABLE operations;
