package hydradev

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Config says how to run a Hydra. One of Dir and Memory is required.
type Config struct {
	// Binary is the Hydra to run. Empty means what [Binary] finds or builds,
	// with its progress going to Log.
	Binary string

	// Dir is the data folder, made with mode 0700 if it is missing. Hydra's
	// SQLite file, its settings and its system secret live there, each 0600. One
	// server at a time may use it.
	Dir string

	// Memory keeps nothing: a temporary data folder is removed by [Server.Stop].
	Memory bool

	// Template is the data folder of a stopped server. Its SQLite file and system
	// secret are copied to where the data folder has no SQLite file yet, which
	// saves the migration and the making of keys. It has no effect with DSN.
	Template string

	// DSN replaces the SQLite file, for example by
	// "postgres://user:password@127.0.0.1:5432/hydra?sslmode=disable". What Hydra
	// writes there can be read again only with the system secret in Dir.
	DSN string

	// PublicPort and AdminPort are TCP ports on 127.0.0.1. 0 takes a free one.
	PublicPort, AdminPort int

	// TokenHook is asked at each issuance of a token. Nil means none.
	TokenHook *TokenHook

	// Settings are further settings of Hydra or replacements for ours, by dotted
	// name: {"strategies.access_token": "jwt", "ttl.access_token": "1h"}. Hydra's
	// schema is closed: an unknown name stops it from starting. The DSN, ports,
	// hosts and system secret cannot be set here.
	Settings map[string]any

	// Log takes Hydra's output and a line for each restart. Secrets that we gave
	// to Hydra are blotted out. Nil discards it.
	Log io.Writer
}

// TokenHook is an endpoint that Hydra asks before it issues a token, with a
// secret in a header by which the endpoint knows Hydra.
type TokenHook struct {
	URL    string // absolute; called by POST
	Header string // name of the header; empty means no header
	Value  string // the secret in it
}

// dsnOptions are the options of Hydra's SQLite file. Hydra's own wait for the
// write lock is 5 s, too short on a busy machine; its answers end at 10 s.
const dsnOptions = "?_fk=true&_journal_mode=WAL&_busy_timeout=8000"

// unsettable are the settings that follow from other members of [Config].
var unsettable = []string{
	"dsn", "secrets.system",
	"serve.public.host", "serve.public.port", "serve.admin.host", "serve.admin.port",
}

// check reports what is wrong with the configuration, all at once.
func (c Config) check() error {
	var errs []error
	if (c.Dir == "") != c.Memory {
		errs = append(errs, errors.New("name a data folder, or choose memory, and not both"))
	}
	if c.PublicPort != 0 && c.PublicPort == c.AdminPort {
		errs = append(errs, fmt.Errorf("the public and the admin port are both %d: choose two", c.PublicPort))
	}
	for _, p := range []int{c.PublicPort, c.AdminPort} {
		if p < 0 || p > 65535 {
			errs = append(errs, fmt.Errorf("port %d is not between 0 and 65535", p))
		}
	}
	if c.TokenHook != nil {
		u, err := url.Parse(c.TokenHook.URL)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			errs = append(errs, errors.New("the token hook needs an absolute http or https URL"))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Settings)) {
		for _, no := range unsettable {
			if name == no || strings.HasPrefix(no, name+".") || strings.HasPrefix(name, no+".") {
				errs = append(errs, fmt.Errorf("setting %q would replace %q: use the other members of the configuration", name, no))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("hydradev: configuration: %w", err)
	}
	return nil
}

// dsn is where Hydra keeps its data. The SQLite file is named relative to the
// folder in which Hydra runs: no character of the folder's name needs escaping.
func (c Config) dsn() string {
	switch {
	case c.DSN != "":
		return c.DSN
	case c.Memory:
		return "sqlite://" + databaseFile + dsnOptions + "&_synchronous=OFF"
	default:
		return "sqlite://" + databaseFile + dsnOptions
	}
}

// settings is Hydra's configuration (its schema: spec/config.json at v2.3.0).
func (c Config) settings(at ports, systemSecret string) ([]byte, error) {
	all := tree{}
	for name, value := range map[string]any{
		"dsn":                              c.dsn(),
		"secrets.system":                   []string{systemSecret},
		"serve.public.host":                "127.0.0.1",
		"serve.public.port":                at.public,
		"serve.admin.host":                 "127.0.0.1",
		"serve.admin.port":                 at.admin,
		"urls.self.issuer":                 at.publicURL(),
		"strategies.scope":                 "exact",
		"oauth2.hashers.algorithm":         "pbkdf2",
		"oauth2.hashers.pbkdf2.iterations": 1000, // every secret is 256 random bits
		"oauth2.allowed_top_level_claims":  []string{"root_id", "owner", "env", "key_expires_at", "status", "cnf"},
		"oauth2.mirror_top_level_claims":   false,
		"sqa.opt_out":                      true,
		"log.level":                        "warn",
		"log.leak_sensitive_values":        false,
	} {
		if err := all.set(name, value); err != nil {
			return nil, err
		}
	}
	if h := c.TokenHook; h != nil {
		if err := all.set("oauth2.token_hook", h.setting()); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Settings)) {
		if err := all.set(name, c.Settings[name]); err != nil {
			return nil, err
		}
	}
	out, err := yaml.Marshal(map[string]any(all))
	if err != nil {
		return nil, fmt.Errorf("hydradev: write Hydra's settings: %w", err)
	}
	return out, nil
}

// setting is the hook in Hydra's form.
func (h TokenHook) setting() map[string]any {
	s := map[string]any{"url": h.URL}
	if h.Header != "" {
		s["auth"] = map[string]any{
			"type":   "api_key",
			"config": map[string]any{"in": "header", "name": h.Header, "value": h.Value},
		}
	}
	return s
}

// secrets are the words that must not reach a log.
func (c Config) secrets(systemSecret string) []string {
	words := []string{systemSecret}
	if u, err := url.Parse(c.DSN); err == nil {
		if p, ok := u.User.Password(); ok {
			words = append(words, p, url.QueryEscape(p), url.PathEscape(p))
		}
	}
	if c.TokenHook != nil {
		words = append(words, c.TokenHook.Value)
	}
	// A word this short is no secret, and blotting it out would spoil the log.
	return slices.DeleteFunc(words, func(w string) bool { return len(w) < 6 })
}

// tree is a YAML document of nested members.
type tree map[string]any

// set puts value at a dotted name.
func (t tree) set(name string, value any) error {
	at := map[string]any(t)
	steps := strings.Split(name, ".")
	for _, step := range steps[:len(steps)-1] {
		next, ok := at[step].(map[string]any)
		if !ok {
			if at[step] != nil {
				return fmt.Errorf("hydradev: setting %q: %q is not an object", name, step)
			}
			next = map[string]any{}
			at[step] = next
		}
		at = next
	}
	at[steps[len(steps)-1]] = value
	return nil
}
