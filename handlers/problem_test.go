package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
)

type problemDoc struct {
	Type, Title, Detail, Instance, Code string
	Status                              int
	RequestID                           string `json:"request_id"`
	Pending                             bool
	Errors                              []apikey.FieldError
}

// wantProblem checks that an answer is a problem and nothing else.
func wantProblem(t *testing.T, res reply, body string, status int, kind apikey.ErrorKind) problemDoc {
	t.Helper()
	var p problemDoc
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("body %q is not JSON: %v", body, err)
	}
	if res.StatusCode != status || p.Status != status || p.Code != string(kind) {
		t.Errorf("got %d, problem %d %s; want %d %s (%s)", res.StatusCode, p.Status, p.Code, status, kind, body)
	}
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	if p.Type != "/problems/"+strings.ReplaceAll(p.Code, "_", "-") || p.Title == "" || p.RequestID == "" {
		t.Errorf("incomplete problem %s", body)
	}
	if p.RequestID != res.Header.Get("X-Request-Id") || !strings.HasSuffix(p.Instance, p.RequestID) {
		t.Errorf("request id %q, header %q, instance %q", p.RequestID, res.Header.Get("X-Request-Id"), p.Instance)
	}
	return p
}

// Every kind of error reaches the wire as its own problem, whichever way it is
// wrapped, and docs/problems.md explains each.
func TestKindsAreProblems(t *testing.T) {
	docs, err := os.ReadFile("../docs/problems.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../apikey/errors.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := regexp.MustCompile(`ErrorKind = "([a-z_]+)"\s*// ?(\d*)`).FindAllStringSubmatch(string(source), -1)
	if len(kinds) < 20 {
		t.Fatalf("found only %d kinds in apikey/errors.go", len(kinds))
	}
	b := newBench(t, nil)
	headings := regexp.MustCompile(`(?m)^## (\S+)$`).FindAllStringSubmatch(string(docs), -1)
	if len(headings) != len(kinds) {
		t.Errorf("docs/problems.md has %d headings for %d kinds", len(headings), len(kinds))
	}
	for _, k := range kinds {
		kind := apikey.ErrorKind(k[1])
		var status int
		if _, err := fmt.Sscan(k[2], &status); err != nil {
			t.Fatalf("%s: no status in its comment", kind)
		}
		for _, err := range []error{kind, &apikey.Error{Kind: kind, Cause: errors.New(canary)}, fmt.Errorf("ledger: %w", kind)} {
			b.err = err
			res, body := b.do(request("GET", "/v1/keys/"+keyID, ""))
			wantProblem(t, res, body, status, kind)
			if strings.Contains(body, canary) || strings.Contains(body, `"errors":[]`) {
				t.Errorf("%s: the cause or an empty list is shown: %s", kind, body)
			}
			if after := res.Header.Get("Retry-After"); (status == 503 || status == 429) != (after != "") {
				t.Errorf("%s: Retry-After %q", kind, after)
			}
		}
		if !strings.Contains(string(docs), "\n## "+strings.ReplaceAll(string(kind), "_", "-")+"\n") {
			t.Errorf("docs/problems.md has no heading for %s", kind)
		}
	}
}

// A problem carries what the error says for the caller.
func TestProblemMembers(t *testing.T) {
	b := newBench(t, nil)
	b.err = &apikey.Error{Kind: apikey.ErrUnavailable, Detail: "Hydra does not answer", Pending: true, RetryAfter: 1500 * time.Millisecond}
	res, body := b.do(request("GET", "/v1/keys/"+keyID, ""))
	p := wantProblem(t, res, body, 503, apikey.ErrUnavailable)
	if !p.Pending || p.Detail != "Hydra does not answer" || res.Header.Get("Retry-After") != "2" {
		t.Errorf("got %s, Retry-After %s", body, res.Header.Get("Retry-After"))
	}

	b.err = &apikey.InvalidError{Fields: []apikey.FieldError{
		{Pointer: "#/scopes/0", Detail: "is empty", Fix: "name it", Code: "invalid_scope"},
		{Pointer: "#/labels/" + canary, Detail: "is too long"},
	}}
	res, body = b.do(request("GET", "/v1/keys/"+keyID, ""))
	p = wantProblem(t, res, body, 422, apikey.ErrInvalid)
	want := []apikey.FieldError{
		{Pointer: "#/scopes/0", Detail: "is empty", Fix: "name it", Code: "invalid_scope"},
		{Pointer: "#/labels", Detail: "is too long"},
	}
	if diff := cmp.Diff(want, p.Errors); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}

	b.err = &apikey.Error{Kind: apikey.ErrForbidden, Detail: "this needs the right keys:write"}
	res, body = b.do(request("GET", "/v1/keys/"+keyID, ""))
	p = wantProblem(t, res, body, 403, apikey.ErrForbidden)
	if !strings.Contains(p.Detail, "keys:write") || !strings.Contains(res.Header.Get("WWW-Authenticate"), "insufficient_scope") {
		t.Errorf("got %s, %q", body, res.Header.Get("WWW-Authenticate"))
	}
}

// An unknown error is a bare 500; its words reach the log alone.
func TestUnknownErrorIsBare(t *testing.T) {
	b := newBench(t, nil)
	b.err = errors.New("pq: column " + canary)
	res, body := b.do(request("GET", "/v1/keys/"+keyID, ""))
	p := wantProblem(t, res, body, 500, apikey.ErrInternal)
	if p.Detail != "" || strings.Contains(body, "pq") {
		t.Errorf("got %s", body)
	}
	if !strings.Contains(b.log.String(), p.RequestID) || !strings.Contains(b.log.String(), "pq: column") {
		t.Errorf("the log does not explain it: %s", b.log)
	}
}

// A panic is a 500 of which the log tells where, but not with what value.
func TestPanic(t *testing.T) {
	b := newBench(t, nil)
	b.hold = func(context.Context) error { panic("secret " + canary) }
	res, body := b.do(request("GET", "/v1/keys/"+keyID, ""))
	wantProblem(t, res, body, 500, apikey.ErrInternal)
	if strings.Contains(b.log.String()+body, canary) {
		t.Error("the panic's value was shown")
	}
	if !strings.Contains(b.log.String(), "fake_test.go") {
		t.Errorf("the log does not tell where: %s", b.log)
	}

	b.hold = func(context.Context) error { panic(http.ErrAbortHandler) }
	defer func() {
		if v := recover(); v != any(http.ErrAbortHandler) {
			t.Error("http.ErrAbortHandler did not reach net/http")
		}
	}()
	b.do(request("GET", "/v1/keys/"+keyID, ""))
}

// A request that takes too long is answered 503 timeout by its own deadline.
func TestTimeout(t *testing.T) {
	b := newBench(t, func(c *handlers.Config) { c.RequestTimeout = 10 * time.Millisecond })
	b.hold = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	res, body := b.do(request("GET", "/v1/keys/"+keyID, ""))
	wantProblem(t, res, body, 503, apikey.ErrTimeout)
}

// When the caller has gone the log says 499.
func TestCallerGone(t *testing.T) {
	b := newBench(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	b.hold = func(context.Context) error { cancel(); return ctx.Err() }
	b.do(request("GET", "/v1/keys/"+keyID, "").WithContext(ctx))
	if !strings.Contains(b.log.String(), `"status":499`) {
		t.Errorf("log: %s", b.log)
	}
}
