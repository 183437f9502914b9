package hydratest

import "testing"

// run has no Postgres around it: pgtest needs a Unix.
func run(m *testing.M) int { return Main(m) }
