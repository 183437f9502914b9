package web

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"sync"
)

// mayCompress reports whether the answer is sent with gzip. Whoever sees how long
// answers are, and has the browser of a signed-in person ask with words of his own,
// could find out what stands beside them (BREACH). So only what a person follows
// within the dashboard, or opens themselves, is compressed: not what another site
// asks for, nor a form's answer, which may show a secret, nor what whoever is not
// signed in sees, of which one page has a link that signs in.
func (x *exchange) mayCompress(r *http.Request) bool {
	if x.person == nil || x.open || r.Method != http.MethodGet || !takesGzip(r.Header.Get("Accept-Encoding")) {
		return false
	}
	site := r.Header.Get("Sec-Fetch-Site") // no page can set it (Fetch Metadata section 2.3)
	return site == "same-origin" || site == "none"
}

// takesGzip reads Accept-Encoding (RFC 9110 section 12.5.3), of which browsers send
// nothing harder than a list: whoever gives gzip a weight gets the page as it is.
func takesGzip(accepted string) bool {
	for name := range strings.SplitSeq(accepted, ",") {
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return true
		}
	}
	return false
}

// gzips are kept because each holds most of a megabyte.
var gzips = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

func compressed(plain []byte) []byte {
	w := gzips.Get().(*gzip.Writer)
	defer gzips.Put(w)
	var b bytes.Buffer
	w.Reset(&b)
	_, _ = w.Write(plain) // to memory
	_ = w.Close()
	return b.Bytes()
}
