package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
)

// What a request asks for.
const (
	doCreate    = "create"
	doUpdate    = "update"
	doDisable   = "disable"
	doEnable    = "enable"
	doRevoke    = "revoke"
	doDelete    = "delete"
	doTokens    = "tokens/revoke"
	doAddKey    = "public-keys add"
	doRemoveKey = "public-keys remove"
	doRotate    = "rotate"
	doComplete  = "complete"
)

// request is one request for a change, with all that its repetition needs.
type request struct {
	does   string
	by     *party
	key    *subject // nil for create
	header string   // Idempotency-Key
	dryRun bool

	create apikey.CreateParams
	update apikey.UpdateParams
	rotate apikey.RotateParams
	until  int64 // of disable
	input  *apikey.PublicKeyInput
	kid    string      // to be removed
	fresh  []publicKey // of input or rotate

	held  apikey.Secret // of a revoke by the holder: with what
	owner string        // of which it is an operation; "": of none
	all   bool          // of an operation that enables

	waits bool  // it was accepted and stands in line
	since int64 // when it was accepted
}

func (q *request) String() string {
	s := q.does
	if q.key != nil {
		s += fmt.Sprintf(" #%d", q.key.n)
	}
	if q.owner != "" {
		s += fmt.Sprintf(" owner, all %v", q.all)
	}
	switch q.does {
	case doDisable:
		s += fmt.Sprintf(" until %d", q.until)
	case doRotate:
		s += fmt.Sprintf(" grace %v force %v method %q keys %d", q.rotate.GracePeriod, q.rotate.Force, q.rotate.AuthMethod, len(q.fresh))
	case doUpdate:
		s += fmt.Sprintf(" name %v scopes %v expires %v method %v labels %v token %v if-match %d", q.update.Name != nil, q.update.Scopes,
			q.update.ExpiresAt, q.update.AuthMethod != nil, q.update.Labels != nil, q.update.Token != nil, q.update.IfMatch)
	case doCreate:
		s += fmt.Sprintf(" %s %s", q.create.AuthMethod, q.create.Labels["job"])
	}
	if !q.held.IsZero() {
		s += " by its holder"
	}
	if q.dryRun {
		s += " dry-run"
	}
	if q.header != "" {
		s += " " + q.header
	}
	return s + " by " + q.by.name
}

// answer is what came back.
type answer struct {
	err      error
	died     bool // the process died before it answered
	from, to int64
	key      *apikey.Key // as answered; nil: none was
	secret   apikey.Secret
	pending  bool
	revision int64
	mode     apikey.RotationMode
	others   []apikey.Other
	shownDry bool
	previous *time.Time
}

// kind classifies the answer for the counts.
func (a answer) kind() string {
	switch {
	case a.died:
		return "process died"
	case a.err == nil && a.pending:
		return "accepted, pending"
	case a.err == nil:
		return "ok"
	case a.unsure():
		return "unavailable, may take effect"
	}
	return string(kindOf(a.err))
}

// shown is the key as answered, in the model's words.
func (a answer) shown() string {
	if a.key == nil {
		return ""
	}
	return a.key.ID + ": " + factsOf(*a.key).String()
}

// unsure reports whether nobody knows if the request is or will be carried out.
func (a answer) unsure() bool {
	e, ok := errors.AsType[*apikey.Error](a.err)
	return a.died || ok && e.Pending
}

// refused reports whether the answer says that nothing is changed.
func (a answer) refused() bool { return a.err != nil && !a.unsure() }

// kindOf is the kind of an error.
func kindOf(err error) apikey.ErrorKind {
	if errors.Is(err, apikey.ErrInvalid) {
		return apikey.ErrInvalid
	}
	if e, ok := errors.AsType[*apikey.Error](err); ok {
		return e.Kind
	}
	if k, ok := errors.AsType[apikey.ErrorKind](err); ok {
		return k
	}
	return apikey.ErrInternal
}

// busy are the refusals that say nothing of the key itself: try again later.
func busy(k apikey.ErrorKind) bool {
	return k == apikey.ErrBusy || k == apikey.ErrUnavailable || k == apikey.ErrIdempotencyRunning
}

// ask makes the request of a service.
func (q *request) ask(ctx context.Context, s apikey.API) (a answer) {
	switch q.does {
	case doDisable, doEnable, doRevoke, doTokens, doComplete:
		r, err := q.act(ctx, s)
		if a.err = err; err == nil {
			a.key, a.pending, a.others, a.shownDry = &r.Key, r.Pending, r.Others, r.DryRun
		}
		if !q.held.IsZero() {
			a.key = nil
		}
	case doCreate:
		issued, err := s.Create(ctx, q.create)
		if a.err = err; err == nil {
			a.key, a.secret = &issued.Key, issued.Secret
		}
	case doUpdate:
		p := q.update
		p.DryRun = q.dryRun
		u, err := s.Update(ctx, q.key.id, p)
		if a.err = err; err == nil {
			a.key = &u.Key
			if u.Impact != nil {
				a.others, a.shownDry = u.Impact.Others, u.Impact.DryRun
			}
		}
	case doDelete:
		a.err = s.Delete(ctx, q.key.id)
	case doAddKey:
		_, a.err = s.AddPublicKey(ctx, q.key.id, apikey.PublicKeyParams{PublicKeyInput: *q.input, IdempotencyKey: q.header})
	case doRemoveKey:
		a.err = s.RemovePublicKey(ctx, q.key.id, q.kid)
	case doRotate:
		p := q.rotate
		p.DryRun, p.IdempotencyKey = q.dryRun, q.header
		r, err := s.Rotate(ctx, q.key.id, p)
		if a.err = err; err == nil {
			a.key, a.secret, a.mode, a.others, a.shownDry, a.previous = &r.Key, r.Secret, r.Mode, r.Others, r.DryRun, r.PreviousEndsAt
		}
	}
	if a.key != nil {
		a.revision = a.key.Revision
	}
	return a
}

// act makes one of the requests that answer with a result.
func (q *request) act(ctx context.Context, s apikey.API) (apikey.Result, error) {
	p := apikey.ActionParams{DryRun: q.dryRun, IdempotencyKey: q.header}
	switch q.does {
	case doDisable:
		d := apikey.DisableParams{DryRun: q.dryRun, IdempotencyKey: q.header}
		if q.until != 0 {
			d.Until = moment(q.until)
		}
		return s.Disable(ctx, q.key.id, d)
	case doEnable:
		return s.Enable(ctx, q.key.id, p)
	case doRevoke:
		if !q.held.IsZero() {
			own := apikey.Credential{Method: apikey.ClientSecretPost, ID: q.key.id, Secret: q.held}
			err := s.(apikey.Holder).RevokeSelf(ctx, apikey.HolderCredential{Own: own}, apikey.RevokeSelfParams{})
			return apikey.Result{Pending: true}, err // or done: the holder is not told
		}
		return s.Revoke(ctx, q.key.id, apikey.RevokeParams{Reason: apikey.Superseded, DryRun: q.dryRun, IdempotencyKey: q.header})
	case doTokens:
		return s.RevokeTokens(ctx, q.key.id, p)
	}
	return s.CompleteRotation(ctx, q.key.id, p)
}

// pairOf makes a key pair and how a caller sends its public half.
func (s *simulation) pairOf(expires int64) (apikey.PublicKeyInput, publicKey) {
	pair := apikeytest.NewPair(s.t, "ES256")
	parsed, bad := apikey.ParsePublicKey(pair.Public, "")
	if bad != nil {
		s.t.Fatal(bad.Detail)
	}
	s.pairs[parsed.KID] = pair
	in := apikey.PublicKeyInput{JWK: pair.Public}
	if expires != 0 {
		in.ExpiresAt = moment(expires)
	}
	return in, publicKey{kid: parsed.KID, expires: expires}
}

func moment(at int64) *time.Time { return new(time.Unix(at, 0).UTC()) }

func unix(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return t.Unix()
}
