package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/a-h/templ"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/ui"
)

// publicKeyLabels are the fields of the form that adds a public key.
var publicKeyLabels = map[string]string{"jwk": "Public key", "ends": "Ends at"}

// methodWords say how a key of each method proves itself.
var methodWords = map[apikey.AuthMethod]string{
	apikey.ClientSecretBasic: "It sends its id and a secret in the Authorization header when it asks for a token.",
	apikey.ClientSecretPost:  "It sends its id and a secret in the form when it asks for a token.",
	apikey.PrivateKeyJWT:     "It signs a short statement with a private key that never leaves the program. Only public keys are known here.",
}

type credentialsView struct {
	keyView
	form *form // to add a public key
}

func (d *Dashboard) keyCredentials(_ *http.Request, v keyView) (templ.Component, error) {
	return keyCredentials(credentialsView{v, newForm(nil)}), nil
}

// addPublicKey registers one more public key.
func (d *Dashboard) addPublicKey(w http.ResponseWriter, r *http.Request) error {
	f := posted(r)
	err := d.register(r, f)
	if err == nil {
		d.tell(r, ui.ToneOK, "The public key is added, and works from now on.")
		return d.goTo(w, r, tabPath(r.PathValue("id"), "credentials"))
	}
	if !f.take(err, map[string]string{"#/expires_at": "ends"}) {
		return err
	}
	if hasPrivate(err) {
		f.Del("jwk") // it is burnt, and must not be on a page as well
	}
	v, err := d.keyView(r)
	if err != nil {
		return err
	}
	v.tab = "credentials"
	d.showAs(w, r, http.StatusUnprocessableEntity, v.frame(), keyPage(v, keyCredentials(credentialsView{v, f})))
	return nil
}

func (d *Dashboard) register(r *http.Request, f *form) error {
	ends, err := f.moment("ends", "#/expires_at")
	if err != nil {
		return err
	}
	var jwk apikey.JWK
	if err := json.Unmarshal([]byte(f.Get("jwk")), &jwk); err != nil {
		if strings.Contains(f.Get("jwk"), "PRIVATE KEY") {
			f.Del("jwk")
		}
		return &apikey.InvalidError{Fields: []apikey.FieldError{{Pointer: "#/jwk", Detail: "is not a JSON Web Key", Fix: `paste the public key as JSON that begins with {"kty":`}}}
	}
	_, err = d.API.AddPublicKey(r.Context(), r.PathValue("id"), apikey.PublicKeyParams{PublicKeyInput: apikey.PublicKeyInput{JWK: jwk, ExpiresAt: ends}, IdempotencyKey: f.once()})
	return err
}

// hasPrivate reports whether a private key was sent in place of a public one.
func hasPrivate(err error) bool {
	invalid, ok := errors.AsType[*apikey.InvalidError](err)
	if !ok {
		return false
	}
	for _, e := range invalid.Fields {
		if e.Code == "private_key" {
			return true
		}
	}
	return false
}
