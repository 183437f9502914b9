package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
)

// group is a command that only holds others.
func group(name, short, long string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Long: long, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
}

func (p program) keys() *cobra.Command {
	c := group("keys", "Make, look at, change and end API keys", "Make, look at, change and end API keys, at a running server.\n\n"+remoteHelp)
	r := p.remote(c)
	c.AddCommand(r.keysList(), r.keysGet(), r.keysCreate(), r.keysUpdate(), r.keysRotate(), r.keysEnable(), r.keysDisable(),
		r.keysRevokeTokens(), r.keysRevoke(), r.keysDelete(), r.keysPublicKeys(), r.keysUsage(), r.keysEvents(), r.keysSnippet())
	c.AddCommand(hidden(r.apply()), hidden(r.export())) // at home at the top
	return c
}

// oneID takes the id of a key as the only argument. What else stands there is not
// repeated: it may be a secret.
func oneID(c *cobra.Command, args []string) error {
	if len(args) != 1 || !apikey.ValidID(args[0]) {
		return usagef("%s takes the id of one key, like key_live_01k9x2mc4q8r7s5t3v1w0y9z8a", c.CommandPath())
	}
	return nil
}

// keyNames are the ids of keys.
func keyNames(keys []apikey.Key) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.ID
	}
	return out
}

// keyGrid lists keys for people.
func keyGrid(keys []apikey.Key) grid {
	g := grid{heading: []string{"ID", "NAME", "OWNER", "STATUS", "METHOD", "SCOPES", "LAST USED", "EXPIRES"}}
	for _, k := range keys {
		g.add(k.ID, k.Name, k.Owner, standingOf(k), string(k.AuthMethod), few(k.Scopes), or(moment(k.LastUsedAt), "never"), or(moment(k.ExpiresAt), "never"))
	}
	return g
}

// standingOf is a key's status with its flags.
func standingOf(k apikey.Key) string {
	out := string(k.Status)
	for _, f := range k.Flags {
		out += "," + string(f)
	}
	return out
}

// few shows the first two of a list.
func few(all []string) string {
	if len(all) > 2 {
		return fmt.Sprintf("%s +%d", strings.Join(all[:2], " "), len(all)-2)
	}
	return strings.Join(all, " ")
}

// keyFields shows one key for people.
func keyFields(k apikey.Key) grid {
	var g grid
	g.field("id", k.ID)
	g.field("name", k.Name)
	g.field("description", k.Description)
	g.field("owner", k.Owner)
	if k.Kind == apikey.KindManagement {
		g.field("kind", string(k.Kind))
		g.field("owners", or(strings.Join(k.Owners, " "), "all"))
	}
	g.field("status", standingOf(k))
	g.field("auth method", string(k.AuthMethod))
	g.field("scopes", strings.Join(k.Scopes, " "))
	g.field("audiences", strings.Join(k.Audiences, " "))
	g.field("tokens", fmt.Sprintf("%s, %s", k.Token.Format, k.Token.Lifetime))
	for _, name := range slices.Sorted(maps.Keys(k.Labels)) {
		g.field("label", name+"="+k.Labels[name])
	}
	if k.Secret != nil {
		g.field("secret", fmt.Sprintf("%s, made %s", k.Secret.Hint, moment(&k.Secret.CreatedAt)))
	}
	for _, pk := range k.PublicKeys {
		g.field("public key", fmt.Sprintf("%s %s, until %s", pk.KID, pk.Alg, or(moment(pk.ExpiresAt), "the key ends")))
	}
	g.field("expires", or(moment(k.ExpiresAt), "never"))
	g.field("last used", or(moment(k.LastUsedAt), "never"))
	keyMoments(&g, k)
	g.field("created", moment(&k.CreatedAt)+" by "+k.CreatedBy)
	g.field("revision", fmt.Sprint(k.Revision))
	return g
}

// keyMoments are what only some keys have.
func keyMoments(g *grid, k apikey.Key) {
	g.field("disabled", moment(k.DisabledAt))
	g.field("enabled again", moment(k.DisabledUntil))
	g.field("ends", moment(k.EndsAt))
	g.field("replaces", value(k.Replaces))
	g.field("replaced by", value(k.ReplacedBy))
	g.field("previous ends", moment(k.PreviousEndsAt))
	if k.RevokedAt != nil {
		g.field("revoked", strings.TrimRight(fmt.Sprintf("%s, %s %s", moment(k.RevokedAt), k.RevocationReason, k.RevocationDescription), " "))
	}
	if k.RootID != k.ID {
		g.field("root id", k.RootID)
	}
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (r *remote) keysGet() *cobra.Command {
	return &cobra.Command{
		Use:   "get ID",
		Short: "Show a key",
		Args:  oneID,
		RunE: func(c *cobra.Command, args []string) error {
			api, err := r.open()
			if err != nil {
				return err
			}
			k, err := api.Get(c.Context(), args[0])
			if err != nil {
				return err
			}
			return r.print(r.stdout, shown{k, []string{k.ID}, keyFields(k)})
		},
	}
}

// listing are the flags of tokenos keys list.
type listing struct {
	apikey.ListParams
	status, environment, method, kind string
	expiresWithin, unusedFor          string
	all                               bool
}

// maxListed bounds what --all shows.
const maxListed = 100_000

func (r *remote) keysList() *cobra.Command {
	var l listing
	c := &cobra.Command{
		Use:   "list",
		Short: "List keys, the newest first",
		Long:  "List keys, the newest first. Filters narrow the list together.",
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := l.params(time.Now())
			if err != nil {
				return err
			}
			return r.listKeys(c.Context(), p, l.all)
		},
	}
	f := c.Flags()
	f.StringVarP(&l.Q, "query", "q", "", "words in the name, description, owner, labels, or an id")
	f.StringVar(&l.Owner, "owner", "", "whose")
	f.StringVar(&l.status, "status", "", "active, disabled, expired or revoked")
	f.StringVar(&l.environment, "environment", "", "live or test")
	f.StringVar(&l.method, "auth-method", "", "client_secret_basic, client_secret_post or private_key_jwt")
	f.StringVar(&l.kind, "kind", "", "api or management (default api)")
	f.StringVar(&l.Scope, "scope", "", "that have this scope")
	f.StringVar(&l.Label, "label", "", "that have this label, NAME:VALUE")
	f.StringVar(&l.RootID, "root-id", "", "of one rotation chain")
	f.StringVar(&l.expiresWithin, "expires-within", "", "that expire within this long, for example 30d")
	f.StringVar(&l.unusedFor, "unused-for", "", "not used for this long, for example 90d")
	f.IntVar(&l.UnusedScopes, "unused-scopes", 0, "that have a scope not asked for in so many days")
	f.StringVar(&l.Sort, "sort", "", "created_at, name, expires_at ...; with - before it backwards")
	f.IntVar(&l.Limit, "limit", 50, "how many at most, 1 to 200")
	f.StringVar(&l.Cursor, "cursor", "", "go on where a list ended")
	f.BoolVar(&l.all, "all", false, "all pages")
	c.MarkFlagsMutuallyExclusive("all", "cursor")
	return c
}
