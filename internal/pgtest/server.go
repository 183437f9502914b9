package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	admin = "pgtest"  // the superuser
	owner = "tokenos" // the plain role that owns every database
)

// Config is what a cluster may be told. The zero value suits most tests.
type Config struct {
	// Durable keeps fsync on, so that a commit is on disk when it is answered.
	// False is several times faster, and as safe against [Server.Kill]: only a
	// dead machine loses what its kernel already holds.
	Durable bool
	// Settings are further server settings, such as {"max_connections": "20"}.
	Settings map[string]string
}

// Server is one throw-away cluster on a loopback port that stays the same over
// [Server.Stop] and [Server.Start]. Its acts are not for concurrent use;
// [Server.URL] and [Server.Database] are.
type Server struct {
	bin      string
	config   Config
	folder   *folder
	port     int
	password string
	process  *process
	made     atomic.Int64 // databases so far; numbers their names
}

// Open makes a cluster and starts it. It returns [ErrMissing] if the machine has
// no Postgres. The caller must call [Server.Close].
func Open(ctx context.Context, config Config) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	bin, err := find(ctx)
	if err != nil {
		return nil, err
	}
	folder, err := makeFolder()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, config: config, folder: folder, password: rand.Text()}
	if err := s.initialize(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.startAnywhere(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	role := fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", owner, s.password)
	if err := s.execute(ctx, role); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// initialize makes the cluster's files. Text sorts as a language does, as in most
// real databases, so that SQL which silently counts on byte order is caught; a
// Postgres before 15 or built without ICU sorts by bytes.
func (s *Server) initialize(ctx context.Context) error {
	passwords := filepath.Join(s.folder.path, "password")
	if err := os.WriteFile(passwords, []byte(s.password), 0o600); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	if user := s.folder.owner; user != nil {
		if err := os.Chown(passwords, int(user.Uid), int(user.Gid)); err != nil {
			return fmt.Errorf("pgtest: %w", err)
		}
	}
	arguments := []string{
		"--pgdata", s.folder.data(), "--username", admin, "--pwfile", passwords,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync",
	}
	language := []string{"--locale-provider", "icu", "--icu-locale", "en-US"}
	_, err := s.command(ctx, "initdb", append(language, arguments...)...).CombinedOutput()
	if err == nil {
		return nil
	}
	if err := os.RemoveAll(s.folder.data()); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	if out, err := s.command(ctx, "initdb", arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: initdb: %w\n%s", err, out)
	}
	return nil
}

// command prepares one of Postgres' own programs to run as the right user, from
// a folder that user can enter.
func (s *Server) command(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(s.bin, program), arguments...)
	c.Dir = s.folder.path
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"} // no PGHOST and the like
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.folder.owner}
	return c
}

// startAnywhere starts the cluster on a port of its choice, another one if the
// first was taken between looking and starting.
func (s *Server) startAnywhere(ctx context.Context) error {
	var err error
	for range 5 {
		if s.port, err = freePort(ctx); err != nil {
			return err
		}
		if err = s.Start(ctx); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// freePort finds a loopback port below the range from which systems draw the
// ports of outgoing connections, so that nothing takes it while the server is
// stopped.
func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	for range 100 {
		var b [2]byte
		rand.Read(b[:])
		port := 20000 + (int(b[0])<<8|int(b[1]))%12000
		l, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, errors.New("pgtest: no free port between 20000 and 32000")
}

// AdminURL addresses the cluster's own database as its superuser, for tests that
// take locks, end sessions or read what a role may not.
func (s *Server) AdminURL() string { return s.url(admin, "postgres") }

func (s *Server) url(role, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(role, s.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Database makes an empty database whose owner is a plain role, and returns its
// address and the act that drops it, sessions and all.
func (s *Server) Database(ctx context.Context) (url string, drop func(context.Context) error, err error) {
	name := "test" + strconv.FormatInt(s.made.Add(1), 10)
	if err := s.execute(ctx, "CREATE DATABASE "+name+" OWNER "+owner); err != nil {
		return "", nil, err
	}
	drop = func(ctx context.Context) error {
		return s.execute(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	}
	return s.url(owner, name), drop, nil
}

// execute runs one statement as the superuser. The statement stays out of the
// error: it may hold the password.
func (s *Server) execute(ctx context.Context, statement string) error {
	connection, err := pgx.Connect(ctx, s.AdminURL())
	if err != nil {
		return fmt.Errorf("pgtest: connect: %w", err)
	}
	_, err = connection.Exec(ctx, statement)
	if err := errors.Join(err, connection.Close(ctx)); err != nil {
		return fmt.Errorf("pgtest: execute: %w", err)
	}
	return nil
}

// Close ends the cluster at once and removes its files.
func (s *Server) Close() error {
	if s.Running() {
		if err := s.end(syscall.SIGQUIT); err != nil {
			return err
		}
	}
	return s.folder.remove()
}

// until polls condition every few milliseconds until it holds.
func until(ctx context.Context, condition func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
