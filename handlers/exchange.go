package handlers

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
)

// exchange is what is known of one request beside the request itself. It
// travels in the request's context.
type exchange struct {
	id        string // request id, answered in X-Request-Id
	address   string // the caller's, as far as it can be trusted
	secure    bool   // came over TLS, as far as it can be trusted
	principal string // who calls, once known
	err       error  // why it failed, for the log
	limited   string // the limit that refused it, by name
	route     string // of a page; "" for the API's

	header   http.Header // of the answer
	tightest standing    // the limit that leaves least, as the headers say
}

type exchangeKey struct{}

// exchangeFrom returns the exchange in ctx; outside of a request an empty one.
func exchangeFrom(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return &exchange{}
}

// open starts the exchange: its id, its deadline and the headers that every
// answer carries. It ends with the one log line of the request.
func (s *server) open(c *gin.Context) {
	start, arrived := time.Now(), c.Request.Context()
	peer := s.peerOf(c.Request)
	x := &exchange{id: requestID(c.Request, peer.trusted), address: s.clientAddress(c.Request, peer), secure: s.secure(c.Request, peer), header: c.Writer.Header()}
	ctx, cancel := context.WithTimeout(context.WithValue(arrived, exchangeKey{}, x), s.RequestTimeout)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	setHeaders(c.Writer.Header(), x)
	if len(c.Request.TransferEncoding) > 0 {
		// net/http drops a Content-Length beside Transfer-Encoding unseen and
		// reads on. A proxy that went by the length would take what follows
		// for another's request, so the connection must end (RFC 9112 section
		// 6.1); and since it cannot be told, every chunked request ends it.
		c.Header("Connection", "close")
	}
	defer func() { s.logRequest(c, x, arrived, start) }()
	c.Next()
}

// everyAnswer is shared by all answers: its lists are replaced, never written into.
var everyAnswer = http.Header{
	"Cache-Control":                {"no-store"},
	"X-Content-Type-Options":       {"nosniff"},
	"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
	"Referrer-Policy":              {"no-referrer"},
	"Cross-Origin-Opener-Policy":   {"same-origin"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"X-Frame-Options":              {"DENY"},
}

// setHeaders are for programs, but a browser may open any address: nothing may
// be kept, framed, sniffed, run or told on.
func setHeaders(h http.Header, x *exchange) {
	maps.Copy(h, everyAnswer)
	h.Set("X-Request-Id", x.id)
	if x.secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

var inboundID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestID takes over the id that a trusted proxy gave, so that its log and
// ours can be laid side by side; everybody else gets a new one.
func requestID(r *http.Request, trusted bool) string {
	if ids := r.Header.Values("X-Request-Id"); trusted && len(ids) == 1 && inboundID.MatchString(ids[0]) {
		return ids[0]
	}
	return "req_" + rand.Text()
}

// callerGone is what the log says when nobody waited for the answer (nginx's
// status; never sent).
const callerGone = 499

func (s *server) logRequest(c *gin.Context, x *exchange, arrived context.Context, start time.Time) {
	status, route := c.Writer.Status(), cmp.Or(x.route, c.FullPath())
	if x.err != nil && errors.Is(arrived.Err(), context.Canceled) {
		status = callerGone
	}
	if route == "" {
		route = "none"
	}
	method, took := knownMethod(c.Request.Method), time.Since(start)
	s.Observe(Observation{Route: template(route), Method: method, Status: status, Limited: x.limited, Duration: took})
	attrs := []slog.Attr{
		slog.String("method", method),
		slog.String("route", route),
		slog.Int("status", status),
		slog.Int64("duration_ms", took.Milliseconds()),
		slog.String("request_id", x.id),
		slog.String("principal", x.principal),
		slog.String("address", x.address),
	}
	level := slog.LevelInfo
	if status == http.StatusTooManyRequests {
		level = slog.LevelDebug // see refuse
	}
	if x.err != nil && status >= http.StatusInternalServerError {
		attrs = append(attrs, slog.String("error", x.err.Error()))
		level = slog.LevelWarn
		if status == http.StatusInternalServerError {
			level = slog.LevelError
		}
	}
	s.Log.LogAttrs(context.WithoutCancel(arrived), level, "request", attrs...)
}

// knownMethod keeps made-up methods out of the log: they are input.
func knownMethod(m string) string {
	if slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}, m) {
		return m
	}
	return "other"
}

// recoverPanic answers a panic with a bare 500. Of the panic's value only the
// type is logged, unless the runtime raised it: anything else may hold what a
// caller sent. http.ErrAbortHandler goes on to net/http, which it is for.
func (s *server) recoverPanic(c *gin.Context) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(http.ErrAbortHandler)
		}
		x := exchangeFrom(c.Request.Context())
		said := fmt.Sprintf("%T", v)
		if err, ok := v.(runtime.Error); ok {
			said = err.Error()
		}
		s.Log.ErrorContext(c.Request.Context(), "panic", "request_id", x.id, "panic", said, "stack", string(debug.Stack()))
		if c.Writer.Written() { // half an answer must not look whole
			panic(http.ErrAbortHandler)
		}
		fail(c, errPanicked)
	}()
	c.Next()
}

var errPanicked = errors.New("panicked")
