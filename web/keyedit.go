package web

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/ui"
)

// editFields are what can be changed of a key, in the order in which they are shown.
// The form carries each twice: as it is to be, and, under wasPrefix, as the person
// saw it. Only what differs is sent on, so that two people who change different
// members do not undo each other.
var editFields = []string{"name", "description", "labels", "scopes", "audiences", "expires", "format", "lifetime"}

const (
	wasPrefix  = "was-"
	pickPrefix = "pick-" // which of two values, after somebody else has changed it too
)

var editLabels = map[string]string{"name": "Name", "description": "Description", "labels": "Labels", "scopes": "Scopes", "audiences": "Audiences",
	"expires": "Expires", "format": "Token format", "lifetime": "Token lifetime"}

// editPointers are the fields that the API names otherwise.
var editPointers = map[string]string{"#/expires_at": "expires", "#/token/format": "format", "#/token/lifetime": "lifetime"}

// editValues are a key's members as the form holds them.
func editValues(k apikey.Key) map[string]string {
	labels := make([]string, 0, len(k.Labels))
	for name, value := range k.Labels {
		labels = append(labels, name+"="+value)
	}
	slices.Sort(labels)
	expires := ""
	if k.ExpiresAt != nil {
		expires = k.ExpiresAt.UTC().Format(momentForm)
	}
	return map[string]string{"name": k.Name, "description": k.Description, "labels": strings.Join(labels, "\n"), "scopes": strings.Join(k.Scopes, "\n"),
		"audiences": strings.Join(k.Audiences, "\n"), "expires": expires, "format": string(k.Token.Format), "lifetime": k.Token.Lifetime.String()}
}

// editForm is the form as a key fills it.
func editForm(k apikey.Key) *form {
	f := newForm(nil)
	f.show(k)
	for name, value := range editValues(k) {
		f.Set(name, value)
	}
	return f
}

// show notes the key as the person sees it now.
func (f *form) show(k apikey.Key) {
	f.Set("revision", strconv.FormatInt(k.Revision, 10))
	for name, value := range editValues(k) {
		f.Set(wasPrefix+name, value)
	}
}

// plain is a field with its lines as we write them, whatever the browser made of
// them.
func (f *form) plain(name string) string {
	return strings.TrimSpace(strings.ReplaceAll(f.Get(name), "\r\n", "\n"))
}

// edited reports whether the person changed a field.
func (f *form) edited(name string) bool { return f.plain(name) != f.plain(wasPrefix+name) }

// patch is what the person changed, as the API takes it.
func (f *form) patch() (p apikey.UpdateParams, err error) {
	revision, err := strconv.ParseInt(f.Get("revision"), 10, 64)
	if err != nil || revision < 1 {
		return p, apikey.ErrMalformed
	}
	p.IfMatch = revision
	text := func(name string) *string {
		if !f.edited(name) {
			return nil
		}
		s := f.plain(name)
		return &s
	}
	many := func(name string) *[]string {
		if !f.edited(name) {
			return nil
		}
		words := strings.Fields(f.Get(name))
		return &words
	}
	p.Name, p.Description, p.Scopes, p.Audiences = text("name"), text("description"), many("scopes"), many("audiences")
	var wrong []apikey.FieldError
	for _, part := range []func(*apikey.UpdateParams) error{f.patchLabels, f.patchToken, f.patchExpiry} {
		if invalid, ok := errors.AsType[*apikey.InvalidError](part(&p)); ok {
			wrong = append(wrong, invalid.Fields...)
		}
	}
	if wrong != nil {
		return p, &apikey.InvalidError{Fields: wrong}
	}
	return p, nil
}

// patchLabels merges: labels that are gone are null (RFC 7396).
func (f *form) patchLabels(p *apikey.UpdateParams) error {
	if !f.edited("labels") {
		return nil
	}
	is, ok := readLabels(f.plain("labels"))
	was, _ := readLabels(f.plain(wasPrefix + "labels"))
	if !ok {
		return &apikey.InvalidError{Fields: []apikey.FieldError{{Pointer: "#/labels", Detail: "a line is not name=value, or a name is there twice", Fix: "write one label on each line, for example team=billing"}}}
	}
	p.Labels = map[string]*string{}
	for name := range was {
		p.Labels[name] = nil
	}
	for name, value := range is {
		p.Labels[name] = &value
	}
	return nil
}

// readLabels reads lines of name=value.
func readLabels(text string) (out map[string]string, ok bool) {
	out = map[string]string{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if _, twice := out[name]; !found || twice {
			return out, false
		}
		out[name] = strings.TrimSpace(value)
	}
	return out, true
}

func (f *form) patchToken(p *apikey.UpdateParams) error {
	var t apikey.TokenParams
	if f.edited("format") {
		t.Format = apikey.TokenFormat(f.plain("format"))
		p.Token = &t
	}
	if f.edited("lifetime") {
		d, err := apikey.ParseDuration(f.plain("lifetime"))
		if err != nil {
			return &apikey.InvalidError{Fields: []apikey.FieldError{{Pointer: "#/token/lifetime", Detail: err.Error()}}}
		}
		t.Lifetime, p.Token = &d, &t
	}
	return nil
}

func (f *form) patchExpiry(p *apikey.UpdateParams) error {
	if !f.edited("expires") {
		return nil
	}
	at, err := f.moment("expires", "#/expires_at")
	p.ExpiresAt = apikey.Nullable[time.Time]{Set: true, Value: at}
	return err
}

// editView is the form, with a failure that it can be sent again after.
type editView struct {
	keyView
	form    *form
	failure *failure       // nil: none
	impact  *apikey.Impact // of what is about to be saved
}

func (v editView) frame() frame { return frame{title: "Edit: " + v.key.Name, section: "keys"} }

func (d *Dashboard) editKey(w http.ResponseWriter, r *http.Request) error {
	v, err := d.keyView(r)
	if err != nil {
		return err
	}
	if v.key.Status == apikey.StatusRevoked {
		return apikey.ErrRevoked
	}
	e := editView{keyView: v, form: editForm(v.key)}
	return d.show(w, r, e.frame(), keyEdit(e))
}

// saveKey sends what was changed. What ends something is shown first.
func (d *Dashboard) saveKey(w http.ResponseWriter, r *http.Request) error {
	f := posted(r)
	for _, name := range editFields {
		if f.Get(pickPrefix+name) == "theirs" {
			f.Set(name, f.Get(wasPrefix+name))
		}
	}
	v, err := d.keyView(r)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(editFields, f.edited) {
		d.tell(r, ui.ToneNeutral, "Nothing was changed.")
		return d.goTo(w, r, keyPath(v.key.ID))
	}
	p, err := f.patch()
	if err != nil {
		return d.editAgain(w, r, v, f, err)
	}
	if f.Get("confirmed") == "" {
		p.DryRun = true
		would, err := d.API.Update(r.Context(), v.key.ID, p)
		if err != nil {
			return d.editAgain(w, r, v, f, err)
		}
		if would.Impact != nil && would.Impact.AccessEndsAt != nil {
			e := editView{keyView: v, form: f, impact: would.Impact}
			return d.show(w, r, e.frame(), confirmEdit(e))
		}
	}
	p.DryRun = false
	if _, err := d.API.Update(r.Context(), v.key.ID, p); err != nil {
		return d.editAgain(w, r, v, f, err)
	}
	d.tell(r, ui.ToneOK, "Saved.")
	return d.goTo(w, r, keyPath(v.key.ID))
}

// editAgain shows the form once more, with all that was typed.
func (d *Dashboard) editAgain(w http.ResponseWriter, r *http.Request, v keyView, f *form, err error) error {
	e := editView{keyView: v, form: f}
	if errors.Is(err, apikey.ErrPrecondition) {
		return d.compareEdits(w, r, e)
	}
	if f.take(err, editPointers) {
		d.showAs(w, r, http.StatusUnprocessableEntity, e.frame(), keyEdit(e))
		return nil
	}
	told := failureOf(err)
	if told.Status != http.StatusConflict && told.Status != http.StatusServiceUnavailable {
		return err
	}
	exchangeFrom(r.Context()).Err = err
	e.failure = &told
	d.showAs(w, r, told.Status, e.frame(), keyEdit(e))
	return nil
}

// rival is a field of which the person and somebody else have each made something.
type rival struct {
	id, label         string
	was, theirs, mine string
	choose            bool // the two differ
}

type compareView struct {
	editView
	rivals []rival
	last   *apikey.Event // what changed the key last; nil: not known
}

// compareEdits shows what somebody else made of the key in the meantime beside what
// this person wanted, for him to choose.
func (d *Dashboard) compareEdits(w http.ResponseWriter, r *http.Request, e editView) error {
	c := compareView{editView: e}
	now := editValues(e.key)
	open := false
	for _, name := range editFields {
		v := rival{id: name, label: editLabels[name], was: e.form.plain(wasPrefix + name), theirs: strings.TrimSpace(now[name]), mine: e.form.plain(name)}
		mine, theirs := v.mine != v.was, v.theirs != v.was
		if !mine {
			e.form.Set(name, now[name])
		}
		v.choose = mine && theirs && v.mine != v.theirs
		open = open || mine && v.mine != v.theirs
		if mine || theirs {
			c.rivals = append(c.rivals, v)
		}
	}
	if !open { // sent twice, or somebody else had the same thought
		d.tell(r, ui.ToneOK, "Saved.")
		return d.goTo(w, r, keyPath(e.key.ID))
	}
	e.form.show(e.key)
	c.last = d.lastChange(r, e.key.ID)
	exchangeFrom(r.Context()).Err = apikey.ErrPrecondition
	d.showAs(w, r, http.StatusPreconditionFailed, frame{title: "Changed in the meantime: " + e.key.Name, section: "keys"}, compareEdits(c))
	return nil
}

// lastChange is the newest event that changed the key itself; nil if none of the
// latest did, or they cannot be read: the comparison holds without.
func (d *Dashboard) lastChange(r *http.Request, id string) *apikey.Event {
	events, err := d.API.KeyEvents(r.Context(), id, apikey.PageParams{Limit: eventsPage})
	if err != nil {
		return nil
	}
	for _, e := range events.Data {
		if len(e.After) > 0 {
			return &e
		}
	}
	return nil
}

// carried are the fields that go along unseen with a form that asks something
// about them.
func (f *form) carried() (out []field) {
	out = append(out, field{"revision", f.Get("revision")})
	for _, name := range editFields {
		out = append(out, field{name, f.Get(name)}, field{wasPrefix + name, f.Get(wasPrefix + name)})
	}
	return out
}

// lost are the words of a list that are in one text and not in another.
func lost(was, is string) (out []string) {
	have := strings.Fields(is)
	for _, w := range strings.Fields(was) {
		if !slices.Contains(have, w) {
			out = append(out, w)
		}
	}
	return out
}
