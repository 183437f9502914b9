package manifest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// compare plans what makes of the key what its document says.
func (c Change) compare(now time.Time) Change {
	if problem, fix := forbidden(*c.Document, *c.Key, now); problem != "" {
		return c.refuse(problem, fix)
	}
	w := &comparison{Change: c, d: *c.Document, k: *c.Key, now: now, patch: apikey.UpdateParams{IfMatch: c.Key.Revision}}
	w.identity()
	w.labels()
	w.reach()
	w.publicKeys()
	w.status()
	out := w.Change
	if w.patched {
		out.Patch = &w.patch
	}
	out.Action = Unchanged
	if len(out.Members) > 0 {
		out.Action = Update
	}
	return out
}

// forbidden says what apply does not do to a key that is there.
func forbidden(d Document, k apikey.Key, now time.Time) (problem, fix string) {
	at := d.ExpiresAt.Value
	switch {
	case d.Environment != k.Environment:
		return "the environment of a key cannot change", "leave the id out to have another key made"
	case d.AuthMethod != "" && d.AuthMethod.HasSecret() != k.AuthMethod.HasSecret():
		return "auth_method " + string(k.AuthMethod) + " cannot become " + string(d.AuthMethod) + " without a new credential, which apply does not make",
			"tokenos keys rotate " + k.ID + " --auth-method " + string(d.AuthMethod) + ", then apply again"
	case d.PublicKeys != nil && k.AuthMethod.HasSecret():
		return "public_keys go with private_key_jwt, and this key has a client secret", "tokenos keys rotate " + k.ID + " --auth-method private_key_jwt, then apply again"
	case at != nil && !same(at, k.ExpiresAt) && !at.After(now):
		return "expires_at is over", "write a later moment, or leave the document out, and apply with --prune, to revoke the key"
	}
	return forbiddenKeys(d, k, now)
}

// forbiddenKeys is forbidden for public keys: a registered one stays as it is until
// it is removed, and all of a key have one algorithm.
func forbiddenKeys(d Document, k apikey.Key, now time.Time) (problem, fix string) {
	for _, want := range d.PublicKeys {
		i := slices.IndexFunc(k.PublicKeys, func(have apikey.PublicKey) bool { return have.KID == want.KID })
		switch {
		case !live(want, now):
		case len(k.PublicKeys) > 0 && want.Alg != k.PublicKeys[0].Alg:
			return "the public keys of this key are for " + k.PublicKeys[0].Alg + ", and another algorithm needs a rotation",
				"tokenos keys rotate " + k.ID + ", then apply again"
		case i >= 0 && !same(want.ExpiresAt, k.PublicKeys[i].ExpiresAt):
			return "the end of a registered public key (" + want.KID + ") cannot change: it is " + until(k.PublicKeys[i].ExpiresAt),
				"write it so, or write another public key beside it"
		}
	}
	if d.PublicKeys != nil && !slices.ContainsFunc(d.PublicKeys, func(p apikey.PublicKey) bool { return live(p, now) }) && len(k.LivePublicKeys(now)) > 0 {
		return "every public key of the document has ended, and a key cannot be without one", "write the public keys that it is to have"
	}
	return "", ""
}

func same(a, b *time.Time) bool { return a == b || a != nil && b != nil && a.Equal(*b) }

// comparison gathers what differs.
type comparison struct {
	Change
	d       Document
	k       apikey.Key
	now     time.Time
	patch   apikey.UpdateParams
	patched bool
}

// differ notes a member that a PATCH changes.
func (w *comparison) differ(member string, before, after any) {
	w.patched = true
	w.Members = append(w.Members, Member{member, before, after})
}

// text compares a member that is text.
func text[T ~string](w *comparison, member string, have, want T, to **T) {
	if have != want {
		*to = &want
		w.differ(member, textOrNil(string(have)), textOrNil(string(want)))
	}
}

func textOrNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (w *comparison) identity() {
	text(w, "name", w.k.Name, w.d.Name, &w.patch.Name)
	text(w, "owner", w.k.Owner, w.d.Owner, &w.patch.Owner)
	if w.d.Description != nil {
		text(w, "description", w.k.Description, *w.d.Description, &w.patch.Description)
	}
}

// labels compares all labels of the key, if the document has any to say. The
// label that apply sets stays, unless the document names it.
func (w *comparison) labels() {
	if w.d.Labels == nil {
		return
	}
	set := func(name string, before, after any, to *string) {
		if w.patch.Labels == nil {
			w.patch.Labels = map[string]*string{}
		}
		w.patch.Labels[name] = to
		w.differ("labels."+name, before, after)
	}
	for _, name := range allNames(w.k.Labels, w.d.Labels) {
		have, has := w.k.Labels[name]
		want, wanted := w.d.Labels[name]
		switch {
		case has && !wanted && name != ManagedBy:
			set(name, have, nil, nil)
		case wanted && !has:
			set(name, nil, want, &want)
		case wanted && have != want:
			set(name, have, want, &want)
		}
	}
}

func allNames(a, b map[string]string) []string {
	all := map[string]string{}
	maps.Copy(all, a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// reach compares what the key may do, how and how long.
func (w *comparison) reach() {
	if w.d.AuthMethod != "" {
		text(w, "auth_method", w.k.AuthMethod, w.d.AuthMethod, &w.patch.AuthMethod)
	}
	if !slices.Equal(w.k.Scopes, w.d.Scopes) {
		w.patch.Scopes = &w.d.Scopes
		w.differ("scopes", w.k.Scopes, w.d.Scopes)
	}
	if w.d.Audiences != nil && !slices.Equal(w.k.Audiences, w.d.Audiences) {
		w.patch.Audiences = &w.d.Audiences
		w.differ("audiences", w.k.Audiences, w.d.Audiences)
	}
	w.token()
	if w.d.ExpiresAt.Set && !same(w.d.ExpiresAt.Value, w.k.ExpiresAt) {
		w.patch.ExpiresAt = w.d.ExpiresAt
		w.differ("expires_at", moment(w.k.ExpiresAt), moment(w.d.ExpiresAt.Value))
	}
}

func (w *comparison) token() {
	var p apikey.TokenParams
	if f := w.d.Token.Format; f != "" && f != w.k.Token.Format {
		p.Format = f
		w.differ("token.format", string(w.k.Token.Format), string(f))
	}
	if l := w.d.Token.Lifetime; l != nil && *l != w.k.Token.Lifetime {
		p.Lifetime = l
		w.differ("token.lifetime", w.k.Token.Lifetime.String(), l.String())
	}
	if p != (apikey.TokenParams{}) {
		w.patch.Token = &p
	}
}

func moment(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// publicKeys compares those that can still be used: others have ended by
// themselves, in the document and on the server.
func (w *comparison) publicKeys() {
	if w.d.PublicKeys == nil {
		return
	}
	have := w.k.LivePublicKeys(w.now)
	has := func(all []apikey.PublicKey, kid string) bool {
		return slices.ContainsFunc(all, func(p apikey.PublicKey) bool { return p.KID == kid })
	}
	want := slices.DeleteFunc(slices.Clone(w.d.PublicKeys), func(p apikey.PublicKey) bool { return !live(p, w.now) })
	for _, p := range want {
		if !has(have, p.KID) {
			w.AddPublicKeys = append(w.AddPublicKeys, apikey.PublicKeyInput{JWK: p.JWK, ExpiresAt: p.ExpiresAt})
			w.Members = append(w.Members, Member{"public_keys." + p.KID, nil, describe(p)})
		}
	}
	for _, p := range have {
		if !has(want, p.KID) {
			w.RemovePublicKeys = append(w.RemovePublicKeys, p.KID)
			w.Members = append(w.Members, Member{"public_keys." + p.KID, describe(p), nil})
		}
	}
}

func describe(p apikey.PublicKey) string { return p.Alg + " " + until(p.ExpiresAt) }

// status compares whether the key is paused. A pause of the whole owner is not
// ended for one of its keys.
func (w *comparison) status() {
	paused := w.k.Status == apikey.StatusDisabled
	forGood := paused && w.k.DisabledUntil == nil && !w.k.DisabledWithOwner
	switch {
	case w.d.Status == apikey.StatusDisabled && !forGood:
		w.pause(w.d.Status)
	case w.d.Status == apikey.StatusActive && paused && w.k.DisabledWithOwner:
		w.Note = "paused with its owner, and stays so: tokenos owners enable ends that"
	case w.d.Status == apikey.StatusActive && paused:
		w.pause(w.d.Status)
	}
}

func (w *comparison) pause(to apikey.Status) {
	w.Status = to
	before := "active"
	if w.k.Status == apikey.StatusDisabled {
		before = strings.TrimSuffix("disabled until "+moment(w.k.DisabledUntil), " until never")
	}
	w.Members = append(w.Members, Member{"status", before, string(to)})
}

// given are the members of a document, for a key that is to be made. The labels
// are those that it gets.
func given(d Document, labels map[string]string, now time.Time) (out []Member) {
	add := func(name string, value any) {
		if value != nil {
			out = append(out, Member{name, nil, value})
		}
	}
	if d.Description != nil {
		add("description", textOrNil(*d.Description))
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		add("labels."+name, labels[name])
	}
	add("auth_method", textOrNil(string(d.AuthMethod)))
	add("scopes", d.Scopes)
	if len(d.Audiences) > 0 {
		add("audiences", d.Audiences)
	}
	add("token.format", textOrNil(string(d.Token.Format)))
	if d.Token.Lifetime != nil {
		add("token.lifetime", d.Token.Lifetime.String())
	}
	if d.ExpiresAt.Set {
		add("expires_at", moment(d.ExpiresAt.Value))
	}
	for _, p := range d.PublicKeys {
		if live(p, now) {
			add("public_keys."+p.KID, describe(p))
		}
	}
	if d.Status == apikey.StatusDisabled {
		add("status", string(d.Status))
	}
	return out
}
