package keyauth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"
)

// Verifier says whose access tokens are. It is safe for concurrent use. [New]
// makes one; [Verifier.Close] ends it.
type Verifier struct {
	config    Config
	client    *http.Client
	closeIdle func()

	jwts, opaques *otter.Cache[[32]byte, *token]
	issuerKeys    *remoteKeys
	lists         *statusLists // nil without StatusList.URL
	ready         readiness
	flights       singleflight.Group
	slots         chan struct{} // introspections under way

	life context.Context // of all that is done for everybody, not for one caller
	end  context.CancelFunc
	mu   sync.Mutex
	over bool
	work sync.WaitGroup
}

// New makes a verifier. It calls nobody: the API starts also while TokenOS is
// down. The error names everything that is wrong with the configuration.
func New(c Config) (*Verifier, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	v := &Verifier{config: c.withDefaults()}
	if err := v.config.check(); err != nil {
		return nil, err
	}
	v.client, v.closeIdle = newClient(c.HTTPClient)
	v.life, v.end = context.WithCancel(context.Background())
	v.ready.v = v
	v.slots = make(chan struct{}, v.config.Introspection.MaxConcurrent)
	v.issuerKeys = &remoteKeys{v: v, url: v.config.JWKSURL, algorithms: v.config.Algorithms, confirm: v.ready.after}
	if s := v.config.StatusList; s.URL != "" {
		v.lists = newStatusLists(v)
	}
	var err, err2 error
	v.jwts, err = newCache(v.config.CacheBytes)
	v.opaques, err2 = newCache(v.config.CacheBytes)
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	return v, nil
}

func newCache(size int) (*otter.Cache[[32]byte, *token], error) {
	// Without an expiry of its own, for which it would keep a goroutine: what is
	// too old is not believed, and what is not used makes room.
	return otter.New(&otter.Options[[32]byte, *token]{
		MaximumWeight: uint64(size), //nolint:gosec // checked to be above zero
		Weigher:       func(_ [32]byte, t *token) uint32 { return t.weight() },
	})
}

// Close ends all that runs in the background and waits for it, a few milliseconds.
// Afterwards what is not remembered is ErrUnavailable. It always returns nil.
func (v *Verifier) Close() error {
	v.mu.Lock()
	v.over = true
	v.mu.Unlock()
	v.end()
	v.work.Wait()
	v.closeIdle()
	return nil
}

// enter counts work in that Close waits for; false after Close.
func (v *Verifier) enter() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.over {
		v.work.Add(1)
	}
	return !v.over
}

func (v *Verifier) leave() { v.work.Done() }

// background runs f on its own, with a context that Close ends.
func (v *Verifier) background(f func(context.Context)) {
	entered := v.enter()
	go func() {
		if entered {
			defer v.leave()
		}
		f(v.life)
	}()
}

// Verify says whose access token this is, JWT or opaque. It does not look at
// scopes: see [Identity.Allows]. Errors are [*Error] of kind [ErrInvalidToken] or
// [ErrUnavailable]. ctx bounds only this caller's waiting.
func (v *Verifier) Verify(ctx context.Context, accessToken string) (Identity, error) {
	began := time.Now()
	format := formatOf(accessToken)
	t, cached, err := v.verify(ctx, accessToken, format)
	if err != nil {
		v.observe(Observation{Operation: OpVerify, Format: format, Cached: cached}, began, err)
		return Identity{}, err
	}
	v.observe(Observation{Operation: OpVerify, Format: format, Cached: cached}, began, nil)
	return t.who.copied(), nil
}

func (v *Verifier) verify(ctx context.Context, raw string, format Format) (*token, bool, *Error) {
	switch {
	case len(raw) > maxToken || !tokenForm(raw) || format == "":
		return nil, false, invalid(Malformed)
	case format == JWT && v.config.Issuer != "":
		return v.verifyJWT(ctx, raw)
	case format == Opaque && (v.config.Introspection.URL != "" || v.config.InsecureHydraAdmin != ""):
		return v.verifyOpaque(ctx, raw)
	}
	return nil, false, invalid(NotAccepted)
}

// tokenForm reports whether s is a b64token (RFC 6750 section 2.1).
func tokenForm(s string) bool {
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		if !tokenBytes[body[i]] {
			return false
		}
	}
	return body != ""
}

// tokenBytes are the bytes of a b64token before its padding.
var tokenBytes = func() (is [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/" {
		is[c] = true
	}
	return is
}()
