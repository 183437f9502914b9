// Package e2e proves that OAuth clients which people use get tokens with the keys
// that we make, and that an API accepts those: on a real Hydra, by each method
// that the client has. docs/clients.md says what was seen; the programs in
// clients/ show how each client is set up.
package e2e
