package hydradev

import (
	"net"
	"strings"
	"sync"
	"testing"
)

// record is a log that a test reads while it is written.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// A Hydra that dies is started again at the same ports with the same data, and
// one line says so.
func TestDeadHydraComesBack(t *testing.T) {
	log := &record{}
	s := start(t, Config{Log: log})
	if status, body := call(t, "POST", s.AdminURL()+"/admin/clients", `{"client_id":"stays"}`); status != 201 {
		t.Fatalf("create a client: got %d %s", status, body)
	}
	for range 2 {
		before := s.PID()
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := s.PID(); after == before || after == 0 {
			t.Errorf("process %d became %d", before, after)
		}
		if status, body := call(t, "GET", s.AdminURL()+"/admin/clients/stays", ""); status != 200 {
			t.Errorf("the client after a crash: got %d %s", status, body)
		}
	}
	if got := strings.Count(log.String(), "starting it again"); got != 2 {
		t.Errorf("%d lines about 2 restarts:\n%s", got, log)
	}
}

// A halted Hydra stays down until it is resumed, then answers at the same ports
// with the same data.
func TestHaltAndResume(t *testing.T) {
	s := start(t, Config{})
	if status, body := call(t, "POST", s.AdminURL()+"/admin/clients", `{"client_id":"stays"}`); status != 201 {
		t.Fatalf("create a client: got %d %s", status, body)
	}
	for range 2 {
		for range 2 { // halting twice is halting once
			if err := s.Halt(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if s.PID() != 0 {
			t.Errorf("process %d runs after Halt", s.PID())
		}
		for _, port := range []int{s.at.public, s.at.admin} {
			if err := tryPort(port); err != nil {
				t.Errorf("port %d after Halt: %v", port, err)
			}
		}
		for range 2 {
			if err := s.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if status, body := call(t, "GET", s.AdminURL()+"/admin/clients/stays", ""); status != 200 {
			t.Errorf("the client after Resume: got %d %s", status, body)
		}
	}
}

// Resuming where somebody took the port says which one, and works once it is free.
func TestResumeNamesTheTakenPort(t *testing.T) {
	s := start(t, Config{})
	if err := s.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address(s.at.public))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Resume(t.Context())
	if err == nil || !strings.Contains(err.Error(), "Hydra's public port") {
		t.Errorf("got %v, want the public port named", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Resume(t.Context()); err != nil {
		t.Error(err)
	}
}

// Hydra losing the race for a port is told from other failures, so that Start
// tries others.
func TestLostRaceIsSeen(t *testing.T) {
	s := start(t, Config{})
	if err := s.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address(s.at.admin))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s.turn.Lock()
	defer s.turn.Unlock()
	if err := s.launch(t.Context()); err == nil {
		t.Fatal("Hydra started on a taken port")
	}
	if !s.lostRace() {
		t.Errorf("a taken port is not seen in:\n%s", s.out.tail())
	}
}

// Secrets that we gave to Hydra are not in the log, nor is its advertising.
func TestLogHasNoSecrets(t *testing.T) {
	log := &record{}
	s := start(t, Config{Log: log, Settings: map[string]any{"log.level": "debug"}, TokenHook: &TokenHook{URL: "http://127.0.0.1:9/hook", Header: "X-Hook", Value: "the-hook-secret"}})
	if _, err := s.out.Write([]byte("dsn secret: the-hook-secret\nunfinished")); err != nil {
		t.Fatal(err)
	}
	got := log.String()
	if strings.Contains(got, "the-hook-secret") || !strings.Contains(got, "dsn secret: [secret]\n") {
		t.Errorf("the hook's secret in the log:\n%s", got)
	}
	for _, b := range banner {
		if strings.Contains(got, b) {
			t.Errorf("noise in the log: %s", b)
		}
	}
}
