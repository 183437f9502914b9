package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

var errCrossOrigin = errors.New("sent by another site")

// missingRight says which right the person lacks.
type missingRight struct{ right apikey.Right }

func (e *missingRight) Error() string { return "the right " + string(e.right) + " is missing" }
func (e *missingRight) Unwrap() error { return apikey.ErrForbidden }

// failure is a failure as a page tells it.
type failure struct {
	Status     int
	Title      string
	Detail     string // what happened
	Next       string // what to do about it
	RequestID  string
	RetryAfter time.Duration
	StillWorks bool // Hydra or the ledger is away: say what works all the same
}

// told are the words for each kind of error. What is not here is a bare 500: the
// words of an unknown error may hold a secret.
var toldFailures = map[apikey.ErrorKind]failure{
	apikey.ErrMalformed:            {400, "That cannot be read", "The request did not arrive in a form that this page takes.", "Go back, reload the page and try again.", "", 0, false},
	apikey.ErrForbidden:            {403, "Not allowed", "Your role does not allow this.", "Ask an administrator for a role that does.", "", 0, false},
	apikey.ErrHTTPSRequired:        {403, "HTTPS required", "This address answers over HTTPS only.", "Open the same address with https:// at its beginning. Whatever was sent in clear must be taken for known to others.", "", 0, false},
	apikey.ErrNotFound:             {404, "Nothing here", "There is no such page, or what it shows is not yours.", "Go to the list of keys and search for it.", "", 0, false},
	apikey.ErrMethodNotAllowed:     {405, "Not this way", "This address does not take that request.", "Go back and use the page's own buttons.", "", 0, false},
	apikey.ErrPrecondition:         {412, "Changed in the meantime", "Somebody changed this key after you opened the page.", "Open it again, compare, and decide anew.", "", 0, false},
	apikey.ErrTooLarge:             {413, "Too large", "The form holds more than this server takes.", "Shorten the texts in it.", "", 0, false},
	apikey.ErrInvalid:              {422, "That does not fit", "Some of what was sent is not valid.", "Go back and mend it.", "", 0, false},
	apikey.ErrPreconditionRequired: {428, "Open the key first", "The change must name the revision that you saw.", "Open the key and change it there.", "", 0, false},
	apikey.ErrRateLimited:          {429, "Too many requests", "You are faster than this server allows.", "Wait a moment, then reload the page.", "", 0, false},
	apikey.ErrUnavailable:          {503, "Something does not answer", "Hydra or the database does not answer at the moment.", "Try again in a moment.", "", 0, true},
	apikey.ErrTimeout:              {503, "That took too long", "The server gave up waiting.", "Try again in a moment.", "", 0, true},
}

// conflicts are 409s; their errors bring words of their own.
var conflicts = failure{Status: 409, Title: "Not in this state", Detail: "The key is not in a state that allows this.", Next: "Open the key again to see its state."}

var internal = failure{Status: 500, Title: "Something went wrong", Detail: "That is our fault. It was logged.", Next: "Try again; if it stays, tell the operator the number below."}

// failureOf describes err to a person.
func failureOf(err error) failure {
	if errors.Is(err, errCrossOrigin) {
		return failure{Status: 403, Title: "Sent by another site", Detail: "The form came from another site than this one, so it was not acted on.", Next: "If you meant to do it, open this site and do it here."}
	}
	kind, known := errors.AsType[apikey.ErrorKind](err)
	if !known && errors.Is(err, context.DeadlineExceeded) {
		kind = apikey.ErrTimeout
	}
	f, ok := toldFailures[kind]
	if !ok {
		if f = internal; isConflict(kind) {
			f = conflicts
		}
	}
	if e, ok := errors.AsType[*apikey.Error](err); ok && e.Kind == kind && f.Status != http.StatusInternalServerError {
		if e.Detail != "" {
			f.Detail = sentence(e.Detail)
		}
		f.RetryAfter = e.RetryAfter
	}
	if m, ok := errors.AsType[*missingRight](err); ok {
		f.Detail = "This needs the right " + string(m.right) + ", which your role does not have."
	}
	return f
}

func isConflict(k apikey.ErrorKind) bool {
	switch k {
	case apikey.ErrBusy, apikey.ErrExpired, apikey.ErrRevoked, apikey.ErrNotRevoked, apikey.ErrLastCredential, apikey.ErrPublicKeyInUse, apikey.ErrDrifted,
		apikey.ErrReplaced, apikey.ErrRotationPending, apikey.ErrIdempotencyRunning, apikey.ErrReplayExpired, apikey.ErrIdempotencyMismatch:
		return true
	}
	return false
}

// sentence makes one of an error's words, which begin small and end open.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	if c := s[0]; c >= 'a' && c <= 'z' {
		s = string(c-'a'+'A') + s[1:]
	}
	if last := s[len(s)-1]; last != '.' && last != '?' && last != '!' {
		s += "."
	}
	return s
}

// fail answers with err's page; a script that asked for a part gets it in place of
// the page's content.
func (d *Dashboard) fail(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeFrom(r.Context())
	x.Err = err
	f := failureOf(err)
	f.RequestID = x.RequestID
	if f.RetryAfter == 0 && (f.Status == http.StatusServiceUnavailable || f.Status == http.StatusTooManyRequests) {
		f.RetryAfter = 2 * time.Second
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(max(int((f.RetryAfter+time.Second-1)/time.Second), 1)))
	}
	if partial(r) {
		w.Header().Set("HX-Retarget", "#main")
		w.Header().Set("HX-Reswap", "innerHTML")
		d.write(w, r, f.Status, failurePage(f))
		return
	}
	d.write(w, r, f.Status, d.whole(r, frame{title: f.Title, section: x.section}, failurePage(f)))
}
