package hydradev

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// envRole makes this test binary play another program; see TestMain.
const envRole = "HYDRADEV_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(envRole)
	if role == "" {
		os.Exit(m.Run())
	}
	play, ok := roles[role]
	if !ok {
		os.Exit(2)
	}
	os.Exit(play())
}

// roles are the programs that this test binary can play.
var roles = map[string]func() int{"parent": playParent}

// playParent runs a Hydra, prints its process id and admin URL, and waits to be
// killed.
func playParent() int {
	s, err := Start(context.Background(), Config{Dir: os.Getenv("HYDRADEV_TEST_DIR"), Log: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(s.PID(), s.AdminURL())
	select {}
}

// start runs a server for one test.
func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Memory = true
	}
	if cfg.Log == nil {
		cfg.Log = t.Output()
	}
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}
