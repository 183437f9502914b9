package bench

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// hydraSide names the side that the others are compared with.
const hydraSide = "hydra"

// side is one way of doing the same thing.
type side struct {
	name string
	// call does it once. Each caller's calls follow one another; n counts them.
	call func(caller, n int) error
	// times is how often each caller calls in one round. Zero: once.
	times int
}

// taken is what a side's calls took.
type taken struct {
	each  []time.Duration
	rates []float64     // calls a second, of each turn
	busy  time.Duration // processor time of its turns, everybody's
	made  int           // calls that each caller has made
}

// measure runs all sides in turns, for b.Loop's number of rounds, with callers
// at the same time within a turn and never two sides at once. Who begins
// changes from round to round. One unmeasured turn of each opens connections.
func measure(b *testing.B, callers int, sides ...side) {
	b.Helper()
	all := make([]taken, len(sides))
	for i, s := range sides {
		turn(b, callers, s, &all[i])
		all[i].each, all[i].rates, all[i].busy = nil, nil, 0
	}
	for round := 0; b.Loop(); round++ {
		for i := range sides {
			at := (i + round) % len(sides)
			turn(b, callers, sides[at], &all[at])
		}
	}
	report(b, sides, all)
}

// turn lets each caller make its calls.
func turn(b *testing.B, callers int, s side, into *taken) {
	b.Helper()
	times := max(s.times, 1)
	each := make([][]time.Duration, callers)
	failed := make([]error, callers)
	call := func(caller int) {
		for n := range times {
			start := time.Now()
			if err := s.call(caller, into.made+n); err != nil {
				failed[caller] = err
				return
			}
			each[caller] = append(each[caller], time.Since(start))
		}
	}
	busy, start := processorTime(), time.Now()
	if callers == 1 {
		call(0)
	} else {
		var wg sync.WaitGroup
		for caller := range callers {
			wg.Go(func() { call(caller) })
		}
		wg.Wait()
	}
	into.rates = append(into.rates, float64(callers*times)/time.Since(start).Seconds())
	into.busy += processorTime() - busy
	into.made += times
	for caller, err := range failed {
		if err != nil {
			b.Fatalf("%s, caller %d: %v", s.name, caller, err)
		}
	}
	into.each = append(into.each, slices.Concat(each...)...)
}

// report prints each side's times and how they compare with Hydra's, or, where
// Hydra has no such call, with those of the small ledger.
func report(b *testing.B, sides []side, all []taken) {
	b.ReportMetric(0, "ns/op") // it would be the sum of all sides
	medians := map[string]float64{}
	for i, s := range sides {
		t := all[i].each
		slices.Sort(t)
		p50, p99 := millis(t[len(t)/2]), millis(t[len(t)*99/100])
		medians[s.name] = p50
		b.ReportMetric(p50, s.name+"-p50-ms")
		b.ReportMetric(p99, s.name+"-p99-ms")
		slices.Sort(all[i].rates)
		b.ReportMetric(all[i].rates[len(all[i].rates)/2], s.name+"/s")
		if all[i].busy > 0 {
			b.ReportMetric(float64(all[i].busy.Microseconds())/float64(len(t)), s.name+"-cpu-us")
		}
	}
	for _, s := range sides {
		if theirs := medians[hydraSide]; theirs > 0 && s.name != hydraSide && s.name != smallSide {
			b.ReportMetric(medians[s.name]/theirs, s.name+"-x-hydra")
		}
	}
	if small := medians[smallSide]; small > 0 {
		b.ReportMetric(medians[serviceSide]/small, "x-size")
	}
}

func millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
