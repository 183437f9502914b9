package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/ledger"
)

// devOptions are the flags of tokenos dev.
type devOptions struct {
	dataDir, hydra, output, logLevel  string
	memory                            bool
	port, hydraPublic, hydraAdminPort int
}

func (p program) dev() *cobra.Command {
	var o devOptions
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run a real Hydra and the REST API on this machine, for development",
		Long: "Run a real Ory Hydra and the REST API on loopback, from one command.\n\n" +
			"The first start builds Hydra (one to three minutes, needs Go); later ones take a moment.\n" +
			"Keys survive a restart. Plain HTTP is served here, to this machine only.",
		RunE: func(c *cobra.Command, _ []string) error {
			if o.output != "text" && o.output != "json" {
				return usageError{fmt.Errorf("--output must be text or json")}
			}
			for _, port := range []int{o.port, o.hydraPublic, o.hydraAdminPort} {
				if port < 0 || port > 65535 {
					return usageError{fmt.Errorf("a port is a number from 0 to 65535")}
				}
			}
			return p.runDev(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.dataDir, "data-dir", "", "folder for both databases and the server secret (default: "+shownDataDir()+")")
	f.BoolVar(&o.memory, "memory", false, "keep nothing: use a temporary folder and remove it")
	f.IntVar(&o.port, "port", 8080, "port of the REST API; 0 takes a free one")
	f.IntVar(&o.hydraPublic, "hydra-public-port", 4444, "port of Hydra's public API; 0 takes a free one")
	f.IntVar(&o.hydraAdminPort, "hydra-admin-port", 4445, "port of Hydra's admin API; 0 takes a free one")
	f.StringVar(&o.hydra, "hydra", "", "Hydra binary to run (default: TOKENOS_HYDRA_BINARY, else built once into the cache)")
	f.StringVarP(&o.output, "output", "o", "text", "text, or json: one line on stdout once ready")
	f.StringVar(&o.logLevel, "log-level", "warn", "debug, info, warn or error")
	return c
}

// devInfo is what `tokenos dev -o json` prints once ready.
type devInfo struct {
	APIURL                 string `json:"api_url"`
	TokenURL               string `json:"token_url"`
	HydraPublicURL         string `json:"hydra_public_url"`
	HydraAdminURL          string `json:"hydra_admin_url"`
	ManagementClientID     string `json:"management_client_id"`
	ManagementClientSecret string `json:"management_client_secret"`
	ManagementToken        string `json:"management_token"`
	DashboardURL           string `json:"dashboard_url"`
	PID                    int    `json:"pid"`
	HydraPID               int    `json:"hydra_pid"`
}

func (p program) runDev(ctx context.Context, o devOptions) (err error) {
	log := p.logger(o.logLevel, "text")
	dir, remove, err := devDir(o)
	if err != nil {
		return err
	}
	defer remove()
	secret, err := serverSecret(dir)
	if err != nil {
		return err
	}
	l, err := listen(ctx, fmt.Sprintf("127.0.0.1:%d", o.port), "choose another port with --port, or --port 0 for a free one")
	if err != nil {
		return err
	}
	db, err := openDevLedger(ctx, dir, secret, log)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	server, err := p.startHydra(ctx, o, dir)
	if err != nil {
		return errors.Join(err, l.Close(), db.Close())
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, server.Stop(end))
	}()
	a, err := devApp(db, server, secret, log)
	if err != nil {
		return errors.Join(err, l.Close(), db.Close())
	}
	defer func() { err = errors.Join(err, a.close()) }()
	info, err := a.devInfo(ctx, server, "http://"+l.Addr().String())
	if err != nil {
		return errors.Join(err, l.Close())
	}
	handler, err := handlers.New(handlers.Config{API: a.service, Authenticate: a.service.Authenticate, Ready: a.checks(), Log: log,
		InsecureLoopback: true, Version: version(), TokenURL: server.TokenURL()})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	p.printDev(info, o, dir)
	return a.runServers(ctx, log, time.Second, served{handlers.Server(handler, 0, log), l})
}

func openDevLedger(ctx context.Context, dir string, secret apikey.Secret, log *slog.Logger) (*ledger.DB, error) {
	cfg := ledger.Config{URL: "sqlite://" + (&url.URL{Path: filepath.ToSlash(filepath.Join(dir, "ledger.db"))}).EscapedPath(),
		ServerSecrets: []apikey.Secret{secret}, Log: log}
	if _, err := ledger.Migrate(ctx, cfg); err != nil {
		return nil, withHint(err, "is another `tokenos dev` running? stop it, or choose another folder with --data-dir")
	}
	db, err := ledger.Open(ctx, cfg)
	return db, withHint(err, "is another `tokenos dev` running? stop it, or choose another folder with --data-dir")
}

func (p program) startHydra(ctx context.Context, o devOptions, dir string) (*hydradev.Server, error) {
	binary, err := hydradev.Binary(ctx, hydradev.BinaryConfig{Path: o.hydra, Progress: p.stderr})
	if err != nil {
		return nil, err
	}
	server, err := hydradev.Start(ctx, hydradev.Config{Binary: binary, Dir: filepath.Join(dir, "hydra"),
		PublicPort: o.hydraPublic, AdminPort: o.hydraAdminPort, Log: p.stderr})
	return server, withHint(err, "ports are chosen with --hydra-public-port and --hydra-admin-port (0 takes a free one), the folder with --data-dir")
}

func devApp(db *ledger.DB, server *hydradev.Server, secret apikey.Secret, log *slog.Logger) (*app, error) {
	h, err := hydra.New(hydra.Config{AdminURL: server.AdminURL(), PublicURL: server.PublicURL(), Log: log})
	if err != nil {
		return nil, err
	}
	service, err := apikey.New(apikey.Config{Ledger: db, Clients: h, Tokens: h, ServerSecrets: []apikey.Secret{secret}, Log: log})
	if err != nil {
		return nil, err
	}
	return &app{ledger: db, hydra: h, service: service}, nil
}

// devInfo makes sure of the management key and buys a token with it.
func (a *app) devInfo(ctx context.Context, server *hydradev.Server, api string) (devInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	issued, err := a.service.EnsureManagementKey(ctx, "tokenos dev", []apikey.Right{apikey.Admin})
	if err != nil {
		return devInfo{}, fmt.Errorf("make the management key: %w", err)
	}
	c := clientcredentials.Config{ClientID: issued.Key.ID, ClientSecret: issued.Secret.Reveal(), TokenURL: server.TokenURL(),
		AuthStyle: oauth2.AuthStyleInHeader, Scopes: []string{string(apikey.Admin)}, EndpointParams: url.Values{"audience": {apikey.ManagementAudience}}}
	token, err := c.Token(ctx)
	if err != nil {
		return devInfo{}, fmt.Errorf("buy a management token: %w", err)
	}
	return devInfo{APIURL: api, TokenURL: server.TokenURL(), HydraPublicURL: server.PublicURL(), HydraAdminURL: server.AdminURL(),
		ManagementClientID: issued.Key.ID, ManagementClientSecret: issued.Secret.Reveal(), ManagementToken: token.AccessToken,
		PID: os.Getpid(), HydraPID: server.PID()}, nil
}

func (p program) printDev(i devInfo, o devOptions, dir string) {
	if o.output == "json" {
		_ = json.NewEncoder(p.stdout).Encode(i)
		return
	}
	kept := "Data in " + dir + "; it survives a restart."
	if o.memory {
		kept = "Nothing is kept (--memory)."
	}
	fmt.Fprintf(p.stdout, devText, i.APIURL, i.APIURL, i.TokenURL, i.HydraAdminURL, i.ManagementToken,
		i.ManagementClientID, i.ManagementClientSecret, kept, i.APIURL, i.ManagementToken, i.TokenURL, i.HydraAdminURL)
}

const devText = `TokenOS keys, for development on this machine. Ctrl-C stops everything.

  REST API          %s/v1  (OpenAPI: %s/openapi.json)
  Hydra token URL   %s
  Hydra admin URL   %s
  management token  %s  (24 hours)
  management key    %s  %s
  %s

Make a key, buy a token with it at Hydra, look at the token. Paste line by line:

KEY=$(curl -sS %s/v1/keys -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' -d '{"name":"my first key","owner":"acme","scopes":["orders:read"],"audiences":["https://api.example.com"]}'); echo "$KEY"

TOKEN=$(curl -sS %s -u "$(echo "$KEY" | sed -E 's/.*"id":"([^"]+)".*"client_secret":"([^"]+)".*/\1:\2/')" -d grant_type=client_credentials -d scope=orders:read -d audience=https://api.example.com); echo "$TOKEN"

curl -sS %s/admin/oauth2/introspect -d "token=$(echo "$TOKEN" | sed -E 's/.*"access_token":"([^"]+)".*/\1/')"

`

// shownDataDir is the default folder in a form for --help.
func shownDataDir() string {
	dir, err := defaultDataDir()
	if err != nil {
		return "none on this system"
	}
	if home, err := os.UserHomeDir(); err == nil {
		if rest, ok := strings.CutPrefix(dir, home); ok {
			return "~" + rest
		}
	}
	return dir
}

// defaultDataDir is "tokenos" in the user's data folder.
func defaultDataDir() (string, error) {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "tokenos"), nil
	}
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		dir, err := os.UserConfigDir() // also the place for data there
		return filepath.Join(dir, "tokenos"), err
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "share", "tokenos"), err
}

// devDir makes the data folder. remove is to be called at the end.
func devDir(o devOptions) (dir string, remove func(), err error) {
	remove = func() {}
	switch {
	case o.memory:
		dir, err = os.MkdirTemp("", "tokenos-dev-")
		return dir, func() { _ = os.RemoveAll(dir) }, err
	case o.dataDir != "":
		dir, err = filepath.Abs(o.dataDir)
	default:
		dir, err = defaultDataDir()
	}
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		var probe *os.File
		if probe, err = os.CreateTemp(dir, ".probe-"); err == nil {
			err = errors.Join(probe.Close(), os.Remove(probe.Name()))
		}
	}
	if err != nil {
		return "", remove, withHint(fmt.Errorf("cannot use the data folder %s: %w", dir, err), "choose another with --data-dir, or keep nothing with --memory")
	}
	return dir, remove, nil
}

// serverSecret reads dev's own server secret, or makes it: random, readable by
// this user alone.
func serverSecret(dir string) (apikey.Secret, error) {
	path := filepath.Join(dir, "secret")
	raw, err := os.ReadFile(path) //nolint:gosec // in the data folder
	if errors.Is(err, fs.ErrNotExist) {
		raw = []byte(rand.Text() + rand.Text())
		err = writeOnce(path, raw)
	}
	if err != nil {
		return apikey.Secret{}, fmt.Errorf("server secret: %w", err)
	}
	if len(raw) < 32 {
		return apikey.Secret{}, withHint(fmt.Errorf("the server secret in %s is damaged", path), "restore it, or remove the data folder to begin anew")
	}
	return apikey.NewSecret(string(raw)), nil
}

// writeOnce writes a file whole or not at all.
func writeOnce(path string, raw []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".secret-") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
