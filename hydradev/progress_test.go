package hydradev

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A stream becomes the same lines however it is cut into writes, and only the
// last twenty are kept.
func TestLinesDoNotDependOnTheWrites(t *testing.T) {
	var text strings.Builder
	for i := range 50 {
		fmt.Fprintf(&text, "line %d\r\n", i)
	}
	text.WriteString("unfinished")
	for _, size := range []int{1, 3, 64, 10_000} {
		var l lines
		var got []string
		for rest := text.String(); rest != ""; {
			n := min(size, len(rest))
			got = append(got, l.add([]byte(rest[:n]))...)
			rest = rest[n:]
		}
		if len(got) != 50 || got[0] != "line 0" || got[49] != "line 49" {
			t.Errorf("writes of %d: got %d lines, from %q to %q", size, len(got), got[0], got[len(got)-1])
		}
		want := make([]string, 0, 21)
		for i := 30; i < 50; i++ {
			want = append(want, fmt.Sprint("line ", i))
		}
		want = append(want, "unfinished")
		if diff := cmp.Diff(strings.Join(want, "\n"), l.tail()); diff != "" {
			t.Errorf("writes of %d: tail (-want +got):\n%s", size, diff)
		}
	}
}

// A line without an end does not grow without end.
func TestLongLinesAreCut(t *testing.T) {
	var l lines
	got := l.add([]byte(strings.Repeat("x", 3*lineLimit+1)))
	if len(got) != 3 || len(l.part) != 1 {
		t.Errorf("got %d lines and a rest of %d bytes, want 3 and 1", len(got), len(l.part))
	}
}
