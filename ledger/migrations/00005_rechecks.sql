-- Which changes of a key may still arrive at Hydra.

-- +goose Up
CREATE INDEX changes_recheck_key ON changes (key_id) WHERE recheck_at < 1152921504606846976;

-- +goose Down
DROP INDEX changes_recheck_key;
