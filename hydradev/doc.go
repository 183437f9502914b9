// Package hydradev builds (once) and runs a real Ory Hydra for development and
// tests. It is public so that users can test against Hydra as we do.
//
//	s, err := hydradev.Start(ctx, hydradev.Config{Memory: true})
//	...
//	defer s.Stop(context.Background())
//	// s.TokenURL(), s.AdminURL()
//
// [Binary] finds a Hydra or builds one with the local Go toolchain: a private
// go.mod is embedded here, so the module that imports this package stays free
// of Hydra's 200 dependencies, and a small driver over modernc.org/sqlite takes
// the place of mattn/go-sqlite3, so no C compiler is needed.
//
// [Start] runs it as a child process on loopback, on a SQLite file or any DSN,
// with the settings TokenOS relies on, restarts it when it dies and takes it
// down with the parent.
//
// Hydra [Version] has a known advisory (GHSA-r9w3-57w2-gch2) and serves its
// admin API without authentication: development and tests on loopback only.
//
// This package imports nothing of ours.
package hydradev

// Version is the Ory Hydra this package builds: the newest that the Go module
// proxy serves.
const Version = "v2.3.0"
