package web

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/snippets"
	"github.com/tokenos/tokenos/web/ui"
)

const day = 24 * time.Hour

// openedField is the hidden field with the moment the form was opened: an expiry
// of "90 days" counts from there, so that the form sent twice asks for the same.
const openedField = "opened"

// rulesField is the hidden field that says which rules shaped the form.
const rulesField = "rules"

// newKeyLabels are the fields of the form by id, newKeyIDs by pointer.
var (
	newKeyLabels = map[string]string{"name": "Name", "description": "Description", "owner": "Owner", "environment": "Environment", "labels": "Labels",
		"scopes": "Scopes", "audiences": "Audiences", "expires": "Expiry", "format": "Token format", "lifetime": "Token lifetime", "auth_method": "Method", publicKeyField: "Public key"}
	newKeyIDs = map[string]string{"#/expires_at": "expires", "#/token/format": "format", "#/token/lifetime": "lifetime", "#/public_keys": publicKeyField}
)

// newKeyView is the form for a new key, under the rules for the owner and the
// environment that are chosen in it.
type newKeyView struct {
	form      *form
	owners    []string // that the person is bound to; empty: any
	catalogue []apikey.ScopeInfo
	policy    apikey.Policy
	code      codeView
	failed    *failure // why the form could not be sent; nil: it was not, or it is wrong
	now       time.Time
}

func (d *Dashboard) newKey(w http.ResponseWriter, r *http.Request) error {
	return d.showNewKey(w, r, http.StatusOK, newForm(nil), nil)
}

// newKeyCode shows what the form comes to: the live code, or the fields that the
// rules shape; to a browser without JavaScript the form with both.
func (d *Dashboard) newKeyCode(w http.ResponseWriter, r *http.Request) error {
	return d.showNewKey(w, r, http.StatusOK, posted(r), nil)
}

func (d *Dashboard) createKey(w http.ResponseWriter, r *http.Request) error {
	f := posted(r)
	made, err := d.API.Create(r.Context(), f.createParams(d.Now()))
	if err != nil {
		return d.createFailed(w, r, f, err)
	}
	if made.Secret.IsZero() {
		d.tell(r, ui.ToneOK, "The key is made.")
		return d.goTo(w, r, firstTokenPath(made.Key.ID))
	}
	return d.reveal(w, r, f.once(), revealView{key: made.Key, secret: made.Secret})
}

// createFailed shows the form again wherever sending it once more may help.
func (d *Dashboard) createFailed(w http.ResponseWriter, r *http.Request, f *form, err error) error {
	if errors.Is(err, apikey.ErrPublicKeyInUse) {
		f.wrong = append(f.wrong, wrongField{publicKeyField, "Another key has this public key already. Make a new key pair."})
		return d.showNewKey(w, r, http.StatusUnprocessableEntity, f, nil)
	}
	if f.takeNew(err, newKeyIDs) {
		return d.showNewKey(w, r, http.StatusUnprocessableEntity, f, nil)
	}
	failed, again := f.sendAgain(err)
	if !again {
		return err
	}
	exchangeFrom(r.Context()).Err = err
	return d.showNewKey(w, r, failed.Status, f, &failed)
}

// sendAgain reports whether a form that failed with err may be sent once more, and
// what to say meanwhile. A form that was changed after it had been sent is a new
// one, with an Idempotency-Key of its own.
func (f *form) sendAgain(err error) (failure, bool) {
	failed := failureOf(err)
	switch {
	case errors.Is(err, apikey.ErrIdempotencyMismatch):
		f.Set(onceField, newForm(nil).once())
		return failure{Status: http.StatusConflict, Title: "Changed after it was sent", Detail: "The form was sent before, with something else in it. Look at the list whether that was done."}, true
	case errors.Is(err, apikey.ErrIdempotencyRunning), errors.Is(err, apikey.ErrBusy):
		return failed, true
	}
	return failed, failed.Status == http.StatusServiceUnavailable || failed.Status == http.StatusTooManyRequests
}

// takeNew is take without what was noted of the same field before: a field that
// could not be read is sent as one that the API refuses.
func (f *form) takeNew(err error, ids map[string]string) bool {
	own := f.wrong
	f.wrong = nil
	ok := f.take(err, ids)
	f.wrong = slices.DeleteFunc(f.wrong, func(w wrongField) bool {
		return slices.ContainsFunc(own, func(o wrongField) bool { return o.id == w.id })
	})
	f.wrong = append(f.wrong, own...)
	return ok
}

func (d *Dashboard) showNewKey(w http.ResponseWriter, r *http.Request, status int, f *form, failed *failure) error {
	v := newKeyView{form: f, owners: exchangeFrom(r.Context()).person.Owners, failed: failed, now: d.Now()}
	if f.Get(openedField) == "" {
		f.Set(openedField, v.now.UTC().Format(time.RFC3339))
	}
	if err := d.ruled(r.Context(), &v); err != nil {
		return err
	}
	v.fill()
	v.code = d.draft(r.Context(), f)
	if partial(r) {
		if !strings.HasSuffix(r.Header.Get("HX-Target"), "#rules") {
			d.write(w, r, status, newKeyCodePart(v.code))
		} else if f.Get(rulesField) == v.rules() {
			w.WriteHeader(http.StatusNoContent) // nobody loses what was typed meanwhile
		} else {
			d.write(w, r, status, newKeyRules(v))
		}
		return nil
	}
	d.showAs(w, r, status, frame{title: "New key", section: "keys"}, newKeyContent(v))
	return nil
}

// ruled reads the rules for the owner in the form; as long as that is none that
// the person may make keys for, the rules for anybody.
func (d *Dashboard) ruled(ctx context.Context, v *newKeyView) error {
	rules, err := d.API.Policies(ctx, v.owner())
	if errors.Is(err, apikey.ErrInvalid) || errors.Is(err, apikey.ErrForbidden) || errors.Is(err, apikey.ErrNotFound) {
		rules, err = d.API.Policies(ctx, "")
	}
	if err != nil {
		return err
	}
	v.catalogue, v.policy = rules.Scopes, rules.Live
	if v.form.Get("environment") == string(apikey.Test) {
		v.policy = rules.Test
	}
	return nil
}

// rules tells rules that differ apart.
func (v newKeyView) rules() string {
	raw, err := json.Marshal([]any{v.catalogue, v.policy})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}

func (v newKeyView) owner() string {
	if len(v.owners) == 1 {
		return v.owners[0]
	}
	return v.form.Get("owner")
}

// fill chooses what is not chosen yet, and what the rules no longer allow anew.
func (v newKeyView) fill() {
	choose := func(name, first string, options []radio) {
		if !slices.ContainsFunc(options, func(c radio) bool { return c.value == v.form.Get(name) }) {
			v.form.Set(name, first)
		}
	}
	choose("environment", string(apikey.Live), environmentChoices)
	choose("auth_method", string(v.policy.AuthMethods[0]), methodChoices(v.policy.AuthMethods))
	choose("expires", v.firstExpiry(), v.expiryChoices())
	choose("format", string(v.policy.Token.Formats[0]), formatChoices(v.policy))
	choose("lifetime", min(apikey.Duration(15*time.Minute), *v.policy.Token.MaxLifetime).String(), lifetimeChoices(v.policy))
}

// radio is one of several, with words that help to choose.
type radio struct{ value, label, hint, badge string }

var environmentChoices = []radio{{value: "live", label: "Live", hint: "For real traffic."}, {value: "test", label: "Test", hint: "For trials. It shows in the key's id."}}

func methodChoices(allowed []apikey.AuthMethod) (out []radio) {
	for _, c := range []radio{
		{"client_secret_basic", "Secret, sent as Basic", "The program sends a secret in the Authorization header. Nearly every OAuth library and curl can do it.", ""},
		{"client_secret_post", "Secret, sent in the form", "The same secret, sent in the body. For libraries that cannot send Basic; Hydra takes only the way that is chosen here.", ""},
		{"private_key_jwt", "Key pair", "The program signs each request with a private key that only it has. There is no secret that could be copied from here or from Hydra.", "safest"},
	} {
		if slices.Contains(allowed, apikey.AuthMethod(c.value)) {
			out = append(out, c)
		}
	}
	return out
}

func formatChoices(p apikey.Policy) (out []radio) {
	for _, c := range []radio{
		{value: "opaque", label: "Opaque", hint: "APIs ask Hydra about each token, so an end counts at once."},
		{value: "jwt", label: "JWT", hint: "APIs check tokens by themselves, which is faster; one that is out works until it expires."},
	} {
		if slices.Contains(p.Token.Formats, apikey.TokenFormat(c.value)) {
			out = append(out, c)
		}
	}
	return out
}

// lifetimeChoices are the usual lifetimes of a token up to the longest allowed.
func lifetimeChoices(p apikey.Policy) (out []radio) {
	most := *p.Token.MaxLifetime
	for _, d := range []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour, 8 * time.Hour, day} {
		if apikey.Duration(d) < most {
			out = append(out, radio{value: apikey.Duration(d).String(), label: words(d)})
		}
	}
	return append(out, radio{value: most.String(), label: words(time.Duration(most))})
}

// expiryChoices are the ends that the rules allow.
func (v newKeyView) expiryChoices() (out []radio) {
	most := v.policy.MaxLifetime
	add := func(d time.Duration) {
		value := apikey.Duration(d).String()
		if (most == nil || apikey.Duration(d) <= *most) && !slices.ContainsFunc(out, func(c radio) bool { return c.value == value }) {
			out = append(out, radio{value: value, label: words(d)})
		}
	}
	if d := v.policy.DefaultLifetime; d != nil {
		add(time.Duration(*d))
	}
	for _, d := range []time.Duration{30 * day, 90 * day, 365 * day} {
		add(d)
	}
	if most != nil {
		add(time.Duration(*most))
	}
	slices.SortStableFunc(out, func(a, b radio) int { return cmp.Compare(lengthOf(a.value), lengthOf(b.value)) })
	out = append(out, radio{value: "date", label: "On a date"})
	if *v.policy.NeverExpires {
		out = append(out, radio{value: "never", label: "Never", hint: "Nobody will be reminded to replace it. Choose a date wherever you can."})
	}
	return out
}

// firstExpiry is the one that the rules choose; without a rule 90 days, because a
// key that is forgotten should end.
func (v newKeyView) firstExpiry() string {
	first := apikey.Duration(90 * day)
	if d := v.policy.DefaultLifetime; d != nil {
		first = *d
	}
	if most := v.policy.MaxLifetime; most != nil {
		first = min(first, *most)
	}
	return first.String()
}

func lengthOf(s string) apikey.Duration {
	d, err := apikey.ParseDuration(s)
	if err != nil {
		return 0
	}
	return d
}

// words is a length of time for people.
func words(d time.Duration) string {
	for _, u := range []struct {
		size      time.Duration
		one, many string
	}{{365 * day, "1 year", " years"}, {day, "1 day", " days"}, {time.Hour, "1 hour", " hours"}, {time.Minute, "1 minute", " minutes"}} {
		switch {
		case d == u.size && u.size != day:
			return u.one
		case d == day:
			return "24 hours"
		case d > u.size && d%u.size == 0:
			return number(int(d/u.size)) + u.many
		}
	}
	return apikey.Duration(d).String()
}

// lastDay is the latest date that the rules allow, "" without one.
func (v newKeyView) lastDay() string {
	if v.policy.MaxLifetime == nil {
		return ""
	}
	return v.now.Add(time.Duration(*v.policy.MaxLifetime) - day).UTC().Format(time.DateOnly)
}

// createParams is what the form asks for. What cannot be read in it is noted, and
// sent as something that is refused, so that all that is wrong is told at once.
func (f *form) createParams(now time.Time) apikey.CreateParams {
	p := apikey.CreateParams{Name: f.Get("name"), Description: lines(f.Get("description")), Owner: f.Get("owner"), Environment: apikey.Environment(f.Get("environment")),
		Labels: labelsOf(f.Get("labels")), AuthMethod: apikey.AuthMethod(f.Get("auth_method")), Scopes: f.list("scopes"), Audiences: f.list("audiences"),
		ExpiresAt: f.expiry(now), Token: &apikey.TokenParams{Format: apikey.TokenFormat(f.Get("format"))}, IdempotencyKey: f.once()}
	if text := f.Get("lifetime"); text != "" {
		d, err := apikey.ParseDuration(text)
		if err != nil {
			d = -1
		}
		p.Token.Lifetime = &d
	}
	if p.AuthMethod == apikey.PrivateKeyJWT {
		p.PublicKeys = f.takePublicKeys()
	}
	return p
}

// expiry is the end that was chosen; nothing chosen leaves it to the rules.
func (f *form) expiry(now time.Time) apikey.Nullable[time.Time] {
	switch chosen := f.Get("expires"); chosen {
	case "":
		return apikey.Nullable[time.Time]{}
	case "never":
		return apikey.Null[time.Time]()
	case "date":
		date, err := time.ParseInLocation(time.DateOnly, f.Get("expires_on"), time.UTC)
		if err != nil {
			f.wrong = append(f.wrong, wrongField{"expires", "Choose the date."})
			return apikey.SetTo(time.Unix(0, 0))
		}
		return apikey.SetTo(date.Add(day - time.Second))
	default:
		return apikey.SetTo(f.opened(now).Add(time.Duration(lengthOf(chosen))))
	}
}

// opened is when the form was opened, as far as that can be believed.
func (f *form) opened(now time.Time) time.Time {
	at, err := time.Parse(time.RFC3339, f.Get(openedField))
	if err != nil || at.After(now) || now.Sub(at) > day {
		return now
	}
	return at
}

// list are the words of a field that is a list, or several fields of one name.
func (f *form) list(name string) (out []string) {
	for _, v := range f.Values[name] {
		out = append(out, strings.Fields(v)...)
	}
	return out
}

// lines undoes what a browser makes of the ends of lines.
func lines(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// labelsOf reads one name=value a line.
func labelsOf(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if name = strings.TrimSpace(name); name != "" || value != "" {
			out[name] = strings.TrimSpace(value)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// draft is the code for what is in the form so far, with words in capitals for
// what is not.
func (d *Dashboard) draft(ctx context.Context, f *form) codeView {
	p := snippets.Params{Method: f.Get("auth_method"), ClientID: "YOUR_KEY_ID", Scope: strings.Join(f.list("scopes"), " "), Audience: strings.Join(f.list("audiences"), " ")}
	p.Scope = cmp.Or(p.Scope, "YOUR_SCOPE")
	if p.Method == string(apikey.PrivateKeyJWT) {
		p.KID, p.Alg = "YOUR_KEY_PAIR", "ES256"
		if keys, err := pasted(f.Get(publicKeyField)); err == nil && len(keys) > 0 {
			if k, fault := apikey.ParsePublicKey(keys[0].JWK, ""); fault == nil {
				p.KID, p.Alg = k.KID, k.Alg
			}
		}
	}
	return d.render(ctx, p)
}
