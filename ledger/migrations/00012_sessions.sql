-- People's sessions in the dashboard (apikey/session.go). Moments are whole Unix
-- seconds, UTC. The token itself is in the person's cookie alone.

-- +goose Up
CREATE TABLE sessions (
    hash       TEXT COLLATE "binary" NOT NULL PRIMARY KEY,
    principal  TEXT COLLATE "binary" NOT NULL,
    data       BYTEA NOT NULL,
    address    TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_principal ON sessions (principal, created_at);
CREATE INDEX sessions_expires ON sessions (expires_at);

-- +goose Down
DROP TABLE sessions;
