package ledger

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tokenos/tokenos/apikey"
)

// chainKey makes and checks MACs of events. It follows from a server secret.
type chainKey struct {
	id  string // stored with each event, so that an earlier secret is found again
	key []byte
}

// chain holds the keys of all server secrets.
type chain struct {
	current chainKey
	keys    map[string]chainKey
}

func newChain(secrets []apikey.Secret) (chain, error) {
	c := chain{keys: map[string]chainKey{}}
	if len(secrets) == 0 {
		return c, errors.New("ledger: open: a server secret is required")
	}
	for i, s := range secrets {
		key, err1 := hkdf.Key(sha256.New, []byte(s.Reveal()), nil, "tokenos audit chain v1", 32)
		id, err2 := hkdf.Key(sha256.New, []byte(s.Reveal()), nil, "tokenos audit chain key id v1", 4)
		if err := errors.Join(err1, err2); err != nil {
			return c, fmt.Errorf("ledger: open: %w", err)
		}
		k := chainKey{hex.EncodeToString(id), key}
		c.keys[k.id] = k
		if i == 0 {
			c.current = k
		}
	}
	return c, nil
}

// mac is hex of HMAC-SHA-256(key, MAC before || payload).
func (k chainKey) mac(before, payload string) (string, error) {
	prev, err := hex.DecodeString(before)
	if err != nil {
		return "", undecodable("chain", "mac", err)
	}
	h := hmac.New(sha256.New, k.key)
	h.Write(prev)
	h.Write([]byte(payload))
	return hex.EncodeToString(h.Sum(nil)), nil
}

// headRow is the chain's newest event.
type headRow struct {
	EventID int64
	Mac     string
}

// Head is a place in the chain of events: an id and the MAC stored with it. Kept
// apart from the ledger, it proves later that nothing up to it was cut off.
type Head struct {
	ID  int64
	MAC string // hex
}

// Head returns the newest event's id, 0 if there is none, and its MAC in hex.
func (d *DB) Head(ctx context.Context) (id int64, mac string, err error) {
	var h headRow
	err = d.read.NewRaw("SELECT event_id, mac FROM chain WHERE id = 1").Scan(ctx, &h.EventID, &h.Mac)
	return h.EventID, h.Mac, fault("read head", err)
}

// Verification is what a check of the chain found.
type Verification struct {
	Events   int64  // how many are as they were written, from the first on
	Head     Head   // the last of them
	FirstBad int64  // id of the first event that is altered or missing; 0: none
	Reason   string // what is wrong with it; "" if all is well
}

// Intact reports whether the whole chain is as it was written.
func (v Verification) Intact() bool { return v.Reason == "" }

// verifyAtOnce is how many events are held in memory.
const verifyAtOnce = 500

// eventRow is an event as it is stored.
type eventRow struct {
	ID      int64
	Payload string
	Mac     string
	MacKey  string
	KeyID   string
	Owner   string
	Kind    string
	At      int64
	Denial  int64
}

// VerifyChain checks every event: that it is as it was written, at its place,
// that none is missing, and that the chain reaches to the head the ledger keeps
// and to noted, one kept elsewhere (zero: none). It may run while the ledger is
// in use. progress (nil: none) hears now and then how many events are checked.
// What is wrong stands in the answer; the error is for a check that could not
// be made.
func (d *DB) VerifyChain(ctx context.Context, noted Head, progress func(n int64)) (Verification, error) {
	v := Verification{Head: Head{MAC: genesis(d.installation)}}
	if noted.ID == 0 && noted.MAC != "" && noted.MAC != v.Head.MAC {
		return v.bad(0, "the head noted earlier is of another ledger"), nil
	}
	for {
		var rows []eventRow
		err := d.read.NewRaw("SELECT id, payload, mac, mac_key, key_id, owner, kind, at, denial FROM events WHERE id > ? ORDER BY id LIMIT ?",
			v.Head.ID, verifyAtOnce).Scan(ctx, &rows)
		if err != nil {
			return v, fault("verify", err)
		}
		for _, e := range rows {
			if reason := d.chain.check(v.Head, e); reason != "" {
				return v.bad(v.Head.ID+1, reason), nil
			}
			v.Events, v.Head = v.Events+1, Head{e.ID, e.Mac}
			if e.ID == noted.ID && e.Mac != noted.MAC {
				return v.bad(e.ID, "it is not the one that was noted as head: the chain was written anew"), nil
			}
		}
		if progress != nil {
			progress(v.Events)
		}
		if len(rows) == 0 {
			more, v, err := d.atEnd(ctx, v, noted)
			if err != nil || !more {
				return v, err
			}
		}
	}
}

// atEnd judges the end of the chain. more: events were added meanwhile.
func (d *DB) atEnd(ctx context.Context, v Verification, noted Head) (more bool, _ Verification, err error) {
	var head headRow
	var last int64
	err = d.read.NewRaw("SELECT event_id, mac, (SELECT COALESCE(MAX(id), 0) FROM events) AS last FROM chain WHERE id = 1").Scan(ctx, &head.EventID, &head.Mac, &last)
	switch {
	case err != nil:
		return false, v, fault("verify", err)
	case last > v.Head.ID:
		return true, v, nil
	case head.EventID > v.Head.ID, noted.ID > v.Head.ID:
		return false, v.bad(v.Head.ID+1, "it is missing, and all after it: the end was cut off"), nil
	case head.EventID < v.Head.ID || head.Mac != v.Head.MAC:
		return false, v.bad(v.Head.ID, "the head that the ledger keeps is not this event"), nil
	}
	return false, v, nil
}

// check says what is wrong with the event that follows before, "" if nothing.
func (c chain) check(before Head, e eventRow) string {
	if e.ID != before.ID+1 {
		return "it is missing"
	}
	key, known := c.keys[e.MacKey]
	if !known {
		return "it was written under a server secret that is not configured: add it to previous_secrets"
	}
	mac, err := key.mac(before.MAC, e.Payload)
	if err != nil || !hmac.Equal([]byte(mac), []byte(e.Mac)) {
		return "it was altered, put elsewhere, or made by somebody without the server secret"
	}
	var p apikey.Event
	if err := json.Unmarshal([]byte(e.Payload), &p); err != nil {
		return "it cannot be read"
	}
	if p.ID != e.ID || p.KeyID != e.KeyID || p.Owner != e.Owner || string(p.Kind) != e.Kind || unix(p.At) != e.At || denialOf(p.Action) != e.Denial {
		return "the columns beside it were altered"
	}
	return ""
}

func (v Verification) bad(id int64, reason string) Verification {
	v.FirstBad, v.Reason = id, reason
	return v
}
