-- When Hydra last ended all tokens of a key (apikey.Upkeep.TokensEndedAt).

-- +goose Up
ALTER TABLE keys ADD COLUMN tokens_ended_at BIGINT NOT NULL DEFAULT 1152921504606846976;

-- +goose Down
ALTER TABLE keys DROP COLUMN tokens_ended_at;
