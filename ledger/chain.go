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

// Head implements [apikey.EventChain].
func (d *DB) Head(ctx context.Context) (id int64, mac string, err error) {
	var h headRow
	err = d.read.NewRaw("SELECT event_id, mac FROM chain WHERE id = 1").Scan(ctx, &h.EventID, &h.Mac)
	return h.EventID, h.Mac, fault("read head", err)
}

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

// VerifyChain implements [apikey.EventChain]. It reads a page after the other,
// each by a statement of its own: no transaction stays open meanwhile, so that
// it holds up no writer, no vacuum and no checkpoint of SQLite's log.
func (d *DB) VerifyChain(ctx context.Context, noted apikey.Head, progress func(n int64)) (apikey.ChainCheck, error) {
	v := apikey.ChainCheck{Head: apikey.Head{MAC: genesis(d.installation)}}
	if noted.ID == 0 && noted.MAC != "" && noted.MAC != v.Head.MAC {
		return broken(v, 0, "the head noted earlier is of another ledger"), nil
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
				return broken(v, v.Head.ID+1, reason), nil
			}
			v.Events, v.Head = v.Events+1, apikey.Head{ID: e.ID, MAC: e.Mac}
			if e.ID == noted.ID && e.Mac != noted.MAC {
				return broken(v, e.ID, "it is not the one that was noted as head: the chain was written anew"), nil
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
func (d *DB) atEnd(ctx context.Context, v apikey.ChainCheck, noted apikey.Head) (more bool, _ apikey.ChainCheck, err error) {
	var head headRow
	var last int64
	err = d.read.NewRaw("SELECT event_id, mac, (SELECT COALESCE(MAX(id), 0) FROM events) AS last FROM chain WHERE id = 1").Scan(ctx, &head.EventID, &head.Mac, &last)
	switch {
	case err != nil:
		return false, v, fault("verify", err)
	case last > v.Head.ID:
		return true, v, nil
	case head.EventID > v.Head.ID, noted.ID > v.Head.ID:
		return false, broken(v, v.Head.ID+1, "it is missing, and all after it: the end was cut off"), nil
	case head.EventID < v.Head.ID || head.Mac != v.Head.MAC:
		return false, broken(v, v.Head.ID, "the head that the ledger keeps is not this event"), nil
	}
	return false, v, nil
}

// check says what is wrong with the event that follows before, "" if nothing.
func (c chain) check(before apikey.Head, e eventRow) string {
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

// broken is v with what is wrong.
func broken(v apikey.ChainCheck, id int64, reason string) apikey.ChainCheck {
	v.FirstBad, v.Reason = id, reason
	return v
}
