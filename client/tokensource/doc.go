// Package tokensource buys access tokens at Ory Hydra with a TokenOS key, for
// programs that call APIs:
//
//	source, err := tokensource.New(tokensource.Config{
//		TokenURL:   "https://auth.example.com/oauth2/token",
//		ClientID:   "key_live_01k9x2mc4q8r7s5t3v1w0y9z8a",
//		Credential: tokensource.ClientSecretBasic(os.Getenv("TOKENOS_CLIENT_SECRET")),
//		Scopes:     []string{"orders:read"},
//		Audiences:  []string{"https://api.example.com"},
//	})
//	...
//	api := oauth2.NewClient(ctx, source) // an *http.Client that sends the token
//
// A [Source] keeps its token. It buys the next one when about four fifths of the
// token's life are over, with one request for all callers, while they go on with
// the token they have. When that fails the token is used up to its end. A failure
// is an [*Error] whose [Kind] says what Hydra means, which its own answer often
// does not: Hydra calls good credentials wrong while its database is away, and
// answers 500 to a program whose clock is late.
//
// The request itself is made by golang.org/x/oauth2. This package imports nothing
// of ours.
package tokensource
