package apikey

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"
)

// deriver makes everything that follows from the server secret.
type deriver struct {
	current string
	secrets map[string][]byte // by id
	order   []string
}

func newDeriver(secrets []Secret) (deriver, error) {
	d := deriver{secrets: map[string][]byte{}}
	for _, s := range secrets {
		if len(s.Reveal()) < 32 {
			return d, errors.New("apikey: a server secret must have at least 32 bytes")
		}
		id := hex.EncodeToString(mac([]byte(s.Reveal()), "tokenos server secret id")[:4])
		d.secrets[id] = []byte(s.Reveal())
		d.order = append(d.order, id)
	}
	if len(d.order) == 0 {
		return d, errors.New("apikey: a server secret is required")
	}
	d.current = d.order[0]
	return d, nil
}

// mac is HMAC-SHA-256 over the parts, each preceded by its length.
func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		var n [8]byte
		for i, v := 7, len(p); i >= 0; i, v = i-1, v>>8 {
			n[i] = byte(v)
		}
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// clientSecret derives the secret of a request with an Idempotency-Key, so that
// the same request gets the same secret without its being stored. Version 1.
func (d deriver) clientSecret(r Replay, c Caller, header string) (Secret, bool) {
	secret, known := d.secrets[r.ServerKey]
	if !known {
		return Secret{}, false
	}
	bits, err := hkdf.Key(sha256.New, secret, r.Salt, "tokenos client secret v1\x00"+c.Principal+"\x00"+header, 32)
	if err != nil {
		return Secret{}, false
	}
	return secretFrom([32]byte(bits)), true
}

// request is one call with an Idempotency-Key.
type request struct {
	caller Caller
	name   string // of the operation
	id     string // of the key, "" for create
	body   any
	header string
}

// replayOf computes what is stored of the request under a server secret.
func (d deriver) replayOf(q request, serverKey string) (Replay, error) {
	body, err := json.Marshal(q.body)
	if err != nil {
		return Replay{}, err
	}
	key := d.secrets[serverKey]
	return Replay{
		Hash:      mac(key, "idempotency", q.caller.Principal, q.header),
		Request:   mac(key, "request", q.name, q.id, string(body)),
		ServerKey: serverKey,
	}, nil
}

// recall looks the request up. It returns the stored replay (found true) when
// it was answered, is a waiting narrowing, or may be taken over; else a new one
// to begin with. A twin that is still running is waited for.
func (s *Service) recall(ctx context.Context, q request) (r Replay, found bool, err error) {
	if q.header == "" {
		return Replay{}, false, nil
	}
	for until := time.Now().Add(twinWait); ; {
		r, found, err = s.stored(ctx, q)
		if err != nil || !found || r.Answer != nil || r.State == ChangeAbandoned || r.Action.Narrows() {
			return r, found, err
		}
		if time.Now().After(until) {
			return r, false, &Error{Kind: ErrIdempotencyRunning, Detail: "the first request with this Idempotency-Key is still running", RetryAfter: retryAfter}
		}
		if err := pause(ctx, pollEvery); err != nil {
			return r, false, err
		}
	}
}

// stored reads the replay under any of the server secrets.
func (s *Service) stored(ctx context.Context, q request) (Replay, bool, error) {
	for _, id := range s.derive.order {
		want, err := s.derive.replayOf(q, id)
		if err != nil {
			return Replay{}, false, &Error{Kind: ErrInternal, Cause: err}
		}
		r, err := s.ledger.Replay(ctx, want.Hash)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return Replay{}, false, err
		}
		if !hmac.Equal(r.Request, want.Request) {
			return Replay{}, false, fail(ErrIdempotencyMismatch, "this Idempotency-Key was used for another request")
		}
		return r, true, nil
	}
	r, err := s.derive.replayOf(q, s.derive.current)
	if err != nil {
		return Replay{}, false, &Error{Kind: ErrInternal, Cause: err}
	}
	r.Salt = make([]byte, 32)
	_, _ = rand.Read(r.Salt) // never fails (crypto/rand documentation)
	return r, false, nil
}

// pause waits for d or the context's end.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return &Error{Kind: ErrUnavailable, Detail: "the request took too long", RetryAfter: retryAfter, Cause: ctx.Err()}
	}
}
