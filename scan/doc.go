// Package scan finds ids and secrets of keys where they should not be: in files,
// folders, standard input and the history of a git repository.
//
// Both carry a checksum ([apikey.ValidSecret], [apikey.OwnID]), so what it finds
// is real, whatever stands around it, and no network is needed to tell. It looks
// at bytes, not at text: a secret in a database file or in a log is found like
// one in a settings file. [Scanner] finds, in one pass and in fixed memory;
// [Search] takes it through files and histories.
//
// A secret never leaves this package: a [Finding] has its last four characters,
// which the product shows everywhere, and a fingerprint.
//
// What it does not find: ids of keys that were adopted from Hydra under their own
// id, secrets that were compressed, encrypted, written in UTF-16 or encoded twice
// in base64, and private keys, which look like everybody's.
//
// It imports apikey alone of ours, and runs git.
package scan
