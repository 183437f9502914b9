package pgtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// Running reports whether the server's process is there, frozen or not.
func (s *Server) Running() bool { return s.process.alive() }

// Start starts a stopped or killed server and waits until it answers, recovery
// included. On a running one it does nothing.
func (s *Server) Start(ctx context.Context) error {
	if s.Running() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	log, err := os.OpenFile(s.folder.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	defer log.Close() //nolint:errcheck // the server has its own copy
	// The server outlives this call, so it may not end with its context.
	command := s.command(context.WithoutCancel(ctx), "postgres", s.arguments()...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = attributes(s.folder.owner)
	started, err := launch(command)
	if err != nil {
		return fmt.Errorf("pgtest: start: %w", err)
	}
	s.process = started
	return s.awaitReady(ctx)
}

// arguments are the server's settings, the caller's last because the last one
// counts. The time zone is in POSIX form, which needs no data files, and an
// unusual one, so that a time written without its zone is caught.
func (s *Server) arguments() []string {
	arguments := []string{
		"-D", s.folder.data(), "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "max_connections=200", "-c", "timezone=<+0545>-05:45", "-c", "log_timezone=UTC",
	}
	if !s.config.Durable {
		arguments = append(arguments, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	for _, name := range slices.Sorted(maps.Keys(s.config.Settings)) {
		arguments = append(arguments, "-c", name+"="+s.config.Settings[name])
	}
	return arguments
}

// awaitReady waits until the server takes a session. If it ends instead, the
// error holds what it had to say.
func (s *Server) awaitReady(ctx context.Context) error {
	var last error
	ready := func() bool {
		var connection *pgx.Conn
		if connection, last = pgx.Connect(ctx, s.AdminURL()); last == nil {
			last = connection.Close(ctx)
		}
		return last == nil || !s.Running()
	}
	if err := until(ctx, ready); err != nil {
		return errors.Join(fmt.Errorf("pgtest: await ready: %w: %w\n%s", err, last, s.Log()), s.end(syscall.SIGQUIT))
	}
	if !s.Running() {
		return fmt.Errorf("pgtest: start: the server ended at once\n%s", s.Log())
	}
	return nil
}

// Log returns the last 4 KiB of what the server wrote.
func (s *Server) Log() string {
	b, err := os.ReadFile(s.folder.log())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4096):])
}

// Stop ends the server in good order, as an operator's restart does: open
// transactions roll back, sessions are told, new ones are refused. The databases
// stay for [Server.Start]. On a stopped one it does nothing.
func (s *Server) Stop() error {
	if !s.Running() {
		return nil
	}
	return s.end(syscall.SIGINT)
}

// end sends the server one of its own shut-down signals (SIGINT "fast", SIGQUIT
// "immediate") and waits until it is gone, by force if it must.
func (s *Server) end(sig syscall.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Thaw(); err != nil {
		return err
	}
	if err := syscall.Kill(s.process.pid, sig); err != nil && s.Running() {
		return fmt.Errorf("pgtest: end: %w", err)
	}
	select {
	case <-s.process.done:
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("pgtest: end: %w", ctx.Err()), s.Kill())
	}
}

// Kill ends the server and all its sessions by SIGKILL, as a crash does: callers
// see their connections break, a commit they got no answer for may or may not
// have happened, an answered one is kept, and [Server.Start] goes through
// recovery. On a stopped one it does nothing.
func (s *Server) Kill() error {
	if !s.Running() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	sessions, err := s.process.signal(ctx, syscall.SIGKILL)
	if err != nil {
		return err
	}
	// The next start is refused while any of them holds the shared memory.
	dead := func() bool { return !s.Running() && !slices.ContainsFunc(sessions, alive) }
	if err := until(ctx, dead); err != nil {
		return fmt.Errorf("pgtest: kill: %w", err)
	}
	return nil
}

func alive(pid int) bool { return !gone(pid) }

// Freeze halts the server and its sessions where they are: connections stay open
// and new ones are taken by the kernel, but nothing answers. [Server.Thaw] lets
// them go on.
func (s *Server) Freeze() error {
	if !s.Running() {
		return errors.New("pgtest: freeze: the server is stopped")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := s.process.signal(ctx, syscall.SIGSTOP)
	return err
}

// Thaw ends [Server.Freeze]. On a server that is not frozen it does nothing.
func (s *Server) Thaw() error {
	if !s.Running() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := s.process.signal(ctx, syscall.SIGCONT)
	return err
}
