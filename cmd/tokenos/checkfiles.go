package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenos/tokenos/config"
)

// checkFiles looks at who may read and write what the server reads. What it says
// of a file holds nothing of what is in it.
func checkFiles(_ context.Context, p *patient) finding {
	if runtime.GOOS == "windows" {
		return unknown("files have no such modes on this system")
	}
	var writable []string
	open := slices.Clone(p.config.Exposed)
	for _, name := range filesOf(p.config, p.env) {
		if info, err := os.Stat(name); err == nil && info.Mode().Perm()&0o002 != 0 {
			writable = append(writable, fmt.Sprintf("%s can be written by every user of this machine (mode %04o): chmod o-w", name, info.Mode().Perm()))
		}
	}
	for _, name := range databaseFiles(p.config) {
		info, err := os.Stat(name)
		switch {
		case err != nil:
		case info.Mode().Perm()&0o002 != 0:
			writable = append(writable, fmt.Sprintf("%s can be written by every user of this machine (mode %04o): chmod o-rw", name, info.Mode().Perm()))
		case info.Mode().Perm()&0o004 != 0:
			open = append(open, fmt.Sprintf("%s can be read by every user of this machine (mode %04o) and is the ledger: chmod o-r", name, info.Mode().Perm()))
		}
	}
	const fix = "change the modes as said, and exchange what others may have read (previous_secrets)"
	switch {
	case len(writable) > 0:
		return bad(strings.Join(append(writable, open...), "\n"), fix)
	case len(open) > 0:
		return unwise(strings.Join(open, "\n"), fix)
	}
	return good("no file of the server's is open to every user of this machine")
}

// filesOf are the files that the configuration comes from and names.
func filesOf(c *config.Config, env []string) []string {
	names := []string{c.Keys.PolicyFile, c.Server.TLS.CertFile, c.Server.TLS.KeyFile, c.Hook.TLS.CertFile, c.Hook.TLS.KeyFile, c.Hydra.CAFile}
	for _, v := range config.Vars() {
		source := c.Source(v.Path)
		if name, ok := strings.CutPrefix(source, "env "); ok {
			for _, entry := range env {
				if value, found := strings.CutPrefix(entry, name+"="); found && strings.HasSuffix(name, "_FILE") {
					names = append(names, value)
				}
			}
			continue
		}
		if i := strings.LastIndexByte(source, ':'); i > 0 {
			if _, err := strconv.Atoi(source[i+1:]); err == nil {
				names = append(names, source[:i])
			}
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

// databaseFiles are those of a ledger on SQLite.
func databaseFiles(c *config.Config) []string {
	path, ok := strings.CutPrefix(c.Ledger.URL.Reveal(), "sqlite://")
	if !ok {
		return nil
	}
	if plain, err := url.PathUnescape(path); err == nil {
		path = plain
	}
	return []string{path, path + "-wal", path + "-shm"}
}

// The widest ranges that one operator's proxies may have: the largest networks
// for content are narrower.
const (
	widest4 = 8
	widest6 = 16
)

func checkProxies(_ context.Context, p *patient) finding {
	trusted, err := prefixes(p.config.Server.TrustedProxies)
	if err != nil {
		return bad(err.Error(), "set server.trusted_proxies to the addresses of your proxies")
	}
	var wide []string
	for _, at := range trusted {
		widest := widest4
		if at.Addr().Is6() {
			widest = widest6
		}
		if at.Bits() < widest && !at.Addr().IsPrivate() && !at.Addr().IsLoopback() {
			wide = append(wide, at.String())
		}
	}
	switch {
	case len(wide) > 0:
		return bad("half the world is trusted: "+strings.Join(wide, ", "), "set server.trusted_proxies to the addresses of your proxies alone")
	case len(trusted) == 0:
		return good("none is trusted; TLS ends here")
	}
	return good(fmt.Sprintf("%d addresses or ranges are trusted, none of them wide", len(trusted)))
}

// certificateCheck gathers what is seen of the certificates of an installation.
type certificateCheck struct {
	ctx                   context.Context
	now                   time.Time
	fine, soon, ill, mute []string
}

func checkCertificates(ctx context.Context, p *patient) finding {
	c := &certificateCheck{ctx: ctx, now: time.Now()}
	cfg := p.config
	if cfg.Server.TLS.Enabled() {
		c.file("server.tls.cert_file", cfg.Server.TLS.CertFile, cfg.Server.PublicURL)
	}
	if cfg.Hook.TLS.Enabled() {
		c.file("hook.tls.cert_file", cfg.Hook.TLS.CertFile, "")
	}
	system := &tls.Config{MinVersion: tls.VersionTLS12}
	hydras, err := clientTLS(cfg.Hydra.CAFile)
	if err != nil {
		return bad(err.Error(), "set hydra.ca_file to a file of certificates in PEM form")
	}
	c.address("server.public_url", cfg.Server.PublicURL, system)
	c.address("hydra.public_url", cfg.Hydra.PublicURL, hydras)
	c.address("hydra.admin_url", cfg.Hydra.AdminURL, hydras)
	all := slices.Concat(c.ill, c.soon, c.fine, c.mute)
	const fix = "renew the certificate, and see that what renews it runs; a file of ours is read again by itself"
	switch {
	case len(c.ill) > 0:
		return bad(strings.Join(all, "\n"), fix)
	case len(c.soon) > 0:
		return unwise(strings.Join(all, "\n"), fix)
	case len(c.fine) > 0:
		return good(strings.Join(all, "\n"))
	case len(c.mute) > 0:
		return unknown(strings.Join(all, "\n"))
	}
	return good("no address is https")
}

// file looks at a certificate of ours; at is the address that it is for, "" if it
// is not known.
func (c *certificateCheck) file(key, name, at string) {
	text, err := os.ReadFile(name)
	if err != nil {
		c.ill = append(c.ill, key+" cannot be read")
		return
	}
	block, _ := pem.Decode(text)
	if block == nil {
		c.ill = append(c.ill, key+" holds no certificate in PEM form")
		return
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		c.ill = append(c.ill, key+" begins with no certificate")
		return
	}
	if u, err := url.Parse(at); err == nil && at != "" {
		if leaf.VerifyHostname(u.Hostname()) != nil {
			c.ill = append(c.ill, key+" is not for "+u.Hostname())
			return
		}
	}
	c.dates(key, leaf)
}

// address looks at the certificate that somebody shows at an https address. That
// nobody answers there says nothing: it may be reached from elsewhere alone.
func (c *certificateCheck) address(key, address string, trust *tls.Config) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" {
		return
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 2 * time.Second}, Config: trust}
	conn, err := dialer.DialContext(c.ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		c.refused(key, u, err)
		return
	}
	defer func() { _ = conn.Close() }() // nothing was said
	if secure, ok := conn.(*tls.Conn); ok && len(secure.ConnectionState().PeerCertificates) > 0 {
		c.dates(key, secure.ConnectionState().PeerCertificates[0])
	}
}

// refused says why there is no connection: the certificate, or the way there.
func (c *certificateCheck) refused(key string, u *url.URL, err error) {
	why, illness := errors.AsType[*tls.CertificateVerificationError](err)
	if !illness {
		c.mute = append(c.mute, key+": nobody shows a certificate at "+u.Host+" from here")
		return
	}
	invalid, dated := errors.AsType[x509.CertificateInvalidError](why)
	_, named := errors.AsType[x509.HostnameError](why)
	switch {
	case dated && invalid.Reason == x509.Expired:
		c.ill = append(c.ill, key+": the certificate is over, or not yet good")
	case named:
		c.ill = append(c.ill, key+": the certificate is not for "+u.Hostname())
	default:
		c.ill = append(c.ill, key+": this machine does not trust who signed the certificate")
	}
}

// Two weeks before its end a certificate should have been renewed; one that is
// made for less, in the last quarter of its life.
const renewedBy = 14 * 24 * time.Hour

func (c *certificateCheck) dates(key string, leaf *x509.Certificate) {
	left := leaf.NotAfter.Sub(c.now)
	when := fmt.Sprintf("%s: good until %s, %d days", key, leaf.NotAfter.UTC().Format(time.DateOnly), int(left/(24*time.Hour)))
	switch {
	case c.now.Before(leaf.NotBefore):
		c.ill = append(c.ill, key+": the certificate is not good before "+leaf.NotBefore.UTC().Format(time.RFC3339))
	case left <= 0:
		c.ill = append(c.ill, key+": the certificate was good until "+leaf.NotAfter.UTC().Format(time.RFC3339))
	case left < min(renewedBy, leaf.NotAfter.Sub(leaf.NotBefore)/4):
		c.soon = append(c.soon, when)
	default:
		c.fine = append(c.fine, when)
	}
}
