package apikey_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
)

// signingHydra tells keys of its own, or fails, and counts.
type signingHydra struct {
	apikey.Clients
	keys   []apikey.SigningKey
	err    error
	asked  atomic.Int32
	forced atomic.Int32 // without a deadline
}

func (s *signingHydra) SigningKeys(ctx context.Context) ([]apikey.SigningKey, error) {
	s.asked.Add(1)
	if _, ok := ctx.Deadline(); !ok {
		s.forced.Add(1)
	}
	return s.keys, s.err
}

// Hydra is asked for its signing keys once for all who ask within ten seconds, and
// again at once after a failure, which is told as one.
func TestSigningKeysAreAskedRarely(t *testing.T) {
	replaced := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	h := &signingHydra{err: &apikey.Error{Kind: apikey.ErrInternal},
		keys: []apikey.SigningKey{{KID: "new", Signs: true, CreatedAt: &replaced}, {KID: "old", ReplacedAt: &replaced}, {KID: "foreign"}}}
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) { h.Clients, c.Clients = c.Clients, h }})
	ctx := apikey.WithCaller(t.Context(), apikey.Caller{Principal: "test", Rights: []apikey.Right{apikey.Admin}})
	if _, err := w.Service.SigningKeys(ctx); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("a failure is told as %v", err)
	}
	h.err = nil
	var together sync.WaitGroup
	for range 8 {
		together.Go(func() {
			got, err := w.Service.SigningKeys(ctx)
			if err != nil || len(got) != 3 || got[0].RetirableAt != nil || got[2].RetirableAt != nil || got[1].RetirableAt == nil || !got[1].RetirableAt.Equal(replaced.Add(24*time.Hour+5*time.Minute)) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	together.Wait()
	if h.asked.Load() != 2 || h.forced.Load() != 0 {
		t.Errorf("asked %d times, %d without a deadline; want 2, 0", h.asked.Load(), h.forced.Load())
	}
	w.Clock.Advance(10 * time.Second)
	if _, err := w.Service.SigningKeys(ctx); err != nil || h.asked.Load() != 3 {
		t.Errorf("ten seconds later: %v, asked %d times, want 3", err, h.asked.Load())
	}
	for i, k := range h.keys {
		if k.RetirableAt != nil {
			t.Errorf("what Hydra said of key %d was changed", i)
		}
	}
}

// A key is looked at if it has signed for a year, is RSA, or is none that verifiers
// take.
func TestExamineSigningKeys(t *testing.T) {
	now := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	key := func(alg string, bits int, age time.Duration) []apikey.SigningKey {
		k := apikey.SigningKey{KID: "k", Alg: alg, Bits: bits, Signs: true}
		if age > 0 {
			k.CreatedAt = new(now.Add(-age))
		}
		return []apikey.SigningKey{k, {KID: "before", Alg: "none", CreatedAt: new(now.AddDate(-9, 0, 0))}}
	}
	const year = 365 * 24 * time.Hour
	for _, c := range []struct {
		keys      []apikey.SigningKey
		want      apikey.CheckResult
		seen, fix string
	}{
		{nil, apikey.CheckWarned, "none yet", "doctor --fix"},
		{key("ES256", 256, 0), apikey.CheckPassed, "ES256 signs with 256 bits; 2 published", ""},
		{key("ES384", 384, year), apikey.CheckPassed, "ES384", ""},
		{key("ES512", 521, year+time.Second), apikey.CheckWarned, "more than a year", "rotate"},
		{key("RS256", 4096, 0), apikey.CheckWarned, "five times as much", "once every verifier takes ES256"},
		{key("PS512", 2047, 0), apikey.CheckFailed, "2047 bits", "retire this one"},
		{key("EdDSA", 256, 0), apikey.CheckFailed, "do not take that", "rotate"},
	} {
		got := apikey.ExamineSigningKeys(c.keys, now)
		if got.Result != c.want || !strings.Contains(got.Seen, c.seen) || !strings.Contains(got.Fix, c.fix) || (got.Fix == "") != (got.Result == apikey.CheckPassed) {
			t.Errorf("got %+v, want %s, %q, %q", got, c.want, c.seen, c.fix)
		}
	}
}
