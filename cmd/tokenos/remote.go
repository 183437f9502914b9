package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client"
	"github.com/tokenos/tokenos/client/tokensource"
)

// remote is what the commands that call a server share: which server, who calls,
// and how the answer is shown.
type remote struct {
	program
	server, profileName, tokenFile string
	timeout                        time.Duration
	printing
	yes bool
	key string // Idempotency-Key
}

const remoteHelp = `The server and the caller come from, the earlier wins:
  --server, --token-file (an access token); --profile
  TOKENOS_SERVER, TOKENOS_TOKEN or TOKENOS_TOKEN_FILE; TOKENOS_PROFILE
  the profile that tokenos auth login made, or tokenos profile use chose`

// remote registers the flags on a command; commands below it have them too.
func (p program) remote(c *cobra.Command) *remote {
	r := &remote{program: p}
	f := c.PersistentFlags()
	f.StringVar(&r.server, "server", "", "address of the server, https://host[:port][/path]")
	f.StringVar(&r.profileName, "profile", "", "profile to use")
	f.StringVar(&r.tokenFile, "token-file", "", "file with an access token of a management key")
	f.DurationVar(&r.timeout, "timeout", 30*time.Second, "longest wait for an answer, with all attempts")
	r.printing.flags(f, p.variable("TOKENOS_OUTPUT"))
	return r
}

// asks adds --yes to a command that asks before it acts.
func (r *remote) asks(f *pflag.FlagSet) {
	f.BoolVarP(&r.yes, "yes", "y", false, "do not ask")
}

// changes adds --idempotency-key to a command that sends a POST.
func (r *remote) changes(f *pflag.FlagSet) {
	f.StringVar(&r.key, "idempotency-key", "", "repeat a request that was not answered: it is done once")
}

// open is the server to call, as the caller.
func (r *remote) open() (*client.Client, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	chosen, err := r.chosen()
	if err != nil {
		return nil, err
	}
	server := cmp.Or(r.server, r.setting("TOKENOS_SERVER"), chosen.Server)
	if server == "" {
		return nil, notSignedIn("it is not known which server to call")
	}
	if strings.HasSuffix(strings.TrimRight(server, "/"), "/v1") {
		return nil, usagef("the address of the server (--server, TOKENOS_SERVER) goes without /v1")
	}
	token, err := r.token(chosen, server)
	if err != nil {
		return nil, err
	}
	c, err := client.New(client.Config{BaseURL: server, Token: token, UserAgent: "tokenos/" + version(), Timeout: r.timeout})
	if err != nil {
		return nil, badServer(err)
	}
	return c, nil
}

// badServer says what is wrong with an address in the words of the command line.
func badServer(err error) error {
	return usagef("the address of the server (--server, TOKENOS_SERVER)%s", strings.TrimPrefix(err.Error(), "client: BaseURL"))
}

// chosen is the profile to use: none, if none is named and there is no home
// directory to keep one in, as in many a CI job.
func (r *remote) chosen() (profile, error) {
	name := cmp.Or(r.profileName, r.variable("TOKENOS_PROFILE"))
	all, err := r.profiles()
	if errors.Is(err, errNoHome) && name == "" {
		return profile{}, nil
	}
	if err != nil {
		return profile{}, err
	}
	got, _, err := all.choose(name)
	return got, err
}

// setting is an environment variable that says which server to call, or as whom. It
// says nothing beside --profile: who names a server means no other one.
func (r *remote) setting(name string) string {
	if r.profileName != "" {
		return ""
	}
	return r.variable(name)
}

func notSignedIn(why string) error {
	return withHint(&apikey.Error{Kind: apikey.ErrUnauthenticated, Detail: why},
		"sign in with tokenos auth login, or set TOKENOS_SERVER and TOKENOS_TOKEN_FILE")
}

// token is where the caller's access token comes from. The key of a profile is
// for that profile's server alone.
func (r *remote) token(chosen profile, server string) (func(context.Context) (string, error), error) {
	if r.tokenFile != "" {
		return readToken("--token-file", r.tokenFile)
	}
	if token := r.setting("TOKENOS_TOKEN"); token != "" {
		return client.StaticToken(token), nil
	}
	if file := r.setting("TOKENOS_TOKEN_FILE"); file != "" {
		return readToken("TOKENOS_TOKEN_FILE", file)
	}
	switch {
	case chosen.ClientID == "":
		return nil, notSignedIn("there is no access token")
	case chosen.Server != server:
		return nil, notSignedIn("the profile's key is for another server")
	}
	source, err := chosen.source(r.timeout)
	if err != nil {
		return nil, err
	}
	return source.AccessToken, nil
}

// readToken is a token in a file, which is read once.
func readToken(from, path string) (func(context.Context) (string, error), error) {
	raw, err := readSmall(from, path)
	if err != nil {
		return nil, err
	}
	token := strings.TrimSpace(string(raw))
	if !oneWord(token) {
		return nil, usagef("%s: %s holds no access token", from, path)
	}
	return client.StaticToken(token), nil
}

// source buys access tokens with the profile's key.
func (p profile) source(timeout time.Duration) (*tokensource.Source, error) {
	credential := tokensource.ClientSecretBasic(p.ClientSecret)
	if p.AuthMethod == string(apikey.ClientSecretPost) {
		credential = tokensource.ClientSecretPost(p.ClientSecret)
	}
	source, err := tokensource.New(tokensource.Config{TokenURL: p.TokenURL, ClientID: p.ClientID, Credential: credential,
		Scopes: p.Scopes, Audiences: []string{apikey.ManagementAudience}, Timeout: timeout})
	if err != nil {
		return nil, withHint(fmt.Errorf("the profile cannot buy a token: %w", err), "sign in again: tokenos auth login")
	}
	return source, nil
}

// once sends a change under an Idempotency-Key: the given one or a new one. If it
// fails so that nobody knows whether it was done, or that trying again may help,
// the error says how to repeat it without doing it twice.
func (r *remote) once(do func(key string) error) error {
	key := cmp.Or(r.key, "cli-"+strings.ToLower(rand.Text()))
	err := do(key)
	if err == nil || settled(err) {
		return err
	}
	return repeatable{err, key}
}

// repeatable is the failure of a change that may be sent again under key.
type repeatable struct {
	error
	key string
}

func (r repeatable) Unwrap() error { return r.error }

// settled reports whether the server refused a change for good: nothing was done,
// and the same again would be refused again.
func settled(err error) bool {
	if e, ok := errors.AsType[*apikey.Error](err); ok && e.Pending {
		return false
	}
	for _, kind := range []apikey.ErrorKind{apikey.ErrTimeout, apikey.ErrUnavailable, apikey.ErrInternal, apikey.ErrBusy,
		apikey.ErrIdempotencyRunning, apikey.ErrRateLimited} {
		if errors.Is(err, kind) {
			return false
		}
	}
	_, told := errors.AsType[apikey.ErrorKind](err)
	return told
}
