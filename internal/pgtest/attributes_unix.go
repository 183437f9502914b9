//go:build unix && !linux

package pgtest

import "syscall"

// attributes are those of a process that runs as owner (nil: as ourselves), away
// from the terminal's Ctrl-C. There is no death signal here: see sweep.
func attributes(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Setpgid: true}
}
