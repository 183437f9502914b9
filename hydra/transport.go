package hydra

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/budget"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
)

const (
	maxBody = 1 << 20 // bytes of an answer; a client with 10 public keys has about 20 kB
	// idleTimeout is below the 5 s after which Hydra closes an idle connection
	// (its read time-out), so that a request does not meet the closing.
	idleTimeout  = 4 * time.Second
	firstDelay   = 50 * time.Millisecond
	longestDelay = 400 * time.Millisecond
	jitter       = 0.25
	// longestWait caps Retry-After; with the jitter it stays within 1 s.
	longestWait = 800 * time.Millisecond
)

// The ways an answer can fail to be Hydra's.
var (
	errTooLarge = errors.New("the answer is larger than 1 MiB")
	errNotJSON  = errors.New("the answer is not JSON")
)

// transport sends the requests of one call, its attempts one after the other.
// Failures of the connection and bodies are dealt with inside an attempt, so a
// dropped body is repeated like a dropped connection.
type transport struct {
	next      http.RoundTripper
	unreached func(error) // told when no connection could be made

	once, repeated, lookup, lookupOnce, probe failsafe.Executor[*http.Response]
}

func newTransport(c Config, unreached func(error)) *transport {
	t := &transport{unreached: unreached, next: &http.Transport{
		// No proxy from the environment: this is the way to an API without
		// authentication of its own.
		Proxy:                  nil,
		DialContext:            (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:        c.TLS.Clone(), // net/http writes to it, and there are two transports
		TLSHandshakeTimeout:    2 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    c.MaxConcurrent,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: 64 << 10,
	}}
	attempt := timeout.New[*http.Response](c.CallTimeout)
	room := uint(c.MaxConcurrent)
	changes := bulkhead.New[*http.Response](room)
	lookups := bulkhead.New[*http.Response](room)
	// In an outage every call fails and asks for retries: at most a fifth of
	// the requests under way may be such.
	spare := budget.NewBuilder().WithMaxRate(0.2).WithMinConcurrency(3).Build()
	retry := retrypolicy.NewBuilder[*http.Response]().
		HandleIf(worthRepeating).
		WithMaxRetries(c.Retries).
		WithBackoff(firstDelay, longestDelay).WithJitterFactor(jitter).
		WithDelayFunc(retryAfter).
		WithBudget(spare).
		ReturnLastFailure().
		OnRetryScheduled(func(e failsafe.ExecutionScheduledEvent[*http.Response]) {
			if k := callFrom(e.Context()); k != nil {
				c.Log.Debug("hydra call repeated", "operation", k.operation, "attempt", k.attempts, "delay_ms", e.Delay.Milliseconds())
			}
		}).Build()
	t.once = failsafe.With[*http.Response](changes, attempt)
	t.repeated = failsafe.With[*http.Response](changes, retry, attempt)
	t.lookup = failsafe.With[*http.Response](lookups, retry, attempt)
	t.lookupOnce = failsafe.With[*http.Response](lookups, attempt)
	t.probe = failsafe.With[*http.Response](attempt)
	return t
}

// RoundTrip implements [http.RoundTripper]. The request's context carries the
// call; its body can be read again (net/http sets GetBody for the buffers that
// the SDK uses).
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	c := callFrom(req.Context())
	if c == nil {
		return nil, errors.New("request outside a call")
	}
	if req.Body != nil {
		defer func() { _ = req.Body.Close() }()
	}
	executor := t.once
	switch c.manner {
	case repeatable:
		executor = t.repeated
	case lookup:
		executor = t.lookup
	case lookupOnce:
		executor = t.lookupOnce
	case probe:
		executor = t.probe
	}
	resp, err := executor.WithContext(req.Context()).GetWithExecution(func(e failsafe.Execution[*http.Response]) (*http.Response, error) {
		c.response, c.err = t.attempt(e.Context(), req, c)
		return c.response, c.err
	})
	if errors.Is(err, budget.ErrExceeded) {
		return c.response, c.err
	}
	return resp, err
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] through.
func (t *transport) CloseIdleConnections() {
	if n, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		n.CloseIdleConnections()
	}
}

// attempt sends the request once and reads the whole answer. It notes in c
// whether Hydra may have acted without our getting to know.
func (t *transport) attempt(ctx context.Context, req *http.Request, c *call) (*http.Response, error) {
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	again := req.WithContext(ctx) // nobody writes into the header that all attempts share
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		again.Body = body
	}
	c.attempts++
	resp, err := t.next.RoundTrip(again)
	if err != nil {
		if connected.Load() {
			c.uncertain = true
		} else if ctx.Err() == nil {
			t.unreached(err)
		}
		return nil, err
	}
	c.status = resp.StatusCode
	c.uncertain = c.uncertain || resp.StatusCode >= 300 && resp.StatusCode < 400 || resp.StatusCode >= 500
	if err := readBody(resp); err != nil {
		c.uncertain = true
		return nil, err
	}
	return resp, nil
}

// readBody reads the body within its bound and puts it back. A success must be
// JSON or have no body: the SDK would also read XML.
func readBody(resp *http.Response) error {
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxBody {
		return errTooLarge
	}
	if resp.StatusCode < 300 && len(body) > 0 && !isJSON(resp.Header) {
		return errNotJSON
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

func isJSON(h http.Header) bool {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && media == "application/json"
}

// worthRepeating reports whether the same request may fare better soon; only
// calls that are safe to repeat ask. A 500 is Hydra's answer to callers' mistakes
// too, so it is tried just once more: a broken database connection heals with
// the next call, and a SQLite file that was locked is free again.
func worthRepeating(resp *http.Response, err error) bool {
	if err != nil {
		var n net.Error
		return errors.Is(err, timeout.ErrExceeded) || errors.As(err, &n) && n.Timeout() ||
			errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
			errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusInternalServerError:
		c := callFrom(resp.Request.Context())
		return c != nil && c.attempts == 1
	}
	return false
}

// retryAfter is the wait that the answer asks for (RFC 9110 section 10.2.3, the
// form in seconds), capped; -1 leaves it to the backoff.
func retryAfter(e failsafe.ExecutionAttempt[*http.Response]) time.Duration {
	resp := e.LastResult()
	if resp == nil {
		return -1
	}
	seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31)
	if err != nil {
		return -1
	}
	return max(min(time.Duration(seconds)*time.Second, longestWait), firstDelay)
}
