package tokensource

import (
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// The next token is bought when about four fifths of a life are over, at a moment that
// differs from program to program, and the last moments are spared.
func TestKeep(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for life, last := range map[time.Duration]time.Duration{time.Minute: 6 * time.Second, 15 * time.Minute: 10 * time.Second, 24 * time.Hour: 10 * time.Second, time.Second: 100 * time.Millisecond} {
		moments := map[time.Time]bool{}
		for range 100 {
			h := keep(&oauth2.Token{}, since, life)
			moments[h.refreshAt] = true
			if share := float64(h.refreshAt.Sub(since)) / float64(life); share < 0.75 || share > 0.85 {
				t.Errorf("%v: the next is bought after %.2f of the life", life, share)
			}
			if got := since.Add(life).Sub(h.until); got != last {
				t.Errorf("%v: %v are spared, want %v", life, got, last)
			}
		}
		if len(moments) < 50 {
			t.Errorf("%v: %d moments in 100 lives", life, len(moments))
		}
	}
}
