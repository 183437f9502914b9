package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

const (
	// revealedKey holds in a session which forms have been answered with a secret,
	// as hashes of their Idempotency-Keys: never a secret.
	revealedKey  = "revealed"
	mostRevealed = 16
	// revealAgain is how long a form that is sent again still gets its secret: a
	// button that was pressed twice shows the second answer.
	revealAgain = 3 * time.Second
)

// revealView is a secret on the one page that shows it.
type revealView struct {
	key     apikey.Key
	secret  apikey.Secret
	rotated *apikey.Rotation // nil: the key is new
	code    codeView
}

// reveal answers a form with its secret. The secret stands in this answer alone.
// Without JavaScript a browser offers to send the form again when the page is
// reloaded, and the API would repeat the secret, so the answer is remembered.
func (d *Dashboard) reveal(w http.ResponseWriter, r *http.Request, once string, v revealView) error {
	f := frame{title: "Save the secret", section: "keys"}
	if !d.mayReveal(r.Context(), once) {
		return d.show(w, r, frame{title: "Shown once", section: "keys"}, revealedContent(v.key))
	}
	v.code = d.codeOf(r.Context(), v.key)
	return d.show(w, r, f, revealContent(v))
}

// mayReveal reports whether the answer to a form may hold its secret, and notes
// that it did.
func (d *Dashboard) mayReveal(ctx context.Context, once string) bool {
	sum := sha256.Sum256([]byte(once))
	name, now := hex.EncodeToString(sum[:8]), d.Now()
	past := strings.Fields(d.sessions.GetString(ctx, revealedKey))
	at := slices.IndexFunc(past, func(p string) bool { return strings.HasPrefix(p, name+":") })
	if at >= 0 {
		_, text, _ := strings.Cut(past[at], ":")
		unix, err := strconv.ParseInt(text, 10, 64)
		return err == nil && now.Sub(time.Unix(unix, 0)) < revealAgain
	}
	past = append(past, name+":"+strconv.FormatInt(now.Unix(), 10))
	d.sessions.Put(ctx, revealedKey, strings.Join(past[max(0, len(past)-mostRevealed):], " "))
	return true
}
