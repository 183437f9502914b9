package main

import sys "golang.org/x/sys/unix"

// hush stops a terminal from showing what is typed.
func hush(fd int) error {
	state, err := sys.IoctlGetTermios(fd, sys.TCGETS)
	if err != nil {
		return err
	}
	state.Lflag &^= sys.ECHO
	return sys.IoctlSetTermios(fd, sys.TCSETS, state)
}
