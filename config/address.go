package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
)

const maxURLBytes = 2048

// hostname is an RFC 1123 name; the underscore is added because container
// networks use it.
var hostname = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?$`)

func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return len(host) <= 253 && hostname.MatchString(host)
}

// isLoopback reports whether only this machine reaches the host. Other names
// than localhost are not looked up: their address may change.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// splitListen reads "host:port"; the host may be empty (every address).
func splitListen(listen string) (host string, port uint16, ok bool) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil || host != "" && !isHost(host) {
		return "", 0, false
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return host, uint16(n), err == nil
}

// checkURL reads an absolute URL of http or https that can be a base: nothing
// but scheme, host, port and path. wrong says what is not so; it never holds
// the URL, because of the password that may be in it.
func checkURL(raw string) (u *url.URL, wrong string) {
	const form = "expected a URL such as https://hydra.example.com"
	if raw == "" || len(raw) > maxURLBytes {
		return nil, form
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, form
	case !isHost(u.Hostname()) || !isPort(u.Port()):
		return nil, form + ", with a valid host and port"
	case u.User != nil:
		return nil, "expected a URL without user name and password"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || hasSuffixHash(raw):
		return nil, "expected a URL without ? and #"
	}
	return u, ""
}

func hasSuffixHash(raw string) bool { return raw[len(raw)-1] == '#' }

// isPort accepts the empty port too: the scheme's own.
func isPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// checkProxy reads an IP address or a CIDR and returns its plain form.
func checkProxy(text string) (plain, wrong string) {
	if addr, err := netip.ParseAddr(text); err == nil {
		if addr.Zone() != "" || addr.IsUnspecified() {
			return "", "expected the address of a proxy, without a zone"
		}
		return addr.Unmap().String(), ""
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil || prefix.Addr().Is4In6():
		return "", "expected an IP address or a CIDR such as 10.0.0.0/8"
	case prefix.Bits() == 0:
		return "", "expected the addresses of your proxies: a /0 would let any caller claim to have used HTTPS"
	case prefix != prefix.Masked():
		return "", "expected a CIDR without bits behind its length; the network meant is " + prefix.Masked().String()
	}
	return prefix.String(), ""
}
