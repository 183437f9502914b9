// Package manifest is keys as code: YAML documents that say which keys there
// should be, and what to do so that there are (docs/keys-as-code.md).
//
// [Parse] reads documents, strictly, and says everything that is wrong with them
// at once. [Plan] compares them with the keys that a server has; it is a pure
// function and calls nothing. [Write] writes keys as documents, so that a plan of
// what it wrote changes nothing. No document holds a secret.
package manifest
