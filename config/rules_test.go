package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// certificate makes a self-signed certificate and its key, as PEM files.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644),
		write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})), 0o600)
}

// Each value alone is taken or refused as its key's meaning demands.
func TestValues(t *testing.T) {
	type values map[string]string // value: beginning of what is expected; "" if it is taken
	const listen, hydraURL, proxy = "expected host:port", "expected a URL such as", "expected an IP address or a CIDR"
	for name, cases := range map[string]values{
		"SERVER_LISTEN": {":8080": "", "0.0.0.0:443": "", "[::1]:0": "", "tokenos_1:80": "", "localhost:65535": "",
			"8080": listen, "127.0.0.1": listen, "127.0.0.1:": listen, "x:http": listen, "x:65536": listen, "::1:80": listen, "a b:80": listen, "x:-1": listen, "": listen},
		"OPS_LISTEN":                 {"": "", "127.0.0.1:9090": "", ":9090": "", "9090": listen, "127.0.0.1:8080": "expected another address than server.listen"},
		"SERVER_MAX_HEADER_BYTES":    {"4096": "", "1048576": "", "4095": "expected integer from 4096 to 1048576", "1048577": "expected integer from 4096 to 1048576", "16k": "expected integer from 4096 to 1048576"},
		"SERVER_MAX_BODY_BYTES":      {"4096": "", "0": "expected integer from 4096 to 1048576", "1e5": "expected integer from 4096 to 1048576"},
		"SERVER_IDLE_TIMEOUT":        {"1h": "", "90s": "", "61m": "expected a duration from 1s to 1h", "0s": "expected a duration from 1s", "90d": "expected a duration from", "5": "expected a duration such as", "-5s": "expected a duration such as", "999999999999d": "expected a duration such as"},
		"SERVER_SHUTDOWN_TIMEOUT":    {"0s": "", "0": "", "10m": "", "10m1s": "expected a duration from 0s to 10m"},
		"HYDRA_RETRIES":              {"0": "", "5": "", "6": "expected integer from 0 to 5", "-1": "expected integer from 0 to 5", "٣": "expected integer from 0 to 5", " 1": "expected integer from 0 to 5"},
		"HYDRA_MAX_CONCURRENT":       {"1": "", "1000": "", "0": "expected integer from 1 to 1000", "1001": "expected integer from 1 to 1000"},
		"LEDGER_MAX_CONNECTIONS":     {"1": "", "500": "", "0": "expected integer from 1 to 500"},
		"LOG_FORMAT":                 {"text": "", "JSON": "expected value to be one of", "xml": "expected value to be one of"},
		"KEYS_REQUIRE_IF_MATCH":      {"true": "", "0": "", "yes": "expected boolean", "": "expected boolean"},
		"SERVER_TRUSTED_PROXIES":     {"10.0.0.0/8,::1": "", "::ffff:10.0.0.1": "", "0.0.0.0/0": "expected the addresses of your proxies", "::/0": "expected the addresses of your proxies", "10.0.0.1/8": "expected a CIDR without bits behind its length; the network meant is 10.0.0.0/8", "proxy": proxy, "10.0.0": proxy, "10.0.0.0/33": proxy, "fe80::1%eth0": "expected the address of a proxy, without a zone", "0.0.0.0": "expected the address of a proxy", "::ffff:0.0.0.0/96": proxy, "10.0.0.1,10.0.0.1": "expected list items to be unique"},
		"SERVER_PUBLIC_URL":          {"https://x": "", "https://x:8443/base/": "", "http://x": "expected an https URL", "http://127.0.0.1": "expected an https URL", "x": hydraURL, "https://": hydraURL, "https://u:p@x": "expected a URL without user name", "https://x?y": "expected a URL without ?", "https://x#": "expected a URL without ?", "https://x/#y": "expected a URL without ?"},
		"HYDRA_ADMIN_URL":            {"http://hydra_1:4445": "", "https://[fd00::1]:4445/": "", "hydra:4445": hydraURL, "ftp://x": hydraURL, "http://x:0": hydraURL, "http://x:99999": hydraURL, "http://a b": hydraURL, "http://x\n": hydraURL, "http:x": hydraURL, "http://u@x": "expected a URL without user name", "http://" + strings.Repeat("x", 2050): hydraURL, "": hydraURL},
		"HYDRA_PUBLIC_URL":           {"https://x": "", "http://127.0.0.1:4444": "", "http://[::1]:4444": "", "http://localhost:4444": "", "http://hydra:4444": "expected an https URL", "http://localhost.evil.test": "expected an https URL", "http://[::ffff:127.0.0.1]:1": ""},
		"HYDRA_CA_FILE":              {"": "", "/nowhere/ca.pem": `expected a readable PEM file, "/nowhere/ca.pem": no such file`, "/dev/zero": `expected a readable PEM file, "/dev/zero": not a regular file`},
		"LEDGER_URL":                 {"sqlite:///var/lib/tokenos/keys.db": "", "postgresql://h/d": "", "postgres:///d?host=/run/postgresql": "", "postgres://u:p@h1:5432,h2:5432/d": "", "sqlite://keys.db": "expected sqlite:/// with three", "sqlite:keys.db": "expected sqlite:/// with three", "sqlite:///": "expected the path of a file", "sqlite:///:memory:": "expected the path of a file", "sqlite:///a?b": "expected sqlite:/// and a path", "mysql://h/d": "expected sqlite:///absolute", "postgres://h": "expected sqlite:///absolute", "postgres:///d": "expected sqlite:///absolute", "postgres://u:a/b@h/d": "expected sqlite:///absolute", "postgres://u:a#b@h/d": "expected sqlite:///absolute", "postgres://u:a@b/c@h/d": "expected sqlite:///absolute", "postgres://u:a%40b%2Fc@h/d": "", "postgres://u:%zz@h/d": "expected sqlite:///absolute", "host=h password=x": "expected sqlite:///absolute", "": "expected sqlite:///absolute", "postgres://h/" + strings.Repeat("x", 2040): "expected length <= 2048"},
		"PREVIOUS_SECRETS":           {"": "", otherSecret: "", goodSecret: "expected another secret than the one in use", otherSecret + "," + otherSecret: "expected another secret than previous_secrets[0]", "short": "expected length >= 32", strings.Repeat(otherSecret+",", 9): "expected list length <= 8"},
		"SECRET":                     {strings.Repeat(otherSecret, 1): "", otherSecret[:31]: "expected length >= 32", otherSecret + "," + otherSecret: "expected string to be visible ASCII", otherSecret + " ": "expected string to be visible ASCII", otherSecret + "\u00e9": "expected string to be visible ASCII", strings.Repeat("a", 40): "expected a random secret with more variety", strings.Repeat("x", 1025): "expected length <= 1024"},
		"STATUS_TTL":                 {"1s": "", "5m": "", "1500ms": "expected whole seconds", "0s": "expected a duration from 1s", "6m": "expected a duration from 1s to 5m"},
		"SERVER_READ_TIMEOUT":        {"5s": "", "4999ms": "expected not less than server.read_header_timeout (default 5s)"},
		"SERVER_REQUEST_TIMEOUT":     {"29999ms": "", "20001ms": "", "30s": "expected less than server.write_timeout (default 30s)", "20s": "expected more than hydra.change_timeout (default 20s)"},
		"HYDRA_TIMEOUT":              {"19999ms": "", "20s": "", "99ms": "expected a duration from 100ms to 1m"},
		"LEDGER_LEASE":               {"25001ms": "", "25s": "expected more than 5s above hydra.change_timeout (default 20s)", "1999ms": "expected a duration from 2s"},
		"SERVER_TLS_CERT_FILE":       {"": "", "/nowhere/x.pem": ""},
		"SERVER_WRITE_TIMEOUT":       {"25001ms": "", "25s": ""},
		"HYDRA_CHANGE_TIMEOUT":       {"5001ms": "", "5s": "expected more than hydra.timeout (default 5s)"},
		"USAGE_HOURS_KEPT":           {"1d": "", "31d": "", "36h": "", "23h": "expected a duration from 1d to 31d", "32d": "expected a duration from 1d to 31d", "-1d": "expected a duration such as"},
		"USAGE_DAYS_KEPT":            {"14d": "", "1100d": "", "13d": "expected not less than usage.hours_kept (default 14d)", "0s": "expected a duration from 1d to 1100d", "1101d": "expected a duration from 1d to 1100d"},
		"LOG_LEVEL":                  {"debug": "", "trace": "expected value to be one of"},
		"SERVER_READ_HEADER_TIMEOUT": {"10s": "", "99ms": "expected a duration from 100ms"},
	} {
		for value, want := range cases {
			path := ""
			for _, v := range vars() {
				if v.Env == envPrefix+name {
					path = v.Path
				}
			}
			_, err := loadEnv(goodEnv(name + "=" + value))
			got := ""
			if err != nil {
				for _, line := range problems(t, err) {
					if rest, ours := strings.CutPrefix(line, path); ours {
						_, got, _ = strings.Cut(rest, "): ")
						break
					}
				}
				if len(value) > 6 && !strings.Contains("127.0.0.1:8080 https://keys.example.com", strings.Trim(value, ":")) && !strings.Contains(want, value) && strings.Contains(err.Error(), value) {
					t.Errorf("%s=%s: the value is repeated in %v", name, value, err)
				}
			}
			if !strings.HasPrefix(got, want) || (got == "") != (want == "") {
				t.Errorf("%s=%.60s: got %q, want %q (all: %v)", name, value, got, want, err)
			}
		}
	}
}

// Rules between keys blame the one to change, and say what the other is and
// where it comes from.
func TestRulesNameTheOther(t *testing.T) {
	for _, c := range []struct{ env, want string }{
		{"SERVER_WRITE_TIMEOUT=25s", "server.request_timeout (default): expected less than server.write_timeout (env TOKENOS_SERVER_WRITE_TIMEOUT)"},
		{"HYDRA_TIMEOUT=20s", "hydra.change_timeout (default): expected more than hydra.timeout (env TOKENOS_HYDRA_TIMEOUT)"},
		{"SERVER_TLS_CERT_FILE=/x.pem", "server.tls.key_file (default): required because server.tls.cert_file is set"},
		{"SERVER_TLS_KEY_FILE=/x.pem", "server.tls.cert_file (default): required because server.tls.key_file is set"},
	} {
		_, err := loadEnv(goodEnv(c.env))
		wantProblems(t, err, c.want)
	}
	// A value that is wrong by itself is not complained about twice.
	_, err := loadEnv(goodEnv("SERVER_WRITE_TIMEOUT=soon", "HYDRA_CHANGE_TIMEOUT=later"))
	wantProblems(t, err, "server.write_timeout (env", "hydra.change_timeout (env")
}

// With a certificate and its key nothing else is needed to serve HTTPS; on a
// loopback address the public URL follows from it.
func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	env := goodEnv("SERVER_TRUSTED_PROXIES", "SERVER_PUBLIC_URL", "SERVER_TLS_CERT_FILE="+cert, "SERVER_TLS_KEY_FILE="+key)
	cfg, err := loadEnv(env)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Server.PublicURL != "https://127.0.0.1:8080" || cfg.Source("server.public_url") != "made from server.listen" || !cfg.Server.TLS.Enabled() || len(cfg.Warnings) > 0 {
		t.Errorf("public_url %q from %q, warnings %q", cfg.Server.PublicURL, cfg.Source("server.public_url"), cfg.Warnings)
	}
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:443", ":443", "192.0.2.1:443"} {
		_, err := loadEnv(append(env, "TOKENOS_SERVER_LISTEN="+listen))
		wantProblems(t, err, "server.public_url (default): required")
	}
}

// Behind a proxy only the proxy knows the public URL, on a loopback address too.
func TestProxyNeedsPublicURL(t *testing.T) {
	_, err := loadEnv(goodEnv("SERVER_PUBLIC_URL"))
	wantProblems(t, err, "server.public_url (default): required: the HTTPS address")
}

// A certificate that cannot be used is refused at the start: unreadable, of
// another key, no certificate at all, contents in place of a path; an open
// private key is warned of. No message holds what is in the files.
func TestTLSFiles(t *testing.T) {
	cert, key := certificate(t)
	_, foreign := certificate(t)
	open := write(t, "open.pem", mustRead(t, key), 0o644)
	for _, c := range []struct{ name, cert, key, want string }{
		{"absent", "/nowhere/c.pem", key, `server.tls.cert_file (env TOKENOS_SERVER_TLS_CERT_FILE): expected a readable PEM file, "/nowhere/c.pem": no such file`},
		{"other key", cert, foreign, "server.tls.cert_file (env TOKENOS_SERVER_TLS_CERT_FILE): expected a PEM certificate that belongs to"},
		{"no certificate", key, key, "server.tls.cert_file (env TOKENOS_SERVER_TLS_CERT_FILE): expected a PEM certificate that belongs to"},
		{"contents", cert, mustRead(t, key), "server.tls.key_file (env TOKENOS_SERVER_TLS_KEY_FILE): expected a readable PEM file, a path that is not repeated here"},
	} {
		_, err := loadEnv(goodEnv("SERVER_TLS_CERT_FILE="+c.cert, "SERVER_TLS_KEY_FILE="+c.key))
		wantProblems(t, err, c.want)
		if err != nil && strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("%s: the error holds contents: %v", c.name, err)
		}
	}
	cfg, err := loadEnv(goodEnv("SERVER_TLS_CERT_FILE="+cert, "SERVER_TLS_KEY_FILE="+open))
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0], "is a private key, server.tls.key_file") {
		t.Errorf("warnings %q", cfg.Warnings)
	}
	if _, err := loadEnv(goodEnv("HYDRA_CA_FILE=" + cert)); err != nil {
		t.Errorf("a certificate as ca_file: %v", err)
	}
	_, err = loadEnv(goodEnv("HYDRA_CA_FILE=" + key))
	wantProblems(t, err, "hydra.ca_file (env TOKENOS_HYDRA_CA_FILE): expected a PEM file with at least one certificate")
}

// Base URLs are without the slash at their end, and proxies in their plain form.
func TestNormalForms(t *testing.T) {
	cfg, err := loadEnv(goodEnv("SERVER_PUBLIC_URL=https://x/base//", "HYDRA_ADMIN_URL=http://h:4445/", "HYDRA_PUBLIC_URL=https://h/", "SERVER_TRUSTED_PROXIES=::FFFF:10.0.0.1,FD00::/8"))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(append(cfg.Server.TrustedProxies, cfg.Server.PublicURL, cfg.Hydra.AdminURL, cfg.Hydra.PublicURL), " ")
	if want := "10.0.0.1 fd00::/8 https://x/base http://h:4445 https://h"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
