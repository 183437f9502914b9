package keyauth

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// withURLs fills in the addresses that follow from others.
func (c Config) withURLs() Config {
	if c.JWKSURL == "" && c.Issuer != "" {
		c.JWKSURL = strings.TrimSuffix(c.Issuer, "/") + "/.well-known/jwks.json"
	}
	if c.HydraReadyURL == "" && c.InsecureHydraAdmin != "" {
		c.HydraReadyURL = c.adminReadyURL()
	}
	if u, err := url.Parse(c.Introspection.URL); err == nil && u.Host != "" && c.StatusList.URL == "" && !c.StatusList.Off {
		c.StatusList.URL = u.Scheme + "://" + u.Host + "/status/"
	}
	if c.StatusList.JWKSURL == "" && c.StatusList.URL != "" {
		c.StatusList.JWKSURL = c.StatusList.URL + "jwks.json"
	}
	return c
}

// adminReadyURL is where Hydra's admin API says whether it is ready.
func (c Config) adminReadyURL() string {
	return strings.TrimSuffix(c.InsecureHydraAdmin, "/") + "/health/ready"
}

// check reports everything that is wrong, before and after defaults are filled in.
func (c Config) check() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	c.checkTokens(need)
	c.checkStatusList(need)
	need(len(c.TrustedProxies) <= maxProxies, "TrustedProxies has at most 64 networks")
	need(!slices.ContainsFunc(c.TrustedProxies, func(p netip.Prefix) bool { return !p.IsValid() }), "TrustedProxies has an invalid network")
	need(c.Leeway <= longestLeeway, "Leeway is at most 5 minutes")
	need(c.CallTimeout >= 0 && c.CallTimeout <= longestTimeout, "CallTimeout is at most 30 seconds")
	need(c.JWTFresh <= longestJWTFresh, "JWTFresh is at most 60 seconds")
	need(c.CacheBytes == 0 || c.CacheBytes >= 64<<10, "CacheBytes is at least 64 KiB")
	for name, address := range map[string]string{"Issuer": c.Issuer, "JWKSURL": c.JWKSURL, "Introspection.URL": c.Introspection.URL, "HydraReadyURL": c.HydraReadyURL,
		"StatusList.URL": c.StatusList.URL, "StatusList.JWKSURL": c.StatusList.JWKSURL} {
		insecure := name == "HydraReadyURL" && c.InsecureHydraAdmin != "" && address == c.adminReadyURL()
		need(address == "" || insecure || c.safeURL(address), name+" must be an https URL without user, query and fragment (http on a loopback address with InsecureLoopback)")
	}
	need(c.InsecureHydraAdmin == "" || plainURL(c.InsecureHydraAdmin) != nil, "InsecureHydraAdmin must be an http or https URL")
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("keyauth: configuration: %w", err)
	}
	return nil
}

// audienceForm leaves out what a quoted string of a header cannot hold.
var audienceForm = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]{1,512}$`)

func (c Config) checkTokens(need func(bool, string)) {
	need(len(c.Audiences) > 0 && len(c.Audiences) <= maxAudiences, "Audiences must name this API, by 1 to 20 names")
	for _, a := range c.Audiences {
		need(audienceForm.MatchString(a), "Audiences has a name that is empty, longer than 512 bytes, or has a space, quote or backslash")
	}
	need(c.Issuer != "" || c.JWKSURL == "", "JWKSURL goes with Issuer")
	need(c.Issuer != "" || c.Introspection.URL != "" || c.InsecureHydraAdmin != "", "set Issuer to accept JWTs, Introspection to accept opaque tokens, or both")
	for _, a := range c.Algorithms {
		need(slices.Contains(signatures, a), "Algorithms has one that is not of ES, RS and PS 256, 384 and 512")
	}
	need(c.Algorithms == nil || len(c.Algorithms) > 0, "Algorithms must not be empty")
	i := c.Introspection
	need((i.URL == "") == (i.Token == nil), "Introspection needs both URL and Token")
	need(i.URL == "" || c.InsecureHydraAdmin == "", "Introspection and InsecureHydraAdmin exclude each other")
	need(i.Fresh <= longestFresh, "Introspection.Fresh is at most 30 seconds")
	need(i.MaxConcurrent >= 0 && i.MaxConcurrent <= 1000, "Introspection.MaxConcurrent is at most 1000")
}

func (c Config) checkStatusList(need func(bool, string)) {
	s := c.StatusList
	need(!s.Off || s.URL == "" && s.JWKSURL == "", "StatusList.Off excludes its other members")
	need(s.URL != "" || s.JWKSURL == "" || c.Introspection.URL != "", "StatusList.JWKSURL goes with StatusList.URL")
	need(c.Issuer == "" || s.Off || s.URL != "" || c.Introspection.URL != "",
		"StatusList.URL is required with Issuer: without it a disabled key's JWTs live to their end (StatusList.Off accepts that)")
	need(s.URL == "" || strings.HasSuffix(s.URL, "/"), "StatusList.URL must end with a slash")
	need(s.Interval == 0 || s.Interval >= 10*time.Millisecond && s.Interval <= longestInterval, "StatusList.Interval is from 10 milliseconds to 1 minute")
}

// safeURL reports whether what comes from there can be trusted.
func (c Config) safeURL(raw string) bool {
	u := plainURL(raw)
	return u != nil && (u.Scheme == "https" || c.InsecureLoopback && onLoopback(u.Hostname()))
}

// plainURL is nil unless raw is an http or https URL with a host and nothing that
// would be lost or misread when something is put behind it.
func plainURL(raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#") || (u.Scheme != "https" && u.Scheme != "http") {
		return nil
	}
	return u
}

// onLoopback reports whether the host can only be this machine.
func onLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
