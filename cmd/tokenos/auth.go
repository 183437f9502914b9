package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client"
)

func (p program) auth() *cobra.Command {
	c := group("auth", "Sign in to a server, and out", "Sign in to a server with a management key, and out.\n\n"+remoteHelp)
	r := p.remote(c)
	c.AddCommand(r.authLogin(), r.authStatus(), r.authLogout(), r.authToken())
	return c
}

func (r *remote) authLogin() *cobra.Command {
	var id, method string
	c := &cobra.Command{
		Use:   "login",
		Short: "Keep a management key in a profile, for the commands that call a server",
		Long: "Keep a management key in a profile, in a file that only you can read. The secret\n" +
			"comes from stdin: alone with --client-id, or as the JSON that tokenos bootstrap\n" +
			"and tokenos keys create write. At a terminal it is asked for and not shown.\n" +
			"It is tried at the server before it is kept.",
		Example: "  tokenos bootstrap -o json | tokenos auth login --server https://keys.example.com",
		RunE: func(c *cobra.Command, _ []string) error {
			return r.login(c.Context(), id, method)
		},
	}
	c.Flags().StringVar(&id, "client-id", "", "id of the management key")
	c.Flags().StringVar(&method, "auth-method", string(apikey.ClientSecretBasic), "client_secret_basic or client_secret_post, as the key has it")
	return c
}

func (r *remote) login(ctx context.Context, id, method string) error {
	name := cmp.Or(r.profileName, r.variable("TOKENOS_PROFILE"), defaultProfile)
	if err := checkProfileName(name); err != nil {
		return err
	}
	all, err := r.profiles()
	if err != nil {
		return err
	}
	server := cmp.Or(r.server, r.setting("TOKENOS_SERVER"), all.Profiles[name].Server, r.variable("TOKENOS_SERVER"))
	if server == "" {
		return usagef("--server is required: the address of the server")
	}
	id, secret, err := r.credential(ctx, id)
	if err != nil {
		return err
	}
	got := profile{Server: strings.TrimRight(server, "/"), ClientID: id, ClientSecret: secret.Reveal(), AuthMethod: method}
	if err := r.tryProfile(ctx, &got); err != nil {
		return err
	}
	all.Profiles[name], all.Current = got, name
	if err := all.save(); err != nil {
		return err
	}
	fmt.Fprintf(r.stderr, "signed in to %s as %s (%s); profile %s in %s\n", got.Server, id, strings.Join(got.Scopes, " "), name, all.path)
	return nil
}

// credential reads id and secret from a person or from stdin.
func (r *remote) credential(ctx context.Context, id string) (string, apikey.Secret, error) {
	var text string
	var err error
	if r.interactive() {
		if id == "" {
			fmt.Fprint(r.stderr, "client id: ")
			if id, err = r.line(ctx); err != nil {
				return "", apikey.Secret{}, err
			}
		}
		text, err = r.hidden(ctx, "client secret (not shown): ")
	} else {
		text, err = r.piped(ctx)
	}
	if err != nil {
		return "", apikey.Secret{}, err
	}
	id, secret := parseCredential(strings.TrimSpace(id), strings.TrimSpace(text))
	switch {
	case !apikey.ValidID(id):
		return "", secret, usagef("--client-id is required, unless stdin has the JSON of a management key")
	case !apikey.ValidSecret(secret.Reveal()):
		return "", secret, usagef("stdin has no client secret: one begins with tos_, and its end shows whether it is whole")
	}
	return id, secret, nil
}

// parseCredential reads what tokenos bootstrap, keys create and dev write as JSON,
// or a secret alone.
func parseCredential(id, text string) (string, apikey.Secret) {
	var in struct {
		ID           string `json:"id"`
		ClientSecret string `json:"client_secret"`
		Key          struct {
			ID string `json:"id"`
		} `json:"key"`
		ManagementClientID     string `json:"management_client_id"`
		ManagementClientSecret string `json:"management_client_secret"`
	}
	if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &in) != nil {
		return id, apikey.NewSecret(text)
	}
	return cmp.Or(id, in.ID, in.Key.ID, in.ManagementClientID), apikey.NewSecret(cmp.Or(in.ClientSecret, in.ManagementClientSecret))
}

// tryProfile asks the server whose credential it is, and buys a token with it.
func (r *remote) tryProfile(ctx context.Context, p *profile) error {
	c, err := client.New(client.Config{BaseURL: p.Server, Token: client.StaticToken("none"), UserAgent: "tokenos/" + version(), Timeout: r.timeout})
	if err != nil {
		return badServer(err)
	}
	stop := r.busy(still("asking the server"))
	defer stop()
	self, err := c.Self(ctx, apikey.HolderCredential{Own: apikey.Credential{Method: apikey.AuthMethod(p.AuthMethod), ID: p.ClientID, Secret: apikey.NewSecret(p.ClientSecret)}})
	if err != nil {
		return err
	}
	if !slices.Equal(self.Audiences, []string{apikey.ManagementAudience}) {
		return withHint(errors.New("this is not a management key, and cannot call the API"), "make one with tokenos bootstrap, or tokenos keys create --kind management")
	}
	p.TokenURL, p.Scopes, p.AuthMethod = self.TokenURL, self.Scopes, string(self.AuthMethod)
	source, err := p.source(r.timeout)
	if err != nil {
		return err
	}
	_, err = source.AccessToken(ctx)
	return err
}

func (r *remote) authStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show who is signed in where, and whether it still works",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := r.check(); err != nil {
				return err
			}
			return r.status(c.Context())
		},
	}
}

// standing of a profile, as tokenos auth status shows it.
type signedIn struct {
	Profile  string   `json:"profile"` // "": no profile, but an access token
	Current  bool     `json:"current"`
	Server   string   `json:"server"`
	ClientID string   `json:"client_id"`
	Scopes   []string `json:"scopes"`
	Works    *bool    `json:"works"` // null: not asked
	Problem  string   `json:"problem,omitempty"`
}

func (r *remote) status(ctx context.Context) error {
	all, err := r.profiles()
	if errors.Is(err, errNoHome) {
		all, err = &profileFile{}, nil
	}
	if err != nil {
		return err
	}
	chosen, using, err := all.choose(cmp.Or(r.profileName, r.variable("TOKENOS_PROFILE")))
	if err != nil {
		return err
	}
	list, failed := r.byToken(ctx, chosen)
	if len(list) > 0 {
		using = "" // no command uses the profile
	}
	for _, name := range slices.Sorted(maps.Keys(all.Profiles)) {
		p := all.Profiles[name]
		s := signedIn{Profile: name, Current: name == using, Server: p.Server, ClientID: p.ClientID, Scopes: p.Scopes}
		if s.Current {
			failed = r.tryProfile(ctx, &p)
			s.outcome(failed)
		}
		list = append(list, s)
	}
	if len(list) == 0 {
		return notSignedIn("nobody is signed in")
	}
	names := slices.Sorted(maps.Keys(all.Profiles))
	if err := r.print(r.stdout, shown{map[string]any{"data": list}, names, statusGrid(list)}); err != nil {
		return err
	}
	return failed
}

// outcome notes what came of the try.
func (s *signedIn) outcome(err error) {
	s.Works = new(err == nil)
	if err != nil {
		s.Problem = words(err)
	}
}

func statusGrid(list []signedIn) grid {
	table := grid{heading: []string{"", "PROFILE", "SERVER", "KEY", "RIGHTS", "STATE"}}
	for _, s := range list {
		mark, state := "", ""
		if s.Current {
			mark, state = "*", "does not work"
			if *s.Works {
				state = "works"
			}
		}
		if s.Profile == "" {
			state += ", by an access token given by flag or variable"
		}
		table.add(mark, or(s.Profile, "-"), s.Server, or(s.ClientID, "-"), or(strings.Join(s.Scopes, " "), "-"), state)
	}
	return table
}

// byToken is the caller by an access token that a flag or a variable gives, which
// every command prefers to a profile: one, or none if there is no such token. The
// error says why it does not work.
func (r *remote) byToken(ctx context.Context, chosen profile) ([]signedIn, error) {
	server := cmp.Or(r.server, r.setting("TOKENOS_SERVER"), chosen.Server)
	if server == "" || !r.ownToken() {
		return nil, nil
	}
	failed := r.tryToken(ctx)
	s := signedIn{Current: true, Server: server, Scopes: []string{}}
	s.outcome(failed)
	return []signedIn{s}, failed
}

// ownToken reports whether an access token is given by flag or variable, which goes
// before that of a profile.
func (r *remote) ownToken() bool {
	return r.tokenFile != "" || r.setting("TOKENOS_TOKEN") != "" || r.setting("TOKENOS_TOKEN_FILE") != ""
}

// tryToken asks the server whether it takes the token, whatever its rights.
func (r *remote) tryToken(ctx context.Context) error {
	api, err := r.open()
	if err != nil {
		return err
	}
	stop := r.busy(still("asking the server"))
	defer stop()
	if _, err = api.Capabilities(ctx); errors.Is(err, apikey.ErrForbidden) {
		return nil
	}
	return err
}

func (r *remote) authLogout() *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "Forget the key of a profile; the key itself stays as it is",
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := r.profiles()
			if err != nil {
				return err
			}
			p, name, err := all.choose(cmp.Or(r.profileName, r.variable("TOKENOS_PROFILE")))
			if err != nil {
				return err
			}
			if name == "" {
				return notSignedIn("nobody is signed in")
			}
			delete(all.Profiles, name)
			if all.Current == name {
				all.Current = ""
			}
			if err := all.save(); err != nil {
				return err
			}
			fmt.Fprintf(r.stderr, "forgotten: profile %s. The key goes on working; to end it: tokenos keys revoke %s\n", name, cell(p.ClientID))
			return nil
		},
	}
}

func (r *remote) authToken() *cobra.Command {
	return &cobra.Command{
		Use:   "token",
		Short: "Write an access token of the signed-in key to stdout, for other programs",
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := r.profiles()
			if err != nil {
				return err
			}
			p, _, err := all.choose(cmp.Or(r.profileName, r.variable("TOKENOS_PROFILE")))
			if err != nil {
				return err
			}
			give, err := r.token(p, cmp.Or(r.server, p.Server))
			if err != nil {
				return err
			}
			token, err := give(c.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(r.stdout, token)
			return err
		},
	}
}

func (p program) profileCommand() *cobra.Command {
	c := group("profile", "Choose among the servers you are signed in to", "Choose among the servers you are signed in to. tokenos auth login makes profiles,\ntokenos auth status lists them, tokenos auth logout removes one.")
	use := &cobra.Command{
		Use:   "use NAME",
		Short: "Use this profile from now on",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("%s takes the name of a profile", c.CommandPath())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := p.profiles()
			if err != nil {
				return err
			}
			if _, all.Current, err = all.choose(args[0]); err != nil {
				return err
			}
			return all.save()
		},
	}
	c.AddCommand(use)
	return c
}
