package keyauth

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
	"time"
)

// maxIndex is the highest index within one list: TokenOS begins another list
// after a million keys.
const maxIndex = 999_999

// maxListBytes is a list's size before compression: 8 bits for each index.
const maxListBytes = maxIndex + 1

// The values that a status list has for a key (draft-ietf-oauth-status-list,
// "Status Types Values").
const (
	statusValid     = 0
	statusInvalid   = 1
	statusSuspended = 2
)

// statusList is one list, verified.
type statusList struct {
	bits  int // for each index: 1, 2, 4 or 8
	bytes []byte
	since time.Time // iat
	until time.Time // exp
	etag  string
}

// clocksDiffer is by how much the clocks of the replicas that sign lists may differ.
const clocksDiffer = 15 * time.Second

// follows reports whether the list may take the place of the one held (nil: none).
// A list from before that one, out of a cache or of a replica that hangs, would
// bring ended keys back to life.
func (l *statusList) follows(held *statusList, now time.Time) bool {
	return held == nil || !now.Before(held.until) || !l.since.Add(clocksDiffer).Before(held.since)
}

// at returns an index's value; false if the list does not reach so far.
func (l *statusList) at(index int) (int, bool) {
	each := 8 / l.bits
	if index/each >= len(l.bytes) {
		return 0, false
	}
	// The first index has the lowest bits of the first byte.
	return int(l.bytes[index/each]>>(index%each*l.bits)) & (1<<l.bits - 1), true
}

// readStatusList reads the claims of a Status List Token, whose signature is
// verified elsewhere (draft-ietf-oauth-status-list, "Status List Token").
func readStatusList(o object, uri string, now time.Time, leeway time.Duration) (*statusList, error) {
	sub, _ := o.text("sub")
	issued, dated := o.date("iat")
	l := &statusList{since: issued}
	var ends bool
	l.until, ends = o.date("exp")
	_, limited := o["ttl"]
	ttl, whole := o.whole("ttl", lastSecond)
	list, _ := o["status_list"].(map[string]any)
	switch {
	case sub != uri:
		return nil, strange("sub is the list's own address")
	case !dated || !ends || limited && (!whole || ttl < 1):
		return nil, strange("iat, exp and ttl are numbers")
	case now.Add(leeway).Before(issued):
		return nil, strange("iat is not in the future")
	case !now.Before(l.until):
		return nil, strange("exp is in the future")
	}
	var ok bool
	if l.bits, ok = object(list).whole("bits", 8); !ok || l.bits == 0 || l.bits&(l.bits-1) != 0 {
		return nil, strange("bits is 1, 2, 4 or 8")
	}
	packed, _ := list["lst"].(string)
	compressed, ok := decode(packed)
	if !ok {
		return nil, strange("lst is base64url")
	}
	var err error
	l.bytes, err = inflate(compressed)
	return l, err
}

// inflate decompresses at most maxListBytes, however much more there is.
func inflate(compressed []byte) ([]byte, error) {
	in := bytes.NewReader(compressed)
	z, err := zlib.NewReader(in)
	if err != nil {
		return nil, strange("lst is compressed by zlib")
	}
	defer z.Close()
	out, err := io.ReadAll(io.LimitReader(z, maxListBytes+1))
	switch {
	case errors.Is(err, zlib.ErrChecksum) || err != nil:
		return nil, strange("lst is compressed by zlib")
	case len(out) > maxListBytes:
		return nil, strange("lst has at most a million indexes")
	case len(out) == 0 || in.Len() > 0:
		return nil, strange("lst is one whole zlib stream")
	}
	return out, nil
}
