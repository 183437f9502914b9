package web

import (
	"context"
	"net/http"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// LocalPath is localPath.
func LocalPath(s string) string { return localPath(s) }

// Enter signs a person in, as if the provider had.
func (d *Dashboard) Enter(w http.ResponseWriter, r *http.Request, p Person) {
	x := &exchange{Visit: &Visit{Address: "192.0.2.9"}, userAgent: ascii(r.UserAgent(), maxUserAgent)}
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	d.sessions.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := d.signIn(r, p); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})).ServeHTTP(w, r)
}

// SetFigureTime says how long the overview waits for its figures.
func (d *Dashboard) SetFigureTime(t time.Duration) { d.figureTime = t }

// Pasted is pasted.
func Pasted(text string) ([]apikey.PublicKeyInput, error) { return pasted(text) }

// SetBulkTime says how long keys that were chosen together are begun.
func (d *Dashboard) SetBulkTime(t time.Duration) { d.bulkTime = t }

// FlagWords are how a flag is explained.
func FlagWords(f apikey.Flag) (title, text string) { return flagWords[f].title, flagWords[f].text }
