package apikey

import (
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
	"math/big"
	"regexp"
	"strings"
	"time"
)

// crockford is Crockford's base 32 in lower case: no i, l, o or u.
const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

const idChars = 26 // 130 bits: 48 of time, 56 random, 26 of checksum

// NewID makes a key's id: "key_live_" or "key_test_" and 26 characters that
// hold the milliseconds of now (so ids sort by age), 56 random bits, and the
// low 26 bits of the CRC-32/IEEE of the prefix and those 13 bytes, so that a
// scanner can tell a real one.
func NewID(env Environment, now time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	_, _ = rand.Read(b[6:13]) // never fails (crypto/rand documentation)
	prefix := "key_" + string(env) + "_"
	return prefix + encodeID(prefix, b[:13])
}

func encodeID(prefix string, body []byte) string {
	n := new(big.Int).SetBytes(body)
	n.Lsh(n, 26)
	n.Or(n, big.NewInt(int64(checksum26(prefix, body))))
	out := make([]byte, idChars)
	mask, five := big.NewInt(31), new(big.Int)
	for i := idChars - 1; i >= 0; i-- {
		out[i] = crockford[five.And(n, mask).Int64()]
		n.Rsh(n, 5)
	}
	return string(out)
}

func checksum26(prefix string, body []byte) uint32 {
	return crc32.ChecksumIEEE(append([]byte(prefix), body...)) & (1<<26 - 1)
}

// OwnID reports whether id is one that [NewID] made.
func OwnID(id string) bool {
	for _, env := range []Environment{Live, Test} {
		prefix := "key_" + string(env) + "_"
		text, ok := strings.CutPrefix(id, prefix)
		if !ok || len(text) != idChars {
			continue
		}
		n := new(big.Int)
		for _, c := range []byte(text) {
			v := strings.IndexByte(crockford, c)
			if v < 0 {
				return false
			}
			n.Lsh(n, 5)
			n.Or(n, big.NewInt(int64(v)))
		}
		sum := new(big.Int).And(n, big.NewInt(1<<26-1)).Uint64()
		var body [13]byte
		n.Rsh(n, 26).FillBytes(body[:])
		return sum == uint64(checksum26(prefix, body[:]))
	}
	return false
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9_.~-]{1,128}$`)

// ValidID reports whether id can be a key's id at all. Anything else in a path
// is not found before any call is made: older Hydras cannot address ids with a
// slash, and ".." would leave the path.
func ValidID(id string) bool { return idPattern.MatchString(id) && id != "." && id != ".." }
