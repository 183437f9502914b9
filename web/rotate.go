package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/ui"
)

// sureField says that a person has seen what a change does.
const sureField = "sure"

var (
	rotateLabels = map[string]string{"grace_period": "Grace period", "auth_method": "Method", publicKeyField: "Public key", "force": "The rotation before"}
	rotateIDs    = map[string]string{"#/public_keys": publicKeyField}
)

// rotateView is a key's rotation: the one under way, the form for another, and
// what that would do.
type rotateView struct {
	form     *form
	key      apikey.Key
	other    *apikey.Key // the key before or after this one, if both may work; nil: none
	policy   apikey.Policy
	preview  *apikey.Rotation // what the form would do; nil: not asked yet
	ending   *apikey.Result   // what completing would do; nil: nothing is to be completed
	complete *form            // of its own, as it acts by itself
	failed   *failure
	now      time.Time
}

// blocked says why the key cannot be rotated, "" if it can.
func (v rotateView) blocked() string {
	switch {
	case v.key.Status == apikey.StatusRevoked:
		return "The key is revoked. Make a new one."
	case v.key.Status == apikey.StatusExpired:
		return "The key has expired. Give it a later end first."
	case v.key.ReplacedBy != nil && (v.other == nil || v.other.Status != apikey.StatusRevoked):
		return "The key has been replaced. Rotate the one that replaced it."
	}
	return ""
}

func (d *Dashboard) rotatePage(w http.ResponseWriter, r *http.Request) error {
	v, err := d.rotation(r.Context(), r.PathValue("id"), newForm(nil))
	if err != nil {
		return err
	}
	return d.show(w, r, frame{title: "Rotate " + v.key.Name, section: "keys"}, rotateContent(v))
}

// rotate shows first what the rotation would do, and does it when the person has
// seen that.
func (d *Dashboard) rotate(w http.ResponseWriter, r *http.Request) error {
	f, id := posted(r), r.PathValue("id")
	p := f.rotateParams()
	p.DryRun = f.Get(sureField) == ""
	out, err := d.API.Rotate(r.Context(), id, p)
	if err != nil {
		return d.rotateFailed(w, r, f, err)
	}
	if p.DryRun {
		v, err := d.rotation(r.Context(), id, f)
		if err != nil {
			return err
		}
		v.preview = &out
		return d.show(w, r, frame{title: "Rotate " + v.key.Name, section: "keys"}, rotatePreviewContent(v))
	}
	if out.Secret.IsZero() {
		d.tell(r, ui.ToneOK, "The key has a new public key.")
		return d.goTo(w, r, rotatePath(out.Key.ID))
	}
	return d.reveal(w, r, f.once(), revealView{key: out.Key, secret: out.Secret, rotated: &out})
}

// rotateFailed shows the form again wherever sending it once more may help.
func (d *Dashboard) rotateFailed(w http.ResponseWriter, r *http.Request, f *form, err error) error {
	status := http.StatusUnprocessableEntity
	failed, sendAgain := f.sendAgain(err)
	v := rotateView{}
	switch {
	case errors.Is(err, apikey.ErrPublicKeyInUse):
		f.wrong = append(f.wrong, wrongField{publicKeyField, "Another key has this public key already. Make a new key pair."})
	case errors.Is(err, apikey.ErrRotationPending):
		status, f.wrong = http.StatusConflict, append(f.wrong, wrongField{"force", failed.Detail})
	case f.takeNew(err, rotateIDs):
	case sendAgain:
		status, v.failed = failed.Status, &failed
		exchangeFrom(r.Context()).Err = err
	default:
		return err
	}
	again, err := d.rotation(r.Context(), r.PathValue("id"), f)
	if err != nil {
		return err
	}
	again.failed = v.failed
	d.showAs(w, r, status, frame{title: "Rotate " + again.key.Name, section: "keys"}, rotateContent(again))
	return nil
}

func (f *form) rotateParams() apikey.RotateParams {
	p := apikey.RotateParams{AuthMethod: apikey.AuthMethod(f.Get("auth_method")), Force: f.Get("force") != "", IdempotencyKey: f.once()}
	if text := f.Get("grace_period"); text != "" {
		grace, err := apikey.ParseDuration(text)
		if err != nil {
			grace = -1
		}
		p.GracePeriod = &grace
	}
	if p.AuthMethod == apikey.PrivateKeyJWT {
		p.PublicKeys = f.takePublicKeys()
	}
	return p
}

// rotation reads all that the page tells of a key.
func (d *Dashboard) rotation(ctx context.Context, id string, f *form) (rotateView, error) {
	v := rotateView{form: f, complete: newForm(nil), now: d.Now()}
	var err error
	if v.key, err = d.API.Get(ctx, id); err != nil {
		return v, err
	}
	v.policy = apikey.Policies{}.For("", apikey.Live) // management keys have no rules
	if v.key.Kind == apikey.KindAPI {
		rules, err := d.API.Policies(ctx, v.key.Owner)
		if err != nil {
			return v, err
		}
		if v.policy = rules.Live; v.key.Environment == apikey.Test {
			v.policy = rules.Test
		}
	}
	if err := d.pending(ctx, &v); err != nil {
		return v, err
	}
	if f.Get("auth_method") == "" {
		f.Set("auth_method", string(v.key.AuthMethod))
	}
	if f.Get("grace_period") == "" {
		f.Set("grace_period", min(apikey.Duration(day), *v.policy.MaxGracePeriod).String())
	}
	return v, nil
}

// pending reads the rotation that is under way, if one is.
func (d *Dashboard) pending(ctx context.Context, v *rotateView) error {
	for _, id := range []*string{v.key.ReplacedBy, v.key.Replaces} {
		if id == nil || v.other != nil {
			continue
		}
		other, err := d.API.Get(ctx, *id)
		if err != nil && !errors.Is(err, apikey.ErrNotFound) { // its record may be gone
			return err
		}
		if err == nil {
			v.other = &other
		}
	}
	if v.key.Status == apikey.StatusRevoked || !slices.Contains(v.key.Flags, apikey.FlagRotating) {
		return nil
	}
	ending, err := d.API.CompleteRotation(ctx, v.key.ID, apikey.ActionParams{DryRun: true})
	if failureOf(err).Status == http.StatusConflict {
		return nil // over by now
	}
	if err != nil {
		return err
	}
	v.ending = &ending
	return nil
}

// completeRotation ends the older credential now.
func (d *Dashboard) completeRotation(w http.ResponseWriter, r *http.Request) error {
	f, id := posted(r), r.PathValue("id")
	if f.Get(sureField) == "" {
		v, err := d.rotation(r.Context(), id, newForm(nil))
		if err != nil {
			return err
		}
		f.wrong = append(f.wrong, wrongField{sureField, "Tick the box, so that nobody loses access by mistake."})
		v.complete = f
		d.showAs(w, r, http.StatusUnprocessableEntity, frame{title: "Rotate " + v.key.Name, section: "keys"}, rotateContent(v))
		return nil
	}
	res, err := d.API.CompleteRotation(r.Context(), id, apikey.ActionParams{IdempotencyKey: f.once()})
	if err != nil {
		return err
	}
	text := "The older credential has ended."
	if res.Pending {
		text = "The older credential has ended; Hydra follows as soon as it can."
	}
	d.tell(r, ui.ToneOK, text)
	return d.goTo(w, r, rotatePath(id))
}

// graceChoices are how long the older credential may work on.
func graceChoices(p apikey.Policy) (out []radio) {
	most := *p.MaxGracePeriod
	for _, c := range []radio{
		{"0s", "At once", "The credential of today ends now and the id stays. For a secret that leaked, or a key that nobody uses.", ""},
		{"1h", "1 hour", "", ""}, {"24h", "24 hours", "", ""}, {"7d", "7 days", "", ""}, {"30d", "30 days", "", ""},
	} {
		if lengthOf(c.value) <= most {
			out = append(out, c)
		}
	}
	if last := lengthOf(out[len(out)-1].value); last < most {
		out = append(out, radio{value: most.String(), label: words(time.Duration(most))})
	}
	return out
}

// modeWords say what a rotation does to id and credentials.
func modeWords(m apikey.RotationMode) string {
	switch m {
	case apikey.RotationInPlace:
		return "The key keeps its id and gets a new credential. The one of today ends at once."
	case apikey.RotationOverlap:
		return "The key keeps its id and has both public keys until the grace period ends."
	case apikey.RotationSuccessor:
		return "A new key, with an id of its own, takes over name, scopes and all settings. The key of today works until the grace period ends."
	}
	return string(m)
}

// credentialRow is one credential of a rotation.
type credentialRow struct {
	label, what, id string
	lastUsed, ends  *time.Time
	state           apikey.Status
	shared          bool // lastUsed is of the key: it is not known with which credential
}

// credentials are the older and the newer one, as far as both are known.
func (v rotateView) credentials() (out []credentialRow) {
	k := v.key
	if o := v.other; o != nil {
		older, newer := *o, k
		if k.ReplacedBy != nil && *k.ReplacedBy == o.ID {
			older, newer = k, *o
		}
		return []credentialRow{rowOf("Older", older), rowOf("Newer", newer)}
	}
	if k.AuthMethod.HasSecret() {
		return []credentialRow{rowOf("Current", k)}
	}
	for _, p := range k.LivePublicKeys(v.now) {
		row := credentialRow{label: "Current", what: "Public key " + p.Alg, id: p.KID, lastUsed: k.LastUsedAt, ends: earliest(p.ExpiresAt, k.ExpiresAt), state: k.Status, shared: true}
		if p.ReplacedAt != nil {
			row.label = "Older"
		}
		out = append(out, row)
	}
	return out
}

func rowOf(label string, k apikey.Key) credentialRow {
	what := methodName(k.AuthMethod)
	if k.Secret != nil {
		what = "Secret " + k.Secret.Hint
	}
	return credentialRow{label: label, what: what, id: k.ID, lastUsed: k.LastUsedAt, ends: earliest(k.EndsAt, k.ExpiresAt), state: k.Status}
}

func earliest(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}
