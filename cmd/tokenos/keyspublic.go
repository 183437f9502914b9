package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
)

func (r *remote) keysPublicKeys() *cobra.Command {
	c := group("public-keys", "The public keys of a key that authenticates by private_key_jwt",
		"The public keys of a key that authenticates by private_key_jwt, at most ten. This is\nhow it changes its credential without a gap: add, switch the program over, remove.")
	c.AddCommand(r.publicKeysList(), r.publicKeysAdd(), r.publicKeysRemove())
	return c
}

// publicKeyPage is a list as the REST API writes it.
type publicKeyPage struct {
	Data       []apikey.PublicKey `json:"data"`
	NextCursor *string            `json:"next_cursor"`
}

func (r *remote) publicKeysList() *cobra.Command {
	return &cobra.Command{
		Use:   "list ID",
		Short: "List the public keys, the oldest first",
		Args:  oneID,
		RunE: func(c *cobra.Command, args []string) error {
			api, err := r.open()
			if err != nil {
				return err
			}
			got, err := api.PublicKeys(c.Context(), args[0])
			if err != nil {
				return err
			}
			page := publicKeyPage{Data: append([]apikey.PublicKey{}, got...)}
			return r.print(r.stdout, shown{page, publicKeyNames(got), publicKeyGrid(got)})
		},
	}
}

func publicKeyNames(keys []apikey.PublicKey) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.KID
	}
	return out
}

func publicKeyGrid(keys []apikey.PublicKey) grid {
	g := grid{heading: []string{"KID", "ALG", "CREATED", "EXPIRES"}}
	for _, k := range keys {
		end := or(moment(k.ExpiresAt), "with the key")
		if k.ReplacedAt != nil {
			end += ", replaced " + moment(k.ReplacedAt)
		}
		g.add(k.KID, k.Alg, moment(&k.CreatedAt), end)
	}
	return g
}

func (r *remote) publicKeysAdd() *cobra.Command {
	var g pairing
	var expires string
	c := &cobra.Command{
		Use:   "add ID",
		Short: "Register one more public key; it works beside the others",
		Example: "  tokenos keys public-keys add key_live_01k9x2mc4q8r7s5t3v1w0y9z8a --public-key new.pem\n" +
			"  tokenos keys public-keys add key_live_01k9x2mc4q8r7s5t3v1w0y9z8a --generate-key ES256 --private-key-out new.pem",
		Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			end, err := expiry("--expires", expires, time.Now())
			if err != nil {
				return err
			}
			return r.addPublicKey(c.Context(), args[0], &g, end.Value)
		},
	}
	g.flags(c, "register")
	c.Flags().StringVar(&expires, "expires", "", "end it after this long (90d) or at a moment (RFC 3339) (default with the key)")
	r.changes(c.Flags())
	return c
}

func (r *remote) addPublicKey(ctx context.Context, id string, g *pairing, end *time.Time) error {
	api, err := r.open()
	if err != nil {
		return err
	}
	keys, err := g.publicKeys(ctx, r.program)
	if err != nil {
		return err
	}
	if len(keys) != 1 {
		return usagef("--public-key is required, once; or --generate-key")
	}
	if err := g.keep(); err != nil {
		return err
	}
	stop := r.busy(still("waiting for the server"))
	defer stop()
	return g.after(r.once(func(key string) error {
		keys[0].ExpiresAt = end
		out, err := api.AddPublicKey(ctx, id, apikey.PublicKeyParams{PublicKeyInput: keys[0], IdempotencyKey: key})
		stop()
		if err != nil {
			return err
		}
		fmt.Fprint(r.stderr, plain(g.tell(id)))
		return r.print(r.stdout, shown{out, []string{out.KID}, publicKeyGrid([]apikey.PublicKey{out})})
	}))
}

func (r *remote) publicKeysRemove() *cobra.Command {
	c := &cobra.Command{
		Use:   "remove ID KID",
		Short: "End a public key at once; tokens bought with it end by themselves",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 || !apikey.ValidID(args[0]) || !apikey.ValidID(args[1]) {
				return usagef("%s takes the id of a key and the kid of its public key, as public-keys list shows it", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return r.removePublicKey(c.Context(), args[0], args[1]) },
	}
	r.asks(c.Flags())
	return c
}

func (r *remote) removePublicKey(ctx context.Context, id, kid string) error {
	api, err := r.open()
	if err != nil {
		return err
	}
	if !r.yes {
		if err := r.askable(r.yes); err != nil {
			return err
		}
		got, err := api.PublicKeys(ctx, id)
		if err != nil {
			return err
		}
		if err := publicKeyGrid(got).write(r.stderr, false); err != nil {
			return err
		}
		if err := r.confirm(ctx, r.yes, "End "+kid+" at once? Programs that still use it get no more tokens."); err != nil {
			return err
		}
	}
	stop := r.busy(still("waiting for the server"))
	defer stop()
	if err := api.RemovePublicKey(ctx, id, kid); err != nil {
		return unsure(err, "tokenos keys public-keys list "+id+" shows whether it is still there")
	}
	fmt.Fprintf(r.stderr, "removed %s from %s\n", kid, id)
	return nil
}
