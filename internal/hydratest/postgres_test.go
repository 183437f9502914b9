//go:build unix

package hydratest

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// onPostgres is the shared Hydra's tests with a shared Postgres around them.
type onPostgres struct{ m *testing.M }

func (o onPostgres) Run() int { return pgtest.Main(o.m) }

func run(m *testing.M) int { return Main(onPostgres{m}) }

// Hydra on Postgres works and keeps its state in a restart with the same folder.
func TestHydraOnPostgres(t *testing.T) {
	cfg := hydradev.Config{DSN: pgtest.URL(t), Dir: t.TempDir()}
	client := map[string]any{"client_id": "pg", "client_secret": "a-secret-of-tests", "scope": "r", "grant_types": []string{"client_credentials"}, "access_token_strategy": "jwt"}
	first := New(t, cfg)
	Register(t, first.AdminURL(), client)
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := New(t, cfg)
	token := MustBuy(t, Purchase{TokenURL: second.TokenURL(), ID: "pg", Secret: "a-secret-of-tests"})
	if !Introspect(t, second.AdminURL(), token) {
		t.Error("a token just bought is not active")
	}
	if err := readKeys(t.Context(), second); err != nil {
		t.Error(err)
	}
}

// A Hydra whose Postgres is gone is not ready, and without a restart ready again
// when the database is back; one that is started meanwhile says so without the
// database's password.
func TestHydraSurvivesPostgres(t *testing.T) {
	server := pgtest.New(t, pgtest.Config{})
	dsn := server.URL(t)
	s := New(t, hydradev.Config{DSN: dsn})
	pid := s.PID()
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Hydra is not ready", func() bool {
		status, _ := send(t, http.MethodGet, s.AdminURL()+"/health/ready", "", nil)
		return status == http.StatusServiceUnavailable
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	at, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.UserPassword(at.User.Username(), "the-dsn-password")
	log := &strings.Builder{}
	late, err := hydradev.Start(ctx, hydradev.Config{DSN: at.String(), Memory: true, Log: log})
	if err == nil {
		_ = late.Stop(context.Background())
		t.Fatal("Hydra started without its database")
	}
	if strings.Contains(err.Error()+log.String(), "the-dsn-password") {
		t.Errorf("the password is told: %v\n%s", err, log)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.PID() != pid {
		t.Errorf("process %d was replaced by %d", pid, s.PID())
	}
}
