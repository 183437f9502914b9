package snippets

import (
	"errors"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// algorithm is how the libraries name a signature algorithm of RFC 7518.
type algorithm struct {
	Hash  int    // bits of SHA-2
	Curve string // of WebCrypto; "" for RSA
	Hex   int    // hexadecimal digits of one of the two numbers of an ECDSA signature
	PSS   bool   // RSASSA-PSS, else PKCS #1 v1.5
}

var algorithms = map[string]algorithm{
	"ES256": {Hash: 256, Curve: "P-256", Hex: 64},
	"ES384": {Hash: 384, Curve: "P-384", Hex: 96},
	"ES512": {Hash: 512, Curve: "P-521", Hex: 132},
	"RS256": {Hash: 256},
	"RS384": {Hash: 384},
	"RS512": {Hash: 512},
	"PS256": {Hash: 256, PSS: true},
	"PS384": {Hash: 384, PSS: true},
	"PS512": {Hash: 512, PSS: true},
}

const maxParam = 16 << 10 // bytes; a hundred scopes of 128 bytes fit

var (
	clientID = regexp.MustCompile(`^[A-Za-z0-9_.~-]{1,128}$`)
	keyID    = regexp.MustCompile(`^[A-Za-z0-9_.~-]{1,128}$`)
	// scopes and audiences are words with one space between them. A scope has no
	// quote and no backslash (RFC 6749 section 3.3), a URI neither (RFC 3986
	// section 2); everything else that is printable may stand in them.
	words = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*$`)
	// tokenURL is narrower than a URL: it stands inside quotes of several kinds.
	tokenURL = regexp.MustCompile(`^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?$`)
)

// check reports everything that would make the snippet wrong or unsafe to
// paste. The errors never repeat a value.
func (p Params) check() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	need(slices.Contains(Methods, p.Method), "the method is not one of "+strings.Join(Methods, ", "))
	need(clientID.MatchString(p.ClientID), "the client id has 1 to 128 letters, digits or _ . ~ -")
	need(len(p.Scope) <= maxParam && words.MatchString(p.Scope), "the scope has one or more scopes (RFC 6749 section 3.3)")
	need(len(p.Audience) <= maxParam && (p.Audience == "" || words.MatchString(p.Audience)), "the audience has one or more URIs")
	need(len(p.TokenURL) <= 2048 && tokenURL.MatchString(p.TokenURL), "the token URL is an absolute http or https URL without query")
	if strings.HasPrefix(p.TokenURL, "http:") {
		need(p.InsecureLoopback && onLoopback(p.TokenURL), "the token URL must be https (http only on a loopback address in development)")
	}
	_, known := algorithms[p.Alg]
	if p.Method == "private_key_jwt" {
		need(known, "the algorithm is not one that Hydra verifies")
		need(keyID.MatchString(p.KID), "the key id has 1 to 128 letters, digits or _ . ~ -")
	} else {
		need(p.Alg == "" && p.KID == "", "key id and algorithm go with private_key_jwt only")
	}
	return errors.Join(errs...)
}

// onLoopback reports whether the URL's host can only be this machine.
func onLoopback(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.IsLoopback()
}
