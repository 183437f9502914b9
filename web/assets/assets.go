// Package assets holds what the dashboard's pages load: one style sheet, one
// script of ours, htmx and an icon, all embedded and served by ourselves.
//
// A file's address holds the beginning of its SHA-256, so it may be kept for ever,
// and a page of one version never meets the script of another. vendor.sum has the
// sums of what is not ours, with its version and source; a test compares.
//
// It imports nothing of ours.
package assets

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed static
var static embed.FS

// Prefix is where all of it lies.
const Prefix = "/assets/"

// file is one file, ready to be sent.
type file struct {
	url, kind string
	plain     []byte
	gzip      func() []byte // made when first asked for: some files are large
}

// files are all files by name, read once.
var files = sync.OnceValue(func() map[string]file {
	out := map[string]file{}
	entries, err := fs.ReadDir(static, "static")
	if err != nil {
		panic(err) // embedded: it cannot be missing
	}
	for _, e := range entries {
		plain, err := static.ReadFile("static/" + e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(plain)
		out[e.Name()] = file{url: Prefix + hex.EncodeToString(sum[:8]) + "/" + e.Name(), kind: kindOf(e.Name()), plain: plain, gzip: sync.OnceValue(func() []byte { return compress(plain) })}
	}
	return out
})

// kindOf does not ask the system's own table, which differs by machine.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return mime.TypeByExtension(path.Ext(name))
}

func compress(plain []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is right
	}
	_, _ = w.Write(plain) // to memory
	_ = w.Close()
	return b.Bytes()
}

// URL is the address of a file. It panics on a name that there is not: names
// stand in the source.
func URL(name string) string {
	f, ok := files()[name]
	if !ok {
		panic("assets: no file " + name)
	}
	return f.url
}

// Serve answers a request below [Prefix], and reports whether there is such a
// file. It sets the headers of the file alone.
func Serve(w http.ResponseWriter, r *http.Request) bool {
	f, ok := files()[path.Base(r.URL.Path)]
	if !ok || f.url != r.URL.Path {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := f.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.gzip()
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // whoever left does not miss it
	return true
}
