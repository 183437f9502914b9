package apikey

import (
	"bytes"
	"compress/zlib"
	"io"
	"math/rand/v2"
	"testing"
)

// A list that was compressed piece by piece, out of what was compressed before,
// unpacks to what it says, and is what a process makes that has just begun.
func TestDeflated(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	packed, last := make([]byte, statusListSize/statusPerByte), deflated{}
	for round := range 200 {
		packed = bytes.Clone(packed)
		switch chance.IntN(5) {
		case 0:
			clear(packed[chance.IntN(len(packed)):])
		case 1:
			packed[len(packed)-1-chance.IntN(200)] = byte(chance.Uint32())
		default:
			for range chance.IntN(20) {
				packed[chance.IntN(1+chance.IntN(len(packed)))] = byte(chance.Uint32())
			}
		}
		var err error
		if last, err = last.deflate(packed); err != nil {
			t.Fatal(err)
		}
		r, err := zlib.NewReader(bytes.NewReader(last.zlib()))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, packed) {
			t.Fatalf("round %d: it does not unpack to what it says: %v", round, err)
		}
		if round%20 != 0 {
			continue
		}
		if afresh, err := (deflated{}).deflate(packed); err != nil || !bytes.Equal(afresh.zlib(), last.zlib()) {
			t.Fatalf("round %d: another process says it otherwise: %v", round, err)
		}
	}
	if empty, err := (deflated{}).deflate(make([]byte, statusListSize/statusPerByte)); err != nil || len(empty.zlib()) > 400 {
		t.Errorf("a list of nothing has %d bytes, %v", len(empty.zlib()), err)
	}
}
