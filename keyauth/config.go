package keyauth

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"
)

// Config says whom to believe. Audiences and at least one of Issuer,
// Introspection and InsecureHydraAdmin are required.
type Config struct {
	// Audiences are the names of this API, at most 20. A token is accepted only
	// if its aud contains one of them, letter by letter. Never empty: without it
	// a token for any other API would open this one (RFC 9700 section 2.3).
	Audiences []string

	// Issuer is Hydra's issuer, equal to the iss of its tokens letter by letter.
	// Empty means that JWTs are refused.
	Issuer string
	// JWKSURL is where the issuer's public keys are. Empty means Issuer followed
	// by /.well-known/jwks.json.
	JWKSURL string
	// Algorithms that may have signed a JWT: of ES, RS and PS 256, 384 and 512.
	// Nil means ES256 and RS256. "none" and shared secrets (HS) cannot be allowed
	// (RFC 8725 section 3.1).
	Algorithms []string
	// StatusList says which keys have ended, although their JWTs have not.
	StatusList StatusList

	// Introspection looks opaque tokens up. Without it, and without
	// InsecureHydraAdmin, they are refused.
	Introspection Introspection
	// InsecureHydraAdmin is the base URL of Hydra's admin API, to look opaque
	// tokens up there instead. It may be plain HTTP. Insecure, because this API
	// asks nobody for a password: who reaches it can make and delete every client.
	// It also knows nothing of a key that is disabled while Hydra is down.
	// Introspection.URL must be empty.
	InsecureHydraAdmin string
	// HydraReadyURL is Hydra's /health/ready. In an outage Hydra calls good tokens
	// inactive; with this URL "inactive" and a new set of keys are believed only
	// if Hydra says after them that it is ready, else the answer is 503. Empty
	// means that of InsecureHydraAdmin if that is set, and else none:
	// /v1/introspect asks Hydra itself.
	HydraReadyURL string

	// TrustedProxies are the addresses of the proxies that end TLS before this API
	// and set X-Forwarded-Proto, at most 64. Nil means none.
	TrustedProxies []netip.Prefix
	// InsecureLoopback lets in what comes without TLS from this machine to this
	// machine, and lets the URLs above be plain HTTP on a loopback address. For
	// development.
	InsecureLoopback bool

	// Leeway is by how much clocks may differ, for exp, nbf and iat. Zero means 30
	// seconds, below zero none; at most 5 minutes. key_expires_at has none.
	Leeway time.Duration
	// CallTimeout bounds each call to a service. Zero means 3 seconds; at most 30.
	CallTimeout time.Duration
	// JWTFresh is how long a verified JWT is not verified again; its exp, audience,
	// scopes, signing key and status are checked each time. Zero means 60 seconds,
	// which is also the most; below zero each is verified each time.
	JWTFresh time.Duration
	// CacheBytes bounds the memory of each of the two caches, for JWTs and for
	// opaque tokens, roughly and in bytes. Zero means 16 MiB, some 20,000 tokens;
	// from 64 KiB.
	CacheBytes int

	// HTTPClient makes the calls. Redirects are never followed. Nil means one of
	// our own with the system's certificate authorities.
	HTTPClient *http.Client
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// Log gets a line for each refusal with its reason, and for each service that
	// gives no usable answer. Never a token. Nil means none.
	Log *slog.Logger
	// Observe is told of all that is done, for metrics. It must be safe for
	// concurrent use and return at once. Nil means nobody.
	Observe func(Observation)
}

// Introspection is TokenOS's own look at a token (RFC 7662).
type Introspection struct {
	// URL is that of POST /v1/introspect.
	URL string
	// Token returns the access token that this API calls URL with: one of a
	// management key with the scope tokens:introspect, for the audience "tokenos".
	// It should remember the token until it ends, as golang.org/x/oauth2 does. It
	// may be called at the same time by many. Required with URL.
	Token func(context.Context) (string, error)
	// Fresh is how long "active" is believed, at most until the token's exp; for as
	// long a revoked token may live here. Zero means 5 seconds, below zero each
	// request asks; at most 30 seconds. "Inactive" is never remembered. It holds
	// for InsecureHydraAdmin, too.
	Fresh time.Duration
	// MaxConcurrent is how many tokens are looked up at the same time. Others wait
	// for CallTimeout and then get 503. Zero means 32; at most 1000. It holds for
	// InsecureHydraAdmin, too.
	MaxConcurrent int
}

// StatusList is where TokenOS publishes the status of its keys
// (draft-ietf-oauth-status-list). A JWT names its place in a list, so that a key's
// end reaches this API without a call per token.
type StatusList struct {
	// URL is what all lists' addresses begin with: a list is URL followed by a
	// number, and a token that names any other is refused. Empty means /status/ at
	// the host of Introspection.URL. Required with Issuer, if neither
	// Introspection.URL nor Off is set.
	URL string
	// JWKSURL is where the lists' public keys are. Empty means URL followed by
	// jwks.json.
	JWKSURL string
	// Interval is how often a list in use is fetched, and so how long a disabled
	// key's JWT lives here. Zero means 5 seconds; from 10 milliseconds to 1 minute.
	Interval time.Duration
	// Off accepts a JWT until its exp, whatever has happened to its key.
	Off bool
}

const (
	maxToken        = 8 << 10 // bytes; a JWT signed with RSA-4096 has about 1,100
	maxAudiences    = 20
	maxProxies      = 64
	jwksInterval    = 10 * time.Second // least time between two fetches of one set of keys
	jwksFirst       = time.Second      // the same while there is no set at all
	jwksFresh       = 5 * time.Minute  // then fetched anew in the background, after twice that awaited
	listIdle        = 15 * time.Minute // lists that nobody asked for so long are forgotten
	maxLists        = 64               // of a million keys each
	entryWeight     = 512              // bytes of a cache entry without its strings
	longestLeeway   = 5 * time.Minute
	longestTimeout  = 30 * time.Second
	longestJWTFresh = time.Minute
	longestFresh    = 30 * time.Second
	longestInterval = time.Minute
)

// withDefaults fills in what zero values mean.
func (c Config) withDefaults() Config {
	c.Leeway = max(cmp.Or(c.Leeway, 30*time.Second), 0)
	c.CallTimeout = cmp.Or(c.CallTimeout, 3*time.Second)
	c.JWTFresh = cmp.Or(c.JWTFresh, longestJWTFresh)
	c.CacheBytes = cmp.Or(c.CacheBytes, 16<<20)
	c.Introspection.Fresh = cmp.Or(c.Introspection.Fresh, 5*time.Second)
	c.Introspection.MaxConcurrent = cmp.Or(c.Introspection.MaxConcurrent, 32)
	c.StatusList.Interval = cmp.Or(c.StatusList.Interval, 5*time.Second)
	if c.Algorithms == nil {
		c.Algorithms = []string{"ES256", "RS256"}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c.withURLs()
}
