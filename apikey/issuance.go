package apikey

import (
	"context"
	"regexp"
	"time"
)

// decideWithin bounds a decision that has to ask the ledger: Hydra waits, and so
// does whoever wants the token.
const decideWithin = 250 * time.Millisecond

// TokenRequest is a token that Hydra is about to issue by the client credentials
// grant. The client has proved itself.
type TokenRequest struct {
	ClientID           string
	Requested, Granted []string // scopes
}

// Verdict is what becomes of a token request.
type Verdict int

const (
	Undecided Verdict = iota // it cannot be known now
	Foreign                  // the client is none of our keys
	Allowed                  // with the claims
	Refused                  // for the denial
)

// Decision is the answer to a [TokenRequest]. Of Claims and Denied there is one.
type Decision struct {
	Verdict Verdict
	Claims  Claims
	Denied  Denial
	Canary  bool // nobody's token: Hydra was asked for it to see whether it asks us
}

// Claims are what a token says of its key, beside what Hydra puts there.
// KeyExpiresAt is a text (RFC 3339): Hydra writes numbers from a million up as
// 1.8e+09.
type Claims struct {
	RootID       string      `json:"root_id"`
	Owner        string      `json:"owner"`
	Environment  Environment `json:"env"`
	KeyExpiresAt string      `json:"key_expires_at,omitempty"` // the earlier of expires_at and ends_at; absent: never
	// Status is the key's place in the status lists; nil where they have no address.
	Status *StatusClaim `json:"status,omitempty"`
}

// StatusClaim is the claim "status" of draft-ietf-oauth-status-list.
type StatusClaim struct {
	StatusList StatusReference `json:"status_list"`
}

// StatusReference is a place in a status list.
type StatusReference struct {
	Index int64  `json:"idx"` // below a million, or Hydra would write 1e+06 into a JWT
	URI   string `json:"uri"`
}

// claims are those of the key. A claim that follows from something else of the
// key joins here, and what it follows from in [KeyFacts] and known.
// base is the public URL of the status lists; "": they have none.
func (k known) claims(base string) Claims {
	c := Claims{RootID: k.root, Owner: k.owner.Value(), Environment: Live}
	if k.test {
		c.Environment = Test
	}
	if end := min(k.expiresAt, k.endsAt); end != NoExpiry {
		c.KeyExpiresAt = time.Unix(end, 0).UTC().Format(time.RFC3339)
	}
	if base != "" && k.status > 0 {
		n, at := StatusPlace(k.status)
		c.Status = &StatusClaim{StatusReference{Index: at, URI: StatusListURI(base, n)}}
	}
	return c
}

// ownShape is what an id looks like that [NewID] makes. Its checksum is not
// asked for: whatever looks like one of our ids is ours to refuse.
var ownShape = regexp.MustCompile(`^key_(live|test)_[0-9a-hjkmnp-tv-z]{26}$`)

// Decide says whether Hydra may issue a token. It answers from memory, whether or
// not the ledger or Hydra's admin API can be reached; only for an id of our
// shape that is not there it asks the ledger, for a quarter of a second at most.
// With [Config.Hook] unset there is no memory, and it always asks.
func (s *Service) Decide(ctx context.Context, q TokenRequest) Decision {
	if q.ClientID == s.canary.id {
		return s.canary.decide(q)
	}
	if !ValidID(q.ClientID) {
		return Decision{Verdict: Foreign}
	}
	k, found, sure := s.memory.find(q.ClientID)
	if !sure {
		if !ownShape.MatchString(q.ClientID) && s.filled() {
			return Decision{Verdict: Foreign}
		}
		var err error
		if k, found, err = s.ask(ctx, q.ClientID); err != nil {
			s.log.WarnContext(ctx, "a token request could not be decided", "key", q.ClientID, "error", err)
			return Decision{Verdict: Undecided}
		}
	}
	if !found && !ownShape.MatchString(q.ClientID) {
		return Decision{Verdict: Foreign}
	}
	now := s.now()
	why := DeniedUnknown
	if found {
		why = k.denial(now)
	}
	s.noteIssuance(issuance{ID: q.ClientID, At: now, Denied: why, Requested: q.Requested, Granted: q.Granted})
	if why != "" {
		s.denied.count(why)
		return Decision{Verdict: Refused, Denied: why}
	}
	return Decision{Verdict: Allowed, Claims: k.claims(s.cfg.PublicURL)}
}

func (s *Service) filled() bool {
	_, filled := s.memory.size()
	return filled
}

// ask looks a key up in the ledger. Those who ask for the same id at once share
// one answer, and that an id is no key's is believed for a moment: a flood of
// made-up ids goes one by one.
func (s *Service) ask(ctx context.Context, id string) (k known, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, decideWithin)
	defer cancel()
	m := s.memory
	err = m.withTurn(ctx, func(since uint64) error {
		var sure bool
		if k, found, sure = m.find(id); sure { // who had the turn before has asked
			return nil
		}
		facts, err := s.ledger.FactsOf(ctx, []string{id})
		if err != nil {
			return err
		}
		m.take(since, []string{id}, facts)
		if found = len(facts) == 1; !found {
			m.absent(id)
			return nil
		}
		m.mu.RLock()
		defer m.mu.RUnlock()
		k = m.keys[id] // with what was accepted meanwhile
		return nil
	})
	return k, found, err
}
