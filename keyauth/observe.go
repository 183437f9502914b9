package keyauth

import (
	"context"
	"time"
)

// Operation is what was done.
type Operation string

// The operations of an [Observation].
const (
	OpRequest    Operation = "request"     // one request that came to Require, until it was let in or refused
	OpVerify     Operation = "verify"      // one token, with all that it took
	OpJWKS       Operation = "jwks"        // one fetch of public keys
	OpIntrospect Operation = "introspect"  // one introspection of an opaque token
	OpReady      Operation = "ready"       // one question for Hydra's readiness
	OpStatusList Operation = "status_list" // one fetch of a status list
)

// Format is the kind of token.
type Format string

// The formats. An Observation has none where it is not known or does not matter.
const (
	JWT    Format = "jwt"
	Opaque Format = "opaque"
)

// Observation is one thing done, for metrics. All but Duration are words of small
// sets, fit for labels.
type Observation struct {
	Operation Operation
	Format    Format        // of the token, with OpVerify; "" if it has no form
	Reason    Reason        // why it failed; "" for success
	Cached    bool          // with OpVerify: known from a moment before
	Duration  time.Duration //
}

// observe tells Config.Observe, if there is one.
func (v *Verifier) observe(o Observation, began time.Time, err error) {
	if v.config.Observe == nil {
		return
	}
	o.Duration, o.Reason = time.Since(began), reasonOf(err)
	v.config.Observe(o)
}

// reportFetch is observe for a fetch in the background, whose failure no request
// need notice: it is logged here.
func (v *Verifier) reportFetch(ctx context.Context, op Operation, began time.Time, err error) {
	v.observe(Observation{Operation: op}, began, err)
	if err != nil && v.life.Err() == nil {
		v.config.Log.WarnContext(ctx, "keyauth: what was fetched before goes on being used", "operation", string(op), "error", err)
	}
}
