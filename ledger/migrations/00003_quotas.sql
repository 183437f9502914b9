-- How many keys an owner may have in an environment (apikey.Quota).

-- +goose Up
-- The quota that a begun change takes a place of, as environment:owner; '' for
-- none. The key has the place once the change is done.
ALTER TABLE changes ADD COLUMN quota TEXT COLLATE "binary" NOT NULL DEFAULT '';
CREATE INDEX changes_quota ON changes (quota) WHERE state = 'begun' AND quota <> '';

-- The keys that take a place.
CREATE INDEX keys_quota ON keys (owner, environment, id)
    WHERE kind = 'api' AND revoked_at = 1152921504606846976 AND ends_at = 1152921504606846976;

-- One row per quota that was ever asked for: whoever takes a place locks it.
CREATE TABLE quotas (
    name TEXT COLLATE "binary" NOT NULL PRIMARY KEY -- environment:owner
);

-- +goose Down
DROP TABLE quotas;
DROP INDEX keys_quota;
DROP INDEX changes_quota;
ALTER TABLE changes DROP COLUMN quota;
