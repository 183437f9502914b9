package pgtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// down asserts that nobody can open a session.
func down(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if connection, err := pgx.Connect(ctx, url); err == nil {
		connection.Close(ctx) //nolint:errcheck // the test fails anyway
		t.Error("the server takes a session although it is down")
	}
}

// A stopped or killed server breaks its sessions and refuses new ones. Started
// again it is at the same address with every commit it had answered.
func TestStopAndKill(t *testing.T) {
	for name, end := range map[string]func(*Server) error{"stop": (*Server).Stop, "kill": (*Server).Kill} {
		t.Run(name, func(t *testing.T) {
			server := New(t, Config{})
			url := server.URL(t)
			session := connect(t, url)
			execute(t, session, "CREATE TABLE kept (n int)")
			for range 50 {
				execute(t, session, "INSERT INTO kept VALUES (1)")
			}
			if err := end(server); err != nil {
				t.Fatal(err)
			}
			if server.Running() {
				t.Error("the server says that it still runs")
			}
			if err := session.Ping(t.Context()); err == nil {
				t.Error("a session outlived its server")
			}
			down(t, url)
			if err := end(server); err != nil {
				t.Errorf("ended twice: %v", err)
			}

			if err := server.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := value[int](t, connect(t, url), "SELECT count(*) FROM kept"); got != 50 {
				t.Errorf("rows after a restart: got %d, want 50", got)
			}
			if err := server.Start(t.Context()); err != nil {
				t.Errorf("started twice: %v", err)
			}
		})
	}
}

// A frozen server answers nobody, neither in an open session nor in a new one,
// and goes on where it was when thawed.
func TestFreeze(t *testing.T) {
	server := New(t, Config{})
	url := server.URL(t)
	frozen, session := connect(t, url), connect(t, url)
	if err := server.Freeze(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := frozen.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a frozen session: got %v, want no answer until the deadline", err)
	}
	if _, err := pgx.Connect(ctx, url); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a new session: got %v, want no answer until the deadline", err)
	}
	if err := server.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := session.Ping(t.Context()); err != nil {
		t.Errorf("an untouched session after the thaw: %v", err)
	}
	connect(t, url)
}

// A frozen server can be killed, stopped and closed like any other.
func TestEndFrozen(t *testing.T) {
	server := New(t, Config{})
	for _, end := range []func() error{server.Kill, server.Stop, server.Close} {
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := server.Freeze(); err != nil {
			t.Fatal(err)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
		if server.Running() {
			t.Error("the server still runs")
		}
	}
	if err := server.Freeze(); err == nil {
		t.Error("a stopped server let itself be frozen")
	}
}
