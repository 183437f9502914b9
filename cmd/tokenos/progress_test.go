package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What takes less than two seconds says nothing; what takes longer says so after
// two seconds and then every five, until it is done.
func TestBusy(t *testing.T) {
	for takes, want := range map[time.Duration]string{
		1900 * time.Millisecond: "",
		3 * time.Second:         "migrating: still at it after 2s\n",
		13 * time.Second:        "migrating: still at it after 2s\nmigrating: still at it after 7s\nmigrating: still at it after 12s\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			var said bytes.Buffer
			stop := program{stderr: &said}.busy(still("migrating"))
			time.Sleep(takes) // the bubble's clock
			stop()
			stop() // does no harm
			time.Sleep(time.Minute)
			if diff := cmp.Diff(want, said.String()); diff != "" {
				t.Errorf("work of %s: -want +got\n%s", takes, diff)
			}
		})
	}
}
