package apikey

import "time"

const oneDay = 24 * time.Hour

// noticeDays are how many days before its expires_at a key is told to be
// expiring, once each.
var noticeDays = [...]int{30, 14, 7, 1}

// notice is a moment of the clock that the audit tells of.
type notice struct {
	at   time.Time
	days int // before the end; 0: the end itself
}

// notices are the moments of a key, in order. A key that has been replaced has
// none but its end: whoever rotated it knows.
func (d Definition) notices() []notice {
	var out []notice
	if d.ExpiresAt != nil && d.ReplacedBy == nil {
		for _, n := range noticeDays {
			out = append(out, notice{d.ExpiresAt.Add(-time.Duration(n) * oneDay), n})
		}
	}
	if end := d.end(); end != nil {
		out = append(out, notice{*end, 0})
	}
	return out
}

// untold is the first moment that has come and that the audit does not tell of.
// days is that of the notice; at is zero if there is none.
func (r Record) untold(now time.Time) (at time.Time, days int) {
	for _, n := range r.notices() {
		if n.at.After(r.ToldUntil) && !n.at.After(now) {
			return n.at, n.days
		}
	}
	return time.Time{}, 0
}

// nextNotice is the first moment after told; zero: none.
func nextNotice(d Definition, told time.Time) time.Time {
	for _, n := range d.notices() {
		if n.at.After(told) {
			return n.at
		}
	}
	return time.Time{}
}

// toldAfter is up to when the audit tells of the clock once the change is
// applied. Whoever sets a deadline knows what lies behind it: notices count
// from there.
func toldAfter(before Record, ch Change, at time.Time) time.Time {
	moved := !sameTime(before.ExpiresAt, ch.Target.ExpiresAt)
	if moved && before.ID != "" {
		return ch.At // it may be carried out later, when the new deadline has come
	}
	if before.ID == "" || ch.Action == ActionExpire || ch.Action == ActionCompleteRotation {
		return at
	}
	return before.ToldUntil
}
