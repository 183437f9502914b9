package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/tokenos/tokenos/apikey"
)

// What a session holds: who it is, and what to tell on the next page.
const (
	personKey = "person"
	flashKey  = "flash"
)

// newSessions makes the sessions' manager: a new token at each sign-in, of which
// the ledger sees a hash; an idle and an absolute end; a cookie that no script
// reads and no other site's form sends along. It is Lax and not Strict, because
// with Strict the browser would withhold it from the first page after the provider
// has sent the person back.
func (d *Dashboard) newSessions() *scs.SessionManager {
	m := scs.New()
	m.Store = store{d.Sessions, d.Now, d.Log}
	m.Codec = codec{}
	m.HashTokenInStore = true
	m.IdleTimeout, m.Lifetime = d.Idle, d.Lifetime
	m.Cookie.Name, m.Cookie.Secure = secureCookie, true
	if !d.secure() {
		m.Cookie.Name, m.Cookie.Secure = d.CookieName, false
	}
	m.Cookie.HttpOnly, m.Cookie.SameSite, m.Cookie.Path = true, http.SameSiteLaxMode, "/"
	m.Cookie.Persist = false // it goes with the browser
	m.ErrorFunc = func(w http.ResponseWriter, r *http.Request, err error) { d.fail(w, r, err) }
	return m
}

// signIn begins a session for the person, with a token that nobody had before.
func (d *Dashboard) signIn(r *http.Request, p Person) error {
	ctx := r.Context()
	raw, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("web: sign in: %w", err)
	}
	if err := d.sessions.Clear(ctx); err != nil {
		return fmt.Errorf("web: sign in: %w", err)
	}
	if err := d.sessions.RenewToken(ctx); err != nil {
		return fmt.Errorf("web: sign in: %w", err)
	}
	d.sessions.Put(ctx, personKey, string(raw))
	x := exchangeFrom(ctx)
	x.person, x.loaded = &p, ""
	x.Visit.Principal = p.Principal()
	// Now rather than with the answer: whoever is told so is signed in.
	if _, _, err := d.sessions.Commit(ctx); err != nil {
		x.person = nil
		return err
	}
	d.Log.InfoContext(ctx, "signed in", "principal", p.Principal(), "role", string(p.Role), "address", x.Address, "request_id", x.RequestID)
	return nil
}

// who reads the person of the session into the exchange.
func (d *Dashboard) who(ctx context.Context, x *exchange) {
	raw := d.sessions.GetString(ctx, personKey)
	var p Person
	if raw == "" || json.Unmarshal([]byte(raw), &p) != nil || p.Subject == "" || len(p.Role.Rights()) == 0 {
		return
	}
	x.person, x.Visit.Principal = &p, p.Principal()
}

// codec writes sessions as JSON, always alike, so that what did not change is seen
// not to have.
type codec struct{}

type sessionData struct {
	Deadline time.Time         `json:"deadline"`
	Values   map[string]string `json:"values"`
}

func (codec) Encode(deadline time.Time, values map[string]any) ([]byte, error) {
	out := sessionData{deadline, map[string]string{}}
	for k, v := range values {
		text, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("web: session: %s is no text", k)
		}
		out.Values[k] = text
	}
	return json.Marshal(out)
}

func (codec) Decode(raw []byte) (time.Time, map[string]any, error) {
	var in sessionData
	if err := json.Unmarshal(raw, &in); err != nil {
		return time.Time{}, nil, fmt.Errorf("web: session: %w", err)
	}
	values := map[string]any{}
	for k, v := range in.Values {
		values[k] = v
	}
	return in.Deadline, values, nil
}

// store lets scs keep its sessions in ours. It only takes names that are hashes:
// see scs.SessionManager.HashTokenInStore.
type store struct {
	sessions apikey.Sessions
	now      func() time.Time
	log      *slog.Logger
}

var _ scs.CtxStore = store{}

// seenEvery is how exactly the last request of a session is known: to write it at
// each one would make a write of every read.
const seenEvery = time.Minute

func (s store) FindCtx(ctx context.Context, hash string) ([]byte, bool, error) {
	found, err := s.sessions.Session(ctx, hash, s.now())
	if errors.Is(err, apikey.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	x := exchangeFrom(ctx)
	x.loaded, x.kept = hash, found
	return found.Data, true, nil
}

// CommitCtx adds a session, or keeps the one that the request came with: one that
// was ended in the meantime must not come back.
func (s store) CommitCtx(ctx context.Context, hash string, data []byte, expires time.Time) error {
	x, now := exchangeFrom(ctx), s.now().UTC()
	if x.loaded == hash {
		if string(x.kept.Data) == string(data) && now.Sub(x.kept.SeenAt) < seenEvery {
			return nil
		}
		// It is made with the answer, which is then as good as it was: a session
		// that ends a little early is no reason to withhold it.
		if err := s.sessions.KeepSession(ctx, hash, data, now, expires); err != nil {
			s.log.WarnContext(ctx, "session not kept", "request_id", x.RequestID, "error", err)
		}
		return nil
	}
	if x.person == nil {
		return nil // nobody's sessions are not kept
	}
	made := apikey.Session{Hash: hash, Principal: x.person.Principal(), Data: data, Address: x.Address,
		UserAgent: x.userAgent, CreatedAt: now, SeenAt: now, ExpiresAt: expires}
	if err := s.sessions.StartSession(ctx, made); err != nil {
		return err
	}
	x.loaded, x.kept = hash, made
	return nil
}

func (s store) DeleteCtx(ctx context.Context, hash string) error {
	return s.sessions.EndSession(ctx, hash)
}

// Without a context scs asks nobody: its manager is only used within requests.
func (s store) Find(hash string) ([]byte, bool, error) { return s.FindCtx(context.Background(), hash) }
func (s store) Delete(hash string) error               { return s.DeleteCtx(context.Background(), hash) }
func (s store) Commit(hash string, data []byte, expires time.Time) error {
	return s.CommitCtx(context.Background(), hash, data, expires)
}
