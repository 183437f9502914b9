// Package hydra keeps keys as OAuth 2.0 clients in Ory Hydra: it projects a
// definition onto a whole client, calls Hydra's admin API so that no call can
// hang, pile up or be repeated where that is not safe, and says of every
// failure whether Hydra may have done what was asked. It implements
// [apikey.Clients] and [apikey.Tokens] and imports nothing of ours but apikey.
//
// What we rely on was measured on real Hydras; contract_test.go states each
// behaviour as one test. Hydra answers 500 to callers' mistakes as well as to
// trouble with its database, and lies while the database is away (introspection
// says inactive, the token endpoint says invalid_client), so:
//
//   - there is no circuit breaker: a 500 says nothing about the next call;
//   - an "inactive" is believed only after /health/ready has said yes;
//   - a credential is checked by asking for a grant that no client has (see
//     [Hydra.Prove]): the revocation endpoint says 200 to all of them then;
//   - a 404 or 409 counts only in Hydra's own words, because a proxy's 404
//     must not pass for "this client is gone".
//
// hook.go is the other direction: what Hydra asks before it issues a token.
//
// The way of a call: an operation (clients.go, introspect.go, prove.go,
// ready.go, capabilities.go) → exchange (call.go), which sets the deadline → the SDK or
// raw HTTP → transport (transport.go): bulkhead, retries, time-out of one
// attempt, bounded body → back through explain (explain.go), the only place
// where a failure gets its kind.
package hydra
