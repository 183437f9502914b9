-- For lists by created_at of what is not used (ledger/unused.go): within each day
-- on which keys were made, those that were not used for longest come first.

-- +goose Up
CREATE INDEX keys_day_used ON keys (kind, (created_at / 86400), last_used_at);
CREATE INDEX keys_day_asked ON keys (kind, (created_at / 86400), scope_asked_at);

-- +goose Down
DROP INDEX keys_day_asked;
DROP INDEX keys_day_used;
