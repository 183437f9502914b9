package web

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// maxLooks bounds how often a page looks for the first token by itself: a few
// minutes, at first every two seconds.
const maxLooks = 90

// firstTokenView is what is known of a key's first token since its credential was
// made.
type firstTokenView struct {
	key      apikey.Key
	issuedAt *time.Time         // nil: none yet
	noScope  bool               // it was issued, and no scope was asked for
	denied   *apikey.LastDenial // later than the credential; nil: none
	look     int                // how often the page has looked
	code     codeView
	now      time.Time
}

func (v firstTokenView) again() bool { return v.issuedAt == nil && v.look < maxLooks }

// next is where the page looks next, and when.
func (v firstTokenView) next() string {
	return firstTokenPath(v.key.ID) + "?look=" + strconv.Itoa(v.look+1)
}

func (v firstTokenView) trigger() string {
	if v.look < 30 {
		return "load delay:2s"
	}
	return "load delay:5s"
}

func (d *Dashboard) firstToken(w http.ResponseWriter, r *http.Request) error {
	v := firstTokenView{now: d.Now()}
	if n, err := strconv.Atoi(r.URL.Query().Get("look")); err == nil {
		v.look = min(max(n, 0), maxLooks)
	}
	id := r.PathValue("id")
	err := d.lookForToken(r, id, &v)
	if partial(r) && errors.Is(err, apikey.ErrUnavailable) {
		v.key.ID = id // a look that fails is one look less, and no end
		return d.show(w, r, frame{}, nil, firstTokenState(v))
	}
	if err != nil {
		return err
	}
	if !partial(r) {
		v.look = 0
		v.code = d.codeOf(r.Context(), v.key)
	}
	return d.show(w, r, frame{title: "First token of " + v.key.Name, section: "keys"}, firstTokenContent(v), firstTokenState(v))
}

func (d *Dashboard) lookForToken(r *http.Request, id string, v *firstTokenView) error {
	k, err := d.API.Get(r.Context(), id)
	if err != nil {
		return err
	}
	v.key = k
	u, err := d.API.Usage(r.Context(), id, apikey.UsageParams{By: apikey.ByHour})
	if err != nil {
		return err
	}
	since := credentialSince(k)
	if u.LastUsedAt != nil && !u.LastUsedAt.Before(since) {
		v.issuedAt, v.noScope = u.LastUsedAt, true
		for _, s := range u.Scopes {
			v.noScope = v.noScope && (s.LastAskedAt == nil || s.LastAskedAt.Before(since))
		}
	}
	if u.LastDenial != nil && !u.LastDenial.At.Before(since) && (v.issuedAt == nil || u.LastDenial.At.After(*v.issuedAt)) {
		v.denied = u.LastDenial
	}
	return nil
}

// credentialSince is when the key's newest credential was made.
func credentialSince(k apikey.Key) time.Time {
	at := k.CreatedAt
	if k.Secret != nil && k.Secret.CreatedAt.After(at) {
		at = k.Secret.CreatedAt
	}
	for _, p := range k.PublicKeys {
		if p.CreatedAt.After(at) {
			at = p.CreatedAt
		}
	}
	return at.Truncate(time.Second)
}

// deniedWords say why a token was refused, and what to do.
var deniedWords = map[apikey.Denial][2]string{
	apikey.DeniedDisabled:     {"the key is disabled", "Enable it on its page."},
	apikey.DeniedExpired:      {"the key has expired", "Give it a later end, or make a new one."},
	apikey.DeniedReplaced:     {"the key was replaced, and its time beside the new one is over", "Use the key that replaced it."},
	apikey.DeniedRevoked:      {"the key is revoked", "Make a new one."},
	apikey.DeniedNoCredential: {"every public key of it has ended", "Rotate the key, or add a public key."},
	apikey.DeniedUnknown:      {"it was not known yet", "Try again: a new key is known everywhere after a few seconds."},
}

// deniedWhy is deniedWords for any reason.
func deniedWhy(why apikey.Denial) [2]string {
	if w, ok := deniedWords[why]; ok {
		return w
	}
	return [2]string{string(why), "Look at the key's page."}
}
