package handlers

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/tokenos/tokenos/apikey"
)

// readBody takes the whole body in, within the limit, and checks what it says
// it is. Compressed bodies are refused: no API of this size needs them, and a
// small one can unfold to gigabytes.
func (s *server) readBody(c *gin.Context) {
	r := c.Request
	if r.Method != http.MethodPost && r.Method != http.MethodPatch {
		return // no other route takes a body (RFC 9110 section 9.3)
	}
	if r.ContentLength > s.MaxBodyBytes {
		c.Header("Connection", "close") // rather than read what is not wanted
		fail(c, apikey.ErrTooLarge)
		return
	}
	if len(r.Header.Values("Content-Encoding")) > 0 {
		fail(c, apikey.ErrUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, r.Body, s.MaxBodyBytes))
	if err != nil {
		fail(c, unread(err))
		return
	}
	if len(body) > 0 && !acceptable(r, s.holderPath(r.URL.Path) || r.URL.Path == introspectPath) {
		fail(c, apikey.ErrUnsupportedMediaType)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
}

func unread(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return apikey.ErrTooLarge
	}
	return &malformed{detail: "the body did not arrive whole"}
}

// acceptable reports whether the one Content-Type is JSON in UTF-8. A PATCH
// may also call it by its proper name (RFC 7396 section 4). Form and text types
// are what a browser sends across sites without asking; a form is taken where
// the credential stands in it, or in a header that only programs set, and so no
// page can send one that is not its own.
func acceptable(r *http.Request, form bool) bool {
	said := r.Header.Values("Content-Type")
	if len(said) != 1 {
		return false
	}
	kind, params, err := mime.ParseMediaType(said[0])
	if err != nil {
		return false
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	if form {
		return kind == formType
	}
	return kind == "application/json" || kind == "application/merge-patch+json" && r.Method == http.MethodPatch
}
