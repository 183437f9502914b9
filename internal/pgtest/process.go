package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// process is one run of a server.
type process struct {
	pid  int
	done chan struct{} // closed when it has ended
}

// launch starts command and watches over it. The goroutine keeps its thread for
// as long as the process lives, because Linux sends the death signal when the
// thread that started it ends, not the program (prctl(2), PR_SET_PDEATHSIG).
func launch(command *exec.Cmd) (*process, error) {
	started := make(chan error)
	p := &process{done: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := command.Start(); err != nil {
			started <- err
			return
		}
		p.pid = command.Process.Pid
		started <- nil
		command.Wait() //nolint:errcheck // a server that was told to end ends with any code
		close(p.done)
	}()
	return p, <-started
}

// alive reports whether the process runs. A nil process does not.
func (p *process) alive() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends sig to the server and to the sessions it has forked. The server is
// stopped first, or it would fork another meanwhile. Its sessions are in groups
// of their own, so no single kill(2) reaches them.
func (p *process) signal(ctx context.Context, sig syscall.Signal) ([]int, error) {
	if err := syscall.Kill(p.pid, syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("pgtest: stop %d: %w", p.pid, err)
	}
	sessions, err := children(ctx, p.pid)
	if err != nil {
		return nil, err
	}
	for _, pid := range append(sessions, p.pid) {
		// One that ended meanwhile is as wanted.
		if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
			return nil, fmt.Errorf("pgtest: signal %d: %w", pid, err)
		}
	}
	return sessions, nil
}

// children lists the processes whose parent is pid: from /proc where there is
// one, because a bare container has no ps.
func children(ctx context.Context, pid int) ([]int, error) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // fails on a malformed pattern only
	var table strings.Builder
	for _, path := range stats {
		if child, parent, _, ok := readStat(path); ok {
			fmt.Fprintln(&table, child, parent)
		}
	}
	if table.Len() == 0 {
		out, err := exec.CommandContext(ctx, "ps", "-A", "-o", "pid=,ppid=").Output()
		if err != nil {
			return nil, fmt.Errorf("pgtest: list processes: %w", err)
		}
		table.Write(out)
	}
	var found []int
	for line := range strings.Lines(table.String()) {
		var child, parent int
		if _, err := fmt.Sscan(line, &child, &parent); err == nil && parent == pid {
			found = append(found, child)
		}
	}
	return found, nil
}

// readStat reads a process's id, parent and state from its /proc/<pid>/stat
// (proc(5)); ok is false if it has ended. Its second field is the program's name
// in brackets and may hold anything, so what counts stands after the last one.
func readStat(path string) (pid, parent int, state byte, ok bool) {
	stat, err := os.ReadFile(path)
	end := bytes.LastIndexByte(stat, ')')
	if err != nil || end < 0 {
		return 0, 0, 0, false
	}
	if _, err := fmt.Sscanf(string(stat[end+1:]), " %c %d", &state, &parent); err != nil {
		return 0, 0, 0, false
	}
	pid, err = strconv.Atoi(filepath.Base(filepath.Dir(path)))
	return pid, parent, state, err == nil
}

// gone reports whether no process of that id runs any more. A zombie, which
// only waits for its new parent to notice, is gone.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return true
	}
	_, _, state, ok := readStat(fmt.Sprintf("/proc/%d/stat", pid))
	return ok && state == 'Z'
}
