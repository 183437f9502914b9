package config

import (
	"crypto/tls"
	"fmt"
	"net/netip"
)

// Hook is Hydra's token hook: a side of its own that only Hydra reaches.
type Hook struct {
	Listen         string `json:"listen" preset:"" doc:"Address where Hydra asks before it issues a token, host:port. Never a public one; without hook.tls only a loopback or private IP address. Empty: no hook."`
	Secret         Secret `json:"secret" secret:"true" maxLength:"1024" pattern:"^[!-~]*$" patternDescription:"visible ASCII characters without spaces" doc:"What Hydra shows in the header Tokenos-Hook-Secret. At least 32 random characters. Required with hook.listen."`
	PreviousSecret Secret `json:"previous_secret" secret:"true" maxLength:"1024" pattern:"^[!-~]*$" patternDescription:"visible ASCII characters without spaces" doc:"The one before it, or the next: taken as well, so that the secret can be changed in Hydra at any moment. Empty: none."`
	TLS            TLS    `json:"tls" doc:"TLS of the hook."`
}

// minHookSecret is the least length of what Hydra shows.
const minHookSecret = 32

func (l *loader) hook(c *Config) {
	h := &c.Hook
	if h.Listen == "" || !l.fine("hook.listen") {
		return
	}
	l.hookListen(c)
	l.hookSecrets(c)
	l.hookTLS(h)
}

func (l *loader) hookListen(c *Config) {
	const path = "hook.listen"
	host, port, ok := splitListen(c.Hook.Listen)
	if !ok {
		l.bad(path, "expected host:port, for example 127.0.0.1:8081 or [::1]:8081")
		return
	}
	for other, listen := range map[string]string{"server.listen": c.Server.Listen, "ops.listen": c.Ops.Listen} {
		theirs, taken, ok := splitListen(listen)
		if ok && port != 0 && port == taken && (host == theirs || isEverywhere(host) || isEverywhere(theirs)) {
			l.bad(path, "expected another address than "+other)
			return
		}
	}
	if !c.Hook.TLS.Enabled() && !isPrivate(host) {
		l.bad(path, "expected a loopback or private IP address, or hook.tls: what Hydra shows there must not be seen by others")
	}
}

// isEverywhere reports whether a listener on the host takes every address.
func isEverywhere(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

// isPrivate reports whether the host is an address that is not routed on the
// internet. Names other than localhost are not looked up.
func isPrivate(host string) bool {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return isLoopback(host)
	}
	addr = addr.Unmap()
	return addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast()
}

func (l *loader) hookSecrets(c *Config) {
	const secret, previous = "hook.secret", "hook.previous_secret"
	for path, s := range map[string]Secret{secret: c.Hook.Secret, previous: c.Hook.PreviousSecret} {
		if !l.fine(path) || path == previous && s.IsEmpty() {
			continue
		}
		why := weakness(s.Reveal())
		switch {
		case s.IsEmpty():
			why = "required because hook.listen is set; make one with \"openssl rand -hex 32\""
		case len(s.Reveal()) < minHookSecret:
			why = fmt.Sprintf("expected at least %d characters", minHookSecret)
		case s.Equal(c.Secret):
			why = "expected another secret than the server secret, which Hydra must not know"
		case path == previous && s.Equal(c.Hook.Secret):
			why = "expected another secret than hook.secret"
		}
		if why != "" {
			l.bad(path, why)
		}
	}
}

func (l *loader) hookTLS(h *Hook) {
	const cert, key = "hook.tls.cert_file", "hook.tls.key_file"
	if !l.fine(cert, key) || h.TLS == (TLS{}) {
		return
	}
	switch {
	case h.TLS.CertFile == "":
		l.bad(cert, "required because hook.tls.key_file is set")
		return
	case h.TLS.KeyFile == "":
		l.bad(key, "required because hook.tls.cert_file is set")
		return
	}
	certPEM, ok := l.pem(cert, h.TLS.CertFile, "")
	keyPEM, ok2 := l.pem(key, h.TLS.KeyFile, "is a private key, hook.tls.key_file")
	if !ok || !ok2 {
		return
	}
	if _, err := tls.X509KeyPair(certPEM, keyPEM); err != nil {
		l.bad(cert, "expected a PEM certificate that belongs to hook.tls.key_file, and that an unencrypted PEM key")
	}
}
