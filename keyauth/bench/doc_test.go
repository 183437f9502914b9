// Package bench measures keyauth beside coreos/go-oidc and golang-jwt on the same
// real tokens of a real Hydra, in one run:
//
//	make bench-keyauth
//
// It is a module of its own, so that TokenOS depends on neither. Nothing is
// asserted but that all three accept the tokens: docs/performance.md holds what was
// measured.
package bench
