//go:build unix

package main

import (
	"os"
	"syscall"
)

// deafTo are the signals that end a program in the middle of a write.
var deafTo = []os.Signal{syscall.SIGPIPE, syscall.SIGXFSZ}
