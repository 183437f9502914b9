package web

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/ui"
)

// keyAction is something that is done to a key once a person has seen what it would
// do. Its page is below the key's, under its id; the page's form is sent there too.
type keyAction struct {
	id, title, text string
	button          string
	kind            ui.Kind
	named           bool // the person must type the key's name
	narrows         bool // is taken while Hydra is away, too
	fits            func(apikey.Key) string
	preview         func(ctx context.Context, api apikey.API, k apikey.Key) (*apikey.Impact, error)
	do              func(ctx context.Context, api apikey.API, id string, f *form) (apikey.Result, error)
	done, accepted  string // what is told afterwards; accepted: Hydra has not confirmed
}

// keyActions are all of them, in the order in which they are shown.
var keyActions = []keyAction{
	{id: "disable", title: "Disable", button: "Disable the key", kind: ui.Danger, narrows: true, fits: notRevoked,
		text:    "The key gets no token, and the tokens that it bought are ended. It can be enabled again at any time, with the same credential.",
		preview: previewDisable, do: doDisable, done: "The key is disabled.", accepted: "The key counts as disabled from now on. Hydra follows as soon as it answers."},
	{id: "enable", title: "Enable", button: "Enable the key", kind: ui.Primary, fits: isDisabled,
		text:    "The key gets tokens again, with the same credential.",
		preview: previewEnable, do: doEnable, done: "The key is enabled."},
	{id: "revoke-tokens", title: "End its tokens now", button: "End its tokens", kind: ui.Danger, fits: notRevoked,
		text:    "The tokens that the key bought are ended; the key stays and buys new ones. For when a token leaked, not the key.",
		preview: previewRevokeTokens, do: doRevokeTokens, done: "The key's tokens are ended."},
	{id: "revoke", title: "Revoke", button: "Revoke for good", kind: ui.Danger, named: true, narrows: true, fits: notRevoked,
		text:    "The key and its tokens end for good. Nothing undoes it; its record and its events stay.",
		preview: previewRevoke, do: doRevoke, done: "The key is revoked.", accepted: "The key counts as revoked from now on. Hydra follows as soon as it answers."},
	{id: "delete", title: "Delete the record", button: "Delete the record", kind: ui.Danger, named: true, fits: isRevoked,
		text:    "The record of the revoked key goes. Its events stay in the audit.",
		preview: previewDelete, do: doDelete, done: "The key's record is deleted."},
}

// notRevoked, isDisabled and isRevoked say why an action does not fit a key now; ""
// if it does.
func notRevoked(k apikey.Key) string {
	if k.Status == apikey.StatusRevoked {
		return "The key is revoked."
	}
	return ""
}

func isDisabled(k apikey.Key) string {
	if k.DisabledAt == nil || k.Status == apikey.StatusRevoked {
		return "The key is not disabled."
	}
	return ""
}

func isRevoked(k apikey.Key) string {
	if k.Status != apikey.StatusRevoked {
		return "Only a revoked key can be deleted."
	}
	return ""
}

func previewDisable(ctx context.Context, api apikey.API, k apikey.Key) (*apikey.Impact, error) {
	res, err := api.Disable(ctx, k.ID, apikey.DisableParams{DryRun: true})
	return &res.Impact, err
}

func previewEnable(ctx context.Context, api apikey.API, k apikey.Key) (*apikey.Impact, error) {
	res, err := api.Enable(ctx, k.ID, apikey.ActionParams{DryRun: true})
	return &res.Impact, err
}

func previewRevokeTokens(ctx context.Context, api apikey.API, k apikey.Key) (*apikey.Impact, error) {
	res, err := api.RevokeTokens(ctx, k.ID, apikey.ActionParams{DryRun: true})
	return &res.Impact, err
}

func previewRevoke(ctx context.Context, api apikey.API, k apikey.Key) (*apikey.Impact, error) {
	res, err := api.Revoke(ctx, k.ID, apikey.RevokeParams{DryRun: true})
	return &res.Impact, err
}

// previewDelete: deleting ends nothing that revoking did not end.
func previewDelete(_ context.Context, _ apikey.API, k apikey.Key) (*apikey.Impact, error) {
	if isRevoked(k) != "" {
		return nil, &apikey.Error{Kind: apikey.ErrNotRevoked, Detail: "only a revoked key can be deleted; revoke it first"}
	}
	return nil, nil
}

func doDisable(ctx context.Context, api apikey.API, id string, f *form) (apikey.Result, error) {
	until, err := f.moment("until", "#/until")
	if err != nil {
		return apikey.Result{}, err
	}
	return api.Disable(ctx, id, apikey.DisableParams{Until: until, IdempotencyKey: f.once()})
}

func doEnable(ctx context.Context, api apikey.API, id string, f *form) (apikey.Result, error) {
	return api.Enable(ctx, id, apikey.ActionParams{IdempotencyKey: f.once()})
}

func doRevokeTokens(ctx context.Context, api apikey.API, id string, f *form) (apikey.Result, error) {
	return api.RevokeTokens(ctx, id, apikey.ActionParams{IdempotencyKey: f.once()})
}

func doRevoke(ctx context.Context, api apikey.API, id string, f *form) (apikey.Result, error) {
	return api.Revoke(ctx, id, apikey.RevokeParams{Reason: apikey.RevocationReason(f.Get("reason")), Description: f.Get("description"), IdempotencyKey: f.once()})
}

func doDelete(ctx context.Context, api apikey.API, id string, _ *form) (apikey.Result, error) {
	return apikey.Result{}, api.Delete(ctx, id)
}

// path is where the action's page is for a key.
func (a keyAction) path(id string) string { return keyPath(id) + "/" + a.id }

// after is where the person is led once it is done.
func (a keyAction) after(id string) string {
	if a.id == "delete" {
		return keysPath
	}
	return keyPath(id)
}

// actionLabels are the fields of the actions' forms.
var actionLabels = map[string]string{"until": "Enable again at", "reason": "Why", "description": "More about it", "confirm": "Type the key's name to confirm"}

type actionView struct {
	keyView
	action keyAction
	impact *apikey.Impact // nil: nothing to tell
	form   *form
}

func (v actionView) frame() frame {
	return frame{title: v.action.title + ": " + v.key.Name, section: "keys"}
}

func (d *Dashboard) keyDanger(_ *http.Request, v keyView) (templ.Component, error) {
	return keyDanger(v), nil
}

// actionView is the page of an action, with what it would do.
func (d *Dashboard) actionView(r *http.Request, a keyAction, f *form) (actionView, error) {
	v, err := d.keyView(r)
	if err != nil {
		return actionView{}, err
	}
	impact, err := a.preview(r.Context(), d.API, v.key)
	if err != nil {
		return actionView{}, err
	}
	return actionView{v, a, impact, f}, nil
}

// askAction shows what an action would do; nothing is changed by looking.
func (d *Dashboard) askAction(a keyAction) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		v, err := d.actionView(r, a, newForm(nil))
		if err != nil {
			return err
		}
		return d.show(w, r, v.frame(), keyActionPage(v))
	}
}

// doAction does it.
func (d *Dashboard) doAction(a keyAction) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		k, err := d.API.Get(r.Context(), r.PathValue("id"))
		if err != nil {
			return err
		}
		f := posted(r)
		var res apikey.Result
		if err = a.confirmed(f, k); err == nil {
			res, err = a.do(r.Context(), d.API, k.ID, f)
		}
		if f.take(err, nil) {
			v, err := d.actionView(r, a, f)
			if err != nil {
				return err
			}
			d.showAs(w, r, http.StatusUnprocessableEntity, v.frame(), keyActionPage(v))
			return nil
		}
		if err != nil {
			return err
		}
		told := a.done
		if res.Pending {
			told = a.accepted
		}
		d.tell(r, ui.ToneOK, told)
		return d.goTo(w, r, a.after(k.ID))
	}
}

// confirmed checks the name that a person typed. Spaces may differ: a page shows
// several as one.
func (a keyAction) confirmed(f *form, k apikey.Key) error {
	if !a.named || slices.Equal(strings.Fields(f.Get("confirm")), strings.Fields(k.Name)) {
		return nil
	}
	return &apikey.InvalidError{Fields: []apikey.FieldError{{Pointer: "#/confirm", Detail: "this is not the key's name", Fix: "type or paste it as it stands above; nothing was changed"}}}
}

// momentForm is how a browser sends a moment: without a zone, which is UTC here.
const momentForm = "2006-01-02T15:04"

// moment reads a field with a moment in UTC; nil if it is empty.
func (f *form) moment(id, pointer string) (*time.Time, error) {
	text := strings.TrimSpace(f.Get(id))
	if text == "" {
		return nil, nil
	}
	at, err := time.Parse(momentForm, text)
	if err != nil {
		at, err = time.Parse(momentForm+":05", text)
	}
	if err != nil {
		return nil, &apikey.InvalidError{Fields: []apikey.FieldError{{Pointer: pointer, Detail: "is not a date and a time", Fix: "write it as 2027-01-31T12:00"}}}
	}
	return &at, nil
}

// removePublicKey ends one public key, once the person has seen which.
func (d *Dashboard) removePublicKey(w http.ResponseWriter, r *http.Request) error {
	v, err := d.keyView(r)
	if err != nil {
		return err
	}
	kid := r.PathValue("kid")
	i := slices.IndexFunc(v.key.PublicKeys, func(p apikey.PublicKey) bool { return p.KID == kid })
	if i < 0 {
		return apikey.ErrNotFound
	}
	if r.Method == http.MethodGet {
		return d.show(w, r, frame{title: "Remove a public key: " + v.key.Name, section: "keys"}, removePublicKeyPage(v, v.key.PublicKeys[i]))
	}
	if err := d.API.RemovePublicKey(r.Context(), v.key.ID, kid); err != nil {
		return err
	}
	d.tell(r, ui.ToneOK, "The public key is removed.")
	return d.goTo(w, r, tabPath(v.key.ID, "credentials"))
}
