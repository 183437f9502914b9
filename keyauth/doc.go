// Package keyauth lets an API accept access tokens of TokenOS keys: fast, also
// while TokenOS or Hydra is down, and without believing either when it lies.
//
// # Ten lines
//
//	v, err := keyauth.New(keyauth.Config{
//		Audiences: []string{"https://api.example.com"}, // this API
//		Issuer:    "https://auth.example.com",          // Hydra
//		Introspection: keyauth.Introspection{
//			URL:   "https://keys.example.com/v1/introspect", // TokenOS
//			Token: ownToken, // of a management key with tokens:introspect
//		},
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer v.Close()
//	mux.Handle("GET /orders", v.Require("orders:read")(listOrders))
//
// In the handler, [FromContext] says who calls. Gin has
// [github.com/tokenos/tokenos/keyauth/ginauth], other servers have
// [Verifier.Verify].
//
// # Two formats
//
// A JWT has two dots. It is verified here, by the issuer's public keys; nobody is
// asked about it, so it costs microseconds and works while Hydra is down. The
// price: it lives to its exp, unless it names a place in a status list (TokenOS
// adds one when its token hook is on). Then the list is fetched every five seconds
// and a disabled or revoked key's token dies within that time.
//
// An opaque token means nothing by itself. It is looked up at TokenOS, which knows
// what has happened to its key, and remembered for five seconds.
//
// Set Issuer to accept the first, Introspection to accept the second.
//
// # What is checked
//
// Of both: the size (8 KiB), aud (one of yours, letter by letter; Hydra grants
// https://api.example.com/x as well to whoever may have https://api.example.com,
// so nothing else will do), exp, nbf and key_expires_at, that client_id is there
// and equal to sub (else it is a person's token, not a key's), and that it is not
// bound to a client's key (cnf), which this package could not check.
//
// Of a JWT also: alg (allowed by you, and the key's own), typ, kid and no other
// header member; iss; iat; scp or scope, which an ID token has not; that header and
// payload are strict JSON, no member twice, and base64url in its one form. Claims
// about the key count at the top level only: under ext a hook may put a second
// owner.
//
// Scopes are compared whole and in their case. They say what a key may do, never
// to whose things: compare [Identity].Owner with the owner of what is asked for.
//
// # What callers get
//
// 401 with a challenge for a bad token, 403 insufficient_scope for a good one that
// may not, 403 https_required for what came in clear (never a redirect), and 503
// with Retry-After when nobody can tell: a client that buys a new token upon 401
// must not do so because a database is away. Bodies are problem documents (RFC
// 9457). They do not say why; Config.Log and Config.Observe do.
//
// # Outages
//
//	Hydra is down         JWTs go on; opaque tokens 503, those remembered, here or at
//	                      TokenOS, go on for up to 10 seconds
//	Hydra's database is   the same: Hydra then calls every token inactive, which is
//	                      believed only if it says afterwards that it is ready
//	TokenOS is down       JWTs go on to the end of the last status list, then 503;
//	                      opaque tokens 503, those remembered go on for 5 seconds
//	keys of the issuer    the last good set goes on; a token by a key not in it 503
//
// # Memory and goroutines
//
// Good tokens are remembered under their SHA-256 within Config.CacheBytes, bad ones
// not at all. Made-up key ids cause one fetch of keys per ten seconds, however many
// come. One goroutine polls status lists while there are any in use.
// [Verifier.Close] ends everything.
package keyauth
