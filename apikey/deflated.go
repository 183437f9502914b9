package apikey

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"sync"
)

// deflateBlock is how many bytes of a packed list are compressed at a time:
// 16,384 keys. To compress a whole list takes far longer than all else that a
// change of one key asks for, and most blocks stay as they are.
const deflateBlock = 4 << 10

// deflated is a packed list in the ZLIB format (RFC 1950), in blocks that stand
// for themselves, so that those that say the same need not be compressed again.
// It follows from what is packed alone, and is so the same in all processes.
type deflated struct {
	packed []byte
	blocks [][]byte // of the beginning, up to the last that says anything
	rest   []byte   // of the zeros after it
}

// deflate compresses packed, with d, what was compressed before.
func (d deflated) deflate(packed []byte) (deflated, error) {
	out := deflated{packed: packed}
	said := len(bytes.TrimRight(packed, "\x00"))
	from := 0
	for ; from < said; from += deflateBlock {
		to := min(from+deflateBlock, len(packed))
		if n := len(out.blocks); n < len(d.blocks) && bytes.Equal(packed[from:to], d.packed[from:to]) {
			out.blocks = append(out.blocks, d.blocks[n])
			continue
		}
		block, err := deflateAlone(packed[from:to])
		if err != nil {
			return deflated{}, err
		}
		out.blocks = append(out.blocks, block)
	}
	if len(out.blocks) == len(d.blocks) && d.rest != nil {
		out.rest = d.rest
		return out, nil
	}
	var err error
	out.rest, err = deflateAlone(packed[min(from, len(packed)):])
	return out, err
}

// deflaters are writers of flate's, which are large.
var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestCompression)
	if err != nil {
		return nil
	}
	return w
}}

// deflateAlone compresses without looking back, up to a whole byte.
func deflateAlone(raw []byte) ([]byte, error) {
	w, ok := deflaters.Get().(*flate.Writer)
	if !ok {
		return nil, errors.New("apikey: no compression of this level")
	}
	defer deflaters.Put(w)
	var out bytes.Buffer
	w.Reset(&out)
	if _, err := w.Write(raw); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// zlib is the whole.
func (d deflated) zlib() []byte {
	out := []byte{0x78, 0xda} // the window of 32 KiB, best compression
	for _, b := range d.blocks {
		out = append(out, b...)
	}
	out = append(out, d.rest...)
	out = append(out, 1, 0, 0, 0xff, 0xff) // the last block: empty (RFC 1951 section 3.2.4)
	return binary.BigEndian.AppendUint32(out, adler32.Checksum(d.packed))
}
