package web

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/a-h/templ"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/ui"
)

// keyTab is one part of a key's page. Each is an address of its own, so that it
// works without JavaScript, and Back goes back.
type keyTab struct {
	id, label string
	right     apikey.Right // that the person must have
	content   func(d *Dashboard, r *http.Request, v keyView) (templ.Component, error)
}

// keyTabs are all of them; the first is shown if the address names none.
var keyTabs = []keyTab{
	{"overview", "Overview", apikey.KeysRead, (*Dashboard).keyOverview},
	{"credentials", "Credentials", apikey.KeysRead, (*Dashboard).keyCredentials},
	{"usage", "Usage", apikey.KeysRead, (*Dashboard).keyUsage},
	{"events", "Events", apikey.AuditRead, (*Dashboard).keyEvents},
	{"code", "Code", apikey.KeysRead, (*Dashboard).keyCode},
	{"danger", "Danger zone", apikey.KeysWrite, (*Dashboard).keyDanger},
}

// tabPath is where a tab of a key's page is; more are further parameters.
func tabPath(id, tab string, more ...string) string {
	q := url.Values{"tab": {tab}}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return keyPath(id) + "?" + q.Encode()
}

// keyView is what every tab of a key's page knows.
type keyView struct {
	key    apikey.Key
	tab    string
	person *Person
	now    time.Time
	away   bool // Hydra does not answer
}

func (v keyView) may(right apikey.Right) bool { return v.person.May(right) }

// changeable reports whether the person may change the key, and it can be changed.
func (v keyView) changeable() bool {
	return v.may(apikey.KeysWrite) && v.key.Status != apikey.StatusRevoked
}

func (v keyView) frame() frame { return frame{title: v.key.Name, section: "keys"} }

// keyView reads the key that the address names.
func (d *Dashboard) keyView(r *http.Request) (keyView, error) {
	k, err := d.API.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return keyView{}, err
	}
	return keyView{key: k, person: exchangeFrom(r.Context()).person, now: d.Now(), away: d.away(r.Context())["hydra"]}, nil
}

func (d *Dashboard) key(w http.ResponseWriter, r *http.Request) error {
	v, err := d.keyView(r)
	if err != nil {
		return err
	}
	v.tab = cmp.Or(r.URL.Query().Get("tab"), keyTabs[0].id)
	i := slices.IndexFunc(keyTabs, func(t keyTab) bool { return t.id == v.tab })
	if i < 0 {
		return apikey.ErrNotFound
	}
	if right := keyTabs[i].right; !v.may(right) {
		return &missingRight{right}
	}
	content, err := keyTabs[i].content(d, r, v)
	if err != nil {
		return err
	}
	return d.show(w, r, v.frame(), keyPage(v, content))
}

func (d *Dashboard) keyOverview(_ *http.Request, v keyView) (templ.Component, error) {
	return keyOverview(v), nil
}

// explanation says what a flag means and what to do.
type explanation struct {
	tone        ui.Tone
	title, text string
}

// flagWords explain the flags that ask for a thought.
var flagWords = map[apikey.Flag]explanation{
	apikey.FlagExpiring:  {ui.ToneWarn, "It ends soon", "Within 30 days. Set a later expiry, or rotate the key, before programs that use it stop."},
	apikey.FlagChanging:  {ui.ToneInfo, "A change is under way", "It was accepted and is being carried out. Reload the page to see it done."},
	apikey.FlagDisabling: {ui.ToneWarn, "Being disabled", "The key counts as disabled and gets no token any more. Hydra has not confirmed yet, so tokens that it bought earlier may still be taken; this goes on by itself."},
	apikey.FlagRevoking:  {ui.ToneWarn, "Being revoked", "The key counts as revoked and gets no token any more. Hydra has not confirmed yet, so tokens that it bought earlier may still be taken; this goes on by itself."},
	apikey.FlagUnconfirmed: {ui.ToneWarn, "The last change is being looked after",
		"Hydra's answer to it was lost. What this page shows holds; Hydra is asked once more within half a minute."},
	apikey.FlagNoCredential: {ui.ToneBad, "Nothing to prove itself with",
		"Every public key has ended, so the key gets no token. Add a public key, or rotate it."},
	apikey.FlagDrifted: {ui.ToneBad, "Hydra does not have this key any more",
		"Its client was deleted in Hydra without TokenOS, so it gets no token and cannot be changed. Revoke it and make a new one."},
	apikey.FlagRotating: {ui.ToneInfo, "A rotation is not over",
		"The new credential and the one before it both work. Move every program to the new one before the old one ends."},
	apikey.FlagCredentialUnknown: {ui.ToneBad, "Nobody knows the secret",
		"A rotation was done and its answer was lost, so the secret before it no longer works and nobody was shown the new one. Rotate the key again."},
}

// notices are what stands above the facts of a key.
func (v keyView) notices() (out []explanation) {
	k := v.key
	switch k.Status {
	case apikey.StatusDisabled:
		text := "It gets no token until somebody enables it."
		if k.DisabledUntil != nil {
			text = "It gets no token until " + dated(*k.DisabledUntil) + " and is then enabled by itself."
		}
		if k.DisabledWithOwner {
			text += " It was paused with all keys of its owner."
		}
		out = append(out, explanation{ui.ToneWarn, "Disabled", text})
	case apikey.StatusExpired:
		text := "It gets no token. A later expiry makes it work again."
		if k.ReplacedBy != nil {
			text = "It was replaced, and its grace period is over."
		}
		out = append(out, explanation{ui.ToneWarn, "Expired", text})
	case apikey.StatusRevoked:
		out = append(out, explanation{ui.ToneNeutral, "Revoked for good", "It gets no token, and nothing brings it back. The record stays until somebody deletes it."})
	}
	if k.ReplacedBy != nil && k.Status == apikey.StatusActive && k.EndsAt != nil {
		out = append(out, explanation{ui.ToneInfo, "It was replaced", "Its successor works already. This key works until " + dated(*k.EndsAt) + "; move every program to the successor before."})
	}
	for _, f := range k.Flags {
		replaced := f == apikey.FlagExpiring && k.ReplacedBy != nil
		over := f == apikey.FlagRotating && (k.Status != apikey.StatusActive || k.ReplacedBy != nil)
		if e, ok := flagWords[f]; ok && !replaced && !over {
			out = append(out, e)
		}
	}
	return out
}

// reasonNames are why a key was revoked, for people, in the order of the choice.
var reasonNames = ui.Options(string(apikey.Unspecified), "Not said", string(apikey.KeyCompromise), "The credential leaked", string(apikey.Superseded), "Replaced by another key",
	string(apikey.CessationOfOperation), "The program is no longer run", string(apikey.PrivilegeWithdrawn), "It may not have this access any more")

// nameOf is the label of a value in options; the value itself if it has none.
func nameOf(value string, options []ui.Option) string {
	for _, o := range options {
		if o.Value == value {
			return o.Label
		}
	}
	return value
}

// tokenFormats are the forms of a token, for people.
var tokenFormats = ui.Options(string(apikey.Opaque), "Opaque: looked up at each use", string(apikey.JWT), "JWT: verified offline")

// dated is a time for sentences.
func dated(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }
