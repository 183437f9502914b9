package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/tokenos/tokenos/apikey"
)

// Limits are how often this process answers whom. Each is held by itself; the
// zero value limits nothing. An address is that of exchange.address, which
// knows trusted proxies: one of IPv4, a /64 of IPv6 (what one site has), and
// all requests that have none together.
type Limits struct {
	// Address counts every request of an address, before anything is looked
	// at. Only health checks are free.
	Address Limit
	// Caller counts the requests of a principal, whatever its address.
	Caller Limit
	// Failures counts credentials of an address that were refused.
	Failures Limit
	// Self counts what the holders of keys ask of an address, and once more
	// what is asked about one key.
	Self Limit
}

// limiters are Limits at work.
type limiters struct {
	address, caller, failures, self, selfKey *limiter
	*attempts
}

func newLimiters(c Limits, now func() time.Time) (*limiters, error) {
	out := &limiters{}
	var errs []error
	for _, l := range []struct {
		at         **limiter
		name, says string
		limit      Limit
	}{
		{&out.address, "address", "too many requests from this address", c.Address},
		{&out.caller, "caller", "too many requests by this caller", c.Caller},
		{&out.failures, "failures", "too many credentials from this address were refused", c.Failures},
		{&out.self, "self", "too many requests from this address", c.Self},
		{&out.selfKey, "self", "too many requests about this key", c.Self},
	} {
		var err error
		*l.at, err = newLimiter(l.name, l.says, l.limit, maxBuckets, now)
		errs = append(errs, err)
	}
	var err error
	out.attempts, err = newAttempts(now)
	return out, errors.Join(append(errs, err)...)
}

// addressKey is what of an address counts as one: whoever has an address of
// IPv6 has at least the 2^64 of its /64.
func addressKey(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	if a.Is4() {
		return address
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}

// limitAddress is the first to see a request: what it refuses has cost nothing.
func (s *server) limitAddress(c *gin.Context) {
	// Gin's route, not the path: an address under /health that does not exist
	// is like any other.
	if strings.HasPrefix(c.FullPath(), "/health/") {
		return
	}
	ctx := c.Request.Context()
	key := addressKey(exchangeFrom(ctx).address)
	err := s.spend(ctx, s.limits.address, key)
	if path := c.Request.URL.Path; err == nil && (path == "/v1/self" || strings.HasPrefix(path, "/v1/self/")) {
		err = s.spend(ctx, s.limits.self, key)
	}
	if err != nil {
		fail(c, err)
	}
}

// limitSelf counts a request of a holder about the key of that id, beside what
// limitAddress has counted. It is for the routes under /v1/self, before they
// ask anybody. Fails with [apikey.ErrRateLimited].
func (s *server) limitSelf(ctx context.Context, id string) error {
	if !apikey.ValidID(id) {
		id = "" // what no key can have is one key, and is not kept
	}
	return s.spend(ctx, s.limits.selfKey, id)
}

// authenticated finds out whose a token is, within the limits: a caller over
// its own is refused before Hydra and the ledger are asked, if the token was
// good a while ago.
func (s *server) authenticated(ctx context.Context, token string) (apikey.Caller, error) {
	x := exchangeFrom(ctx)
	principal, known := s.limits.accepted.GetIfPresent(digestOf(token))
	if known {
		x.principal = principal
		if err := s.spend(ctx, s.limits.caller, principal); err != nil {
			return apikey.Caller{}, err
		}
	}
	var caller apikey.Caller
	err := s.attempt(ctx, token, func() (_ string, err error) {
		caller, err = s.Authenticate(ctx, token)
		return caller.Principal, err
	})
	x.principal = caller.Principal
	if err != nil || known {
		return caller, err
	}
	return caller, s.spend(ctx, s.limits.caller, caller.Principal)
}

// spend takes a token of a limit and lets the answer's headers say what is
// left. Fails with [apikey.ErrRateLimited].
func (s *server) spend(ctx context.Context, l *limiter, key string) error {
	got := l.take(key)
	if got.refused {
		return s.refuse(ctx, got)
	}
	exchangeFrom(ctx).show(got)
	return nil
}

// refuse makes the error of a refusal. Of a flood only the first of each minute
// is in the log; the request's own line is for debugging.
func (s *server) refuse(ctx context.Context, got standing) error {
	x := exchangeFrom(ctx)
	x.show(got)
	x.limited = got.of.name
	if got.loud() {
		s.Log.LogAttrs(ctx, slog.LevelWarn, "rate limited", slog.String("limit", got.of.name),
			slog.String("address", x.address), slog.String("principal", x.principal), slog.String("request_id", x.id))
	}
	return &apikey.Error{Kind: apikey.ErrRateLimited, Detail: got.of.says, RetryAfter: got.next}
}

// show writes the headers of draft-ietf-httpapi-ratelimit-headers-11 sections 3
// and 4, for the limit that leaves least: q requests in w seconds, of which r
// are left and no more within t seconds.
func (x *exchange) show(got standing) {
	if got.of == nil || x.header == nil || x.tightest.of != nil && !got.refused && x.tightest.left <= got.left {
		return
	}
	x.tightest = got
	x.header.Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", got.of.name, got.of.limit.Burst, seconds(got.of.window())))
	x.header.Set("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", got.of.name, got.left, seconds(got.next)))
}
