package keyauth

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// verifyOpaque looks a token up. Callers with the same token share one question.
// Nothing but a yes is remembered, under the token's hash.
func (v *Verifier) verifyOpaque(ctx context.Context, raw string) (*token, bool, *Error) {
	key := sha256.Sum256([]byte(raw))
	now := v.config.Now()
	if t, found := v.opaques.GetIfPresent(key); found && v.believed(t, now) {
		if err := v.judge(t, now); err != nil {
			return t, true, err
		}
		return t, true, v.checkOpaqueStatus(ctx, t)
	}
	// The question is everybody's: it does not end with the caller who began it.
	answered := v.flights.DoChan(string(key[:]), func() (any, error) {
		if !v.enter() {
			return nil, unavailable(NoIntrospection, errClosed)
		}
		defer v.leave()
		now := v.config.Now()
		// Another flight may have landed since this caller looked.
		if t, found := v.opaques.GetIfPresent(key); found && v.believed(t, now) {
			return t, nil
		}
		t, err := v.lookUp(v.life, raw)
		if err != nil {
			return nil, err
		}
		t.at = now
		if v.config.Introspection.Fresh > 0 {
			v.opaques.Set(key, t)
		}
		return t, nil
	})
	select {
	case r := <-answered:
		if r.Err != nil {
			err, _ := r.Err.(*Error) //nolint:errorlint // made above
			return nil, false, err
		}
		t, _ := r.Val.(*token)
		return t, false, v.checkOpaqueStatus(ctx, t)
	case <-ctx.Done():
		return nil, false, unavailable(Canceled, context.Cause(ctx))
	}
}

// believed reports whether an answer still holds. Leeway is for the clocks of who
// issues and who verifies; beyond exp, which may be that of the key, the service
// that looked the token up is asked again.
func (v *Verifier) believed(t *token, now time.Time) bool {
	return fresh(t, now, v.config.Introspection.Fresh) && now.Before(t.who.ExpiresAt)
}

// checkOpaqueStatus asks the status list about a token that Hydra looked up, which
// knows nothing of a key that the ledger has disabled. TokenOS itself does.
func (v *Verifier) checkOpaqueStatus(ctx context.Context, t *token) *Error {
	if v.config.InsecureHydraAdmin == "" || v.lists == nil {
		return nil
	}
	return v.checkStatus(ctx, t)
}

// lookUp asks. While Hydra's database is away Hydra calls every token inactive, so
// a no counts only if Hydra says after it that it is ready, and then says no again:
// the database may have been away for just that moment.
func (v *Verifier) lookUp(ctx context.Context, raw string) (*token, *Error) {
	t, err := v.ask(ctx, raw)
	if err == nil || err.Reason != Inactive || v.config.HydraReadyURL == "" {
		return t, err
	}
	if notReady := v.ready.after(ctx); notReady != nil {
		return nil, unavailable(NotReady, notReady)
	}
	return v.ask(ctx, raw)
}

// ask introspects once (RFC 7662 section 2).
func (v *Verifier) ask(ctx context.Context, raw string) (*token, *Error) {
	wait := time.NewTimer(v.config.CallTimeout)
	defer wait.Stop()
	select {
	case v.slots <- struct{}{}:
		defer func() { <-v.slots }()
	case <-wait.C:
		return nil, unavailable(Busy, nil)
	case <-ctx.Done():
		return nil, unavailable(NoIntrospection, context.Cause(ctx))
	}
	began := time.Now()
	t, err := v.introspect(ctx, raw)
	var failed error
	if err != nil && err.Kind == ErrUnavailable { //nolint:errorlint // a kind of our own
		failed = err
	}
	v.observe(Observation{Operation: OpIntrospect}, began, failed)
	if err != nil {
		return nil, err
	}
	if err := v.judge(t, v.config.Now()); err != nil {
		return nil, err
	}
	return t, nil
}

func (v *Verifier) introspect(ctx context.Context, raw string) (*token, *Error) {
	r := request{method: http.MethodPost, url: v.config.Introspection.URL, accepts: []string{"application/json"}, limit: 64 << 10,
		form: url.Values{"token": {raw}, "token_type_hint": {"access_token"}}}
	read := readIntrospection
	if v.config.InsecureHydraAdmin != "" {
		r.url = strings.TrimSuffix(v.config.InsecureHydraAdmin, "/") + "/admin/oauth2/introspect"
		read = readHydraIntrospection
	} else {
		bearer, err := v.ownToken(ctx)
		if err != nil {
			return nil, unavailable(NoIntrospection, err)
		}
		r.bearer = bearer
	}
	a, err := v.call(ctx, r)
	if err == nil && a.status != http.StatusOK {
		err = strange("it is 200") // 401 and 403 are about us, not about the caller
	}
	if err != nil {
		return nil, unavailable(NoIntrospection, err)
	}
	return read(a.body, v.config.Issuer)
}

// ownToken asks the program for the token that we authenticate with.
func (v *Verifier) ownToken(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, v.config.CallTimeout)
	defer cancel()
	own, err := v.config.Introspection.Token(ctx)
	if err == nil && !tokenForm(own) {
		err = strange("Introspection.Token gives a bearer token")
	}
	return own, err
}
