package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// leaseMargin is what a lease must have beyond the longest change: the
// transactions before and after the calls to Hydra, with room to spare.
const leaseMargin = Duration(5 * time.Second)

// rules checks what single values cannot show: meaning, files, and keys that
// depend on each other. A key that has a problem already is left out.
func (l *loader) rules(c *Config) {
	l.listen(c)
	l.hook(c)
	l.proxies(&c.Server)
	l.tls(&c.Server)
	l.publicURL(&c.Server)
	l.hydra(&c.Hydra)
	l.ledger(&c.Ledger)
	l.secrets(c)
	l.times(c)
	l.policies(c)
	l.status(&c.Status)
	l.dashboard(c)
}

func (l *loader) listen(c *Config) {
	const form = "expected host:port, for example 127.0.0.1:8080 or [::1]:8080"
	s, ops := c.Server.Listen, c.Ops.Listen
	if _, _, ok := splitListen(s); l.fine("server.listen") && !ok {
		l.bad("server.listen", form)
	}
	if !l.fine("ops.listen") || ops == "" {
		return
	}
	_, port, ok := splitListen(ops)
	switch {
	case !ok:
		l.bad("ops.listen", form)
	case ops == s && port != 0:
		l.bad("ops.listen", "expected another address than server.listen")
	}
}

func (l *loader) status(s *Status) {
	if l.fine("status.ttl") && s.TTL.Std()%time.Second != 0 {
		l.bad("status.ttl", "expected whole seconds")
	}
}

func (l *loader) proxies(s *Server) {
	if !l.fine("server.trusted_proxies") {
		return
	}
	for i, p := range s.TrustedProxies {
		plain, wrong := checkProxy(p)
		if wrong != "" {
			l.bad(fmt.Sprintf("server.trusted_proxies[%d]", i), wrong)
			continue
		}
		s.TrustedProxies[i] = plain
	}
}

// tls checks that there is a way to HTTPS, and that the certificate works.
func (l *loader) tls(s *Server) {
	const cert, key = "server.tls.cert_file", "server.tls.key_file"
	if !l.fine(cert, key) {
		return
	}
	switch {
	case s.TLS.CertFile == "" && s.TLS.KeyFile == "":
		if l.fine("server.trusted_proxies") && len(s.TrustedProxies) == 0 {
			l.errs.add(Problem{Key: "server.tls", Expected: "plain HTTP is refused, so nobody could call: set server.tls.cert_file and server.tls.key_file, or name the proxies that end TLS in server.trusted_proxies"})
		}
		return
	case s.TLS.CertFile == "":
		l.bad(cert, "required because server.tls.key_file is set")
		return
	case s.TLS.KeyFile == "":
		l.bad(key, "required because server.tls.cert_file is set")
		return
	}
	certPEM, ok := l.pem(cert, s.TLS.CertFile, "")
	keyPEM, ok2 := l.pem(key, s.TLS.KeyFile, "is a private key, server.tls.key_file")
	if !ok || !ok2 {
		return
	}
	if _, err := tls.X509KeyPair(certPEM, keyPEM); err != nil {
		l.bad(cert, "expected a PEM certificate that belongs to server.tls.key_file, and that an unencrypted PEM key")
	}
}

// pem reads a PEM file; secret says what a file is that only we should read.
func (l *loader) pem(path, file, secret string) ([]byte, bool) {
	data, mode, err := readFile(file, maxFileBytes)
	if err != nil {
		l.bad(path, fmt.Sprintf("expected a readable PEM file, %s: %v", showPath(file), err))
		return nil, false
	}
	if secret != "" {
		l.readable(showPath(file), mode, secret)
	}
	return data, true
}

// publicURL checks server.public_url. It is made up only where it cannot be
// anything else: our own TLS on a loopback address with a known port.
func (l *loader) publicURL(s *Server) {
	const path = "server.public_url"
	if !l.fine(path) {
		return
	}
	if s.PublicURL == "" {
		host, port, ok := splitListen(s.Listen)
		switch {
		case !l.fine("server.listen") || !ok:
		case isLoopback(host) && port != 0 && s.TLS.Enabled():
			s.PublicURL = "https://" + net.JoinHostPort(host, strconv.Itoa(int(port)))
			l.sources[path] = "made from server.listen"
		default:
			l.bad(path, "required: the HTTPS address under which callers reach us; only on a loopback address with our own TLS it can be made from server.listen")
		}
		return
	}
	u, wrong := checkURL(s.PublicURL)
	if wrong == "" && u.Scheme != "https" {
		wrong = "expected an https URL: plain HTTP is refused"
	}
	if wrong != "" {
		l.bad(path, strings.ReplaceAll(wrong, "hydra.example.com", "keys.example.com"))
		return
	}
	s.PublicURL = strings.TrimRight(s.PublicURL, "/")
}

func (l *loader) hydra(h *Hydra) {
	for path, value := range map[string]*string{"hydra.admin_url": &h.AdminURL, "hydra.public_url": &h.PublicURL} {
		if !l.fine(path) {
			continue
		}
		u, wrong := checkURL(*value)
		if wrong == "" && path == "hydra.public_url" && u.Scheme != "https" && !isLoopback(u.Hostname()) {
			wrong = "expected an https URL: client secrets and tokens travel there; plain HTTP is only for a loopback address"
		}
		if wrong != "" {
			l.bad(path, wrong)
			continue
		}
		*value = strings.TrimRight(*value, "/")
	}
	if h.CAFile == "" || !l.fine("hydra.ca_file") {
		return
	}
	if data, ok := l.pem("hydra.ca_file", h.CAFile, ""); ok && !x509.NewCertPool().AppendCertsFromPEM(data) {
		l.bad("hydra.ca_file", "expected a PEM file with at least one certificate")
	}
}

func (l *loader) secrets(c *Config) {
	if l.fine("secret") {
		if why := weakness(c.Secret.Reveal()); why != "" {
			l.bad("secret", why)
		}
	}
	if !l.fine("previous_secrets") {
		return
	}
	for i, s := range c.PreviousSecrets {
		key := fmt.Sprintf("previous_secrets[%d]", i)
		if why := weakness(s.Reveal()); why != "" {
			l.bad(key, why)
			continue
		}
		for j, other := range c.PreviousSecrets[:i] {
			if s.Equal(other) {
				l.bad(key, fmt.Sprintf("expected another secret than previous_secrets[%d]", j))
			}
		}
		if s.Equal(c.Secret) {
			l.bad(key, "expected another secret than the one in use")
		}
	}
}

// times keeps every inner limit below the outer one.
func (l *loader) times(c *Config) {
	s, h := &c.Server, &c.Hydra
	for _, r := range []struct {
		path, other string
		ok          bool
		expected    string
	}{
		{"server.read_timeout", "server.read_header_timeout", s.ReadTimeout >= s.ReadHeaderTimeout, "expected not less than"},
		{"server.request_timeout", "server.write_timeout", s.RequestTimeout < s.WriteTimeout, "expected less than"},
		{"hydra.change_timeout", "hydra.timeout", h.ChangeTimeout > h.Timeout, "expected more than"},
		{"server.request_timeout", "hydra.change_timeout", s.RequestTimeout > h.ChangeTimeout, "expected more than"},
		{"usage.days_kept", "usage.hours_kept", c.Usage.DaysKept >= c.Usage.HoursKept, "expected not less than"},
		{"ledger.lease", "hydra.change_timeout", c.Ledger.Lease > h.ChangeTimeout+leaseMargin, "expected more than " + leaseMargin.String() + " above"},
	} {
		if l.fine(r.path, r.other) && !r.ok {
			l.bad(r.path, fmt.Sprintf("%s %s (%s)", r.expected, r.other, l.sourceOf(r.other)))
		}
	}
}

func (l *loader) sourceOf(path string) string {
	if s := l.sources[path]; s != "" {
		return s
	}
	v, _ := varAt(path)
	return "default " + v.Default
}
