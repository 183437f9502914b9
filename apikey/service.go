package apikey

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// Config holds what a [Service] needs.
type Config struct {
	Ledger  Ledger
	Clients Clients
	Tokens  Tokens // for Authenticate; may be nil where nobody authenticates
	// ServerSecrets derive what must not be stored: client secrets of requests
	// with an Idempotency-Key, and cursors. The first is current, the others
	// are still accepted. At least one of at least 32 bytes.
	ServerSecrets []Secret
	// Hook has the service keep every key in memory, for [Service.Decide].
	Hook bool
	// Issuer is where it is tried whether Hydra asks the hook. Nil: nowhere.
	Issuer Issuer
	// TokenURL is Hydra's token endpoint as programs reach it; callers are told.
	TokenURL string
	// Diagnose makes every check of the installation, within the context's
	// deadline. Nil: there are none.
	Diagnose func(context.Context) Diagnosis
	// RequireIfMatch refuses PATCH without If-Match (428).
	RequireIfMatch bool
	// Policies rule what keys may be made and how they may be changed. The zero
	// value has no rules beyond the limits.
	Policies Policies
	// PublicURL is the address under which callers reach us, without a slash at
	// its end. Empty: there are no status lists, because nothing could name them.
	PublicURL string
	// StatusTTL is how long a verifier may go by a status list without asking
	// again; whole seconds. Zero: 5 s.
	StatusTTL time.Duration
	// ChangeTimeout bounds all calls to Hydra of one change. Zero: 20 s.
	ChangeTimeout time.Duration
	// Lease is how long a begun change is left to the process that began it.
	// It must be longer than ChangeTimeout. Zero: 60 s.
	Lease time.Duration
	// HoursKept is how long tokens are counted by hour, and DaysKept how long by
	// day, counted from the end of a day. Zero: 14 and 400 days. At least one day,
	// at most [MaxHoursKept] and [MaxDaysKept], the days not below the hours.
	HoursKept, DaysKept time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Log gets one line per change and per failure that somebody must look at.
	// Nil: discarded.
	Log *slog.Logger
}

// How long things wait. None is worth a setting.
const (
	busyWait       = 2 * time.Second        // for another change of the same key, before ErrBusy
	queueWait      = 5 * time.Second        // for a queued disable or revoke, before it is answered as pending
	twinWait       = 10 * time.Second       // for the first request with the same Idempotency-Key
	pollEvery      = 25 * time.Millisecond  // while waiting for any of these
	sweepAfter     = 15 * time.Second       // second token sweep: Hydra's longest request is over by then
	confirmAfter   = 30 * time.Second       // second look after a lost answer
	retryAfter     = 2 * time.Second        // told to callers on 503
	finishTimeout  = 5 * time.Second        // for T2
	replaysKept    = 24 * time.Hour         // how long an Idempotency-Key answers the same
	changesKept    = 7 * 24 * time.Hour     // finished changes, for looking into
	turnEvery      = 500 * time.Millisecond // of the background work
	turnAtOnce     = 16                     // background changes at the same time
	turnBatch      = 200                    // background changes a turn
	maxDescription = 500
)

// Service is [API] on a ledger and a Hydra. Its methods may be called at the
// same time, by any number of processes on one ledger.
type Service struct {
	ledger  Ledger
	clients Clients
	tokens  Tokens
	derive  deriver
	cfg     Config
	log     *slog.Logger
	left    leftovers
	later   deferrals
	walks   walks
	book    book
	flusher flusher
	memory  *snapshot
	denied  denials
	canary  canary
	status  statusBoard

	checkups shared[Diagnosis]
	signing  shared[[]SigningKey]
	verifier verifier
}

var _ API = (*Service)(nil)

// New checks cfg and returns a Service. Call [Service.Run] once per process.
func New(cfg Config) (*Service, error) {
	if cfg.Ledger == nil || cfg.Clients == nil {
		return nil, errors.New("apikey: a ledger and clients are required")
	}
	d, err := newDeriver(cfg.ServerSecrets)
	if err != nil {
		return nil, err
	}
	cfg.ChangeTimeout = cmp.Or(cfg.ChangeTimeout, 20*time.Second)
	cfg.Lease = cmp.Or(cfg.Lease, 60*time.Second)
	cfg.StatusTTL = cmp.Or(cfg.StatusTTL, 5*time.Second)
	if cfg.Lease <= cfg.ChangeTimeout {
		return nil, errors.New("apikey: the lease must be longer than the change timeout")
	}
	cfg.HoursKept, cfg.DaysKept = cmp.Or(cfg.HoursKept, hoursKept), cmp.Or(cfg.DaysKept, daysKept)
	if day := 24 * time.Hour; cfg.HoursKept < day || cfg.HoursKept > MaxHoursKept || cfg.DaysKept < cfg.HoursKept || cfg.DaysKept > MaxDaysKept {
		return nil, errors.New("apikey: counts of tokens are kept by hour for 1 to 31 days and by day for 1 to 1100 days, not shorter")
	}
	if cfg.StatusTTL < time.Second || cfg.StatusTTL%time.Second != 0 {
		return nil, errors.New("apikey: the status lists' TTL must be whole seconds")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	log := cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	return &Service{ledger: cfg.Ledger, clients: cfg.Clients, tokens: cfg.Tokens, derive: d, cfg: cfg, log: log,
		book: newBook(bookRoom), flusher: newFlusher(), memory: newSnapshot(), canary: canary{id: newCanaryID(cfg.Ledger.Installation())}, verifier: newVerifier(),
		checkups: shared[Diagnosis]{serves: diagnosisFor, limit: diagnosisTime},
		signing:  shared[[]SigningKey]{serves: signingFor, limit: signingTime}}, nil
}

// now is the clock in the ledger's resolution.
func (s *Service) now() time.Time { return s.cfg.Now().UTC().Truncate(time.Second) }

// allow returns the caller if it has the right.
func (s *Service) allow(ctx context.Context, r Right) (Caller, error) {
	c, err := CallerFrom(ctx)
	if err != nil {
		return c, err
	}
	if !c.May(r) {
		return c, fail(ErrForbidden, "this needs the right "+string(r))
	}
	return c, nil
}

// visible reports whether the key exists for the caller. Management keys exist
// only for admins who could have made them.
func visible(c Caller, d Definition) bool {
	if !c.Sees(d.Owner) {
		return false
	}
	return d.Kind != KindManagement || c.May(Admin) && withinOwners(c, d.Owners)
}

// withinOwners reports whether a management key bound to owners reaches no
// further than the caller does.
func withinOwners(c Caller, owners []string) bool {
	if len(c.Owners) == 0 {
		return true
	}
	return len(owners) > 0 && !slices.ContainsFunc(owners, func(o string) bool { return !slices.Contains(c.Owners, o) })
}

// record reads a key the caller may see. Absent and another owner's take the
// same way through the ledger, so that neither words nor time tell them apart.
func (s *Service) record(ctx context.Context, c Caller, id string) (Record, error) {
	if !ValidID(id) {
		return Record{}, notFound()
	}
	r, err := s.ledger.Key(ctx, id, View{Owners: c.Owners})
	if err != nil {
		return Record{}, err
	}
	if !visible(c, r.Definition) {
		return Record{}, notFound()
	}
	return r, nil
}

func notFound() error { return fail(ErrNotFound, "there is no such key") }

// Get implements [API].
func (s *Service) Get(ctx context.Context, id string) (Key, error) {
	c, err := s.allow(ctx, KeysRead)
	if err != nil {
		return Key{}, err
	}
	r, err := s.record(ctx, c, id)
	if err != nil {
		return Key{}, err
	}
	return r.Key(s.now()), nil
}

// Capabilities implements [API].
func (s *Service) Capabilities(ctx context.Context) (Capabilities, error) {
	if _, err := s.allow(ctx, KeysRead); err != nil {
		return Capabilities{}, err
	}
	out := Capabilities{AuthMethods: []AuthMethod{ClientSecretBasic, ClientSecretPost, PrivateKeyJWT}, Algorithms: Algorithms, Limits: limits, TokenURL: s.cfg.TokenURL}
	h, err := s.clients.Capabilities(ctx)
	if err == nil {
		out.Hydra = &h
	}
	return out, nil
}
