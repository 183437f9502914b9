-- +goose Up
ALTER TABLE keys ADD COLUMN replaces TEXT COLLATE "binary" NOT NULL DEFAULT ''; -- id of the predecessor
ALTER TABLE keys ADD COLUMN told_until BIGINT NOT NULL DEFAULT 0;               -- apikey.Upkeep
ALTER TABLE keys ADD COLUMN unclaimed TEXT NOT NULL DEFAULT '';                 -- apikey.Upkeep
ALTER TABLE changes ADD COLUMN successor TEXT NOT NULL DEFAULT '';              -- apikey.Definition as JSON; '' for none
UPDATE keys SET told_until = updated_at;
-- Keys that end are looked at once, so that their notices are planned; as due
-- after their last change, because what was due by then has been told.
UPDATE keys SET due_at = updated_at + 1 WHERE expires_at < 1152921504606846976 AND revoked_at = 1152921504606846976 AND due_at > updated_at;

-- +goose Down
ALTER TABLE changes DROP COLUMN successor;
ALTER TABLE keys DROP COLUMN unclaimed;
ALTER TABLE keys DROP COLUMN told_until;
ALTER TABLE keys DROP COLUMN replaces;
