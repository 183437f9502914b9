package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// processorTime is what this process and all that it has started (Hydra,
// Postgres) have used so far, as Linux counts it, in steps of 10 ms; elsewhere 0.
// On a machine that is busy with other work it tells more than the time that
// went by.
func processorTime() time.Duration {
	sum := ticks("self")
	for _, pid := range children("self") {
		sum += below(pid)
	}
	return time.Duration(sum) * 10 * time.Millisecond
}

func below(pid string) int {
	sum := ticks(pid)
	for _, child := range children(pid) {
		sum += below(child)
	}
	return sum
}

// ticks are utime and stime (proc(5)).
func ticks(pid string) int {
	raw, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:])) // from the third on
	if len(fields) < 13 {
		return 0
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		return 0
	}
	return user + system
}

func children(pid string) (out []string) {
	lists, err := filepath.Glob("/proc/" + pid + "/task/*/children")
	if err != nil {
		return nil
	}
	for _, list := range lists {
		raw, err := os.ReadFile(list)
		if err == nil {
			out = append(out, strings.Fields(string(raw))...)
		}
	}
	return out
}
