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

// certificateAge is how long a certificate is used before its files are looked
// at again.
const certificateAge = time.Second

// certificate serves a TLS certificate from files and reads them again when
// they change, at most once a second. A pair that cannot be read leaves the one
// in use, with one line in the log.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	seen    pair // the files when they were last read, well or not
	looked  time.Time
}

// pair is how the two files look from outside; nil for one that is not there.
type pair [2]os.FileInfo

func newCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	c.seen, c.looked = c.look(), time.Now() // before reading: a change in between is seen later
	read, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("read the TLS certificate %s and its key: %w", certFile, err)
	}
	c.current = &read
	return c, nil
}

// look follows links, so that it sees when one is turned to other files.
func (c *certificate) look() (p pair) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			p[i] = info
		}
	}
	return p
}

// equal reports whether the files are the same and unchanged.
func (p pair) equal(q pair) bool {
	for i, a := range p {
		b := q[i]
		if (a == nil) != (b == nil) {
			return false
		}
		if a != nil && !(os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()) {
			return false
		}
	}
	return true
}

// get has the form of tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) >= certificateAge {
		c.looked = time.Now()
		c.reload()
	}
	return c.current, nil
}

// reload reads the files if they have changed.
func (c *certificate) reload() {
	now := c.look()
	if now.equal(c.seen) {
		return
	}
	c.seen = now
	read, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		c.log.Error("changed TLS certificate not usable, the old one stays", "file", c.certFile, "error", err)
		return
	}
	c.current = &read
	c.log.Info("TLS certificate read again", "file", c.certFile)
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
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificate authorities: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", caFile)
	}
	return cfg, nil
}
