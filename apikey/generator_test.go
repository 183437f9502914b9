package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// tooUneven is a bound that chi-square with 61 degrees of freedom (mean 61,
// standard deviation 11) passes once in about 10^10 tries.
const tooUneven = 160

// chiSquare compares counts of the 62 characters with even ones.
func chiSquare(counts [62]int) float64 {
	total := 0
	for _, n := range counts {
		total += n
	}
	even, sum := float64(total)/62, 0.0
	for _, n := range counts {
		sum += (float64(n) - even) * (float64(n) - even) / even
	}
	return sum
}

// tally is what a million secrets look like.
type tally struct {
	seen   map[[16]byte]struct{}
	counts [secretBody][62]int
	bad    int
}

func (y *tally) add(s string, form *regexp.Regexp) {
	if !form.MatchString(s) || !ValidSecret(s) {
		y.bad++
		return
	}
	sum := sha256.Sum256([]byte(s))
	y.seen[[16]byte(sum[:])] = struct{}{}
	for i := range secretBody {
		y.counts[i][strings.IndexByte(base62, s[len(secretPrefix)+i])]++
	}
}

// A million secrets all have the documented form and checksum and no two are
// equal; at every place every character is as likely as any other.
func TestMillionSecrets(t *testing.T) {
	const million, workers = 1_000_000, 4
	form := regexp.MustCompile(`^tos_[0-9A-Za-z]{49}$`)
	tallies := make([]tally, workers)
	var wg sync.WaitGroup
	for w := range tallies {
		y := &tallies[w]
		y.seen = make(map[[16]byte]struct{}, million/workers)
		wg.Go(func() {
			for range million / workers {
				y.add(GenerateSecret().Reveal(), form)
			}
		})
	}
	wg.Wait()
	all := tallies[0]
	for _, y := range tallies[1:] {
		all.bad += y.bad
		for k := range y.seen {
			all.seen[k] = struct{}{}
		}
		for i := range y.counts {
			for c, n := range y.counts[i] {
				all.counts[i][c] += n
			}
		}
	}
	if all.bad > 0 {
		t.Errorf("%d secrets have another form or a wrong checksum", all.bad)
	}
	if twice := million - all.bad - len(all.seen); twice > 0 {
		t.Errorf("%d secrets are there twice", twice)
	}
	for i, counts := range all.counts {
		if x := chiSquare(counts); x > tooUneven {
			t.Errorf("place %d: chi-square %.0f, want at most %d: %v", i, x, tooUneven, counts)
		}
	}
}

// The test of evenness sees what it is meant to see: the remainder of a byte,
// and the first character of a plain change of base of 256 bits.
func TestChiSquareSeesUnevenness(t *testing.T) {
	const many = 100_000
	var remainder, leading [62]int
	var b [32]byte
	for range many {
		_, _ = rand.Read(b[:])
		remainder[b[0]%62]++
		leading[strings.IndexByte(base62, toBase62(new(big.Int).SetBytes(b[:]), secretBody)[0])]++
	}
	if x := chiSquare(remainder); x < 2*tooUneven {
		t.Errorf("the remainder of a byte has chi-square %.0f", x)
	}
	if x := chiSquare(leading); x < 2*tooUneven {
		t.Errorf("the first character of a change of base has chi-square %.0f", x)
	}
}

// Every change of one character, every transposition, every character too many
// or too few is seen without a network.
func TestSecretChecksum(t *testing.T) {
	const others = base62 + "_-+/=. \x00\xff"
	for range 10 {
		s := GenerateSecret().Reveal()
		refused := func(what, changed string) {
			t.Helper()
			if changed != s && ValidSecret(changed) {
				t.Errorf("%s of a secret still passes", what)
			}
		}
		for i := range len(s) {
			for j := range len(others) {
				refused("a changed character", s[:i]+others[j:j+1]+s[i+1:])
				refused("an added character", s[:i]+others[j:j+1]+s[i:])
			}
			refused("a lost character", s[:i]+s[i+1:])
			for j := i + 1; j < len(s); j++ {
				b := []byte(s)
				b[i], b[j] = b[j], b[i]
				refused("a transposition", string(b))
			}
		}
		refused("an added line end", s+"\n")
		refused("upper case", strings.ToUpper(s))
		if !ValidSecret(s) {
			t.Error("a generated secret is refused")
		}
	}
	for _, s := range []string{"", "tos_", secretPrefix + strings.Repeat("0", 49)} {
		if ValidSecret(s) {
			t.Errorf("%q passes", s)
		}
	}
	strange := secretPrefix + strings.Repeat("!", secretBody)
	if ValidSecret(strange + checksum62(strange)) {
		t.Error("characters outside base 62 pass with a right checksum")
	}
}

// A secret fits where Hydra cuts off (72 bytes, bcrypt) and needs no encoding
// in Basic, a form or a URL.
func TestSecretFitsEverywhere(t *testing.T) {
	s := GenerateSecret().Reveal()
	if len(s) != 53 || len(s) > 72 {
		t.Errorf("a secret has %d bytes, want 53", len(s))
	}
	if strings.Trim(s, base62+"_") != "" {
		t.Error("a secret has characters that are not URL-safe")
	}
	if hint := NewSecret(s).hint(); hint != "..."+s[49:] {
		t.Errorf("the hint is %q", hint)
	}
}

// The step from 256 bits to a secret stays as it is: derived secrets of earlier
// versions must come out the same.
func TestSecretStepIsFixed(t *testing.T) {
	var zero, counting [32]byte
	for i := range counting {
		counting[i] = byte(i)
	}
	for bits, want := range map[[32]byte]string{
		zero:     "tos_5kuOiMYEI5F0HBTe9zSk5oqwUNpgUQP7nVJvEjykeAN3YMLQd",
		counting: "tos_FZpqH2sVHgcto5XATYDICfeVSKiSzXIpiFu922pYtR34FFdHf",
	} {
		if got := secretFrom(bits).Reveal(); got != want {
			t.Errorf("%s gives %s, want %s", hex.EncodeToString(bits[:]), got, want)
		}
	}
}
