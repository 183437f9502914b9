package main

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/ledger"
)

// checkTime bounds one check; the longest waits for Hydra, which waits for its
// hook.
const checkTime = 15 * time.Second

const (
	passed  = apikey.CheckPassed
	warned  = apikey.CheckWarned
	failed  = apikey.CheckFailed
	skipped = apikey.CheckSkipped
)

// finding is what a check saw, and what that means here.
type finding struct {
	apikey.Check
	code   int     // to exit with if it failed
	repair *repair // what can be done about it here; nil: nothing
}

// repair is something that can be done safely.
type repair struct {
	check string
	what  string // will be done, for a person to agree to
	do    func(context.Context) error
}

func good(seen string) finding { return finding{Check: apikey.Check{Result: passed, Seen: seen}} }
func unwise(seen, fix string) finding {
	return finding{Check: apikey.Check{Result: warned, Seen: seen, Fix: fix}}
}
func bad(seen, fix string) finding {
	return finding{Check: apikey.Check{Result: failed, Seen: seen, Fix: fix}, code: exitFailed}
}
func away(err error, fix string) finding {
	return finding{Check: apikey.Check{Result: failed, Seen: err.Error(), Fix: fix}, code: exitUnavailable}
}
func unknown(seen string) finding { return finding{Check: apikey.Check{Result: skipped, Seen: seen}} }

// check is one question about an installation. Further ones join checks in
// checks.go.
type check struct {
	name  string
	why   string   // what depends on it
	needs []string // checks before it that must not have failed
	run   func(context.Context, *patient) finding
}

// patient is the installation under examination: what one check opened the next
// ones use. One that runs brings its parts, which stay open.
type patient struct {
	read         func() (*config.Config, error)
	env          []string
	hydraDSNFile string

	config  *config.Config
	rules   apikey.Policies
	ledger  *ledger.DB
	hydra   *hydra.Hydra
	service *apikey.Service
	runs    bool // we are the server of the installation
}

// close closes what was opened here.
func (p *patient) close() {
	if p.runs {
		return
	}
	if p.hydra != nil {
		p.hydra.Close()
	}
	if p.ledger != nil {
		_ = p.ledger.Close() // nothing was written
	}
}

// examined makes every check; under hears of each before it is made. What the
// context leaves no time for is skipped.
func (p *patient) examined(ctx context.Context, skips []string, under func(string)) []finding {
	var all []finding
	for _, c := range checks {
		under(c.name)
		f := skipping(c, skips, all)
		switch {
		case f.Result == skipped:
		case ctx.Err() != nil:
			f = unknown("there was no time left for it")
		default:
			within, cancel := context.WithTimeout(ctx, checkTime)
			f = c.run(within, p)
			cancel()
		}
		f.Name, f.Why = c.name, c.why
		if f.repair != nil {
			f.repair.check = c.name
		}
		all = append(all, f)
	}
	return all
}

// skipping is a finding that skips the check, if it is to be.
func skipping(c check, skips []string, before []finding) finding {
	if slices.Contains(skips, c.name) {
		return unknown("left out by --skip")
	}
	for _, f := range before {
		if slices.Contains(c.needs, f.Name) && (f.Result == failed || f.Result == skipped) {
			return unknown("cannot be known without " + f.Name)
		}
	}
	return finding{}
}

// visiting is a service that looks at the installation from outside.
func (p *patient) visiting() (*apikey.Service, error) {
	if p.service != nil {
		return p.service, nil
	}
	var err error
	p.service, err = apikey.New(apikey.Config{Ledger: p.ledger, Clients: p.hydra, ServerSecrets: secrets(p.config), Hook: true, Issuer: p.hydra, Policies: p.rules, Log: slog.New(slog.DiscardHandler)})
	return p.service, err
}

// diagnose has the server examine itself.
func (p *patient) diagnose(ctx context.Context) apikey.Diagnosis {
	at := time.Now()
	return diagnosisOf(p.examined(ctx, nil, func(string) {}), at)
}
