package apikey

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Whoever forgets the hook in Hydra's settings, or loses it there, has tokens
// issued to keys that have just ended, and nothing shows it. So a client that is
// always disabled tries to buy a token: Hydra asks its hook first, and says no by
// itself only when no hook has. With a scope we refuse it, without one we let it
// pass and Hydra says no, so a hook that refuses everything (another's, or ours
// to a wrong secret) is not taken for ours. It is a client in Hydra and nothing in the
// ledger, so no list, quota, policy or operation knows it. Its id follows from
// the installation, its secret from the server secret: it is stored nowhere.

const (
	canaryEvery = time.Minute
	canaryAgain = 5 * time.Second // while Hydra does not ask us
	canaryTime  = 15 * time.Second
	// canaryHolds is how long an answer holds while there is no other: that Hydra
	// cannot be reached for a moment says nothing of its settings.
	canaryHolds = 5 * time.Minute
)

// HookAnswer is how Hydra treats a token request of a disabled client.
type HookAnswer string

const (
	HookUnknown  HookAnswer = ""          // it could not be tried
	HookRefuses  HookAnswer = "refuses"   // a hook was asked and said no
	HookNotAsked HookAnswer = "not_asked" // Hydra itself said no: it asks no hook, or one that does not know us
	HookFails    HookAnswer = "fails"     // Hydra cannot reach its hook, or not make sense of the answer
	HookIssues   HookAnswer = "issues"    // there was a token
	// HookRefusesAll: it also refused what we let pass, so it was not us, or
	// Hydra does not show our secret.
	HookRefusesAll HookAnswer = "refuses_all"
)

// canaryScope is the scope with which the canary is refused.
const canaryScope = "canary"

// Issuer is Hydra's token endpoint, as the canary tries it.
type Issuer interface {
	// Try asks for a token, which it throws away, with the scope or without one.
	// ErrUnauthenticated: Hydra is ready and does not know the credential.
	// ErrUnavailable: there was no answer that says anything.
	Try(ctx context.Context, c Credential, scope string) (HookAnswer, error)
}

// canary is the client and what came of its last try.
type canary struct {
	id string

	mu     sync.Mutex
	answer HookAnswer // the last that said something
	at     time.Time
	asked  time.Time // when Hydra was last seen to ask us
	lost   bool      // there was none at the last try
}

// newCanaryID is a key's id, as far as anybody can tell.
func newCanaryID(installation string) string {
	sum := sha256.Sum256([]byte("tokenos canary v1\x00" + installation))
	prefix := "key_test_"
	var body [13]byte // made at no time
	copy(body[6:], sum[:])
	return prefix + encodeID(prefix, body[:])
}

// decide is the answer when Hydra asks about the canary.
func (c *canary) decide(q TokenRequest) Decision {
	if len(q.Requested) == 0 {
		return Decision{Verdict: Foreign, Canary: true}
	}
	return Decision{Verdict: Refused, Denied: DeniedDisabled, Canary: true}
}

// set notes an answer and tells whether it is another than before.
func (c *canary) set(a HookAnswer, at time.Time) (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a == HookUnknown {
		changed, c.lost = !c.lost, true
		return changed
	}
	changed = c.answer != a || c.lost
	c.answer, c.at, c.lost = a, at, false
	if a == HookRefuses {
		c.asked = at
	}
	return changed
}

// last is the last answer that said something, when it came, and when Hydra was
// last seen to ask us.
func (c *canary) last() (a HookAnswer, at, asked time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answer, c.at, c.asked
}

// keepWatch tries the canary at once and every minute until ctx ends.
func (s *Service) keepWatch(ctx context.Context) {
	for ctx.Err() == nil {
		_, err := s.TryHook(ctx)
		wait := canaryEvery
		if err != nil {
			wait = canaryAgain
		}
		_ = pause(ctx, wait) // ends early with ctx
	}
}

// TryHook finds out whether Hydra asks us before it issues a token. Nil: it does.
func (s *Service) TryHook(ctx context.Context) (HookAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, canaryTime)
	defer cancel()
	answer, cause := s.tryCanary(ctx, s.createClient)
	err := hookFault(answer, cause)
	if !s.canary.set(answer, s.now()) {
		return answer, err
	}
	switch {
	case err == nil:
		s.log.InfoContext(ctx, "hydra asks us before it issues a token")
	case answer == HookUnknown:
		s.log.WarnContext(ctx, "not known whether hydra asks us before it issues a token", "error", err)
	default:
		s.log.ErrorContext(ctx, "hydra does not ask us before it issues a token", "answer", answer, "error", err)
	}
	return answer, err
}

// VisitHook is [Service.TryHook] for a program that only looks, beside the servers
// of the installation. It makes a canary where there is none, but leaves alone
// one that is under another server secret, which may well be right where ours is
// wrong: the error is then [ErrClientExists]. Nobody's readiness changes by it.
func (s *Service) VisitHook(ctx context.Context) (HookAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, canaryTime)
	defer cancel()
	answer, cause := s.tryCanary(ctx, s.clients.Create)
	return answer, hookFault(answer, cause)
}

// hookFault is what is wrong with an answer.
func hookFault(a HookAnswer, cause error) error {
	switch a {
	case HookRefuses:
		return nil
	case HookNotAsked:
		return errors.New("hydra asks no hook, or not ours: keys that end are refused only once hydra has heard of it; set oauth2.token_hook in hydra's configuration")
	case HookFails:
		return errors.New("hydra's token hook fails, so nobody gets a token: look at the address and the secret in oauth2.token_hook")
	case HookRefusesAll:
		return errors.New("hydra's hook refuses what we let pass: it is not ours, or hydra shows it a wrong secret; nobody gets a token")
	case HookIssues:
		return errors.New("hydra issued a token to a disabled client")
	}
	return fmt.Errorf("it is not known whether hydra asks us: %w", cause)
}

// tryCanary buys a token with any of the server secrets: during a change of
// them, replicas that know both must not write over each other's. A canary that
// Hydra does not know with any of them is put there by put.
func (s *Service) tryCanary(ctx context.Context, put func(context.Context, ClientWrite) error) (HookAnswer, error) {
	for _, name := range s.derive.order {
		c, err := s.canaryCredential(name)
		if err != nil {
			return HookUnknown, err
		}
		if answer, err := s.tryBoth(ctx, c); !errors.Is(err, ErrUnauthenticated) {
			return answer, err
		}
	}
	c, err := s.canaryCredential(s.derive.current)
	if err != nil {
		return HookUnknown, err
	}
	if err := put(ctx, s.canaryWrite(c.Secret)); err != nil {
		return HookUnknown, fmt.Errorf("make the canary: %w", err)
	}
	return s.tryBoth(ctx, c)
}

// tryBoth asks with a scope, which we refuse, and then without, which we do not.
func (s *Service) tryBoth(ctx context.Context, c Credential) (HookAnswer, error) {
	answer, err := s.cfg.Issuer.Try(ctx, c, canaryScope)
	if err != nil || answer != HookRefuses {
		return answer, err
	}
	switch passed, err := s.cfg.Issuer.Try(ctx, c, ""); {
	case err != nil:
		return HookUnknown, err
	case passed == HookRefuses:
		return HookRefusesAll, nil
	case passed != HookNotAsked:
		return passed, nil
	}
	return HookRefuses, nil
}

func (s *Service) canaryCredential(server string) (Credential, error) {
	bits, err := hkdf.Key(sha256.New, s.derive.secrets[server], nil, "tokenos canary secret v1\x00"+s.canary.id, 32)
	if err != nil {
		return Credential{}, errors.Join(errDerivation, err)
	}
	return Credential{Method: ClientSecretBasic, ID: s.canary.id, Secret: secretFrom([32]byte(bits))}, nil
}

// canaryWrite is the client: closed, and good for nothing if it were open.
func (s *Service) canaryWrite(secret Secret) ClientWrite {
	ever := time.Unix(0, 0).UTC()
	return ClientWrite{Op: "canary", Ledger: s.ledger.Installation(), Secret: secret, Definition: Definition{
		ID: s.canary.id, RootID: s.canary.id, Kind: KindManagement, Name: "tokenos canary", Owner: ManagementAudience, Environment: Test,
		Description: "always disabled; tries whether Hydra asks its token hook", AuthMethod: ClientSecretBasic, Scopes: []string{canaryScope},
		Token: TokenSettings{Format: Opaque, Lifetime: limits.TokenLifetimeMin}, DisabledAt: &ever, CreatedAt: ever, CreatedBy: "system:canary", UpdatedAt: ever, Revision: 1}}
}

// HookState is what is known of the token hook.
type HookState struct {
	Keys    int        // in memory
	FreshAt time.Time  // when memory was last like the ledger; zero: not every key is there yet
	Answer  HookAnswer // of the last try that had one; "": there was none
	TriedAt time.Time
	Asked   bool      // Hydra was last seen to ask us, and that holds still
	AskedAt time.Time // when Hydra was last seen to ask us; zero: never
	Fault   error     // what is wrong; nil: nothing
}

// HookState tells how the hook stands, without asking anybody.
func (s *Service) HookState() HookState {
	out := HookState{Fault: s.knowsKeys()}
	out.Keys, out.FreshAt = s.memory.state()
	if s.cfg.Issuer == nil {
		return out
	}
	out.Answer, out.TriedAt, out.AskedAt = s.canary.last()
	holds := s.now().Sub(out.TriedAt) <= canaryHolds
	out.Asked = out.Answer == HookRefuses && holds
	switch {
	case out.Fault != nil:
	case out.Answer == HookUnknown:
		out.Fault = hookFault(HookUnknown, errNotTried)
	case !holds:
		out.Fault = hookFault(HookUnknown, errTriedLongAgo)
	default:
		out.Fault = hookFault(out.Answer, nil)
	}
	return out
}

var (
	errNotTried     = errors.New("no try has had an answer yet")
	errTriedLongAgo = errors.New("no try has had an answer for minutes")
)

// HookReady fails, for readiness, while not every key is in memory, or Hydra was
// last seen not to ask us.
func (s *Service) HookReady(context.Context) error { return s.HookState().Fault }
