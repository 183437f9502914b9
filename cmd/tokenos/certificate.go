package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate serves a TLS certificate from files and reads them again when
// they change, at most once a second. A pair that cannot be read leaves the one
// in use, with one line in the log.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	changed time.Time // latest modification of the two files in use
	looked  time.Time
}

func newCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("read the TLS certificate %s and its key: %w", certFile, err)
	}
	c.current, c.changed = &pair, c.modified()
	return c, nil
}

// modified is when the newer of the two files changed; zero if one is missing.
func (c *certificate) modified() time.Time {
	var latest time.Time
	for _, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return time.Time{}
		}
		if info.ModTime().After(latest) {
			latest = info.ModTime()
		}
	}
	return latest
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < time.Second {
		return c.current, nil
	}
	c.looked = time.Now()
	if changed := c.modified(); !changed.IsZero() && !changed.Equal(c.changed) {
		c.changed = changed
		if pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile); err != nil {
			c.log.Error("changed TLS certificate not usable, the old one stays", "file", c.certFile, "error", err)
		} else {
			c.current = &pair
			c.log.Info("TLS certificate read again", "file", c.certFile)
		}
	}
	return c.current, nil
}

// serverTLS is our own TLS: 1.2 and later, Go's choice of ciphers.
func (c *certificate) serverTLS() *tls.Config {
	return &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
}

// clientTLS trusts the authorities in caFile, or the system's if it is "".
func clientTLS(caFile string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(caFile) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("read the certificate authorities: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", caFile)
	}
	return cfg, nil
}
