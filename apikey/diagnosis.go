package apikey

import (
	"context"
	"slices"
	"sync"
	"time"
)

// CheckResult is how a check of an installation came out.
type CheckResult string

const (
	CheckPassed  CheckResult = "pass"
	CheckWarned  CheckResult = "warn" // works, but somebody should look
	CheckFailed  CheckResult = "fail"
	CheckSkipped CheckResult = "skip" // not asked, or it could not be answered
)

// Check is what one check of an installation saw. It holds no secrets.
type Check struct {
	Name   string      `json:"name" doc:"stable; docs/operations.md lists them" example:"token_hook"`
	Result CheckResult `json:"result" enum:"pass,warn,fail,skip"`
	Seen   string      `json:"seen"`
	Why    string      `json:"why" doc:"what depends on it"`
	Fix    string      `json:"fix,omitempty" doc:"the command or the setting that mends it; absent where there is nothing to mend"`
}

// Diagnosis is what all checks of an installation saw, in the order in which they
// were made.
type Diagnosis struct {
	Result    CheckResult `json:"result" enum:"pass,warn,fail" doc:"the worst of its checks; what was skipped does not count"`
	Version   string      `json:"version" doc:"of the program that looked"`
	CheckedAt time.Time   `json:"checked_at" doc:"when it began to look"`
	Checks    []Check     `json:"checks"`
}

// WorstOf is the result of the whole: failed, else warned, else passed.
func WorstOf(checks []Check) CheckResult {
	for _, r := range []CheckResult{CheckFailed, CheckWarned} {
		if slices.ContainsFunc(checks, func(c Check) bool { return c.Result == r }) {
			return r
		}
	}
	return CheckPassed
}

const (
	// diagnosisTime bounds one look, and is below the time that a request has.
	diagnosisTime = 20 * time.Second
	// diagnosisFor is how long a diagnosis serves: a look costs calls to Hydra
	// and a token request.
	diagnosisFor = 30 * time.Second
)

// checkups lets all callers share the look under way, and remembers the last.
// The zero value has never looked.
type checkups struct {
	mu     sync.Mutex
	flight *checkup
	last   *checkup
}

// checkup is one look.
type checkup struct {
	done chan struct{}
	at   time.Time
	said Diagnosis // valid after done is closed
}

// Doctor implements [API]. A diagnosis names addresses, files and what is wrong
// with every owner's keys, so a caller bound to owners does not get it.
func (s *Service) Doctor(ctx context.Context) (Diagnosis, error) {
	c, err := s.allow(ctx, Admin)
	if err != nil {
		return Diagnosis{}, err
	}
	if len(c.Owners) > 0 {
		return Diagnosis{}, fail(ErrForbidden, "only an admin who is not bound to owners may see what is wrong with the installation")
	}
	look := s.joinCheckup(ctx)
	select {
	case <-look.done:
	case <-ctx.Done():
		return Diagnosis{}, unavailable("The checks are still being made; ask again", context.Cause(ctx))
	}
	said := look.said
	said.Checks = slices.Clone(said.Checks)
	return said, nil
}

// joinCheckup returns the last look while it serves, else the one under way,
// starting one if there is none.
func (s *Service) joinCheckup(ctx context.Context) *checkup {
	u := &s.checkups
	u.mu.Lock()
	defer u.mu.Unlock()
	now := s.cfg.Now()
	if u.last != nil && !now.Before(u.last.at) && now.Sub(u.last.at) < diagnosisFor {
		return u.last
	}
	if u.flight != nil {
		return u.flight
	}
	look := &checkup{done: make(chan struct{}), at: now}
	u.flight = look
	// The look is everybody's: it does not end with the caller who began it.
	go s.checkUp(context.WithoutCancel(ctx), look)
	return look
}

func (s *Service) checkUp(ctx context.Context, look *checkup) {
	ctx, cancel := context.WithTimeout(ctx, diagnosisTime)
	defer cancel()
	look.said = Diagnosis{Result: CheckPassed, Checks: []Check{}}
	if s.cfg.Diagnose != nil {
		look.said = s.cfg.Diagnose(ctx)
	}
	look.said.CheckedAt = look.at.UTC().Truncate(time.Second)
	u := &s.checkups
	u.mu.Lock()
	u.last, u.flight = look, nil
	u.mu.Unlock()
	close(look.done)
}
