package apikey

import (
	"context"
	"slices"
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

// Doctor implements [API]. A diagnosis names addresses, files and what is wrong
// with every owner's keys, so a caller bound to owners does not get it.
func (s *Service) Doctor(ctx context.Context) (Diagnosis, error) {
	if err := s.allowUnbound(ctx, "what is wrong with the installation"); err != nil {
		return Diagnosis{}, err
	}
	now := s.cfg.Now()
	said, err := s.checkups.ask(ctx, now, func(ctx context.Context) (Diagnosis, error) {
		said := Diagnosis{Result: CheckPassed, Checks: []Check{}}
		if s.cfg.Diagnose != nil {
			said = s.cfg.Diagnose(ctx)
		}
		said.CheckedAt = now.UTC().Truncate(time.Second)
		return said, nil
	})
	if err != nil {
		return Diagnosis{}, unavailable("The checks are still being made; ask again", err)
	}
	said.Checks = slices.Clone(said.Checks)
	return said, nil
}

// allowUnbound lets admins pass who are not bound to owners: what is the
// installation's is no single owner's.
func (s *Service) allowUnbound(ctx context.Context, what string) error {
	c, err := s.allow(ctx, Admin)
	if err != nil {
		return err
	}
	if len(c.Owners) > 0 {
		return fail(ErrForbidden, "only an admin who is not bound to owners may see "+what)
	}
	return nil
}
