//go:build !unix

package main

import (
	"os"
	"syscall"
)

// deafTo are the signals that end a program in the middle of a write.
var deafTo = []os.Signal{syscall.SIGPIPE}

// endings are the signals that ask us to stop.
func endings() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }
