package hydradev

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// spawner is a thread that starts children and never ends. Linux sends the
// parent-death signal when the *thread* that forked ends (prctl(2),
// PR_SET_PDEATHSIG), and Go ends threads as it likes.
var spawner = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// startTied starts cmd so that the kernel kills it when we die, however we die.
// It gets a process group of its own: Ctrl-C in a terminal reaches us alone, and
// we stop it in our order.
func startTied(cmd *exec.Cmd) (release func(), err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	spawner() <- func() { started <- cmd.Start() }
	return func() {}, <-started
}
