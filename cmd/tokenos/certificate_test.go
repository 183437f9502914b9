package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pemPair makes a self-signed certificate for localhost with a serial number.
func pemPair(t *testing.T, serial int64) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// put writes a file in place by a rename, as those who renew certificates do.
func put(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// serialOf is the serial number of a certificate's leaf.
func serialOf(t *testing.T, c *tls.Certificate) int64 {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf.SerialNumber.Int64()
}

// A changed certificate is taken once both files fit together; until then, and
// while a file is broken or missing, the old one stays, with one line in the log
// for each change, however often somebody connects.
func TestCertificateReload(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	cert1, key1 := pemPair(t, 1)
	cert2, key2 := pemPair(t, 2)
	put(t, certFile, cert1)
	put(t, keyFile, key1)
	var said bytes.Buffer
	c, err := newCertificate(certFile, keyFile, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	older := time.Now().Add(-time.Hour)
	for _, step := range []struct {
		what   string
		change func()
		serial int64
		errors int // lines in the log so far
	}{
		{"nothing changed", func() {}, 1, 0},
		{"the certificate without its key", func() { put(t, certFile, cert2) }, 1, 1},
		{"the key, older than the certificate", func() {
			put(t, keyFile, key2)
			if err := os.Chtimes(keyFile, older, older); err != nil {
				t.Fatal(err)
			}
		}, 2, 1},
		{"half a certificate", func() { put(t, certFile, cert1[:len(cert1)/2]) }, 2, 2},
		{"no certificate", func() { os.Remove(certFile) }, 2, 3},
		{"the certificate again", func() { put(t, certFile, cert2) }, 2, 3},
		{"the first pair", func() { put(t, certFile, cert1); put(t, keyFile, key1) }, 1, 3},
	} {
		step.change()
		for range 3 {
			c.looked = time.Time{} // a second has passed
			got, err := c.get(nil)
			if err != nil {
				t.Fatal(err)
			}
			if serial := serialOf(t, got); serial != step.serial {
				t.Errorf("%s: serves certificate %d, want %d", step.what, serial, step.serial)
			}
		}
		if n := strings.Count(said.String(), "the old one stays"); n != step.errors {
			t.Errorf("%s: %d lines of error so far, want %d:\n%s", step.what, n, step.errors, &said)
		}
	}
	if strings.Contains(said.String(), "PRIVATE") {
		t.Errorf("the log shows a key: %s", &said)
	}
}

// Files are looked at no more than once a second, however many connect.
func TestCertificateLooksSeldom(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	cert, key := pemPair(t, 1)
	put(t, certFile, cert)
	put(t, keyFile, key)
	c, err := newCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c.looked = time.Now().Add(time.Hour) // the second never passes
	cert, key = pemPair(t, 2)
	put(t, certFile, cert)
	put(t, keyFile, key)
	if got, err := c.get(nil); err != nil || serialOf(t, got) != 1 {
		t.Errorf("the files were looked at again at once: %v", err)
	}
}
