package hydradev

import (
	"os/exec"
	"time"
)

// child is a running process of ours. It dies with us: see startTied.
type child struct {
	cmd     *exec.Cmd
	started time.Time
	done    chan struct{} // closed when the process is gone
	err     error         // how it ended; read after done
}

// startChild starts cmd tied to our own life.
func startChild(cmd *exec.Cmd) (*child, error) {
	// A grandchild may hold the output open; do not wait for it for ever.
	cmd.WaitDelay = time.Second
	release, err := startTied(cmd)
	if err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, started: time.Now(), done: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		release()
		close(c.done)
	}()
	return c, nil
}

// runChild runs cmd to its end. If cmd has a context, its end kills the whole
// group of processes.
func runChild(cmd *exec.Cmd) error {
	if cmd.Cancel != nil {
		cmd.Cancel = func() error { return killTree(cmd.Process) }
	}
	c, err := startChild(cmd)
	if err != nil {
		return err
	}
	<-c.done
	return c.err
}

// pid is the process id, also after its end.
func (c *child) pid() int { return c.cmd.Process.Pid }

// running reports whether the process is still there.
func (c *child) running() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// kill ends the process the hard way and does not wait. A process that is gone
// is left alone: its number may belong to another by now.
func (c *child) kill() error {
	if !c.running() {
		return nil
	}
	return killTree(c.cmd.Process)
}

// end asks the process to stop, kills it after grace, and returns once it is gone.
func (c *child) end(grace time.Duration) {
	if !c.running() {
		return
	}
	if err := askToStop(c.cmd.Process); err == nil {
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-c.done:
			return
		case <-t.C:
		}
	}
	_ = c.kill() // an error means that it is gone already; done says so in a moment
	<-c.done
}
