package hydradev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// SigningKeyID is the kid of the key that signs JWT access tokens. A fixed one
// makes the call that creates it idempotent.
const SigningKeyID = "tokenos-dev-es256"

// idTokenKeyID is that of the key for OpenID Connect.
const idTokenKeyID = "tokenos-dev-id-token-es256"

const (
	readyPoll = 10 * time.Millisecond
	probeTime = time.Second     // for one probe
	callTime  = 5 * time.Second // for one call of the admin API
)

// prober asks loopback without keeping connections, so that none is left to a
// server that has been replaced meanwhile, and without a proxy.
var prober = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// probe reports whether a Hydra at base is ready to work: database reachable,
// migrations applied.
func probe(ctx context.Context, base string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/health/ready", nil)
	if err != nil {
		return false, err
	}
	resp, err := prober.Do(req)
	if err != nil {
		return false, nil
	}
	return resp.StatusCode == http.StatusOK, resp.Body.Close()
}

// waitReady polls both ports until Hydra is ready at both. gone, if not nil, ends
// the wait when it is closed.
func waitReady(ctx context.Context, at ports, gone <-chan struct{}) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	left := []string{at.adminURL(), at.publicURL()}
	for {
		ok, err := probe(ctx, left[0])
		if err != nil {
			return fmt.Errorf("hydradev: ask whether Hydra is ready: %w", err)
		}
		if ok {
			if left = left[1:]; len(left) == 0 {
				return nil
			}
			continue
		}
		select {
		case <-tick.C:
		case <-gone:
			return errGone
		case <-ctx.Done():
			return fmt.Errorf("hydradev: wait until Hydra is ready: %w", context.Cause(ctx))
		}
	}
}

// errGone says that Hydra ended while somebody waited for it.
var errGone = errors.New("hydradev: Hydra ended before it was ready")

// ensureSigningKeys gives Hydra ES256 keys. Without them it makes RSA keys of 4096
// bits at the first JWT, or when jwks.json or its discovery is first read, which
// takes seconds on a busy machine and makes long tokens (Hydra fact 4.12).
func ensureSigningKeys(ctx context.Context, admin string) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	for set, kid := range map[string]string{"hydra.jwt.access-token": SigningKeyID, "hydra.openid.id-token": idTokenKeyID} {
		if err := ensureKey(ctx, admin+"/admin/keys/"+set, kid); err != nil {
			return fmt.Errorf("hydradev: make Hydra's signing keys: %w", err)
		}
	}
	return nil
}

func ensureKey(ctx context.Context, set, kid string) error {
	body := strings.NewReader(`{"alg":"ES256","use":"sig","kid":"` + kid + `"}`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, set, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := prober.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	// The answer holds the private key: it is thrown away unread.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusConflict {
		return fmt.Errorf("it answered %d", resp.StatusCode)
	}
	return nil
}

func (p ports) publicURL() string { return "http://" + address(p.public) }
func (p ports) adminURL() string  { return "http://" + address(p.admin) }
