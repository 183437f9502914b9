// Package pgtest gives tests a real, throw-away Postgres.
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
//	func TestLedger(t *testing.T) {
//		ledger, err := ledger.Open(t.Context(), pgtest.URL(t)) // an empty database of its own
//
//	func TestPostgresDown(t *testing.T) {
//		server := pgtest.New(t, pgtest.Config{}) // a cluster of its own, to take down
//		url := server.URL(t)
//		server.Kill()
//
// [URL] shares one cluster per test process, made on first use (about a second)
// and stopped by [Main]. It also stops when the test process is killed: the
// kernel signals it on Linux; elsewhere, and for the folder it leaves behind, the
// next run of any test clears up.
//
// The databases are deliberately not the friendliest: their owner is no
// superuser, they sort text as a language does (ICU en-US where Postgres has it,
// as production databases usually do), and their time zone is not UTC.
//
// Without Postgres on the machine a test is skipped, and the reason names the
// suite that was left out. With TOKENOS_TEST_REQUIRE=1, which make test sets, it
// fails instead.
//
// It needs a Unix, and imports nothing of ours.
package pgtest
