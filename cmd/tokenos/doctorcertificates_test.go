package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
)

// dated makes a self-signed certificate for a name that is good between two
// moments, counted from now.
func dated(t *testing.T, name string, from, until time.Duration) (certPEM []byte, pair tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(until), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A certificate is looked at in its file and where somebody shows it: its dates,
// its name, and whether it is trusted. Where nobody answers nothing is said.
func TestCheckCertificates(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		what, name  string
		from, until time.Duration
		want        apikey.CheckResult
		says        string
	}{
		{"good", "localhost", -day, 60 * day, passed, "59 days"},
		{"ends soon", "localhost", -80 * day, 10 * day, warned, "9 days"},
		{"made for a week, fresh", "localhost", -time.Hour, 6 * day, passed, "5 days"},
		{"made for a week, old", "localhost", -6 * day, day, warned, "0 days"},
		{"over", "localhost", -90 * day, -day, failed, "over"},
		{"not yet", "localhost", day, 90 * day, failed, "not"},
		{"of another name", "elsewhere.example", -day, 60 * day, failed, "not for localhost"},
	} {
		cert, pair := dated(t, c.name, c.from, c.until)
		file := filepath.Join(t.TempDir(), "cert.pem")
		put(t, file, cert)
		check := func(how string, cfg *config.Config, want apikey.CheckResult, says string) {
			t.Helper()
			got := checkCertificates(t.Context(), &patient{config: cfg})
			if got.Result != want || !strings.Contains(got.Seen, says) || (got.Fix == "") != (want == passed || want == skipped) {
				t.Errorf("%s, %s: %+v, want %s and %q", c.what, how, got, want, says)
			}
		}
		says := c.says
		if c.what == "over" {
			says = "was good until"
		}
		check("in a file", &config.Config{Server: config.Server{PublicURL: "https://localhost:1", TLS: config.TLS{CertFile: file, KeyFile: file}}}, c.want, says)
		s := httptest.NewUnstartedServer(nil)
		s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		s.Config.ErrorLog = nil
		s.StartTLS()
		at := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
		check("shown", &config.Config{Hydra: config.Hydra{PublicURL: at, CAFile: file}}, c.want, c.says)
		if c.what == "good" {
			check("by nobody we trust", &config.Config{Server: config.Server{PublicURL: at}}, failed, "does not trust")
		}
		s.Close()
		check("nobody there", &config.Config{Server: config.Server{PublicURL: at}}, skipped, "nobody shows")
	}
	if got := checkCertificates(t.Context(), &patient{config: &config.Config{Hydra: config.Hydra{PublicURL: "http://127.0.0.1:4444"}}}); got.Result != passed {
		t.Errorf("no https: %+v", got)
	}
}
