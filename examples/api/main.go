// Command api is a small API that keyauth protects: orders, to read with the scope
// orders:read and to add with orders:write. It shows the same with net/http and
// with Gin.
//
// Beside `tokenos dev` it needs no settings:
//
//	go run ./cmd/tokenos dev
//	go run ./examples/api         # or: go run ./examples/api -gin
//	curl -sS http://127.0.0.1:9090/orders -H "Authorization: Bearer $TOKEN"
//
// In production tokens are looked up at TokenOS, and TLS ends here or at a proxy:
//
//	TOKENOS_CLIENT_ID=key_live_... TOKENOS_CLIENT_SECRET=tos_... go run ./examples/api \
//	  -issuer https://auth.example.com -tokenos https://keys.example.com \
//	  -audience https://api.example.com -trusted-proxy 10.0.0.0/8
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tokenos/tokenos/keyauth"
)

const stopsIn = 5 * time.Second // requests in flight when told to stop

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "api:", err)
		os.Exit(1)
	}
}

// run is the program: it serves until ctx ends.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) error {
	s, err := readSettings(args, env, stderr)
	if err != nil {
		return err
	}
	config := s.keyauth()
	config.Log = slog.New(slog.NewTextHandler(stderr, nil))
	v, err := keyauth.New(config)
	if err != nil {
		return err
	}
	defer v.Close() //nolint:errcheck // always nil
	handler := withNetHTTP(v, &orders{})
	if s.gin {
		handler = withGin(v, &orders{})
	}
	l, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "listening on http://%s\n", l.Addr())
	return serve(ctx, l, handler)
}

// serve answers requests until ctx ends, and then those in flight.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopsIn)
	defer cancel()
	if err := server.Shutdown(end); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return server.Close()
}
