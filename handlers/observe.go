package handlers

import (
	"strings"
	"time"
)

// Observation is one request that was answered, for metrics. All but Duration are
// words and numbers of small sets, fit for labels: nothing in it is what a caller
// made up.
type Observation struct {
	Route    string // as docs/api.md writes it, such as /v1/keys/{id}; "none" for a path that is no route
	Method   string // "other" for one that HTTP does not have
	Status   int    // 499: nobody waited for the answer
	Limited  string // the limit that refused the request: address, caller, failures or self; "": none did
	Duration time.Duration
}

// HookObservation is one answer of the token hook, for metrics.
type HookObservation struct {
	Status   int
	Stranger bool // who asked did not show the secret
	Duration time.Duration
}

// template writes one of Gin's routes as the API's documents do.
func template(route string) string {
	if !strings.Contains(route, ":") {
		return route
	}
	parts := strings.Split(route, "/")
	for i, p := range parts {
		if name, ok := strings.CutPrefix(p, ":"); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}
