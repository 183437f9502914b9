package pgtest

import (
	"context"
	"fmt"
	"os"
)

// sacrificeVariable makes this test program open a cluster, name it on stdout
// and wait to be killed.
const sacrificeVariable = "PGTEST_SACRIFICE"

// sacrifice is the program that is killed. It never returns.
func sacrifice() {
	server, err := Open(context.Background(), Config{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(server.process.pid, server.folder.path)
	select {} // the goroutine that watches the server keeps the program alive
}
