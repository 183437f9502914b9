package apikey

import "time"

// A key can be paused by itself and, at the same time, with its owner. It is
// disabled while either holds. Of two pauses disabled_until tells the later
// end; a shorter one of its own is kept beside it, a shorter one with its owner
// is not: it ends unseen under the other.

// disabled pauses a definition: by itself, or, if the order names an owner,
// with it.
func disabled(d Definition, o Order, now time.Time) (_ Definition, unchanged bool) {
	was, paused := d, d.StatusAt(now) == StatusDisabled
	if !paused {
		d.DisabledAt, d.DisabledUntil, d.DisabledWithOwner, d.OwnDisabledUntil = &now, o.Until, o.Owner != "", nil
		return d, false
	}
	var own *time.Time // the end of its own pause
	has := !d.DisabledWithOwner
	if has {
		own = d.DisabledUntil
	} else if d.OwnDisabledUntil != nil && now.Before(*d.OwnDisabledUntil) {
		own, has = d.OwnDisabledUntil, true
	}
	with := o.Until
	if o.Owner == "" {
		with, own, has = d.DisabledUntil, o.Until, true
	}
	switch withOwner := o.Owner != "" || d.DisabledWithOwner; {
	case withOwner && !has:
		d.DisabledUntil, d.DisabledWithOwner, d.OwnDisabledUntil = with, true, nil
	case withOwner && outlasts(with, own):
		d.DisabledUntil, d.DisabledWithOwner, d.OwnDisabledUntil = with, true, own
	default:
		d.DisabledUntil, d.DisabledWithOwner, d.OwnDisabledUntil = own, false, nil
	}
	return d, d.DisabledWithOwner == was.DisabledWithOwner && sameTime(d.DisabledUntil, was.DisabledUntil) && sameTime(d.OwnDisabledUntil, was.OwnDisabledUntil)
}

// outlasts reports whether a pause until a goes on after one until b has ended;
// nil is without end.
func outlasts(a, b *time.Time) bool { return b != nil && (a == nil || a.After(*b)) }

// enabled ends pauses. An order that names an owner ends only the one that
// began with it, unless it says all; what the key was paused for by itself goes
// on then.
func enabled(d Definition, o Order, now time.Time) Definition {
	if o.Owner != "" && !o.All && d.OwnDisabledUntil != nil && now.Before(*d.OwnDisabledUntil) {
		d.DisabledUntil, d.DisabledWithOwner, d.OwnDisabledUntil = d.OwnDisabledUntil, false, nil
		return d
	}
	d.DisabledAt, d.DisabledUntil, d.DisabledWithOwner, d.OwnDisabledUntil = nil, nil, false, nil
	return d
}

// leaves reports whether an enable of an owner has nothing to end at a key.
func leaves(d Definition, o Order) bool {
	return o.Owner != "" && (d.DisabledAt == nil || !o.All && !d.DisabledWithOwner)
}
