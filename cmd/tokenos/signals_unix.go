//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// deafTo are the signals that end a program in the middle of a write.
var deafTo = []os.Signal{syscall.SIGPIPE, syscall.SIGXFSZ}

// endings are the signals that ask us to stop: SIGHUP comes from a terminal that is
// closed. Who has it ignored, as nohup does, wants us to go on.
func endings() []os.Signal {
	all := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}
