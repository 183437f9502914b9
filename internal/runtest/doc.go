// Package runtest runs programs in other languages for tests: what the snippets
// say, and OAuth clients that our keys must serve.
//
// [Tool], [Node] and [Python] find what runs them. Where it is missing, the test
// is left out and says so; with TOKENOS_TEST_REQUIRE=1, which make test sets, it
// fails instead. tools/setup installs everything: npm's packages go into the
// user's cache, by e2e/clients/package-lock.json.
//
// It imports nothing of ours.
package runtest
