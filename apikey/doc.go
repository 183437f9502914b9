// Package apikey says what an API key is, what may be done with it, by whom,
// and how that can fail. It is the room in the middle: it imports nothing of
// ours, declares the ports it needs ([Ledger], [Clients], [Tokens]) and offers
// [API], which the REST handlers, the Go client and the command line all share.
//
// # Words
//
// A key is an OAuth 2.0 client in Ory Hydra that may only use the client
// credentials grant (RFC 6749 section 4.4). Its id is Hydra's client_id. The
// ledger (our SQL database) holds the definition of every key; Hydra holds a
// projection of it, the client that can authenticate, and the only copy of the
// secret's hash. Changes flow ledger to Hydra, never back.
//
// Facts are stored (disabled_at, expires_at, revoked_at ...), the status is
// derived from them and the clock: revoked > disabled > expired > active.
//
// # A change
//
// Every change is three steps (change.go): T1 writes the intent and takes the
// key's lock, Hydra is called with idempotent requests, T2 writes the new
// definition, its revision and its event. A process may die between any two:
// recovery (recover.go) takes intents whose lease has ended and brings each to
// its end. What happens by the clock (expiry, a pause's end, a public key's
// end, the second token sweep) is one mechanism, converge (converge.go).
//
// What keys are used for is counted in memory (usage.go) and written every
// second (flush.go); it is no change and leaves no event.
//
// What is done to every key of an owner is an operation (owners.go): a row with
// a cursor that background work carries on (walk.go), one ordinary change for
// each key (deal.go).
//
// # A token request
//
// Hydra asks before it issues a token ([Service.Decide], issuance.go). The answer
// comes from a memory of all keys (snapshot.go) that follows the ledger by ids of
// touched keys (follow.go, [Facts]); a canary proves that Hydra asks (canary.go).
package apikey
