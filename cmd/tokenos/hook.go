package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/hydra"
)

// hookServer makes the side where Hydra asks; nil if there is none.
func (a *app) hookServer(ctx context.Context, cfg *config.Config) (*served, error) {
	if !a.hooked {
		return nil, nil //nolint:nilnil // no hook is no error
	}
	secrets := []apikey.Secret{apikey.NewSecret(cfg.Hook.Secret.Reveal())}
	if s := cfg.Hook.PreviousSecret; !s.IsEmpty() {
		secrets = append(secrets, apikey.NewSecret(s.Reveal()))
	}
	l, err := listen(ctx, "the token hook", cfg.Hook.Listen, "stop the program that has the address, or choose another with --hook.listen")
	if err != nil {
		return nil, err
	}
	if t := cfg.Hook.TLS; t.Enabled() {
		cert, err := newCertificate(t.CertFile, t.KeyFile, a.log)
		if err != nil {
			l.Close()
			return nil, err
		}
		l = tls.NewListener(l, cert.serverTLS())
	}
	return a.hookOn(l, secrets)
}

// hookOn makes the token hook on a listener, which it closes if it cannot.
func (a *app) hookOn(l net.Listener, secrets []apikey.Secret) (*served, error) {
	handler, err := handlers.NewHook(handlers.HookConfig{Answer: hydra.Hook{Decide: a.metrics.counted(a.service.Decide)}.Answer, Secrets: secrets,
		Observe: a.metrics.observeHook, Log: a.log})
	if err != nil {
		l.Close()
		return nil, err
	}
	return &served{hookLimits(handlers.Server(handler, time.Second, a.log)), l}, nil
}

// hookLimits are those of a server whose only caller keeps its connections and
// asks within a moment.
func hookLimits(s *http.Server) *http.Server {
	s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout = 2*time.Second, 3*time.Second, 4*time.Second
	s.MaxHeaderBytes = 8 << 10
	return s
}

// close closes every listener.
func (all sides) close() {
	for _, side := range []*served{&all.api, all.hook, all.ops} {
		if side != nil && side.listener != nil {
			side.listener.Close()
		}
	}
}
