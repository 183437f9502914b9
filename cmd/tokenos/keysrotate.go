package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
)

// turnover are the flags of tokenos keys rotate.
type turnover struct {
	apikey.RotateParams
	grace, method string
	now, complete bool
	pairing
	secretOutput
}

func (r *remote) keysRotate() *cobra.Command {
	var o turnover
	c := &cobra.Command{
		Use:   "rotate ID",
		Short: "Give a key a new credential; the new secret is shown once",
		Long: "Give a key a new credential. With a grace period, a day unless --grace-period says\n" +
			"otherwise, the old one works on for so long: a key with a secret then gets a\n" +
			"successor, with an id of its own, which programs must be given with the secret.\n" +
			"--complete ends the old credential earlier. --now keeps the id and ends the old\n" +
			"credential and all tokens at once, which stops programs until they have the new\n" +
			"one; it asks first, as --complete and --force do.\n\n" +
			"The secret goes where that of tokenos keys create goes. With --quiet the id of a\n" +
			"successor is not told; tokenos keys get ID shows it.",
		Example: "  tokenos keys rotate key_live_01k9x2mc4q8r7s5t3v1w0y9z8a --grace-period 7d --env-file new.env\n" +
			"  tokenos keys rotate key_live_01k9x2mc4q8r7s5t3v1w0y9z8a --complete",
		Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			if o.complete {
				return r.act(c.Context(), o.completion(args[0]))
			}
			if err := o.params(); err != nil {
				return err
			}
			return r.rotateKey(c.Context(), args[0], &o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.grace, "grace-period", "", "how long the old credential works on: 0s to 30d (default 24h)")
	f.BoolVar(&o.now, "now", false, "end the old credential at once and keep the id, as --grace-period 0s does")
	f.BoolVar(&o.Force, "force", false, "if an older rotation is not over, end its old credential first")
	f.StringVar(&o.method, "auth-method", "", "of the new credential: client_secret_basic, client_secret_post or private_key_jwt (default as it is)")
	f.BoolVar(&o.complete, "complete", false, "no new credential: end the one before the last rotation now")
	dry(f, &o.DryRun)
	o.pairing.flags(c, "change to")
	o.secretOutput.register(c)
	r.asks(f)
	r.changes(f)
	c.MarkFlagsMutuallyExclusive("grace-period", "now", "complete")
	for _, other := range []string{"force", "auth-method", "public-key", "generate-key", "quiet", "env-file"} {
		c.MarkFlagsMutuallyExclusive("complete", other)
	}
	return c
}

// completion ends the credential before the last rotation.
func (o *turnover) completion(id string) action {
	return action{question: "End the old credential now? Nothing undoes it.", dryRun: o.DryRun,
		do: func(ctx context.Context, api apikey.API, dryRun bool, key string) (apikey.Result, error) {
			return api.CompleteRotation(ctx, id, apikey.ActionParams{DryRun: dryRun, IdempotencyKey: key})
		}}
}

func (o *turnover) params() error {
	var err error
	if o.AuthMethod, err = o.pairing.method(o.method); err != nil {
		return err
	}
	switch {
	case o.now:
		o.GracePeriod = new(apikey.Duration)
	case o.grace != "":
		d, err := apikey.ParseDuration(o.grace)
		if err != nil {
			return usagef("--grace-period must be a duration from 0s to 30d")
		}
		o.GracePeriod = &d
	}
	return nil
}

// endsAtOnce reports whether the rotation ends a credential on the spot.
func (o *turnover) endsAtOnce() bool {
	return o.Force || o.GracePeriod != nil && *o.GracePeriod == 0
}

// rotated is a rotation as the REST API writes it.
type rotated struct {
	apikey.Rotation
	ClientSecret string `json:"client_secret,omitzero"`
}

func (r *remote) rotateKey(ctx context.Context, id string, o *turnover) error {
	api, err := r.open()
	if err != nil {
		return err
	}
	if o.PublicKeys, err = o.pairing.publicKeys(ctx, r.program); err != nil {
		return err
	}
	if o.DryRun {
		return r.previewRotation(ctx, api, id, o.RotateParams)
	}
	place, err := r.place(o.secretOutput, o.AuthMethod != apikey.PrivateKeyJWT)
	if err != nil {
		return err
	}
	defer place.abandon()
	if o.endsAtOnce() && !r.yes {
		if err := r.askToRotate(ctx, api, id, o.RotateParams); err != nil {
			return err
		}
	}
	if err := o.pairing.keep(); err != nil {
		return err
	}
	stop := r.busy(still("rotating the key"))
	defer stop()
	return o.pairing.after(r.once(func(key string) error {
		p := o.RotateParams
		p.IdempotencyKey = key
		out, err := api.Rotate(ctx, id, p)
		stop()
		if err != nil {
			return err
		}
		return r.showNew(place, newCredential{key: out.Key, secret: out.Secret, tokenURL: tokenURL(ctx, api), done: "rotated " + id + ": from now on it is " + out.Key.ID,
			pairing: &o.pairing, fields: rotationFields(out), words: rotationWords(id, out),
			answer: func(secret string) any { return rotated{out, secret} }})
	}))
}

// previewRotation shows what a rotation would do.
func (r *remote) previewRotation(ctx context.Context, api apikey.API, id string, p apikey.RotateParams) error {
	would, err := api.Rotate(ctx, id, p)
	if err != nil {
		return err
	}
	if err := r.print(r.stdout, shown{would, []string{id}, rotationFields(would)}); err != nil {
		return err
	}
	r.tellDryRun(true)
	return nil
}

// askToRotate asks before a credential is ended at once.
func (r *remote) askToRotate(ctx context.Context, api apikey.API, id string, p apikey.RotateParams) error {
	if err := r.askable(r.yes); err != nil {
		return err
	}
	p.DryRun = true
	would, err := api.Rotate(ctx, id, p)
	if err != nil {
		return err
	}
	if err := rotationFields(would).write(r.stderr, true); err != nil {
		return err
	}
	question := "End the credential before the older rotation at once, and rotate?"
	if would.Mode == apikey.RotationInPlace {
		question = "Rotate at once? Programs with the old credential stop until they have the new one."
	}
	return r.confirm(ctx, r.yes, question)
}

// rotationFields show a rotation, or what one would do, without its secret.
func rotationFields(out apikey.Rotation) grid {
	var g grid
	g.field("id", out.Key.ID)
	g.field("name", out.Key.Name)
	g.field("owner", out.Key.Owner)
	g.field("status", standingOf(out.Key))
	g.field("auth method", string(out.Key.AuthMethod))
	g.field("last used", or(moment(out.Key.LastUsedAt), "never"))
	g.field("rotation", modes[out.Mode])
	g.field("old credential", oldEnds(out.PreviousEndsAt))
	g.field("verified", proofWords(out))
	impactFields(&g, out.Impact)
	return g
}

// modes are the ways of a rotation in words.
var modes = map[apikey.RotationMode]string{
	apikey.RotationInPlace:   "in place: the same id, the old credential ends at once",
	apikey.RotationOverlap:   "overlap: the same id, old and new public keys work side by side",
	apikey.RotationSuccessor: "successor: another key with an id of its own, both work side by side",
}

func oldEnds(at *time.Time) string {
	if at == nil {
		return "there is none"
	}
	return "ends " + instant(at)
}

// proofWords tell whether Hydra was seen to take the new credential.
func proofWords(out apikey.Rotation) string {
	switch {
	case out.DryRun:
		return ""
	case out.VerifiedAt != nil:
		return instant(out.VerifiedAt) + ", when Hydra took the new credential"
	}
	return "no: " + or(out.Unverified, "it is not known whether Hydra takes the new credential")
}

// rotationWords tell a person what the rotation means for programs.
func rotationWords(id string, out apikey.Rotation) string {
	text := "Verified: " + proofWords(out) + ".\n"
	if out.Mode == apikey.RotationSuccessor {
		text += fmt.Sprintf("It is another key: programs need its id as well. The old one, %s, %s.\nWhen none uses it any more: tokenos keys rotate %s --complete\n", id, oldEnds(out.PreviousEndsAt), out.Key.ID)
	}
	return text
}
