package web

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/ui"
)

// violationsAtOnce is how many keys that break a rule one page lists.
const violationsAtOnce = 10

type settingsView struct {
	capabilities apikey.Capabilities
	owner        string // whose rules are asked for; "" for the person's own
	policies     apikey.EffectivePolicies
	wrongOwner   string // why there are no rules to show; "" if there are
	breaches     apikey.Page[apikey.KeyViolations]
	later, first string // addresses of the next and the first page of breaches
	sessions     []sessionRow
	mayDiagnose  bool
	theme        string
	shortcuts    bool
	path         string // of this page
	now          time.Time
}

// sessionRow is one of the person's sessions. Its id is no part of the token and
// not the name that the ledger has for it.
type sessionRow struct {
	apikey.Session
	id      string
	current bool
}

func (d *Dashboard) settings(w http.ResponseWriter, r *http.Request) error {
	ask := r.URL.Query()
	v := settingsView{owner: strings.TrimSpace(ask.Get("owner")), theme: themeOf(r), shortcuts: shortcutsOf(r),
		path: localPath(r.URL.RequestURI()), mayDiagnose: mayDiagnose(exchangeFrom(r.Context()).person), now: d.Now()}
	g, ctx := errgroup.WithContext(r.Context())
	g.Go(func() (err error) {
		v.capabilities, err = d.API.Capabilities(ctx)
		return err
	})
	g.Go(func() (err error) {
		v.policies, err = d.API.Policies(ctx, v.owner)
		v.wrongOwner, err = refusedOwner(err)
		return err
	})
	g.Go(func() (err error) {
		v.breaches, err = d.API.PolicyViolations(ctx, apikey.PolicyViolationsParams{Owner: v.owner, Limit: violationsAtOnce, Cursor: ask.Get("cursor")})
		_, err = refusedOwner(err)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if v.breaches.NextCursor != "" {
		v.later = v.breachesAt(v.breaches.NextCursor)
	}
	if ask.Get("cursor") != "" {
		v.first = v.breachesAt("")
	}
	var err error
	if v.sessions, err = d.sessionsOf(r); err != nil {
		return err
	}
	return d.show(w, r, frame{title: "Settings", section: "settings"}, settingsContent(v))
}

// refusedOwner tells why an owner's rules are not shown, and keeps other errors.
// A cursor that is none counts: the link that has it is of no more use.
func refusedOwner(err error) (string, error) {
	if errors.Is(err, apikey.ErrForbidden) {
		return "You may not see the rules of this owner.", nil
	}
	if invalid, ok := errors.AsType[*apikey.InvalidError](err); ok && len(invalid.Fields) > 0 {
		return sentence("This " + strings.TrimPrefix(invalid.Fields[0].Pointer, "?") + " " + invalid.Fields[0].Detail), nil
	}
	return "", err
}

// breachesAt is the page of breaches that a cursor leads to.
func (v settingsView) breachesAt(cursor string) string {
	q := url.Values{}
	for name, value := range map[string]string{"owner": v.owner, "cursor": cursor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return settingsPath + "#rules"
	}
	return settingsPath + "?" + q.Encode() + "#rules"
}

// sessionsOf are the person's sessions, the latest first.
func (d *Dashboard) sessionsOf(r *http.Request) ([]sessionRow, error) {
	x := exchangeFrom(r.Context())
	found, err := d.Sessions.SessionsOf(r.Context(), x.person.Principal(), d.Now())
	if err != nil {
		return nil, err
	}
	out := make([]sessionRow, 0, len(found))
	for _, s := range found {
		out = append(out, sessionRow{s, sessionID(s.Hash), s.Hash == x.loaded})
	}
	return out, nil
}

// sessionID names a session in forms.
func sessionID(hash string) string {
	sum := sha256.Sum256([]byte("session\n" + hash))
	return hex.EncodeToString(sum[:12])
}

// endSession ends one of the person's own sessions, and nobody else's.
func (d *Dashboard) endSession(w http.ResponseWriter, r *http.Request) error {
	all, err := d.sessionsOf(r)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.id != r.PathValue("id") {
			continue
		}
		if s.current {
			return d.signOut(w, r)
		}
		if err := d.Sessions.EndSession(r.Context(), s.Hash); err != nil {
			return err
		}
	}
	d.tell(r, ui.ToneOK, "The session has ended.")
	return d.goTo(w, r, settingsPath+"#sessions")
}

const shortcutsCookie = "tokenos-shortcuts"

// shortcutsOf reports whether single keys are shortcuts (WCAG 2.1.4): they are
// unless the person has switched them off in this browser.
func shortcutsOf(r *http.Request) bool {
	c, err := r.Cookie(shortcutsCookie)
	return err != nil || c.Value != "off"
}

func (d *Dashboard) shortcuts(w http.ResponseWriter, r *http.Request) error {
	c := &http.Cookie{Name: shortcutsCookie, Value: "off", Path: "/", Secure: d.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: 365 * 24 * 3600} //nolint:gosec // not Secure in development only, which has no HTTPS
	said := "Single keys do nothing now."
	if r.PostForm.Get("shortcuts") == "on" {
		c.Value, c.MaxAge, said = "", -1, "Single keys are shortcuts again."
	}
	http.SetCookie(w, c)
	d.tell(r, ui.ToneOK, said)
	return d.goTo(w, r, settingsPath+"#appearance")
}

// words for browsers and systems, by what stands in a user agent; the first that
// is in it counts.
var (
	browserNames = [][2]string{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}}
	systemNames  = [][2]string{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"}}
)

// device is a user agent in few words.
func device(userAgent string) string {
	find := func(names [][2]string) string {
		for _, n := range names {
			if strings.Contains(userAgent, n[0]) {
				return n[1]
			}
		}
		return ""
	}
	browser, system := find(browserNames), find(systemNames)
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser+system != "":
		return browser + system
	}
	return cmp.Or(userAgent, "unknown")
}
