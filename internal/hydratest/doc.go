// Package hydratest gives tests a real Ory Hydra.
//
// [Shared] is one Hydra per test package, started when a test first asks; a
// package that uses it says
//
//	func TestMain(m *testing.M) { os.Exit(hydratest.Main(m)) }
//
// so that it is stopped in the end. Tests keep apart by owners and ids. [New] is
// a Hydra of a test's own, for other settings or for stopping it; it is ready in
// about a tenth of a second, because both start from a template, a migrated
// database with its keys made.
//
// [NewProxy] stands between us and Hydra and misbehaves on demand. [Register],
// [Buy] and [Introspect] prove outcomes at Hydra's own door.
//
// A missing Hydra is built, with progress on stderr; no test is ever skipped for
// the want of it. It may import hydradev alone of our rooms.
package hydratest
