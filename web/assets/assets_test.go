package assets_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/web/assets"
)

// A file is served under its own sum alone, to be kept for ever, compressed for
// who takes that.
func TestServe(t *testing.T) {
	url := assets.URL("app.css")
	plain, err := os.ReadFile("static/app.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, encoding := range []string{"", "gzip, br"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		r.Header.Set("Accept-Encoding", encoding)
		w := httptest.NewRecorder()
		if !assets.Serve(w, r) {
			t.Fatalf("%s is not served", url)
		}
		var body io.Reader = w.Body
		if encoding != "" {
			if body, err = gzip.NewReader(w.Body); err != nil {
				t.Fatal(err)
			}
		}
		got, err := io.ReadAll(body)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("with Accept-Encoding %q: another file, %v", encoding, err)
		}
		if h := w.Header(); h.Get("Content-Type") != "text/css; charset=utf-8" || !strings.Contains(h.Get("Cache-Control"), "immutable") || h.Get("Vary") != "Accept-Encoding" {
			t.Errorf("headers %v", h)
		}
	}
	for _, path := range []string{"/assets/", "/assets/app.css", "/assets/0000000000000000/app.css", "/assets/../assets.go", url + "/"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.URL.Path = path
		if assets.Serve(httptest.NewRecorder(), r) {
			t.Errorf("%s is served", path)
		}
	}
}

// What is not ours is what it was when it was taken in.
func TestVendored(t *testing.T) {
	list, err := os.ReadFile("vendor.sum")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(list)) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] == "#" {
			continue
		}
		seen++
		raw, err := os.ReadFile("static/" + words[1])
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != words[0] {
			t.Errorf("%s is not the file of vendor.sum", words[1])
		}
	}
	if seen == 0 {
		t.Error("vendor.sum names no file")
	}
}

// All that a page loads stays small.
func TestSize(t *testing.T) {
	total := 0
	for _, name := range []string{"app.css", "app.js", "htmx.min.js", "icon.svg"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, assets.URL(name), nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		assets.Serve(w, r)
		total += w.Body.Len()
	}
	if total > 60_000 {
		t.Errorf("%d bytes compressed", total)
	}
}
