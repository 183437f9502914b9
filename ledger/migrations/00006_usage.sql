-- What keys are used for: counts of tokens, and when each scope was last asked
-- for. Moments are whole Unix seconds, UTC; 0 is never, earlier than any.

-- +goose Up
-- No change writes these: they are not part of the definition, and neither
-- revision nor updated_at tells of them.
ALTER TABLE keys ADD COLUMN last_used_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE keys ADD COLUMN last_denied_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE keys ADD COLUMN last_denial TEXT NOT NULL DEFAULT ''; -- apikey.Denial
-- When that of the key's scopes was asked for which has waited longest; 0: one
-- was never asked for.
ALTER TABLE keys ADD COLUMN scope_asked_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX keys_used ON keys (kind, last_used_at, id);
CREATE INDEX keys_owner_used ON keys (kind, owner, last_used_at, id);
CREATE INDEX keys_asked ON keys (kind, scope_asked_at, id);
CREATE INDEX keys_owner_asked ON keys (kind, owner, scope_asked_at, id);

-- An hour's tokens are counted here or, once it is old, in their day: never in
-- both. No foreign keys: who writes here holds the row of the key.
CREATE TABLE usage_hours (
    key_id  TEXT COLLATE "binary" NOT NULL,
    hour    BIGINT NOT NULL, -- its beginning
    outcome TEXT COLLATE "binary" NOT NULL, -- '' issued, else apikey.Denial
    tokens  BIGINT NOT NULL,
    PRIMARY KEY (key_id, hour, outcome)
);
CREATE INDEX usage_hours_hour ON usage_hours (hour, key_id);

CREATE TABLE usage_days (
    key_id  TEXT COLLATE "binary" NOT NULL,
    day     BIGINT NOT NULL, -- its beginning
    outcome TEXT COLLATE "binary" NOT NULL,
    tokens  BIGINT NOT NULL,
    PRIMARY KEY (key_id, day, outcome)
);
CREATE INDEX usage_days_day ON usage_days (day);

-- Only scopes that the key has.
CREATE TABLE usage_scopes (
    key_id        TEXT COLLATE "binary" NOT NULL,
    scope         TEXT COLLATE "binary" NOT NULL,
    last_asked_at BIGINT NOT NULL,
    PRIMARY KEY (key_id, scope)
);

-- Each process that counts, and its last batch: that one is not added again.
CREATE TABLE usage_writers (
    id     TEXT COLLATE "binary" NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    at     BIGINT NOT NULL
);

-- +goose Down
DROP TABLE usage_writers;
DROP TABLE usage_scopes;
DROP TABLE usage_days;
DROP TABLE usage_hours;
DROP INDEX keys_owner_asked;
DROP INDEX keys_asked;
DROP INDEX keys_owner_used;
DROP INDEX keys_used;
ALTER TABLE keys DROP COLUMN scope_asked_at;
ALTER TABLE keys DROP COLUMN last_denial;
ALTER TABLE keys DROP COLUMN last_denied_at;
ALTER TABLE keys DROP COLUMN last_used_at;
