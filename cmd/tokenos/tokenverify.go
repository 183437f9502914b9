package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/keyauth"
)

// verification are the flags of tokenos token verify.
type verification struct {
	keyauth.Config
	scopes []string
}

func (r *remote) tokenVerify() *cobra.Command {
	var o verification
	c := &cobra.Command{
		Use:   "verify [FILE|-]",
		Short: "Check a JWT access token as an API does; exit code 1 if it is refused",
		Long: "Check a JWT access token as an API does that uses the package keyauth: signature by\n" +
			"the issuer's published keys, issuer, audience, times, scopes and, with --status-list,\n" +
			"whether its key has ended. Says which check failed. Plain HTTP is taken on loopback\n" +
			"only. Exit code 1 if the token is refused, 6 if the keys cannot be had now.\n\n" +
			"An opaque token can only be looked up: tokenos token introspect.\n\n" + tokenSources,
		Example: "  tokenos token verify token.jwt --issuer https://auth.example.com --audience https://api.example.com --scope orders:read",
		Args:    oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			return r.verify(c.Context(), o, args)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Issuer, "issuer", "", "who must have issued it (iss), exactly")
	f.StringSliceVar(&o.Audiences, "audience", nil, "name of the API that it must be meant for (aud), exactly; repeat for other names of it")
	f.StringSliceVar(&o.scopes, "scope", nil, "scope that it must have; repeat for more")
	f.StringVar(&o.JWKSURL, "jwks-url", "", "where the issuer's public keys are (default: ISSUER/.well-known/jwks.json)")
	f.StringSliceVar(&o.Algorithms, "alg", []string{"ES256", "RS256"}, "algorithms that may have signed it")
	f.StringVar(&o.StatusList.URL, "status-list", "", "what the addresses of TokenOS's status lists begin with, https://HOST/status/ (default: the status is not looked at)")
	_, _ = c.MarkFlagRequired("issuer"), c.MarkFlagRequired("audience")
	return c
}

// verified is how a token came out.
type verified struct {
	Result string `json:"result"`           // valid, refused or unavailable
	Reason string `json:"reason,omitempty"` // keyauth's word for the check that failed
	Detail string `json:"detail,omitempty"`
	Fix    string `json:"fix,omitempty"`

	KeyID        string     `json:"client_id,omitempty"`
	RootID       string     `json:"root_id,omitempty"`
	Owner        string     `json:"owner,omitempty"`
	Env          string     `json:"env,omitempty"`
	Scopes       []string   `json:"scopes,omitempty"`
	Audience     []string   `json:"aud,omitempty"`
	ExpiresAt    *time.Time `json:"expires_at,omitempty"`
	KeyExpiresAt *time.Time `json:"key_expires_at,omitempty"`
}

func (r *remote) verify(ctx context.Context, o verification, args []string) error {
	if err := r.check(); err != nil {
		return err
	}
	o.StatusList.Off = o.StatusList.URL == ""
	o.InsecureLoopback = true
	o.CallTimeout = min(r.timeout, 30*time.Second) // keyauth's longest
	v, err := keyauth.New(o.Config)
	if err != nil {
		return usageError{errors.New(verifyFlags.Replace(err.Error()))}
	}
	defer func() { _ = v.Close() }() // always nil
	token, err := r.accessToken(ctx, args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	stop := r.busy(still("fetching the issuer's keys"))
	who, err := v.Verify(ctx, token)
	stop()
	if err == nil && !who.Allows(o.scopes...) {
		err = &keyauth.Error{Kind: keyauth.ErrInsufficientScope, Reason: keyauth.MissingScope}
	}
	out, end := judged(who, err)
	if err := r.print(r.stdout, shown{out, []string{who.KeyID}, out.grid()}); err != nil {
		return err
	}
	return end
}

// verifyFlags turns the words of keyauth's configuration into those of flags.
var verifyFlags = strings.NewReplacer("keyauth: configuration: ", "", "Audiences", "--audience", "StatusList.URL", "--status-list", "JWKSURL", "--jwks-url", "Issuer", "--issuer",
	"Algorithms", "--alg", " with InsecureLoopback", "")

// judged is a verdict for people and programs, and how the program ends.
func judged(who keyauth.Identity, err error) (verified, error) {
	if err == nil {
		out := verified{Result: "valid", KeyID: who.KeyID, RootID: who.RootID, Owner: who.Owner, Env: who.Env, Scopes: who.Scopes, Audience: who.Audience, ExpiresAt: &who.ExpiresAt}
		if !who.KeyExpiresAt.IsZero() {
			out.KeyExpiresAt = &who.KeyExpiresAt
		}
		return out, nil
	}
	e, ok := errors.AsType[*keyauth.Error](err)
	if !ok {
		return verified{Result: "unavailable"}, err
	}
	why := reasons[e.Reason]
	out := verified{Result: "refused", Reason: string(e.Reason), Detail: why.detail, Fix: why.fix}
	if errors.Is(e, keyauth.ErrUnavailable) {
		out.Result = "unavailable"
		return out, withHint(fmt.Errorf("the token cannot be checked now: %w", &apikey.Error{Kind: apikey.ErrUnavailable, Detail: why.detail}), why.fix)
	}
	return out, withHint(fmt.Errorf("the token is refused: %s: %s", e.Reason, why.detail), why.fix)
}

func (v verified) grid() grid {
	var g grid
	g.field("result", v.Result)
	g.field("reason", v.Reason)
	g.field("client id", v.KeyID)
	g.field("root id", v.RootID)
	g.field("owner", v.Owner)
	g.field("environment", v.Env)
	g.field("scopes", strings.Join(v.Scopes, " "))
	g.field("audiences", strings.Join(v.Audience, " "))
	g.field("expires", moment(v.ExpiresAt))
	g.field("key expires", moment(v.KeyExpiresAt))
	return g
}

// reasons are keyauth's reasons in words, each with the next step.
var reasons = map[keyauth.Reason]struct{ detail, fix string }{
	keyauth.Malformed:    {"it is no access token in the form that OAuth knows", "give the token alone, as the token endpoint answered it"},
	keyauth.NotAccepted:  {"it is opaque, and an opaque token can only be looked up", "tokenos token introspect asks the server; token.format jwt makes a key's tokens JWTs"},
	keyauth.BadHeader:    {"its header lacks typ or kid, or has more than typ, alg and kid", "`tokenos token inspect` shows it; Hydra's tokens have just these"},
	keyauth.BadAlgorithm: {"the algorithm that signed it is not allowed", "name it by --alg, if it is the issuer's"},
	keyauth.UnknownKey:   {"the issuer publishes no such key: it is another issuer's, or its key was retired", "`tokenos token inspect` shows its kid; compare it with the issuer's /.well-known/jwks.json"},
	keyauth.BadSignature: {"the signature does not verify: the token was changed, or another made it", "buy a new token"},
	keyauth.BadClaims:    {"a claim is missing or of the wrong type", "`tokenos token inspect` shows them; Hydra's JWTs have iss, sub, client_id, aud, exp, iat, jti and scp"},
	keyauth.BadIssuer:    {"another issuer made it", "`tokenos token inspect` shows iss; compare it with --issuer, letter by letter, also the slash at the end"},
	keyauth.BadAudience:  {"it is meant for another API", "ask for this audience when you buy the token; `tokenos token inspect` shows aud"},
	keyauth.NotAKey:      {"it is not a key's own token: sub is not client_id", "buy one by the client credentials grant"},
	keyauth.Bound:        {"it is bound to its client's key or certificate (cnf), which is not checked here", "check it where the request comes in"},
	keyauth.Expired:      {"it has expired", "buy a new one"},
	keyauth.NotYetValid:  {"it comes from the future", "set the clock of this machine, or of the issuer, by NTP"},
	keyauth.KeyExpired:   {"its key has expired", "use the key's successor, or prolong it: tokenos keys update ID --expires 90d"},
	keyauth.Inactive:     {"it was ended, or its key was", "buy a new one"},
	keyauth.KeyRevoked:   {"its key is revoked", "make another key"},
	keyauth.KeyDisabled:  {"its key is disabled", "tokenos keys enable ID, if that was not on purpose"},
	keyauth.BadStatus:    {"it names a status list of another installation, or one that says something unknown", "`tokenos token inspect` shows status; compare it with --status-list"},
	keyauth.MissingScope: {"it lacks a scope that --scope asks for", "ask for the scope when you buy the token; `tokenos token inspect` shows scp"},

	keyauth.NoJWKS:          {"the issuer's public keys cannot be had", "is the issuer running, and reachable from here at --issuer or --jwks-url?"},
	keyauth.NoStatusList:    {"the status list cannot be had", "is TokenOS running, and reachable from here at --status-list?"},
	keyauth.NoIntrospection: {"the server that looks tokens up gave no answer", "try again in a moment"},
	keyauth.NotReady:        {"Hydra is not ready", "try again in a moment"},
	keyauth.Busy:            {"too much is asked at once", "try again in a moment"},
	keyauth.Canceled:        {"it took too long", "try again, or with a longer --timeout"},
}
