package apikey

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// How long counts are kept unless configured otherwise.
const (
	hoursKept   = 14 * 24 * time.Hour
	daysKept    = 400 * 24 * time.Hour
	writersKept = 30 * 24 * time.Hour // a process away from the ledger for longer may count a batch twice
)

// MaxUsageKept bounds how long counts can be kept, and so how many periods an
// answer has: of hours, and of days.
const (
	MaxHoursKept = 31 * 24 * time.Hour
	MaxDaysKept  = 1100 * 24 * time.Hour
)

// UsagePeriod is what tokens are counted by, in UTC.
type UsagePeriod string

const (
	ByHour UsagePeriod = "hour"
	ByDay  UsagePeriod = "day"
)

// length is how long a period is.
func (p UsagePeriod) length() time.Duration {
	if p == ByHour {
		return time.Hour
	}
	return 24 * time.Hour
}

// UsageParams select the periods (GET /v1/keys/{id}/usage): those that From and
// the moment before To lie in, and all between.
type UsageParams struct {
	By   UsagePeriod // "": ByDay
	From *time.Time  // nil: 24 hours or 30 days before To
	To   *time.Time  // nil: now
}

// Usage is what a key asked Hydra for, and got. Periods in which nothing was
// counted are left out.
type Usage struct {
	By         UsagePeriod    `json:"by" enum:"hour,day"`
	From       time.Time      `json:"from" doc:"the beginning of the first period that was looked at; later than asked for if counts are not kept as long"`
	To         time.Time      `json:"to" doc:"the end of the last"`
	Data       []PeriodCounts `json:"data" doc:"oldest first; periods without tokens are left out"`
	Totals     TokenCounts    `json:"totals" doc:"of all periods looked at"`
	LastUsedAt *time.Time     `json:"last_used_at" doc:"when a token was last issued; null: not known to have been used"`
	LastDenial *LastDenial    `json:"last_denial" doc:"null: not known to have been refused a token"`
	Scopes     []ScopeUsage   `json:"scopes" doc:"each of the key's scopes"`
}

// PeriodCounts are the tokens of one hour or day.
type PeriodCounts struct {
	From time.Time `json:"from" doc:"the beginning of the hour or day, UTC"`
	TokenCounts
}

// TokenCounts counts requests for tokens that Hydra took for the key's own.
type TokenCounts struct {
	Issued   int64            `json:"issued"`
	Denied   int64            `json:"denied"`
	DeniedBy map[Denial]int64 `json:"denied_by" doc:"the same by reason: disabled, expired, replaced, revoked, no_credential, unknown" example:"{\"expired\":1}"`
}

// NewTokenCounts counts nothing yet.
func NewTokenCounts() TokenCounts { return TokenCounts{DeniedBy: map[Denial]int64{}} }

// Add counts n tokens of an outcome: "" issued, or why they were denied.
func (c *TokenCounts) Add(o Denial, n int64) {
	if o == outcomeIssued {
		c.Issued += n
		return
	}
	c.Denied += n
	c.DeniedBy[o] += n
}

// LastDenial is the last time that a key was refused a token.
type LastDenial struct {
	Reason Denial    `json:"reason" enum:"disabled,expired,replaced,revoked,no_credential,unknown"`
	At     time.Time `json:"at"`
}

// ScopeUsage is when a scope was last asked for.
type ScopeUsage struct {
	Scope       string     `json:"scope"`
	LastAskedAt *time.Time `json:"last_asked_at" doc:"null: not known to have been asked for"`
}

// Usage implements [API].
func (s *Service) Usage(ctx context.Context, id string, p UsageParams) (Usage, error) {
	c, err := s.allow(ctx, KeysRead)
	if err != nil {
		return Usage{}, err
	}
	r, err := s.record(ctx, c, id)
	if err != nil {
		return Usage{}, err
	}
	q, err := s.usageQuery(p)
	if err != nil {
		return Usage{}, err
	}
	q.KeyID = id
	counted, err := s.ledger.Usage(ctx, q)
	if err != nil {
		return Usage{}, err
	}
	k := r.Key(s.now())
	out := Usage{By: q.By, From: q.From, To: q.To, Data: counted.Periods, Totals: NewTokenCounts(),
		LastUsedAt: k.LastUsedAt, LastDenial: r.LastDenial, Scopes: make([]ScopeUsage, 0, len(k.Scopes))}
	if out.Data == nil {
		out.Data = []PeriodCounts{}
	}
	for _, d := range out.Data {
		out.Totals.Add(outcomeIssued, d.Issued)
		for reason, n := range d.DeniedBy {
			out.Totals.Add(reason, n)
		}
	}
	for _, scope := range k.Scopes {
		u := ScopeUsage{Scope: scope}
		if at := slices.IndexFunc(counted.Asked, func(a ScopeUsage) bool { return a.Scope == scope }); at >= 0 {
			u = counted.Asked[at]
		}
		out.Scopes = append(out.Scopes, u)
	}
	return out, nil
}

// usageQuery turns the parameters into whole periods, within what is kept and
// the one that is now: so the answer is bounded whatever is asked.
func (s *Service) usageQuery(p UsageParams) (UsageQuery, error) {
	v := &validation{}
	now := s.now()
	q := UsageQuery{By: cmp.Or(p.By, ByDay), To: now}
	oneOf(v, "?by", q.By, ByHour, ByDay)
	length, ago, kept := q.By.length(), 30*24*time.Hour, s.cfg.DaysKept
	if q.By == ByHour {
		ago, kept = 24*time.Hour, s.cfg.HoursKept
	}
	if p.To != nil {
		q.To = p.To.UTC()
	}
	q.From = q.To.Add(-ago)
	if p.From != nil {
		q.From = p.From.UTC()
	}
	if !q.From.Before(q.To) {
		v.add("?from", "invalid", "must be before to", "to is now, if it is not given")
	}
	first, last := dayOf(now.Add(-kept)), now.Truncate(length).Add(length)
	q.From = later(q.From.Truncate(length), first)
	if end := q.To.Truncate(length); end.Before(q.To) {
		q.To = end.Add(length)
	}
	if last.Before(q.To) {
		q.To = last
	}
	if q.To.Before(q.From) { // all of it is forgotten, or to come
		q.To = q.From
	}
	return q, v.err()
}

// dayOf is the beginning of the day, UTC.
func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// pruneUsage moves old hours to their days and erases old days.
func (s *Service) pruneUsage(ctx context.Context) error {
	before := func(kept time.Duration) time.Time { return dayOf(s.now().Add(-kept)) }
	return s.ledger.PruneUsage(ctx, before(s.cfg.HoursKept), before(s.cfg.DaysKept), before(writersKept))
}
