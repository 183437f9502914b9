// Package ledger is the SQL database that holds the definition of every key: on
// SQLite, a file of one process, or on Postgres, for any number of processes.
// [DB] is an [apikey.Ledger]. It imports apikey and SQL, nothing else of ours,
// and decides nothing: rules come as an [apikey.Plan].
//
// # Tables (migrations)
//
// keys has a row per key: its definition as JSON, and beside it the columns
// that lists select and order by. key_terms holds the words, scopes and labels
// a key is found by. changes are the durable intents; the partial unique index
// over those in state begun is a key's lock, the same on both databases.
// public_keys are the thumbprints in use, replays what an Idempotency-Key gets
// again, events the audit, chain its head. quotas has a row to lock for every
// owner and environment whose number of keys is bounded. status_indexes counts the
// places in the status lists that were given. usage_hours, usage_days and
// usage_scopes count what keys are used for, usage_writers tells which batches of
// which process are in it.
//
// # Statements
//
// Both databases get the same SQL. What differs (pools, clock, lock, error
// codes) is in dialect.go. Fixed statements, all writes among them, bind their
// values and are prepared: replays hold salts, and Postgres logs the text of a
// statement that fails. Only lists, whose shape varies, are put together by bun.
//
// Statements of one transaction lock in one order (replays, changes,
// quotas, public_keys; in T2 keys, status_indexes for a new key, then last the chain),
// so transactions wait for each other but never in a circle. What counts for keys
// holds their rows first, in order of their ids, and then nothing that others wait for.
//
// # Erasure
//
// [DB.Prune] erases the salts of old replays. On SQLite deleted content is
// overwritten (secure_delete) and the write-ahead log is emptied, so nothing of
// them is left in the files. On Postgres a deleted row is gone from the table at
// once, but its bytes stay in the table's file until VACUUM has freed them and
// something else is written over them; VACUUM FULL replays rewrites the file and
// leaves nothing. Archived WAL and backups hold them until their retention ends.
package ledger
