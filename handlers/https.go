package handlers

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/tokenos/tokenos/apikey"
)

// peer is the other end of the connection.
type peer struct {
	addr    netip.Addr // zero if it has none (a Unix socket)
	trusted bool       // one of TrustedProxies
}

func (s *server) peerOf(r *http.Request) peer {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return peer{}
	}
	addr := plainAddr(at.Addr())
	return peer{addr, s.trusts(addr)}
}

// plainAddr writes an address in its one form: no zone, no IPv4 inside IPv6.
func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func (s *server) trusts(a netip.Addr) bool {
	return a.IsValid() && slices.ContainsFunc(s.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// secure reports whether the request came over TLS: on this connection, or on
// the one before a trusted proxy that says so. A trusted proxy's word counts
// against TLS as well: its own connection to us says nothing about the caller's.
func (s *server) secure(r *http.Request, p peer) bool {
	said := r.Header.Values("X-Forwarded-Proto")
	if p.trusted && len(said) > 0 {
		return len(said) == 1 && said[0] == "https"
	}
	return r.TLS != nil
}

// requireHTTPS refuses what came in clear, on every route and also where there
// is none. It never redirects: a client that follows would never learn that it
// sends its token in clear each time (OWASP ASVS 5.0, 4.1.2).
func (s *server) requireHTTPS(c *gin.Context) {
	if s.welcome(c.Request) {
		return
	}
	c.Header("Connection", "close")
	fail(c, apikey.ErrHTTPSRequired)
}

// welcome reports whether the request came in a way that may be answered.
func (s *server) welcome(r *http.Request) bool {
	return exchangeFrom(r.Context()).secure || s.InsecureLoopback && s.onLoopback(r)
}

// onLoopback reports whether both ends are this machine. The host counts too:
// a page on the internet may have its name point to 127.0.0.1 (DNS rebinding).
func (s *server) onLoopback(r *http.Request) bool {
	p := s.peerOf(r)
	if r.TLS != nil || !p.addr.IsLoopback() || p.trusted {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && plainAddr(addr).IsLoopback()
}

// clientAddress is the caller's address as far as it can be trusted: the last
// entry of X-Forwarded-For that no trusted proxy stands behind. Entries before
// it are whatever the caller wrote.
func (s *server) clientAddress(r *http.Request, p peer) string {
	if !p.addr.IsValid() {
		return ""
	}
	addr := p.addr
	if !p.trusted {
		return addr.String()
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		next, ok := parseHop(strings.TrimSpace(hop))
		if !ok {
			break
		}
		if addr = next; !s.trusts(addr) {
			break
		}
	}
	return addr.String()
}

// parseHop reads an address, with or without a port.
func parseHop(hop string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(hop); err == nil {
		return plainAddr(a), true
	}
	at, err := netip.ParseAddrPort(hop)
	return plainAddr(at.Addr()), err == nil
}
