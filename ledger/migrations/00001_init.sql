-- The same SQL for SQLite and Postgres. Moments are whole Unix seconds in
-- BIGINT (leases and created_at of changes: milliseconds); one that is none is
-- 1152921504606846976 (apikey.NoExpiry), later than any, so that comparisons
-- and orders need no NULLs. What is ordered or searched by prefix compares
-- bytes: COLLATE "binary" is SQLite's own, and on Postgres a copy of "C" that
-- Migrate makes first.

-- +goose Up
CREATE TABLE installation (
    id TEXT NOT NULL PRIMARY KEY -- one row: a random UUID
);

CREATE TABLE keys (
    id             TEXT COLLATE "binary" NOT NULL PRIMARY KEY,
    root_id        TEXT COLLATE "binary" NOT NULL,
    kind           TEXT COLLATE "binary" NOT NULL,
    owner          TEXT COLLATE "binary" NOT NULL,
    environment    TEXT COLLATE "binary" NOT NULL,
    auth_method    TEXT COLLATE "binary" NOT NULL,
    revision       BIGINT NOT NULL,
    name_key       TEXT COLLATE "binary" NOT NULL, -- apikey.SortKey
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    ends_at        BIGINT NOT NULL,
    disabled_at    BIGINT NOT NULL,
    disabled_until BIGINT NOT NULL,
    revoked_at     BIGINT NOT NULL,
    terms          TEXT NOT NULL,    -- digest of the key's rows in key_terms
    op             TEXT NOT NULL,    -- from here on: apikey.Upkeep
    open           BOOLEAN NOT NULL,
    drifted        BOOLEAN NOT NULL,
    sweep_at       BIGINT NOT NULL,
    confirm_at     BIGINT NOT NULL,
    tokens_end_by  BIGINT NOT NULL,
    due_at         BIGINT NOT NULL,
    definition     TEXT NOT NULL     -- apikey.Definition as JSON; the columns above are drawn from it
);
CREATE INDEX keys_created ON keys (kind, created_at, id);
CREATE INDEX keys_updated ON keys (kind, updated_at, id);
CREATE INDEX keys_expires ON keys (kind, expires_at, id);
CREATE INDEX keys_name ON keys (kind, name_key, id);
CREATE INDEX keys_owner_created ON keys (kind, owner, created_at, id);
CREATE INDEX keys_owner_updated ON keys (kind, owner, updated_at, id);
CREATE INDEX keys_owner_expires ON keys (kind, owner, expires_at, id);
CREATE INDEX keys_owner_name ON keys (kind, owner, name_key, id);
CREATE INDEX keys_root ON keys (root_id);
CREATE INDEX keys_due ON keys (due_at) WHERE due_at < 1152921504606846976;
CREATE INDEX keys_revoked ON keys (kind, owner, id) WHERE revoked_at < 1152921504606846976;
CREATE INDEX keys_disabled ON keys (kind, owner, id) WHERE disabled_at < 1152921504606846976;
CREATE INDEX keys_ends ON keys (kind, owner, ends_at, id) WHERE ends_at < 1152921504606846976;

-- What a key is found by: w a word of apikey.SearchTerms, s a scope, l a label
-- as name=value.
CREATE TABLE key_terms (
    kind   TEXT COLLATE "binary" NOT NULL,
    term   TEXT COLLATE "binary" NOT NULL,
    key_id TEXT COLLATE "binary" NOT NULL REFERENCES keys (id) ON DELETE CASCADE,
    PRIMARY KEY (kind, term, key_id)
);
CREATE INDEX key_terms_key ON key_terms (key_id, kind, term);

-- Every public key ever accepted and the one key that may use it, until that
-- key's record is deleted. No foreign key: it is claimed before the key exists.
CREATE TABLE public_keys (
    thumbprint TEXT COLLATE "binary" NOT NULL PRIMARY KEY,
    key_id     TEXT COLLATE "binary" NOT NULL
);
CREATE INDEX public_keys_key ON public_keys (key_id);

CREATE TABLE changes (
    op          TEXT COLLATE "binary" NOT NULL PRIMARY KEY,
    key_id      TEXT COLLATE "binary" NOT NULL,
    action      TEXT NOT NULL,
    state       TEXT COLLATE "binary" NOT NULL, -- apikey.ChangeState
    wanted      TEXT NOT NULL,                  -- apikey.Order as JSON
    target      TEXT NOT NULL,                  -- apikey.Definition as JSON; '' while queued
    at          BIGINT NOT NULL,
    actor       TEXT NOT NULL,                  -- apikey.Caller as JSON
    attempt     BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,                -- by the database's clock
    recheck_at  BIGINT NOT NULL,
    replay_hash BYTEA,
    created_at  BIGINT NOT NULL                 -- by the database's clock; the order of the queue
);
-- The lock of a key: at most one change of it is begun.
CREATE UNIQUE INDEX changes_begun ON changes (key_id) WHERE state = 'begun';
CREATE INDEX changes_queued ON changes (key_id, created_at) WHERE state = 'queued';
CREATE INDEX changes_recheck ON changes (recheck_at) WHERE recheck_at < 1152921504606846976;
CREATE INDEX changes_at ON changes (at);

CREATE TABLE replays (
    hash       BYTEA NOT NULL PRIMARY KEY,
    request    BYTEA NOT NULL,
    salt       BYTEA NOT NULL,
    server_key TEXT NOT NULL,
    op         TEXT NOT NULL,
    key_id     TEXT NOT NULL,
    action     TEXT NOT NULL,
    answer     BYTEA, -- NULL until answered
    created_at BIGINT NOT NULL
);
CREATE INDEX replays_created ON replays (created_at);

-- The audit: never updated, never deleted.
CREATE TABLE events (
    id      BIGINT NOT NULL PRIMARY KEY,
    payload TEXT NOT NULL, -- apikey.Event as JSON, exactly as the MAC covers it
    mac     TEXT NOT NULL, -- hex of HMAC-SHA-256(chain key, MAC before || payload)
    mac_key TEXT NOT NULL, -- which server secret the chain key follows from
    key_id  TEXT COLLATE "binary" NOT NULL,
    owner   TEXT COLLATE "binary" NOT NULL,
    kind    TEXT COLLATE "binary" NOT NULL,
    at      BIGINT NOT NULL
);
CREATE INDEX events_key ON events (key_id, id);
CREATE INDEX events_owner ON events (owner, id);
CREATE INDEX events_at ON events (at);

-- The chain's head: the newest event. Its lock is the order of the events.
CREATE TABLE chain (
    id       BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    event_id BIGINT NOT NULL,
    mac      TEXT NOT NULL
);

-- +goose Down
DROP TABLE chain;
DROP TABLE events;
DROP TABLE replays;
DROP TABLE changes;
DROP TABLE public_keys;
DROP TABLE key_terms;
DROP TABLE keys;
DROP TABLE installation;
