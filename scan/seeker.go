package scan

import (
	"encoding/binary"

	"github.com/tokenos/tokenos/apikey"
)

// The first four bytes of what is sought. Neither can begin inside the other
// kind, since neither goes on with "_" after its fourth byte but an id's ninth.
const (
	secretWord = uint32('t')<<24 | 'o'<<16 | 's'<<8 | '_'
	idWord     = uint32('k')<<24 | 'e'<<16 | 'y'<<8 | '_'
)

const (
	wordLen   = 4
	secretLen = 53
	idLen     = 35
)

// place is where a byte stands.
type place struct {
	offset int64 // bytes before it
	line   int64 // line ends before it
	start  int64 // offset of its line
}

// seeker takes bytes one by one and knows when a secret or an id is complete, so
// it does not matter in which pieces they come. The zero seeker has seen nothing.
type seeker struct {
	last    uint32 // the last four bytes
	kind    Kind   // of the candidate that text holds
	n       int    // bytes of it; 0: there is none
	text    [secretLen]byte
	from    place // where it begins
	t, k    place // the last 't' and 'k': each occurs once in its word
	percent percent
	busy    bool // with a candidate or an escape
}

// percent reads percent-encoding (RFC 3986 section 2.1): of %74 it has seen so
// many characters.
type percent struct {
	seen  int
	value byte
	from  place
}

// reset forgets what is not complete.
func (s *seeker) reset() {
	s.last, s.n, s.percent.seen, s.busy = 0, 0, 0, false
}

// awake are the bytes that a seeker without a candidate has to look at.
var awake = [256]bool{'t': true, 'k': true, '_': true, '%': true}

// feed takes the byte at a place, and reports whether it completes a candidate
// that is real. Nearly every byte goes the short way.
func (s *seeker) feed(b byte, at place) bool {
	s.last = s.last<<8 | uint32(b)
	return (s.busy || awake[b]) && s.consider(b, at)
}

func (s *seeker) consider(b byte, at place) (complete bool) {
	if s.percent.seen == 0 && b != '%' {
		complete = s.take(b, at)
	} else {
		s.last >>= 8 // feed has added a byte that may not count
		complete = s.unescape(b, at)
	}
	s.busy = s.n > 0 || s.percent.seen > 0
	return complete
}

// unescape takes a byte of an escape, or one after a '%' that was none.
func (s *seeker) unescape(b byte, at place) bool {
	digit, isHex := unhex(b)
	switch {
	case s.percent.seen == 0 || b == '%':
		if s.percent.seen > 0 {
			s.reset()
		}
		s.percent = percent{seen: 1, from: at}
		return false
	case !isHex:
		s.reset()
		s.last = uint32(b)
		return s.take(b, at)
	case s.percent.seen == 1:
		s.percent.seen, s.percent.value = 2, digit<<4
		return false
	}
	s.percent.seen = 0
	b = s.percent.value | digit
	s.last = s.last<<8 | uint32(b)
	return s.take(b, s.percent.from)
}

func unhex(b byte) (byte, bool) {
	switch {
	case '0' <= b && b <= '9':
		return b - '0', true
	case 'a' <= b|0x20 && b|0x20 <= 'f':
		return (b | 0x20) - 'a' + 10, true
	}
	return 0, false
}

// take goes on with the last byte, which is b.
func (s *seeker) take(b byte, at place) bool {
	switch b {
	case 't':
		s.t = at
	case 'k':
		s.k = at
	}
	switch {
	case s.last == secretWord:
		s.begin(Secret, s.t)
	case s.last == idWord:
		s.begin(ID, s.k)
	case s.n > 0:
		return s.grow(b)
	}
	return false
}

func (s *seeker) begin(kind Kind, from place) {
	s.kind, s.from, s.n = kind, from, wordLen
	binary.BigEndian.PutUint32(s.text[:], s.last)
}

// grow adds a byte to the candidate, and judges one that is complete.
func (s *seeker) grow(b byte) bool {
	digit, upper, lower := '0' <= b && b <= '9', 'A' <= b && b <= 'Z', 'a' <= b && b <= 'z'
	if !digit && !lower && !(s.kind == Secret && upper) && !(s.kind == ID && b == '_') {
		s.n = 0
		return false
	}
	s.text[s.n] = b
	s.n++
	switch {
	case s.kind == Secret && s.n == secretLen:
		s.n = 0
		return apikey.ValidSecret(string(s.text[:]))
	case s.kind == ID && s.n == idLen:
		s.n = 0
		return apikey.OwnID(string(s.text[:idLen]))
	}
	return false
}

// found is the candidate that feed has just completed.
func (s *seeker) found() string {
	if s.kind == ID {
		return string(s.text[:idLen])
	}
	return string(s.text[:])
}
