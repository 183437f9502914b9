package handlers_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
)

// serve runs the handler as production does: Server on Listener.
func serve(t testing.TB, h http.Handler) (addr string, pool *x509.CertPool) {
	t.Helper()
	borrowed := httptest.NewUnstartedServer(h)
	borrowed.StartTLS()
	certificate := borrowed.TLS.Certificates[0]
	pool = x509.NewCertPool()
	pool.AddCert(borrowed.Certificate())
	borrowed.Close()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := handlers.Server(h, 0, nil)
	l := handlers.Listener(inner, &tls.Config{Certificates: []tls.Certificate{certificate}})
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return inner.Addr().String(), pool
}

// One port serves TLS, with HTTP/2, and answers plain HTTP with the refusal of
// the API instead of net/http's plain text; a silent connection holds up
// nobody.
func TestListener(t *testing.T) {
	b := newBench(t, nil)
	addr, pool := serve(t, b.h)
	for range 20 { // silent ones
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
	}
	for _, http2 := range []bool{true, false} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "example.com"}, ForceAttemptHTTP2: http2}
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "https://"+addr+"/v1/keys", nil)
		req.Header.Set("Authorization", "Bearer "+goodToken)
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode != 200 || (res.ProtoMajor == 2) != http2 || res.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("HTTP/2 %v: got %s %d", http2, res.Proto, res.StatusCode)
		}
		tr.CloseIdleConnections()
	}
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+"/v1/keys", nil)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	wantProblem(t, reply{res.StatusCode, res.Header}, string(body), 403, apikey.ErrHTTPSRequired)
}

// TLS 1.1 and older are refused (catalogue B 23).
func TestOldTLS(t *testing.T) {
	addr, pool := serve(t, newBench(t, nil).h)
	old := tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: "example.com", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}}
	c, err := old.DialContext(t.Context(), "tcp", addr)
	if err == nil {
		_ = c.Close()
		t.Error("TLS 1.1 was accepted")
	}
}

// Closing the listener ends Accept and the connections that never spoke.
func TestListenerClose(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := handlers.Listener(inner, &tls.Config{})
	silent, err := new(net.Dialer).DialContext(t.Context(), "tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepted <- err
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-accepted:
		if err == nil {
			t.Error("Accept returned a connection")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Accept did not end")
	}
	_ = silent.SetReadDeadline(time.Now().Add(8 * time.Second))
	if _, err := silent.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the silent connection stays open: %v", err)
	}
}

// What one peer might read as one request and another as two is refused, and
// the connection ends: the bytes after it are never taken for a request
// (catalogue A 19; an unknown Transfer-Encoding is 501, RFC 9112 section 6.1).
func TestSmuggling(t *testing.T) {
	const smuggled = "GET /v1/keys/smuggled HTTP/1.1\r\nHost: keys.test\r\nAuthorization: Bearer " + goodToken + "\r\n\r\n"
	head := "POST /v1/keys HTTP/1.1\r\nHost: keys.test\r\nAuthorization: Bearer " + goodToken + "\r\nContent-Type: application/json\r\n"
	tests := map[string]string{
		"two lengths":           head + "Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}" + smuggled,
		"unknown coding":        head + "Transfer-Encoding: xchunked\r\n\r\n" + smuggled,
		"two codings":           head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + smuggled,
		"space before colon":    head + "Content-Length : 2\r\n\r\n{}" + smuggled,
		"folded line":           head + "X: a\r\n Content-Length: 2\r\nTransfer-Encoding:\r\n chunked,x\r\n\r\n{}" + smuggled,
		"negative length":       head + "Content-Length: -1\r\n\r\n" + smuggled,
		"length with plus":      head + "Content-Length: +2\r\n\r\n{}" + smuggled,
		"bad chunk size":        head + "Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n" + smuggled,
		"two hosts":             "GET /health/alive HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + smuggled,
		"no host":               "GET /health/alive HTTP/1.1\r\n\r\n" + smuggled,
		"control in a header":   "GET /health/alive HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n" + smuggled,
		"name with a line feed": "GET /health/alive HTTP/1.1\r\nHost: a\r\nX\n: b\r\n\r\n" + smuggled,
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			statuses := exchangeRaw(t, b.h, raw)
			for _, status := range statuses {
				if status != http.StatusBadRequest && status != http.StatusNotImplemented {
					t.Errorf("answers %v", statuses)
				}
			}
			if calls := b.called(); len(calls) > 0 {
				t.Errorf("it reached the API: %v", calls)
			}
		})
	}
}

// Length and chunked at once: RFC 9112 section 6.1 lets a server read the
// chunks if it then closes. What follows is never read.
func TestLengthAndChunked(t *testing.T) {
	b := newBench(t, nil)
	exchangeRaw(t, b.h, "POST /v1/keys/"+keyID+"/enable HTTP/1.1\r\nHost: keys.test\r\nAuthorization: Bearer "+goodToken+
		"\r\nContent-Type: application/json\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nGET /v1/keys/smuggled HTTP/1.1\r\nHost: keys.test\r\nAuthorization: Bearer "+goodToken+"\r\n\r\n")
	if calls := b.called(); len(calls) != 1 || calls[0] != "enable "+keyID {
		t.Errorf("what followed was taken for a request: %v", calls)
	}
}

// exchangeRaw sends bytes over TLS and returns the statuses of the answers up
// to the end of the connection, which must come by itself.
func exchangeRaw(t *testing.T, h http.Handler, raw string) []int {
	t.Helper()
	addr, pool := serve(t, h)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: "example.com", NextProtos: []string{"http/1.1"}}}
	c, err := dialer.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	var statuses []int
	in := bufio.NewReader(c)
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the connection stays open")
			}
			return statuses
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		statuses = append(statuses, res.StatusCode)
	}
}
