package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
)

// signingAlgs are the algorithms for new keys, the default first. Hydra and every
// verifier that docs/keyauth.md speaks of have them.
var signingAlgs = []string{"ES256", "ES384", "ES512", "RS256"}

func (p program) signingKeys() *cobra.Command {
	c := &cobra.Command{Use: "signing-keys", Short: "List, rotate or retire the keys with which Hydra signs JWTs",
		Long: "List, rotate or retire the keys with which Hydra signs JWT access tokens.\n\n" +
			"The newest signs, and all are published in Hydra's JWKS, so that tokens go on\n" +
			"being verified which an older one has signed. Hydra does not tell when it made a\n" +
			"key; those that are made here carry the time in their kid.",
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(p.signingList(), p.signingRotate(), p.signingRetire())
	return c
}

// longestToken is a flag of these commands.
func longestToken(c *cobra.Command) *string {
	return c.Flags().String("longest-token", apikey.DefaultLimits().TokenLifetimeMax.String(), "how long a JWT of Hydra's lives at most; clients that are no keys may have longer ones")
}

// signing reads the configuration and lists the keys.
func (p program) signing(c *cobra.Command, do func(context.Context, *hydra.Hydra, []apikey.SigningKey) error) error {
	cfg, err := p.load(c)
	if err != nil {
		return err
	}
	h, err := newHydra(cfg, p.logger("error", cfg.Log.Format), nil)
	if err != nil {
		return err
	}
	defer h.Close()
	// Each call has its own time (hydra.timeout), a person as much as it takes.
	keys, err := h.SigningKeys(c.Context())
	if err != nil {
		return withHint(err, "is Hydra running, and hydra.admin_url its admin API?")
	}
	return do(c.Context(), h, keys)
}

func (p program) signingList() *cobra.Command {
	var out printing
	c := &cobra.Command{Use: "list", Short: "List the keys, newest first, and since when each may be retired"}
	longest := longestToken(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := out.check(); err != nil {
			return err
		}
		life, err := tokenLife(*longest)
		if err != nil {
			return err
		}
		return p.signing(c, func(_ context.Context, _ *hydra.Hydra, keys []apikey.SigningKey) error {
			if len(keys) == 0 {
				fmt.Fprintln(p.stderr, "Hydra has none yet; it would make an RSA key of 4096 bits for its first JWT")
			}
			return out.print(p.stdout, signingShown(keys, life))
		})
	}
	out.flags(c.Flags(), p.variable("TOKENOS_OUTPUT"))
	configured(c)
	return c
}

func (p program) signingRotate() *cobra.Command {
	var alg string
	var yes bool
	c := &cobra.Command{Use: "rotate", Short: "Make a new key, which signs from then on; the others stay published",
		Long: "Make a new key, which signs from then on; the others stay published.\n\n" +
			"Whoever verifies JWTs by Hydra's JWKS fetches the new key when it first meets its\n" +
			"kid. Hydra's own introspection calls JWTs inactive from then on that an older key\n" +
			"has signed: who introspects JWTs must buy new tokens.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := oneOf("alg", alg, signingAlgs...); err != nil {
				return err
			}
			return p.signing(c, func(ctx context.Context, h *hydra.Hydra, keys []apikey.SigningKey) error {
				return p.rotateSigning(ctx, h, keys, alg, yes)
			})
		}}
	c.Flags().StringVar(&alg, "alg", signingAlgs[0], strings.Join(signingAlgs, ", "))
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	configured(c)
	return c
}

func (p program) rotateSigning(ctx context.Context, h *hydra.Hydra, keys []apikey.SigningKey, alg string, yes bool) error {
	kid := hydra.NewSigningKeyID(time.Now(), strings.ToLower(rand.Text()[:8]))
	fmt.Fprintf(p.stderr, "a new %s key will sign every JWT from now on; %d older ones stay published\n", alg, len(keys))
	if len(keys) > 0 {
		fmt.Fprintln(p.stderr, "JWTs signed so far verify until they end, but Hydra's introspection calls them inactive")
	}
	if err := p.confirm(ctx, yes, "Make it?"); err != nil {
		return err
	}
	if err := h.CreateSigningKey(ctx, kid, alg); err != nil {
		if errors.Is(err, apikey.ErrOutcomeUnknown) {
			return withHint(err, "look at `tokenos signing-keys list`: "+kid+" may be there")
		}
		return err
	}
	_, err := fmt.Fprintln(p.stdout, kid)
	return err
}

func (p program) signingRetire() *cobra.Command {
	var force, yes bool
	c := &cobra.Command{Use: "retire KID", Args: oneKID, Short: "Take an older key out of Hydra and its JWKS",
		Long: "Take an older key out of Hydra and its JWKS. Tokens that it signed no longer verify.\n\n" +
			"It is refused for the key that signs, and until the last token of an older one has\n" +
			"ended; where that is not known, or the key is in wrong hands, there is --force."}
	longest := longestToken(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		kid := args[0]
		life, err := tokenLife(*longest)
		if err != nil {
			return err
		}
		return p.signing(c, func(ctx context.Context, h *hydra.Hydra, keys []apikey.SigningKey) error {
			if err := mayRetire(keys, kid, life, time.Now(), force); err != nil {
				return err
			}
			fmt.Fprintln(p.stderr, "JWTs that this key signed will not verify any more")
			if err := p.confirm(ctx, yes, "Take it out?"); err != nil {
				return err
			}
			// A person takes a while, in which another may have retired keys.
			keys, err := h.SigningKeys(ctx)
			if err != nil {
				return err
			}
			if err := mayRetire(keys, kid, life, time.Now(), force); err != nil {
				return err
			}
			return h.DeleteSigningKey(ctx, kid)
		})
	}
	c.Flags().BoolVar(&force, "force", false, "also while tokens that it signed may be in use")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	configured(c)
	return c
}

// oneKID takes the kid of a key as the only argument.
func oneKID(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef("%s takes the kid of one key, which `tokenos signing-keys list` shows", c.CommandPath())
	}
	return nil
}

// tokenLife reads the flag.
func tokenLife(text string) (time.Duration, error) {
	d, err := apikey.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, usagef("--longest-token must be a duration such as 24h or 30d")
	}
	return time.Duration(d), nil
}

// mayRetire refuses what would leave Hydra without a key, and without force what
// would break tokens.
func mayRetire(keys []apikey.SigningKey, kid string, life time.Duration, now time.Time, force bool) error {
	for _, k := range keys {
		at := k.Retirable(life)
		switch {
		case k.KID != kid:
		case k.Signs:
			return withHint(errors.New("this key signs new tokens"), "make another first: `tokenos signing-keys rotate`")
		case force:
			return nil
		case at == nil:
			return withHint(errors.New("it is not known when this key was replaced, because the one after it was not made by this program"), "if that was longer ago than its longest token lives, add --force")
		case now.Before(*at):
			return withHint(fmt.Errorf("tokens that this key signed may be good until %s", at.Format(time.RFC3339)), "wait until then; if the key is in wrong hands, add --force")
		default:
			return nil
		}
	}
	return withHint(errors.New("hydra has no such key"), "`tokenos signing-keys list` shows them")
}

func signingShown(keys []apikey.SigningKey, life time.Duration) shown {
	list := []apikey.SigningKey{}
	s := shown{table: grid{heading: []string{"KID", "ALG", "BITS", "CREATED", "REPLACED", "MAY BE RETIRED"}}}
	for _, k := range keys {
		k.RetirableAt = k.Retirable(life)
		list = append(list, k)
		s.names = append(s.names, k.KID)
		replaced, retire := or(moment(k.ReplacedAt), "unknown"), or(moment(k.RetirableAt), "unknown")
		if k.Signs {
			replaced, retire = "signs new tokens", "no"
		}
		s.table.add(k.KID, k.Alg, strconv.Itoa(k.Bits), or(moment(k.CreatedAt), "unknown"), replaced, retire)
	}
	s.value = map[string]any{"signing_keys": list}
	return s
}

// checkSigningKeys never reads Hydra's JWKS: to read it makes a key.
func checkSigningKeys(ctx context.Context, p *patient) finding {
	keys, err := p.hydra.SigningKeys(ctx)
	if err != nil {
		return away(err, again)
	}
	f := finding{Check: apikey.ExamineSigningKeys(keys, time.Now())}
	if f.Result == failed {
		f.code = exitFailed
	}
	if len(keys) == 0 {
		f.repair = &repair{what: "make an ES256 key in " + p.config.Hydra.AdminURL + " (hydra.jwt.access-token), which signs JWTs", do: p.makeSigningKey}
	}
	return f
}

// makeSigningKey makes the first key, on a connection of its own. If somebody was
// faster, nothing is to be done.
func (p *patient) makeSigningKey(ctx context.Context) error {
	h, err := newHydra(p.config, nil, nil)
	if err != nil {
		return err
	}
	defer h.Close()
	keys, err := h.SigningKeys(ctx)
	if err != nil || len(keys) > 0 {
		return err
	}
	return h.CreateSigningKey(ctx, hydra.NewSigningKeyID(time.Now(), strings.ToLower(rand.Text()[:8])), signingAlgs[0])
}
