package keyauth

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// secure reports whether the request came over TLS: on this connection, or on the
// one before a trusted proxy that says so. A trusted proxy's word counts against
// TLS as well: its own connection says nothing about the caller's. Nobody else's
// X-Forwarded-Proto counts.
func (v *Verifier) secure(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	addr := peer.Addr().Unmap().WithZone("")
	trusted := err == nil && slices.ContainsFunc(v.config.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
	if said := r.Header.Values("X-Forwarded-Proto"); trusted && len(said) > 0 {
		return len(said) == 1 && said[0] == "https"
	}
	if r.TLS != nil {
		return true
	}
	return v.config.InsecureLoopback && err == nil && addr.IsLoopback() && !trusted && onLoopback(hostOf(r))
}

// hostOf is the host that the caller asked for, without its port. It counts,
// because a page on the internet may have its name point to 127.0.0.1 (DNS
// rebinding).
func hostOf(r *http.Request) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}
