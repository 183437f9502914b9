package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/manifest"
)

func (r *remote) export() *cobra.Command {
	var l listing
	c := &cobra.Command{
		Use:   "export",
		Short: "Write keys as the YAML documents that tokenos apply reads",
		Long: "Write keys as the YAML documents that tokenos apply reads, all that the filters\n" +
			"leave, by owner, environment and name. There are no secrets in them. Keys that\n" +
			"were revoked or replaced, and management keys, are left out.",
		Example: "  tokenos export --owner acme >keys.yaml",
		RunE: func(c *cobra.Command, _ []string) error {
			return r.exportKeys(c.Context(), l)
		},
	}
	f := c.Flags()
	f.StringVarP(&l.Q, "query", "q", "", "words in the name, description, owner, labels, or an id")
	f.StringVar(&l.Owner, "owner", "", "whose")
	f.StringVar(&l.status, "status", "", "active, disabled or expired")
	f.StringVar(&l.environment, "environment", "", "live or test")
	f.StringVar(&l.method, "auth-method", "", "client_secret_basic, client_secret_post or private_key_jwt")
	f.StringVar(&l.Scope, "scope", "", "that have this scope")
	f.StringVar(&l.Label, "label", "", "that have this label, NAME:VALUE")
	return c
}

func (r *remote) exportKeys(ctx context.Context, l listing) error {
	if r.format != "table" && r.format != "yaml" {
		return usagef("tokenos export writes YAML; tokenos keys list --all -o json lists keys as JSON")
	}
	now := time.Now()
	p, err := l.params(now)
	if err != nil {
		return err
	}
	api, err := r.open()
	if err != nil {
		return err
	}
	stop := r.busy(still("reading the keys"))
	defer stop()
	keys, err := everyKey(ctx, api, p)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	n, err := manifest.Write(&out, keys, now)
	stop()
	switch {
	case err != nil:
		return err
	case n > manifest.MaxDocuments || out.Len() > manifest.MaxBytes:
		return withHint(fmt.Errorf("these are %d keys, more than tokenos apply takes at once", n), "export one owner after the other: --owner")
	case n == 0:
		fmt.Fprintln(r.stderr, "no key matches")
	}
	_, err = r.stdout.Write(out.Bytes())
	return err
}
