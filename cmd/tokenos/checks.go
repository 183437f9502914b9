package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/ledger"
)

// checks are the doctor's, in the order in which they are made. A test keeps what
// each needs before it.
var checks = []check{
	{"configuration", "all the rest follows from it, and `tokenos serve` does not start with a wrong one", nil, checkConfiguration},
	{"ledger", "it holds the definition of every key; without it nothing can be changed", []string{"configuration"}, checkLedger},
	{"server_secret", "with another one `tokenos serve` does not start, the audit is not proven, and repeated requests get no answer", []string{"ledger"}, checkServerSecret},
	{"ledger_clock", "changes are taken over, and keys end, by two clocks that should be one", []string{"ledger"}, checkLedgerClock},
	{"hydra_admin", "no key can be made or changed without it", []string{"configuration"}, checkHydraAdmin},
	{"hydra_version", "it decides what can be done with a key", []string{"hydra_admin"}, checkHydraVersion},
	{"hydra_clock", "tokens and assertions are good from one clock's moment to another's", []string{"hydra_admin"}, checkHydraClock},
	{"hydra_token_endpoint", "keys buy their tokens there, and `tokenos serve` checks their credentials there", []string{"configuration"}, checkTokenEndpoint},
	{"token_hook", "only by its hook does Hydra refuse a key from the second on in which it ends, and only by it do tokens say whose they are", []string{"server_secret", "hydra_token_endpoint"}, checkTokenHook},
}

func checkNames() []string {
	var names []string
	for _, c := range checks {
		names = append(names, c.name)
	}
	return names
}

// patient is the installation under examination: what one check opened the next
// ones use.
type patient struct {
	read   func() (*config.Config, error)
	config *config.Config
	ledger *ledger.DB
	hydra  *hydra.Hydra
}

func (p *patient) close() {
	if p.hydra != nil {
		p.hydra.Close()
	}
	if p.ledger != nil {
		_ = p.ledger.Close() // nothing was written
	}
}

func checkConfiguration(_ context.Context, p *patient) finding {
	invalid := func(err error) finding {
		f := bad(err.Error(), "`tokenos config validate` lists all that is wrong, `tokenos config print --sources` where each value comes from")
		f.code = exitUsage
		return f
	}
	var err error
	if p.config, err = p.read(); err != nil {
		return invalid(err)
	}
	if p.hydra, err = newHydra(p.config, slog.New(slog.DiscardHandler), nil); err != nil {
		return invalid(err)
	}
	if w := p.config.Warnings; len(w) > 0 {
		return unwise("valid, but: "+strings.Join(w, "\n"), "change what the warning names")
	}
	return good("valid")
}

func checkLedger(ctx context.Context, p *patient) finding {
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

func checkHydraAdmin(ctx context.Context, p *patient) finding {
	if err := p.hydra.Ready(ctx); err != nil {
		return away(err, "start Hydra and its database, or set hydra.admin_url to its admin API ("+p.config.Hydra.AdminURL+" now)")
	}
	return good(p.config.Hydra.AdminURL + " is ready")
}

func checkHydraVersion(ctx context.Context, p *patient) finding {
	found, err := p.hydra.Capabilities(ctx)
	if err != nil {
		return away(err, "set hydra.admin_url to Hydra's admin API itself, without a path or a proxy that answers for it")
	}
	rotation := "a rotated secret ends at once, so rotation makes a successor"
	if found.NativeRotation {
		rotation = "it can keep a rotated secret valid"
	}
	return good(found.Version + "; " + rotation)
}

func checkHydraClock(ctx context.Context, p *patient) finding {
	return compareClocks(ctx, "Hydra's", p.hydra.Clock, time.Second)
}

func checkTokenEndpoint(ctx context.Context, p *patient) finding {
	at := p.hydra.TokenURL()
	if err := p.hydra.CheckTokenEndpoint(ctx); err != nil {
		return away(err, "let this machine reach "+at+" with a certificate that it trusts (hydra.ca_file), or set hydra.public_url to Hydra's public API")
	}
	return good(at + " answers in Hydra's words")
}

// checkTokenHook has Hydra ask its hook about the canary. This process has no part
// in the answer: it comes from whichever server Hydra reaches, which knows the
// canary only if it is of this installation. So a good one proves the whole way.
func checkTokenHook(ctx context.Context, p *patient) finding {
	if p.config.Hook.Listen == "" {
		return bad("hook.listen is empty, so no server of this installation answers Hydra", "set hook.listen and hook.secret here and oauth2.token_hook in Hydra's configuration (docs/hook.md), or --skip token_hook if that is so on purpose")
	}
	service, err := apikey.New(apikey.Config{Ledger: p.ledger, Clients: p.hydra, ServerSecrets: secrets(p.config), Hook: true, Issuer: p.hydra})
	if err != nil {
		return bad(err.Error(), "look at the configuration")
	}
	answer, err := service.TryHook(ctx)
	const there = "in Hydra's configuration set oauth2.token_hook"
	switch answer {
	case apikey.HookRefuses:
		return good("Hydra asks, and a running server of this installation answers")
	case apikey.HookNotAsked:
		return bad("Hydra asks no hook, or one that does not know this installation: keys that end are refused only once Hydra has heard of it", there+": "+hookSetting(p.config))
	case apikey.HookFails:
		return bad("Hydra's token hook fails, so nobody gets a token", "start `tokenos serve`, and "+there+".url to where Hydra reaches it: "+hookSetting(p.config))
	case apikey.HookRefusesAll:
		return bad("the hook refuses what we let pass, so nobody gets a token: it is another installation's, or Hydra shows it a wrong secret", there+": "+hookSetting(p.config))
	case apikey.HookIssues:
		return bad("Hydra issued a token to a client that should be disabled", "delete the client \"tokenos canary\" in Hydra, which is made anew; "+there+": "+hookSetting(p.config))
	}
	return away(err, "see that Hydra is ready, and try again")
}

// hookSetting is what Hydra must be told, without the secret.
func hookSetting(c *config.Config) string {
	scheme := "http"
	if c.Hook.TLS.Enabled() {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(c.Hook.Listen)
	if a, bad := netip.ParseAddr(host); err != nil || host == "" || bad == nil && a.IsUnspecified() {
		host = "THIS_MACHINE"
	}
	return fmt.Sprintf("{url: \"%s://%s%s\", auth: {type: api_key, config: {in: header, name: %s, value: HOOK_SECRET}}} with the value of hook.secret (docs/hook.md)",
		scheme, net.JoinHostPort(host, port), handlers.HookPath, handlers.HookHeader)
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
