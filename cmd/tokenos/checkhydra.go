package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/hydra"
)

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

// again is the fix of an answer that says nothing.
const again = "see that Hydra is ready and that nothing between answers for it, and try again"

// discover reads Hydra's discovery, three times if need be: a Hydra that has never
// been asked makes an RSA key first, which takes seconds on a busy machine.
func (p *patient) discover(ctx context.Context) (said hydra.Discovery, err error) {
	for range 3 {
		if said, err = p.hydra.Discover(ctx); err == nil {
			break
		}
	}
	return said, err
}

func checkIssuer(ctx context.Context, p *patient) finding {
	said, err := p.discover(ctx)
	switch {
	case err != nil:
		return away(err, again)
	case said.TokenEndpoint != p.hydra.TokenURL():
		return bad(fmt.Sprintf("Hydra calls its token endpoint %s and takes only assertions for that; here it is %s", said.TokenEndpoint, p.hydra.TokenURL()),
			"set hydra.public_url to the address that programs use, and urls.self.public (else urls.self.issuer) in Hydra's configuration to the same")
	case !encrypted(said.Issuer):
		return bad("the issuer is "+said.Issuer+", which is not https", "set urls.self.issuer in Hydra's configuration to an https URL")
	case strings.TrimSuffix(said.Issuer, "/") != p.config.Hydra.PublicURL:
		return unwise(fmt.Sprintf("the issuer is %s, hydra.public_url is %s", said.Issuer, p.config.Hydra.PublicURL), "set urls.self.issuer in Hydra's configuration to hydra.public_url, or tell every verifier that issuer")
	}
	return good("tokens are issued by " + said.Issuer + ", and programs buy them at " + said.TokenEndpoint)
}

// encrypted reports whether an address is https, or does not leave the machine.
func encrypted(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || err == nil && a.IsLoopback()
}

func checkAdminPrivate(ctx context.Context, p *patient) finding {
	public, err := p.hydra.AdminIsPublic(ctx)
	switch {
	case err != nil:
		return away(err, again)
	case public:
		return bad(p.config.Hydra.PublicURL+" answers for /admin/clients, too", "let nobody but `tokenos serve` reach Hydra's admin port; a proxy passes on the public port alone; delete and remake the signing keys of a Hydra that was open (`tokenos signing-keys rotate`)")
	}
	return good(p.config.Hydra.PublicURL + " does not answer for /admin")
}

func checkRegistration(ctx context.Context, p *patient) finding {
	const fix = "set oidc.dynamic_client_registration.enabled: false in Hydra's configuration"
	open, err := p.hydra.RegistrationIsOpen(ctx)
	if err != nil {
		return away(err, again)
	}
	if open {
		return bad("anybody may make a client at "+p.config.Hydra.PublicURL+"/oauth2/register", fix)
	}
	said, err := p.discover(ctx)
	if err != nil {
		return away(err, again)
	}
	if said.Registration != "" {
		return unwise("it is closed, but discovery names "+said.Registration, "remove webfinger.oidc_discovery.client_registration_url from Hydra's configuration")
	}
	return good("nobody can make a client without the admin API")
}

func checkScopes(ctx context.Context, p *patient) finding {
	exact, err := p.hydra.ScopesAreExact(ctx)
	switch {
	case err != nil:
		return away(err, again)
	case !exact:
		return bad(`Hydra heeds stars: a client with "a.*" is granted "a.b"`, "set strategies.scope: exact in Hydra's configuration")
	}
	return good("they are compared character by character")
}

// hashingFine is more than Hydra needs with the setting that the fix names, and less
// than for its default.
const hashingFine = 3 * time.Millisecond

func checkHashing(ctx context.Context, p *patient) finding {
	took, err := p.hydra.HashTime(ctx, hashingFine)
	switch {
	case err != nil:
		return away(err, again)
	case took >= hashingFine:
		return unwise(fmt.Sprintf("Hydra needs %s to check a secret", took.Round(100*time.Microsecond)),
			"if no client in Hydra has a secret that a person chose, set oauth2.hashers: {algorithm: pbkdf2, pbkdf2: {iterations: 1000}} in its configuration; it holds for secrets made from then on")
	}
	return good("Hydra needs less than " + hashingFine.String() + " to check a secret")
}

// checkTokenHook has Hydra ask its hook about the canary. This process has no part
// in the answer unless it is the server: it comes from whichever server Hydra
// reaches, which knows the canary only if it is of this installation. So a good
// one proves the whole way.
func checkTokenHook(ctx context.Context, p *patient) finding {
	if p.config.Hook.Listen == "" {
		return bad("hook.listen is empty, so no server of this installation answers Hydra", "set hook.listen and hook.secret here and oauth2.token_hook in Hydra's configuration (docs/hook.md), or --skip token_hook if that is so on purpose")
	}
	service, err := p.visiting()
	if err != nil {
		return bad(err.Error(), "look at the configuration")
	}
	try := service.VisitHook
	if p.runs {
		try = service.TryHook
	}
	answer, err := try(ctx)
	if errors.Is(err, apikey.ErrClientExists) {
		return bad("Hydra knows this installation's canary under another server secret than this one", "set secret to the one that the server runs with, or name it in previous_secrets; if that is lost, start `tokenos serve` with this one, which makes the canary anew")
	}
	return hookFinding(answer, err, p.config)
}

func hookFinding(answer apikey.HookAnswer, err error, c *config.Config) finding {
	const there = "in Hydra's configuration set oauth2.token_hook"
	switch answer {
	case apikey.HookRefuses:
		return good("Hydra asks, and a running server of this installation answers")
	case apikey.HookNotAsked:
		return bad("Hydra asks no hook, or one that does not know this installation: keys that end are refused only once Hydra has heard of it", there+": "+hookSetting(c))
	case apikey.HookFails:
		return bad("Hydra's token hook fails, so nobody gets a token", "start `tokenos serve`, and "+there+".url to where Hydra reaches it: "+hookSetting(c))
	case apikey.HookRefusesAll:
		return bad("the hook refuses what we let pass, so nobody gets a token: it is another installation's, or Hydra shows it a wrong secret", there+": "+hookSetting(c))
	case apikey.HookIssues:
		return bad("Hydra issued a token to a client that should be disabled", "delete the client \"tokenos canary\" in Hydra, which is made anew; "+there+": "+hookSetting(c))
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
