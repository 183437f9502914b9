package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/ledger"
)

// checks are the doctor's, in the order in which they are made. A test keeps what
// each needs before it.
var checks = []check{
	{"configuration", "all the rest follows from it, and `tokenos serve` does not start with a wrong one", nil, checkConfiguration},
	{"files", "whoever reads a secret of the server, or writes what it reads, is the server", []string{"configuration"}, checkFiles},
	{"proxies", "whoever is trusted as a proxy may claim any address, and to have used HTTPS", []string{"configuration"}, checkProxies},
	{"certificates", "programs refuse an address whose certificate is over or is not for it", []string{"configuration"}, checkCertificates},
	{"ledger", "it holds the definition of every key; without it nothing can be changed", []string{"configuration"}, checkLedger},
	{"server_secret", "with another one `tokenos serve` does not start, the audit is not proven, and repeated requests get no answer", []string{"ledger"}, checkServerSecret},
	{"ledger_clock", "changes are taken over, and keys end, by two clocks that should be one", []string{"ledger"}, checkLedgerClock},
	{"policies", "keys from before the rules go on working outside of them", []string{"ledger"}, checkPolicies},
	{"token_lifetimes", "a JWT is taken until its end by whoever does not follow the status lists, also when its key has been revoked", []string{"ledger"}, checkTokenLifetimes},
	{"hydra_admin", "no key can be made or changed without it", []string{"configuration"}, checkHydraAdmin},
	{"hydra_version", "it decides what can be done with a key", []string{"hydra_admin"}, checkHydraVersion},
	{"hydra_clock", "tokens and assertions are good from one clock's moment to another's", []string{"hydra_admin"}, checkHydraClock},
	{"hydra_token_endpoint", "keys buy their tokens there, and `tokenos serve` checks their credentials there", []string{"configuration"}, checkTokenEndpoint},
	{"hydra_issuer", "verifiers compare a token's issuer, and Hydra an assertion's audience, character by character", []string{"hydra_token_endpoint"}, checkIssuer},
	{"hydra_admin_private", "Hydra's admin API asks nobody for a password: who reaches it has every client and every signing key", []string{"hydra_token_endpoint"}, checkAdminPrivate},
	{"hydra_registration", "who may make clients in Hydra needs no key of ours", []string{"hydra_token_endpoint"}, checkRegistration},
	{"hydra_scopes", "a client with a star in its scopes is granted what nobody listed", []string{"hydra_admin", "hydra_token_endpoint"}, checkScopes},
	{"hydra_hashing", "every token that is bought with a secret costs Hydra this; a secret of 256 random bits gains nothing by it", []string{"hydra_admin", "hydra_token_endpoint"}, checkHashing},
	{"signing_keys", "what signs JWTs decides how long they are, how dear, and who can verify them", []string{"hydra_admin"}, checkSigningKeys},
	{"hydra_pool", "older Hydras on Postgres stop answering anybody when more JWTs are bought at once than there are connections", []string{"ledger", "hydra_version"}, checkPool},
	{"hydra_tables", "Hydra keeps a row of every token until its janitor has run", []string{"configuration"}, checkTables},
	{"token_hook", "only by its hook does Hydra refuse a key from the second on in which it ends, and only by it do tokens say whose they are", []string{"server_secret", "hydra_token_endpoint"}, checkTokenHook},
}

func checkNames() []string {
	var names []string
	for _, c := range checks {
		names = append(names, c.name)
	}
	return names
}

func checkConfiguration(_ context.Context, p *patient) finding {
	invalid := func(err error) finding {
		f := bad(err.Error(), "`tokenos config validate` lists all that is wrong, `tokenos config print --sources` where each value comes from")
		f.code = exitUsage
		return f
	}
	if !p.runs {
		var err error
		if p.config, err = p.read(); err != nil {
			return invalid(err)
		}
		if p.rules, err = policies(p.config.Policies); err != nil {
			return invalid(err)
		}
		if p.hydra, err = newHydra(p.config, slog.New(slog.DiscardHandler), nil); err != nil {
			return invalid(err)
		}
	}
	// What is about files is another check's.
	w := slices.DeleteFunc(slices.Clone(p.config.Warnings), func(s string) bool { return slices.Contains(p.config.Exposed, s) })
	if len(w) > 0 {
		return unwise("valid, but: "+strings.Join(w, "\n"), "change what the warning names")
	}
	return good("valid")
}

func checkLedger(ctx context.Context, p *patient) finding {
	if p.runs {
		if err := p.ledger.Ping(ctx); err != nil {
			return away(err, "start the database")
		}
		return good(p.ledger.Kind() + " answers, and its schema is this program's")
	}
	c := ledgerConfig(p.config, slog.New(slog.DiscardHandler))
	c.ReadOnly = true
	var err error
	p.ledger, err = ledger.Open(ctx, c)
	schema, wrong := errors.AsType[*ledger.SchemaError](err)
	switch {
	case err == nil:
		return good(p.ledger.Kind() + " answers, and its schema is this program's")
	case wrong && schema.Have > schema.Want:
		return bad(err.Error(), "run the newer tokenos that migrated it")
	case wrong, errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(c.URL, "postgres"):
		return bad(err.Error(), "run `tokenos migrate`")
	case errors.Is(err, apikey.ErrUnavailable):
		return away(err, "start the database, or set ledger.url to where it is")
	}
	return bad(err.Error(), "set ledger.url to a database that this program may use")
}

func checkServerSecret(ctx context.Context, p *patient) finding {
	proved, err := p.ledger.CheckSecret(ctx)
	switch {
	case errors.Is(err, ledger.SecretError{}):
		return bad("the newest event was written under another server secret", "set secret to the one that this ledger is used with, or name it in previous_secrets")
	case err != nil:
		return away(err, "look at the database")
	case !proved:
		return good("nothing has been written under any yet")
	}
	return good("the newest event was written under it, or under a previous one that is named")
}

func checkLedgerClock(ctx context.Context, p *patient) finding {
	return compareClocks(ctx, "the database's", p.ledger.Clock, time.Millisecond)
}

// violationsMost bounds the pages of violations that are counted, of 2000 keys
// each at most.
const violationsMost = 50

func checkPolicies(ctx context.Context, p *patient) finding {
	if p.config.Policies == nil {
		return good("there are no rules beyond the limits (keys.policy_file is empty)")
	}
	service, err := p.visiting()
	if err != nil {
		return bad(err.Error(), "look at the configuration")
	}
	ctx = apikey.WithCaller(ctx, apikey.System("doctor"))
	params, n := apikey.PolicyViolationsParams{Limit: 200}, 0
	for range violationsMost {
		page, err := service.PolicyViolations(ctx, params)
		if err != nil {
			return away(err, "look at the database")
		}
		n += len(page.Data)
		if params.Cursor = page.NextCursor; params.Cursor == "" {
			break
		}
	}
	few := ""
	if params.Cursor != "" {
		few = "at least "
	}
	if n > 0 {
		return unwise(fmt.Sprintf("the rules are well-formed, and %s%d keys break them", few, n), "GET /v1/policies/violations lists the keys, each with what would mend it; or change the rules in keys.policy_file (docs/policy.md)")
	}
	if few != "" {
		return unknown("there are too many keys to look at each")
	}
	return good("the rules are well-formed, and no key breaks them")
}

// longJWT is how long a JWT may live without a word.
const longJWT = apikey.Duration(time.Hour)

func checkTokenLifetimes(ctx context.Context, p *patient) finding {
	use, err := p.ledger.JWTUse(ctx)
	switch {
	case err != nil:
		return away(err, "look at the database")
	case use.Keys == 0:
		return good("no key buys JWTs; an opaque token ends with its key")
	case use.Longest > longJWT:
		return unwise(fmt.Sprintf("%d keys buy JWTs, which live up to %s", use.Keys, use.Longest), "set token.lifetime of those keys to "+longJWT.String()+" at most, and token.max_lifetime in keys.policy_file; have every verifier follow /status (docs/api.md)")
	}
	return good(fmt.Sprintf("%d keys buy JWTs, which live up to %s", use.Keys, use.Longest))
}

const (
	skewFine = 2 * time.Second
	// skewMost is the leeway that verifiers of tokens allow.
	skewMost = 30 * time.Second
)

// compareClocks reads another clock, which tells the time in such steps, and says
// how far it surely is from ours.
func compareClocks(ctx context.Context, whose string, read func(context.Context) (time.Time, error), step time.Duration) finding {
	before := time.Now()
	theirs, err := read(ctx)
	after := time.Now()
	if err != nil {
		return away(err, "try again")
	}
	low, high := theirs.Sub(after), theirs.Add(step).Sub(before) // it is ahead by something between
	skew, where := time.Duration(0), ""
	switch {
	case low > 0:
		skew, where = low, "ahead of"
	case high < 0:
		skew, where = -high, "behind"
	}
	fix := "let both machines follow a time server (chrony, systemd-timesyncd)"
	seen := fmt.Sprintf("%s clock is %s %s ours", whose, skew.Round(100*time.Millisecond), where)
	switch {
	case skew > skewMost:
		return bad(seen, fix)
	case skew > skewFine:
		return unwise(seen, fix)
	}
	return good(fmt.Sprintf("%s clock is within %s of ours", whose, max(high, -low).Round(100*time.Millisecond)))
}
