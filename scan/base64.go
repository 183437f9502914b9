package scan

// unbase64 looks for what base64 hides (RFC 4648 sections 4 and 5). Nobody says
// where a text in base64 begins, so its characters are read in all four ways in
// which they can be grouped, each by a seeker of its own.
//
// Of both alphabets it takes letters and digits only: what is sought is ASCII
// without '>', '?' and '~', of which base64 never makes '+', '/', '-' or '_'. Its
// lines may be broken and indented, and the breaks may be written as \n, as in
// JSON.
type unbase64 struct {
	bits  uint32 // the last characters, six bits each
	n     uint   // of them since something else stood there
	prev  place  // of the last one
	lanes [4]seeker
	blank bool // in a break between lines
	slash bool // after a backslash
}

// sextets has the value of each character of base64 and 1, 0 for other bytes.
var sextets = func() (out [256]byte) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for i := range len(letters) {
		out[letters[i]] = byte(i) + 1
	}
	return out
}()

// feed takes the byte at a place and returns the seeker that it completes
// something for, nil if none.
func (d *unbase64) feed(b byte, at place) *seeker {
	v := sextets[b]
	if v == 0 || d.slash {
		if d.gap(b) {
			return nil
		}
		if d.n > 0 {
			d.reset()
		}
		if v == 0 {
			return nil
		}
	}
	d.blank = false
	return d.take(uint32(v-1), at)
}

// gap reports whether b belongs to a break between lines.
func (d *unbase64) gap(b byte) bool {
	switch {
	case b == '\\': // one or more, for JSON in JSON
		d.slash = true
		return true
	case d.slash:
		d.slash = false
		d.blank = b == 'n' || b == 'r'
		return d.blank
	case b == '\n' || b == '\r':
		d.blank = true
		return true
	}
	return d.blank && (b == ' ' || b == '\t')
}

func (d *unbase64) reset() {
	d.bits, d.n = 0, 0
	for i := range d.lanes {
		d.lanes[i].reset()
	}
}

// take adds a character. It ends a byte in three of the four groupings, with 0, 2
// and 4 bits left over for the next.
func (d *unbase64) take(v uint32, at place) *seeker {
	d.bits = d.bits<<6 | v
	d.n++
	var complete *seeker
	for pair := range uint(3) {
		lane := &d.lanes[(d.n+pair)%4]
		if lane.feed(byte(d.bits>>(2*pair)&0xff), d.prev) { // which always begins in the character before
			complete = lane
		}
	}
	d.prev = at
	return complete
}
