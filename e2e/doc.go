// Package e2e proves that OAuth clients which people use get tokens with the keys
// that we make, and that an API accepts those: on a real Hydra, by each method
// that the client has. docs/clients.md says what was seen; the programs in
// clients/ show how each client is set up.
//
// It also proves what docs/keyauth.md says of APIs that keyauth protects, beside
// tokenos serve and a Hydra that asks it, as people run them.
package e2e
