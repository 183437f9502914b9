package handlers

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

const (
	// HookPath is where Hydra asks before it issues a token.
	HookPath = "/hooks/hydra/token"
	// HookHeader is the header in which Hydra shows the shared secret.
	HookHeader = "Tokenos-Hook-Secret"

	// hookTime bounds the answer to Hydra, whose caller waits for it.
	hookTime = 250 * time.Millisecond
	// maxHookBody has room for the sessions of other programs' clients, which
	// come here as well.
	maxHookBody = 1 << 20
	// strangersEvery is how often the log hears of wrong secrets.
	strangersEvery = 10 * time.Second
)

// HookConfig says what the token hook stands on. Answer and Secrets are required.
type HookConfig struct {
	// Answer says what to answer to a body: 200, 204, 400 or 403.
	Answer func(ctx context.Context, body []byte) (status int, answer []byte)
	// Secrets are what Hydra may show, one or two of at least 32 bytes: with two,
	// the one in its settings can be changed at any moment.
	Secrets []apikey.Secret
	// Observe, if set, is called once for each request, when it has been answered.
	// It must not block.
	Observe func(HookObservation)
	// Log takes a line for wrong secrets, at most one in ten seconds, and for
	// failures. Nil: nothing is logged.
	Log *slog.Logger
}

// hook answers Hydra, in the statuses that Hydra understands (hydra/hook.go). It
// is plain net/http: every token waits for it.
type hook struct {
	answer  func(context.Context, []byte) (int, []byte)
	secrets [][sha256.Size]byte
	observe func(HookObservation)
	log     *slog.Logger

	mu        sync.Mutex
	told      time.Time
	strangers int // since then
}

// NewHook makes the handler of the token hook, for a listener of its own that
// only Hydra reaches. Whoever does not show the secret gets 403, whatever it
// asks for, and learns nothing else.
func NewHook(c HookConfig) (http.Handler, error) {
	if c.Answer == nil || len(c.Secrets) == 0 || len(c.Secrets) > 2 {
		return nil, errors.New("handlers: the hook needs an answer and one or two secrets")
	}
	h := &hook{answer: c.Answer, observe: c.Observe, log: c.Log}
	if h.observe == nil {
		h.observe = func(HookObservation) {}
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	for _, s := range c.Secrets {
		if len(s.Reveal()) < 32 {
			return nil, errors.New("handlers: a secret of the hook must have at least 32 bytes")
		}
		h.secrets = append(h.secrets, sha256.Sum256([]byte(s.Reveal())))
	}
	return h, nil
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start, o := time.Now(), HookObservation{Status: http.StatusBadRequest}
	defer func() {
		o.Duration = time.Since(start)
		h.observe(o)
	}()
	defer h.recoverPanic(w)
	if o.Stranger = !h.isHydra(r); o.Stranger {
		o.Status = http.StatusForbidden
		h.stranger(r)
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusForbidden)
		return
	}
	o.Status = h.serve(w, r)
}

// serve answers Hydra, and says how.
func (h *hook) serve(w http.ResponseWriter, r *http.Request) (status int) {
	if r.Method != http.MethodPost || r.URL.Path != HookPath {
		h.log.WarnContext(r.Context(), "hydra calls its hook in the wrong place", "want", "POST "+HookPath)
		w.WriteHeader(http.StatusBadRequest)
		return http.StatusBadRequest
	}
	ctx, cancel := context.WithTimeout(r.Context(), hookTime)
	defer cancel()
	// A body that does not come must not hold us longer either.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(hookTime)) // every real connection has one
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHookBody))
	if err != nil {
		h.log.WarnContext(ctx, "a request of hydra was not read", "error", err)
		w.WriteHeader(http.StatusBadRequest)
		return http.StatusBadRequest
	}
	status, answer := h.answer(ctx, body)
	if status == http.StatusOK {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	if len(answer) > 0 {
		_, _ = w.Write(answer) // Hydra has gone; nobody is left to tell
	}
	return status
}

// isHydra compares with every secret in a time that depends on none.
func (h *hook) isHydra(r *http.Request) bool {
	shown := r.Header.Values(HookHeader)
	if len(shown) != 1 {
		return false
	}
	sum, equal := sha256.Sum256([]byte(shown[0])), 0
	for _, s := range h.secrets {
		equal |= subtle.ConstantTimeCompare(sum[:], s[:])
	}
	return equal == 1
}

// stranger logs a wrong secret, the first at once.
func (h *hook) stranger(r *http.Request) {
	h.mu.Lock()
	h.strangers++
	n, due := h.strangers, time.Since(h.told) >= strangersEvery
	if due {
		h.told, h.strangers = time.Now(), 0
	}
	h.mu.Unlock()
	if !due {
		return
	}
	address := ""
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		address = plainAddr(at.Addr()).String()
	}
	h.log.WarnContext(r.Context(), "the token hook was called without its secret", "address", address, "times", n, "shown", len(r.Header.Values(HookHeader)) > 0)
}

// recoverPanic answers what net/http would only close the connection for, to
// which Hydra waits and asks again.
func (h *hook) recoverPanic(w http.ResponseWriter) {
	if p := recover(); p != nil {
		h.log.Error("panic in the token hook", "panic", fmt.Sprintf("%T", p))
		w.WriteHeader(http.StatusBadRequest)
	}
}
