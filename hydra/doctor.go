package hydra

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

const healthAlive = "/health/alive"

// CheckTokenEndpoint fails unless Hydra answers where keys buy tokens, and may be
// believed over the connection (TLS). It shows a client that nobody has, which
// only Hydra refuses in Hydra's words. The error is [apikey.ErrUnavailable].
func (h *Hydra) CheckTokenEndpoint(ctx context.Context) error {
	_, err := h.present(ctx, apikey.Credential{Method: apikey.ClientSecretBasic, ID: "probe_" + rand.Text(), Secret: apikey.GenerateSecret()})
	return err
}

// Clock is what Hydra's clock says, in whole seconds: the Date of an answer of its
// admin API (RFC 9110 section 6.6.1), which no proxy of the public side has
// touched.
func (h *Hydra) Clock(ctx context.Context) (time.Time, error) {
	var at time.Time
	err := h.exchange(ctx, &call{operation: "read clock", manner: probe}, func(ctx context.Context) (*http.Response, error) {
		resp, err := h.raw(ctx, http.MethodGet, healthAlive, nil)
		if err != nil {
			return resp, err
		}
		if at, err = http.ParseTime(resp.Header.Get("Date")); err != nil {
			return resp, &strange{"it has no date"}
		}
		return resp, nil
	})
	return at.UTC(), err
}
