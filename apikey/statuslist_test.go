package apikey_test

import (
	"bytes"
	"compress/zlib"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// The statuses of draft-ietf-oauth-status-list section 7.1.
const (
	valid     = 0
	invalid   = 1
	suspended = 2
)

// decoded is a status list as somebody reads it who has nothing of our code.
type decoded struct {
	Header struct{ Typ, Alg, Kid string }
	Claims struct {
		Sub        string
		Iat        int64
		Exp        int64
		TTL        int64
		StatusList struct {
			Bits int
			Lst  string
		} `json:"status_list"`
	}
	bits []byte
}

// at is the status at an index: two bits each, the lowest first.
func (d decoded) at(i int64) byte { return d.bits[i/4] >> (2 * (i % 4)) & 3 }

func unbase64(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// decode checks a list's signature by the keys and unpacks it.
func decode(t *testing.T, signed string, jwks []byte) (d decoded) {
	t.Helper()
	parts := strings.Split(signed, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	if err := errors.Join(json.Unmarshal(unbase64(t, parts[0]), &d.Header), json.Unmarshal(unbase64(t, parts[1]), &d.Claims)); err != nil {
		t.Fatal(err)
	}
	var set struct {
		Keys []map[string]string
	}
	if err := json.Unmarshal(jwks, &set); err != nil {
		t.Fatal(err)
	}
	signature, digest, verified := unbase64(t, parts[2]), sha256.Sum256([]byte(parts[0]+"."+parts[1])), 0
	for _, k := range set.Keys {
		if k["d"] != "" || k["kty"] != "EC" || k["crv"] != "P-256" || k["use"] != "sig" || k["alg"] != "ES256" {
			t.Fatalf("a key is published as %v", k)
		}
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, unbase64(t, k["x"]), unbase64(t, k["y"])))
		if err != nil {
			t.Fatal(err)
		}
		if k["kid"] == d.Header.Kid && len(signature) == 64 && ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
			verified++
		}
	}
	if verified != 1 || d.Header.Typ != "statuslist+jwt" || d.Header.Alg != "ES256" {
		t.Fatalf("verified by %d keys; header %+v", verified, d.Header)
	}
	r, err := zlib.NewReader(bytes.NewReader(unbase64(t, d.Claims.StatusList.Lst)))
	if err != nil {
		t.Fatal(err)
	}
	if d.bits, err = io.ReadAll(io.LimitReader(r, 1<<20)); err != nil || d.Claims.StatusList.Bits != 2 {
		t.Fatalf("%d bits each, %v", d.Claims.StatusList.Bits, err)
	}
	return d
}

// statusOf reads list 0 as a verifier does.
func statusOf(t *testing.T, s apikey.StatusLists) decoded {
	t.Helper()
	list, err := s.StatusList(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, list.JWT, statusKeys(t, s))
}

func statusKeys(t *testing.T, s apikey.StatusLists) []byte {
	t.Helper()
	keys, err := s.StatusListKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return keys.JWKS
}

// indexOf is the key's place.
func indexOf(t *testing.T, w *apikeytest.World, id string) int64 {
	t.Helper()
	r, err := w.Ledger.Key(t.Context(), id, apikey.View{})
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusIndex
}

// stopped is a clock that stands.
type stopped struct{ at atomic.Int64 }

func (s *stopped) Now() time.Time          { return time.Unix(0, s.at.Load()) }
func (s *stopped) Advance(d time.Duration) { s.at.Add(int64(d)) }

// A list tells each key's state, whatever the key is: what is accepted and not
// done counts, and of a deleted key it tells for ever that it has ended.
func TestStatusListStates(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{"SQLite": apikeytest.SQLiteURL, "Postgres": pgtest.URL} {
		t.Run(name, func(t *testing.T) {
			proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
			w := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url(t), AdminURL: proxy.URL()})
			ctx, want, at := as(t), map[string]byte{}, map[string]int64{}
			key := func(name string, status byte, p apikey.CreateParams) string {
				id := create(ctx, t, w.Service, p).Key.ID
				want[name], at[name] = status, indexOf(t, w, id)
				return id
			}
			soon := apikey.SetTo(w.Clock.Now().Add(2 * time.Second))
			do := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			disable := func(id string) { _, err := w.Service.Disable(ctx, id, apikey.DisableParams{}); do(err) }
			revoke := func(id string) { _, err := w.Service.Revoke(ctx, id, apikey.RevokeParams{}); do(err) }
			rotate := func(id string) string {
				r, err := w.Service.Rotate(ctx, id, apikey.RotateParams{})
				do(err)
				return r.Key.ID
			}
			key("active", valid, apikey.CreateParams{})
			key("expired", invalid, apikey.CreateParams{ExpiresAt: soon})
			both := key("disabled and expired", suspended, apikey.CreateParams{ExpiresAt: soon})
			disable(both)
			disable(key("disabled", suspended, apikey.CreateParams{}))
			revoke(key("revoked", invalid, apikey.CreateParams{}))
			gone := key("deleted", invalid, apikey.CreateParams{})
			revoke(gone)
			do(w.Service.Delete(ctx, gone))
			next := rotate(key("replaced", valid, apikey.CreateParams{}))
			want["successor"], at["successor"] = valid, indexOf(t, w, next)
			done := rotate(key("replaced and ended", invalid, apikey.CreateParams{}))
			_, err := w.Service.CompleteRotation(ctx, done, apikey.ActionParams{})
			do(err)
			enabled := key("enabled", valid, apikey.CreateParams{})
			disable(enabled)
			_, err = w.Service.Enable(ctx, enabled, apikey.ActionParams{})
			do(err)
			manager := managementKey(t, w).Key.ID
			want["management"], at["management"] = suspended, indexOf(t, w, manager)
			_, err = w.Service.Disable(apikey.WithCaller(t.Context(), apikey.System("test")), manager, apikey.DisableParams{})
			do(err)
			disabling, revoking, ending := key("disabling", suspended, apikey.CreateParams{}), key("revoking", invalid, apikey.CreateParams{}), key("ending", invalid, apikey.CreateParams{})
			revokingDisabled := key("revoking a disabled key", invalid, apikey.CreateParams{})
			disable(revokingDisabled)
			successor := rotate(ending)

			proxy.Refuse()
			disable(disabling)
			revoke(revoking)
			revoke(revokingDisabled)
			_, err = w.Service.CompleteRotation(ctx, successor, apikey.ActionParams{})
			do(err)
			w.Clock.Advance(3 * time.Second)

			d := statusOf(t, w.Service)
			for name, status := range want {
				if got := d.at(at[name]); got != status {
					t.Errorf("%s, at %d: got %d, want %d", name, at[name], got, status)
				}
			}
			if d.at(0) != invalid || d.at(int64(len(at)+2)) != valid || len(d.bits) != 250_000 {
				t.Errorf("places without a key: %d, %d; %d bytes", d.at(0), d.at(int64(len(at)+2)), len(d.bits))
			}
			now := w.Clock.Now().Unix()
			if c := d.Claims; c.Sub != apikeytest.PublicURL+"/status/0" || c.TTL != 5 || c.Iat > now || c.Iat < now-2 || c.Exp != c.Iat+125 {
				t.Errorf("claims %+v", c)
			}
			if err := proxy.Accept(); err != nil {
				t.Fatal(err)
			}
			for name, status := range want { // a process that has just begun says the same
				if got := statusOf(t, second(t, w, func(c *apikey.Config) { c.PublicURL = apikeytest.PublicURL })).at(at[name]); got != status {
					t.Errorf("afresh: %s: got %d, want %d", name, got, status)
				}
			}
		})
	}
}

// What the clock does to a key is in the list of the same second; a list that
// still says the same stays the same until a minute is over.
func TestStatusListClock(t *testing.T) {
	clock := &stopped{}
	clock.at.Store(time.Now().Truncate(time.Minute).Add(time.Minute).UnixNano())
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) { c.Now = clock.Now }})
	ctx, start := as(t), clock.Now()
	ends := create(ctx, t, w.Service, apikey.CreateParams{ExpiresAt: apikey.SetTo(start.Add(20 * time.Second))}).Key.ID
	paused := create(ctx, t, w.Service, apikey.CreateParams{}).Key.ID
	if _, err := w.Service.Disable(ctx, paused, apikey.DisableParams{Until: new(start.Add(30 * time.Second))}); err != nil {
		t.Fatal(err)
	}
	etags := map[string]bool{}
	for _, step := range []struct {
		second       int
		ends, paused byte
		lists        int // that there have been
	}{{0, valid, suspended, 1}, {19, valid, suspended, 1}, {20, invalid, suspended, 2}, {29, invalid, suspended, 2}, {30, invalid, valid, 3}, {59, invalid, valid, 3}, {60, invalid, valid, 4}} {
		clock.Advance(start.Add(time.Duration(step.second) * time.Second).Sub(clock.Now()))
		list, err := w.Service.StatusList(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		d := decode(t, list.JWT, statusKeys(t, w.Service))
		etags[list.ETag] = true
		if d.at(indexOf(t, w, ends)) != step.ends || d.at(indexOf(t, w, paused)) != step.paused || len(etags) != step.lists {
			t.Errorf("second %d: %d, %d, %d lists; want %+v", step.second, d.at(indexOf(t, w, ends)), d.at(indexOf(t, w, paused)), len(etags), step)
		}
		if d.Claims.Exp-clock.Now().Unix() < 65 {
			t.Errorf("second %d: ends in %d s", step.second, d.Claims.Exp-clock.Now().Unix())
		}
	}
	if _, err := w.Service.StatusList(t.Context(), 1); !errors.Is(err, apikey.ErrNotFound) {
		t.Errorf("a list without keys: %v", err)
	}
}

// A change that one process makes is in every other's list within a second.
func TestStatusListElsewhere(t *testing.T) {
	url := pgtest.URL(t)
	here, there := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url}), apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Idle: true})
	ctx := as(t)
	for range 5 {
		k := create(ctx, t, here.Service, apikey.CreateParams{}).Key.ID
		at := indexOf(t, here, k)
		if statusOf(t, there.Service).at(at) != valid {
			t.Fatal("a new key is not valid")
		}
		if _, err := here.Service.Disable(ctx, k, apikey.DisableParams{}); err != nil {
			t.Fatal(err)
		}
		changed := time.Now()
		apikeytest.Eventually(t, "the other list tells", func() bool { return statusOf(t, there.Service).at(at) == suspended })
		if took := time.Since(changed); took > time.Second {
			t.Errorf("after %v", took)
		}
	}
}

// The keys change with the epoch, and are the same in all processes; those of
// the epochs before and after are known, and those of earlier secrets.
func TestStatusListKeys(t *testing.T) {
	clock := &stopped{}
	epoch := int64(30 * 24 * 3600)
	clock.at.Store(time.Unix((time.Now().Unix()/epoch+1)*epoch-1, 0).UnixNano())
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) { c.Now = clock.Now }})
	process := func(secrets ...string) *apikey.Service {
		return second(t, w, func(c *apikey.Config) {
			c.Now, c.PublicURL, c.ServerSecrets = clock.Now, apikeytest.PublicURL, nil
			for _, s := range secrets {
				c.ServerSecrets = append(c.ServerSecrets, apikey.NewSecret(s))
			}
		})
	}
	old, err := w.Service.StatusList(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	kid := decode(t, old.JWT, statusKeys(t, w.Service)).Header.Kid
	clock.Advance(time.Second)
	after := statusOf(t, w.Service).Header.Kid
	if after == kid {
		t.Error("the key of one epoch signs in the next")
	}
	decode(t, old.JWT, statusKeys(t, w.Service)) // what was signed before verifies by the keys of now

	const secret = "another-server-secret-0123456789abcdefghijkl"
	same, other, moved := process(apikeytest.ServerSecret), process(secret), process(secret, apikeytest.ServerSecret)
	if got := statusOf(t, same).Header.Kid; got != after {
		t.Errorf("another process signs with %s, not %s", got, after)
	}
	if !bytes.Equal(statusKeys(t, same), statusKeys(t, w.Service)) {
		t.Error("two processes publish different keys")
	}
	if bytes.Contains(statusKeys(t, other), []byte(after)) || statusOf(t, other).Header.Kid == after {
		t.Error("a key does not depend on the server secret")
	}
	decode(t, old.JWT, statusKeys(t, moved))
	if got := statusOf(t, moved).Header.Kid; got != statusOf(t, other).Header.Kid {
		t.Error("an earlier secret signs")
	}
	clock.Advance(-time.Second) // a verifier that fetched the keys before the epoch knows the next one
	if !bytes.Contains(statusKeys(t, process(apikeytest.ServerSecret)), []byte(after)) {
		t.Error("the next epoch's key is not published")
	}
}
