package assertion

import (
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// Options are what is known beside the assertion. All of them may be left out; what
// needs them is then [Unknown].
type Options struct {
	// ClientID is the client_id that the request sends in its form. Empty means that
	// it sends none: then Hydra takes the assertion's sub.
	ClientID string
	// TokenURL is Hydra's token endpoint as Hydra names it, compared exactly.
	TokenURL string
	// PublicKeys are those with which the key is registered, in their order.
	PublicKeys []apikey.PublicKey
	// Key is the key itself, as TokenOS knows it. Its public keys count then, and
	// PublicKeys do not. It must be the one that [ClientID] names.
	Key *apikey.Key
	// Now is the time at Hydra. Zero means that of this machine.
	Now time.Time
}

// Verdict is what Hydra makes of the assertion.
type Verdict string

const (
	// Accepted: Hydra takes it, once, if it has not seen its jti before and the key
	// is what it is believed to be.
	Accepted Verdict = "accepted"
	// Refused: at least one check failed.
	Refused Verdict = "refused"
	// Undecided: nothing is wrong in what could be checked, which was not enough.
	Undecided Verdict = "undecided"
)

// Result is how a check came out.
type Result string

const (
	OK      Result = "ok"
	Failed  Result = "failed"
	Unknown Result = "unknown" // cannot be known here
)

// Report is what was found.
type Report struct {
	Verdict Verdict `json:"result"`
	// Answer is Hydra's to a refused assertion: its status and error code, such as
	// "401 invalid_client". It is that of Because, the failed check that Hydra comes
	// to first. Both are empty otherwise.
	Answer  string  `json:"answer,omitempty"`
	Because string  `json:"because,omitempty"`
	Checks  []Check `json:"checks"` // in Hydra's order, the same ones always
}

// Check is one of Hydra's questions. Its texts are printable ASCII, and what they
// repeat of the assertion is quoted and cut short; nothing of the signature is.
type Check struct {
	Name     string `json:"name"`
	Result   Result `json:"result"`
	Seen     string `json:"seen"`
	Expected string `json:"expected"`
	Fix      string `json:"fix,omitempty"` // what to do, if it failed
}

// Named is the check of that name, the zero Check if there is none.
func (r Report) Named(name string) Check {
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	return Check{}
}
