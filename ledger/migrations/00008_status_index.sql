-- Every key's place in the status lists (apikey.Upkeep.StatusIndex).

-- +goose Up
ALTER TABLE keys ADD COLUMN status_index BIGINT NOT NULL DEFAULT 0; -- from 1 on, never given twice
UPDATE keys SET status_index = line.place
    FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY created_at, id) AS place FROM keys) AS line WHERE line.id = keys.id;
CREATE UNIQUE INDEX keys_status_index ON keys (status_index);

-- The last index that was given. Whoever takes one holds the row until the
-- commit: an index below it without a key is that of a deleted key.
CREATE TABLE status_indexes (
    id   BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    last BIGINT NOT NULL
);
INSERT INTO status_indexes (id, last) SELECT 1, COUNT(*) FROM keys;

-- +goose Down
DROP TABLE status_indexes;
DROP INDEX keys_status_index;
ALTER TABLE keys DROP COLUMN status_index;
