// Program tokenos manages API keys that are OAuth 2.0 clients in Ory Hydra.
package main

import (
	"context"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), endings()...)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program on the spot
	// A reader that has gone, or a limit, fails the write: a secret that could not
	// be written is told of. Not ignored, because Hydra would inherit that.
	signal.Notify(make(chan os.Signal, 1), deafTo...)
	p := program{env: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(p.run(ctx, os.Args[1:]))
}
