package hydradev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	startTime = 90 * time.Second // for one start on a very busy machine
	trustTime = 5 * time.Second  // for a start that trusts an earlier migration
	stopGrace = 5 * time.Second  // between asking Hydra to stop and killing it
	races     = 8                // attempts at free ports
)

var errSlow = fmt.Errorf("it was not ready within %s", startTime)

// Server is a running Hydra. Its methods are safe for concurrent use.
type Server struct {
	cfg    Config
	binary string
	folder *folder
	out    *output
	at     ports // fixed once Start has returned

	turn sync.Mutex // held while starting or stopping, one at a time

	mu      sync.Mutex // guards the rest
	child   *child     // the last process started
	watch   *watch     // nil while halted
	stopped bool
}

// Start runs a Hydra and returns once it is ready to work: migrated, both ports
// answering, its signing keys made (see [SigningKeyID]). A second start on
// the same data skips the migration. ctx bounds the start alone; it also ends
// after 90 s, not counting a build of the binary. Call [Server.Stop] in the end.
//
// Errors are one sentence with the way out (a port in use, a folder that cannot
// be written or is in use, no binary); if Hydra itself refuses, the end of its
// output follows.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	binary, err := Binary(ctx, BinaryConfig{Path: cfg.Binary, Progress: cfg.Log})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errSlow)
	defer cancel()
	f, err := openFolder(cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, binary: binary, folder: f}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return s, nil
}

// begin starts Hydra for the first time, on other ports if somebody was faster.
func (s *Server) begin(ctx context.Context) error {
	if s.cfg.Template != "" && s.cfg.DSN == "" {
		if err := s.folder.fill(s.cfg.Template); err != nil {
			return err
		}
	}
	secret, err := s.folder.systemSecret()
	if err != nil {
		return err
	}
	s.out = newOutput(s.cfg.Log, s.cfg.secrets(secret))
	free := s.cfg.PublicPort == 0 || s.cfg.AdminPort == 0
	for race := 1; ; race++ {
		s.at, err = choosePorts(s.cfg.PublicPort, s.cfg.AdminPort)
		if err != nil {
			return err
		}
		text, err := s.cfg.settings(s.at, secret)
		if err != nil {
			return err
		}
		if err := s.folder.write(settingsFile, text); err != nil {
			return err
		}
		err = s.migrateAndLaunch(ctx)
		if err == nil {
			return nil
		}
		if !s.lostRace() || !free || race == races {
			return err
		}
	}
}

// lostRace reports whether Hydra has just ended because a port was taken.
func (s *Server) lostRace() bool {
	said := s.out.tail()
	return strings.Contains(said, "address already in use") ||
		strings.Contains(said, "Only one usage of each socket address") // Windows
}

// migrateAndLaunch migrates unless this binary has done so before. If Hydra does
// not get ready on trust (another binary or a restored file), it migrates after
// all: Hydra itself is not ready while a migration is missing.
func (s *Server) migrateAndLaunch(ctx context.Context) error {
	if s.cfg.DSN == "" && s.folder.migrated(s.binary) {
		brief, cancel := context.WithTimeoutCause(ctx, trustTime, errSlow)
		err := s.launch(brief)
		cancel()
		if err == nil || s.lostRace() || ctx.Err() != nil {
			return err
		}
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	return s.launch(ctx)
}

// migrate brings the database to the form that this binary wants.
func (s *Server) migrate(ctx context.Context) error {
	if s.cfg.DSN == "" {
		if err := s.folder.prepareDatabase(); err != nil {
			return err
		}
	}
	said := newOutput(nil, nil)
	said.blot = s.out.blot
	cmd := exec.CommandContext(ctx, s.binary, "migrate", "sql", "-e", "--yes", "-c", settingsFile)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.folder.path, hydraEnv(), said, said
	if err := runChild(cmd); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("hydradev: migrate Hydra's database: %w\n%s", err, said.tail())
	}
	if s.cfg.DSN != "" {
		return nil
	}
	return s.folder.markMigrated(s.binary)
}

// spawn starts the process.
func (s *Server) spawn() (*child, error) {
	s.out.reset()
	cmd := exec.Command(s.binary, "serve", "all", "--dev", "--sqa-opt-out", "-c", settingsFile)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.folder.path, hydraEnv(), s.out, s.out
	c, err := startChild(cmd)
	if err != nil {
		return nil, fmt.Errorf("hydradev: start Hydra: %w", err)
	}
	s.mu.Lock()
	s.child = c
	s.mu.Unlock()
	return c, nil
}

// launch starts Hydra, waits until it is ready and sets the watch over it.
func (s *Server) launch(ctx context.Context) error {
	c, err := s.spawn()
	if err != nil {
		return err
	}
	if err := s.settle(ctx, c); err != nil {
		c.end(stopGrace)
		if errors.Is(err, errGone) {
			return fmt.Errorf("hydradev: start Hydra: it ended at once (%s)\n%s", ending(c), s.out.tail())
		}
		return fmt.Errorf("%w\n%s", err, s.out.tail())
	}
	w := newWatch()
	s.mu.Lock()
	s.watch = w
	s.mu.Unlock()
	go s.keep(w, c)
	return nil
}

// settle waits until the process is ready and has its signing keys.
func (s *Server) settle(ctx context.Context, c *child) error {
	if err := waitReady(ctx, s.at, c.done); err != nil {
		return err
	}
	return ensureSigningKeys(ctx, s.at.adminURL())
}

// hydraEnv is all that Hydra learns of our environment: it takes settings from
// environment variables too, and a stray DSN would win over the file.
func hydraEnv() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TEMP", "TMP", "TZ", "SYSTEMROOT"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// PublicURL is the base of Hydra's public API, without a slash at the end; it is
// also the issuer.
func (s *Server) PublicURL() string { return s.at.publicURL() }

// AdminURL is the base of Hydra's admin API, without a slash at the end. Anyone
// who reaches it rules all clients.
func (s *Server) AdminURL() string { return s.at.adminURL() }

// TokenURL is the token endpoint, also the audience that a client assertion must
// name (RFC 7523 section 3, Hydra fact 4.24).
func (s *Server) TokenURL() string { return s.at.publicURL() + "/oauth2/token" }

// Dir is the data folder; with [Config.Memory] the temporary one.
func (s *Server) Dir() string { return s.folder.path }

// PID is Hydra's process id, 0 while there is none. It changes with a restart.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == nil || !s.child.running() {
		return 0
	}
	return s.child.pid()
}
