package hydra

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// manner says how a call may be sent.
type manner int

const (
	once       manner = iota // never again: a lost answer may hide that it was done
	repeatable               // doing it twice is doing it once
	lookup                   // as repeatable, in places of its own: strangers cause it
	lookupOnce               // as once, in the places of lookup
	probe                    // one attempt, outside the bulkheads
)

// call is one call of an operation: what it is, and what became of its
// attempts. The attempts follow each other, so it needs no lock.
type call struct {
	operation string
	id        string // the key concerned, "" if none
	manner    manner
	limit     time.Duration // for the whole call; zero: from the manner
	secret    apikey.Secret // sent with it, so never to be repeated from an answer

	attempts int
	status   int // of the last answer; 0: none
	// uncertain: some attempt reached Hydra and its answer was lost or says
	// nothing. It stays true whatever a later attempt says.
	uncertain bool
	response  *http.Response // of the last attempt
	err       error
}

type callKey struct{}

func callFrom(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// exchange runs a call: it sets the deadline, lets send do the request, and
// turns what went wrong into an error of apikey's kinds. send returns an error
// for an answer that is not what Hydra says on success.
func (h *Hydra) exchange(ctx context.Context, c *call, send func(ctx context.Context) (*http.Response, error)) error {
	start := time.Now()
	limit := c.limit
	if limit == 0 {
		limit = h.config.CallTimeout
		if c.manner == repeatable {
			limit *= 2
		}
	}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, callKey{}, c), limit)
	defer cancel()
	var err error
	if err = ctx.Err(); err == nil {
		var resp *http.Response
		resp, err = send(ctx)
		err = explain(c, resp, err)
	} else {
		err = explain(c, nil, err)
	}
	o := Observation{Operation: c.operation, Status: c.status, Attempts: c.attempts, Duration: time.Since(start), Err: err}
	h.config.Observe(o)
	if err != nil && !isAnswer(err) {
		level := slog.LevelWarn
		if (c.manner == lookup || c.manner == lookupOnce) && crowded(err) || c.manner == probe {
			level = slog.LevelDebug // strangers can cause any number of the first, an outage of the second
		}
		h.log.Log(ctx, level, "hydra call failed", "operation", c.operation, "key", c.id, "status", c.status,
			"attempts", c.attempts, "duration_ms", o.Duration.Milliseconds(), "error", err)
	}
	return err
}

// raw sends a request without the SDK: for routes it does not have, and where
// its reading of the answer is too lenient. The answer must be a success.
func (h *Hydra) raw(ctx context.Context, method, path string, form url.Values) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, h.admin+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	// Without the client's redirects and cookies: there are none here.
	resp, err := h.http.Transport.RoundTrip(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return resp, err
}
