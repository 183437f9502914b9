// Package snippets writes the code that a customer's developer pastes to buy an
// access token with a key: for curl, JavaScript, Go and Python, and for each of
// the three ways a key can authenticate (RFC 6749 section 2.3.1, RFC 7523).
//
// The texts are complete programs. They read the client secret from the
// environment variable TOKENOS_CLIENT_SECRET, or the private key from the PEM
// file (PKCS #8) that TOKENOS_PRIVATE_KEY_FILE names; neither is ever part of
// the text, and none puts one where a list of processes shows it. Each asks for
// scope and audience by name, because Hydra grants neither unasked.
//
// The README shows these texts and the tests run each of them against a real
// Hydra, so what is shown works.
//
// This package imports nothing of ours.
package snippets
