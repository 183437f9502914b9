package web

import (
	"errors"
	"net/http"
	"regexp"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// signingAtOnce is how many signing keys stand open; the others are folded away.
const signingAtOnce = 5

type signingView struct {
	keys   []apikey.SigningKey
	away   bool         // Hydra does not tell them now
	advice apikey.Check // passed: there is none
	now    time.Time
}

// signingKeys shows the keys with which Hydra signs: as a page of their own, or as
// the part that the settings ask for once they are shown. They are changed at a
// terminal alone (docs/decisions/0016).
func (d *Dashboard) signingKeys(w http.ResponseWriter, r *http.Request) error {
	v := signingView{now: d.Now()}
	var err error
	v.keys, err = d.API.SigningKeys(r.Context())
	if v.away = errors.Is(err, apikey.ErrUnavailable); err != nil && !v.away {
		return err
	}
	v.advice = apikey.ExamineSigningKeys(v.keys, v.now)
	return d.show(w, r, frame{title: "Signing keys", section: "settings"}, signingPage(v), signingPart(v))
}

// open and folded are the keys in two parts.
func (v signingView) open() []apikey.SigningKey   { return v.keys[:min(len(v.keys), signingAtOnce)] }
func (v signingView) folded() []apikey.SigningKey { return v.keys[min(len(v.keys), signingAtOnce):] }

// over reports whether the last token that the key signed has ended.
func (v signingView) over(k apikey.SigningKey) bool {
	return k.RetirableAt != nil && !v.now.Before(*k.RetirableAt)
}

// shellSafe are kids that mean nothing to a shell. Others were chosen by somebody,
// and the command does not take them either.
var shellSafe = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$`)

// retireCommand takes the key away, "" if it cannot be written safely.
func retireCommand(k apikey.SigningKey) string {
	switch {
	case !shellSafe.MatchString(k.KID):
		return ""
	case k.RetirableAt == nil:
		return "tokenos signing-keys retire " + k.KID + " --force"
	}
	return "tokenos signing-keys retire " + k.KID
}
