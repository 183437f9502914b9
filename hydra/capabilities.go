package hydra

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/tokenos/tokenos/apikey"
)

// capabilitiesFor is how long the answer is believed: Hydra may be upgraded
// under us.
const capabilitiesFor = time.Minute

const (
	// issuerPatience is how long discovery is waited for once the rest is known: a
	// Hydra whose discovery nobody has read makes a key first, which takes seconds.
	issuerPatience = time.Second
	// issuerAgain is how soon it is asked again.
	issuerAgain = 10 * time.Second
)

const maxVersion = 100 // characters

// Capabilities implements [apikey.Clients]. The version is shown and never
// decided by: every build from source calls itself master.
func (h *Hydra) Capabilities(ctx context.Context) (apikey.HydraCapabilities, error) {
	h.probed.Lock()
	have, age := h.capabilities, h.config.Now().Sub(h.capabilityAt)
	fresh := !h.capabilityAt.IsZero() && age >= 0 && age < h.believed(have)
	h.probed.Unlock()
	if fresh {
		return have, nil
	}
	detached := context.WithoutCancel(ctx)
	answer := h.flights.DoChan("capabilities", func() (any, error) { return h.probeCapabilities(detached) })
	select {
	case r := <-answer:
		found, _ := r.Val.(apikey.HydraCapabilities)
		return found, r.Err
	case <-ctx.Done():
		return apikey.HydraCapabilities{}, failure(&call{operation: "probe capabilities"}, apikey.ErrUnavailable, context.Cause(ctx))
	}
}

// believed is how long an answer serves.
func (h *Hydra) believed(c apikey.HydraCapabilities) time.Duration {
	if c.Issuer == "" && h.token != "" {
		return issuerAgain
	}
	return capabilitiesFor
}

func (h *Hydra) probeCapabilities(ctx context.Context) (apikey.HydraCapabilities, error) {
	said := h.flights.DoChan("discovery", func() (any, error) { return h.Discover(ctx) })
	version, err := h.version(ctx)
	if err != nil {
		return apikey.HydraCapabilities{}, err
	}
	rotation, err := h.nativeRotation(ctx)
	if err != nil {
		return apikey.HydraCapabilities{}, err
	}
	found := apikey.HydraCapabilities{NativeRotation: rotation, Version: version, Issuer: issuerOf(said)}
	h.probed.Lock()
	h.capabilities, h.capabilityAt = found, h.config.Now()
	h.probed.Unlock()
	return found, nil
}

// issuerOf is the issuer that discovery names, "" if it is not known in time.
func issuerOf(said <-chan singleflight.Result) string {
	select {
	case r := <-said:
		found, _ := r.Val.(Discovery)
		return found.Issuer
	case <-time.After(issuerPatience):
		return ""
	}
}

func (h *Hydra) version(ctx context.Context) (string, error) {
	var said struct {
		Version string `json:"version"`
	}
	err := h.exchange(ctx, &call{operation: "read version", manner: repeatable}, func(ctx context.Context) (*http.Response, error) {
		resp, err := h.raw(ctx, http.MethodGet, "/version", nil)
		if err != nil {
			return resp, err
		}
		if body, err := bodyOf(resp); err != nil || json.Unmarshal(body, &said) != nil || said.Version == "" || len(said.Version) > maxVersion {
			return resp, &strange{"it names no version"}
		}
		return resp, nil
	})
	return plain(said.Version), err
}

// nativeRotation asks to rotate a client that does not exist, under a name
// nobody can guess: where the route exists Hydra cannot locate the client,
// where it does not the router answers 404 in other words.
func (h *Hydra) nativeRotation(ctx context.Context) (bool, error) {
	var exists bool
	err := h.exchange(ctx, &call{operation: "probe rotation", manner: once}, func(ctx context.Context) (*http.Response, error) {
		resp, err := h.raw(ctx, http.MethodPost, "/admin/clients/probe_"+rand.Text()+"/secrets/rotate", nil)
		if resp == nil {
			return nil, err
		}
		if status := resp.StatusCode; status == http.StatusNotFound || status == http.StatusMethodNotAllowed {
			exists = answerOf(resp).Error == saysUnknown
			return resp, nil
		}
		if err == nil {
			err = &strange{"nobody can rotate a client that does not exist"}
		}
		return resp, err
	})
	return exists, err
}
