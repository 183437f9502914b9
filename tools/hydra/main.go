// Command hydra builds the Ory Hydra that development and tests run, once into
// the user's cache, and prints where it is. Test packages would each do so by
// themselves, but then the first one's time-out covers the minutes that a build
// takes and the others wait for its lock.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/tokenos/tokenos/hydradev"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	path, err := hydradev.Binary(ctx, hydradev.BinaryConfig{Progress: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, "tools/hydra:", err)
		os.Exit(1)
	}
	fmt.Println(path)
}
