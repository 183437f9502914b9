package tokensource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

const (
	// The next token is bought when this share of the token's life is over, a
	// random one between the two, so that many programs do not come at once.
	earliestRefresh, latestRefresh = 0.75, 0.85
	// A token is not handed out in the last part of its life, at most lastMoments:
	// it could end on the way.
	lastShare   = 0.1
	lastMoments = 10 * time.Second
	// After a failure Hydra is left alone for so long, twice as long each time.
	firstPause, longestPause = time.Second, 5 * time.Second
	// A token that is younger is not forgotten: an API that refuses every token
	// must not make the program buy one for each call.
	forgettable = 5 * time.Second
	// A clock that was set back further makes the end of a token unknown.
	clockStep = time.Minute
)

// Source has a valid access token at hand. It satisfies [oauth2.TokenSource], and
// its AccessToken is what client.Config.Token wants. It is safe for concurrent
// use and needs no closing: nothing runs in the background but a purchase that a
// caller began, for [Config.Timeout] at most.
//
// Mind that [oauth2.NewClient] keeps a token by itself until ten seconds before
// its end, and asks the source only then. With
//
//	http.Client{Transport: &oauth2.Transport{Source: source}}
//
// the source is asked each time, buys early, and heeds [Source.Forget].
type Source struct {
	config Config
	http   *http.Client

	mu     sync.Mutex
	held   *held   // nil: none
	flight *flight // the purchase under way, nil: none
	failed *failed // the purchase before, nil: it succeeded
}

var _ oauth2.TokenSource = (*Source)(nil)

// held is a token that Hydra issued.
type held struct {
	token     *oauth2.Token
	since     time.Time // when it was asked for
	refreshAt time.Time
	until     time.Time // when it is no longer handed out
}

// flight is a purchase; token and err are valid after done is closed.
type flight struct {
	done  chan struct{}
	token *oauth2.Token
	err   error
}

// failed is a purchase that failed.
type failed struct {
	err       error
	at, until time.Time // Hydra is left alone in between
	pause     time.Duration
}

// New makes a Source. It fails with everything that is wrong with the Config at
// once, and calls nobody.
func New(c Config) (*Source, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return &Source{config: c, http: guard(c.HTTPClient)}, nil
}

// Token returns a valid token, buying one if there is none. It waits for at most
// the Config's Timeout; [Source.AccessToken] waits as long as its context. Its
// errors are [*Error].
func (s *Source) Token() (*oauth2.Token, error) {
	// A purchase under way tells more about its end than this context would.
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Timeout+time.Second)
	defer cancel()
	return s.get(ctx)
}

// AccessToken is [Source.Token] for one caller's time: what it began goes on for
// the others when its context ends.
func (s *Source) AccessToken(ctx context.Context) (string, error) {
	token, err := s.get(ctx)
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

func (s *Source) get(ctx context.Context) (*oauth2.Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, leaves(err)
	}
	token, flight, err := s.look(ctx)
	if flight == nil {
		return token, err
	}
	select {
	case <-flight.done:
		return handOut(flight.token), flight.err
	case <-ctx.Done():
		return nil, leaves(ctx.Err())
	}
}

// leaves is for a caller whose context has ended.
func leaves(cause error) error {
	return &Error{Kind: ErrUnavailable, Detail: "no token came in the time that the caller had", Cause: cause}
}

// look returns the token at hand, or the purchase to wait for, or what the last
// one said while Hydra is left alone. It begins a purchase when one is due.
func (s *Source) look(ctx context.Context) (*oauth2.Token, *flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.held != nil && (!now.Before(s.held.until) || now.Before(s.held.since.Add(-clockStep))) {
		s.held = nil
	}
	if s.held != nil && now.Before(s.held.refreshAt) {
		return handOut(s.held.token), nil, nil
	}
	resting := s.failed != nil && now.Before(s.failed.until) && !now.Before(s.failed.at)
	if s.flight == nil && !resting {
		s.flight = &flight{done: make(chan struct{})}
		go s.fly(context.WithoutCancel(ctx), s.flight)
	}
	switch {
	case s.held != nil:
		return handOut(s.held.token), nil, nil
	case s.flight != nil:
		return nil, s.flight, nil
	}
	return nil, nil, s.failed.err
}

// fly buys a token for everybody.
func (s *Source) fly(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	bought, err := s.buy(ctx)
	s.mu.Lock()
	s.flight = nil
	if err != nil {
		f.err = err
		s.failed = s.rest(err)
	} else {
		f.token = bought.token
		s.held, s.failed = bought, nil
	}
	s.mu.Unlock()
	close(f.done)
	if err != nil && s.config.OnFailure != nil {
		s.config.OnFailure(err)
	}
}

// rest says for how long Hydra is left alone after err.
func (s *Source) rest(err error) *failed {
	pause := firstPause
	if s.failed != nil {
		pause = min(2*s.failed.pause, longestPause)
	}
	wait := pause
	if e, ok := errors.AsType[*Error](err); ok {
		wait = max(wait, e.RetryAfter)
	}
	now := s.now()
	return &failed{err: err, at: now, until: now.Add(wait), pause: pause}
}

// Forget drops the token, so that the next call buys a new one. It is for a
// program whose token an API refuses with 401: a key that was disabled and
// enabled again has lost the tokens of before. A token that is not the one at
// hand, or was bought less than five seconds ago, is left alone.
func (s *Source) Forget(accessToken string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil && s.held.token.AccessToken == accessToken && !s.now().Before(s.held.since.Add(forgettable)) {
		s.held = nil
	}
}

// now is the wall clock: the monotonic one stands still while a machine sleeps.
func (s *Source) now() time.Time { return s.config.Now().Round(0) }

// keep plans the life of a token that was asked for at a moment.
func keep(token *oauth2.Token, since time.Time, life time.Duration) *held {
	share := earliestRefresh + rand.Float64()*(latestRefresh-earliestRefresh) //nolint:gosec // spreads requests, protects nothing
	last := min(time.Duration(float64(life)*lastShare), lastMoments)
	return &held{token: token, since: since, refreshAt: since.Add(time.Duration(float64(life) * share)), until: since.Add(life - last)}
}

// handOut gives each caller a token of its own to change.
func handOut(t *oauth2.Token) *oauth2.Token {
	if t == nil {
		return nil
	}
	out := *t
	return &out
}

// Format prints the id whose tokens these are, whatever the verb.
func (s *Source) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.name()) }

func (s *Source) LogValue() slog.Value         { return slog.StringValue(s.name()) }
func (s *Source) MarshalText() ([]byte, error) { return []byte(s.name()), nil }

func (s *Source) name() string { return "tokens of " + s.config.ClientID }
