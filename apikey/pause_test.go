package apikey

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A key is disabled as long as either of its pauses goes on, and enabling its
// owner ends the owner's alone.
func TestTwoPausesOfAKey(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	in := func(h int) *time.Time { return new(now.Add(time.Duration(h) * time.Hour)) }
	type pause struct {
		until *time.Time // nil with on: without end
		on    bool
	}
	const forever = 0
	own := func(h int) Order {
		if h == forever {
			return Order{}
		}
		return Order{Until: in(h)}
	}
	owners := func(h int) Order { o := own(h); o.Owner = "acme"; return o }
	for name, c := range map[string]struct {
		orders       []Order
		until        *time.Time // disabled_until afterwards
		withOwner    bool
		beside       *time.Time // own_disabled_until
		unchanged    bool       // by the last order
		afterEnabled pause      // once the owner is enabled
	}{
		"owner's":                           {[]Order{owners(forever)}, nil, true, nil, false, pause{}},
		"owner's twice":                     {[]Order{owners(2), owners(2)}, in(2), true, nil, true, pause{}},
		"owner's changed":                   {[]Order{owners(2), owners(1)}, in(1), true, nil, false, pause{}},
		"its own":                           {[]Order{own(forever)}, nil, false, nil, false, pause{nil, true}},
		"its own for good, then owner's":    {[]Order{own(forever), owners(forever)}, nil, false, nil, true, pause{nil, true}},
		"its own longer than owner's":       {[]Order{own(5), owners(2)}, in(5), false, nil, true, pause{in(5), true}},
		"its own as long as owner's":        {[]Order{own(2), owners(2)}, in(2), false, nil, true, pause{in(2), true}},
		"its own shorter than owner's":      {[]Order{own(2), owners(5)}, in(5), true, in(2), false, pause{in(2), true}},
		"its own shorter, owner's no end":   {[]Order{own(2), owners(forever)}, nil, true, in(2), false, pause{in(2), true}},
		"owner's, then its own for good":    {[]Order{owners(forever), own(forever)}, nil, false, nil, false, pause{nil, true}},
		"owner's, then its own shorter":     {[]Order{owners(forever), own(2)}, nil, true, in(2), false, pause{in(2), true}},
		"owner's, then its own, twice":      {[]Order{owners(forever), own(2), own(2)}, nil, true, in(2), true, pause{in(2), true}},
		"owner's cut to before its own":     {[]Order{own(3), owners(forever), owners(1)}, in(3), false, nil, false, pause{in(3), true}},
		"its own changed to something else": {[]Order{own(3), own(1)}, in(1), false, nil, false, pause{in(1), true}},
	} {
		t.Run(name, func(t *testing.T) {
			d, unchanged := Definition{Owner: "acme"}, false
			for _, o := range c.orders {
				d, unchanged = disabled(d, o, now)
			}
			want := Definition{Owner: "acme", DisabledAt: &now, DisabledUntil: c.until, DisabledWithOwner: c.withOwner, OwnDisabledUntil: c.beside}
			if diff := cmp.Diff(want, d); diff != "" || unchanged != c.unchanged {
				t.Errorf("unchanged %v, want %v; (-want +got):\n%s", unchanged, c.unchanged, diff)
			}
			all := Order{Owner: "acme", All: true}
			if got := enabled(d, all, now); leaves(d, all) || got.DisabledAt != nil || got.DisabledUntil != nil || got.DisabledWithOwner || got.OwnDisabledUntil != nil {
				t.Errorf("enabled with all: %+v", got)
			}
			enable := Order{Owner: "acme"}
			if !leaves(d, enable) {
				d = enabled(d, enable, now)
			}
			if got := (pause{d.DisabledUntil, d.DisabledAt != nil}); got.on != c.afterEnabled.on || !sameTime(got.until, c.afterEnabled.until) || d.DisabledWithOwner {
				t.Errorf("after the owner was enabled: %+v, want %+v", d, c.afterEnabled)
			}
		})
	}
}

// A pause that is over leaves nothing behind in the next one.
func TestPauseAfterPause(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	past := now.Add(-time.Hour)
	d := Definition{Owner: "acme", DisabledAt: &past, DisabledUntil: &past, DisabledWithOwner: true, OwnDisabledUntil: &past}
	got, unchanged := disabled(d, Order{}, now)
	if unchanged || !got.DisabledAt.Equal(now) || got.DisabledUntil != nil || got.DisabledWithOwner || got.OwnDisabledUntil != nil {
		t.Errorf("%+v", got)
	}
	long := Definition{Owner: "acme", DisabledAt: &past, DisabledWithOwner: true, OwnDisabledUntil: &past}
	if got := enabled(long, Order{Owner: "acme"}, now); got.DisabledAt != nil {
		t.Errorf("enabled with its owner after its own pause was over: %+v", got)
	}
}
