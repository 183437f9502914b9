package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/ui"
)

// eventsAtOnce is how many events one page shows, recently how many the overview.
const (
	eventsAtOnce = 30
	recently     = 6
)

// activityQuery is the page's address. Everything in it is input; the API checks
// what reaches it.
type activityQuery struct {
	action, key, who string
	since            string // a word of sinces
	before           string // the id of an event
}

// sinces are the words for how far back the page goes.
var sinces = map[string]time.Duration{"24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "30d": 30 * 24 * time.Hour, "90d": 90 * 24 * time.Hour}

func readActivityQuery(v url.Values) activityQuery {
	return activityQuery{action: v.Get("action"), key: strings.TrimSpace(v.Get("key")), who: strings.TrimSpace(v.Get("who")), since: v.Get("since"), before: v.Get("before")}
}

// url is the address in its one form, without what is not set.
func (q activityQuery) url() string {
	v := url.Values{}
	for name, value := range map[string]string{"action": q.action, "key": q.key, "who": q.who, "since": q.since, "before": q.before} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if len(v) == 0 {
		return activityPath
	}
	return activityPath + "?" + v.Encode()
}

// from is the address of the first page of a changed query.
func (q activityQuery) from(change func(*activityQuery)) string {
	q.before = ""
	change(&q)
	return q.url()
}

// filtered reports whether something is left out.
func (q activityQuery) filtered() bool {
	q.before = ""
	return q != activityQuery{}
}

func (q activityQuery) params(now time.Time) apikey.FeedParams {
	p := apikey.FeedParams{Newest: true, Limit: eventsAtOnce, Action: apikey.Action(q.action), KeyID: q.key, Principal: q.who}
	if d, ok := sinces[q.since]; ok {
		at := now.Add(-d).UTC()
		p.Since = &at
	}
	if q.before != "" {
		n, err := strconv.ParseInt(q.before, 10, 64)
		if p.Before = n; err != nil || n < 1 {
			p.Before = -1 // the API tells what it should be
		}
	}
	return p
}

func (q activityQuery) chips() (out []chip) {
	add := func(value, text string, clear func(*activityQuery)) {
		if value != "" {
			out = append(out, chip{text, q.from(clear)})
		}
	}
	add(q.action, "Action: "+actionWords(apikey.Action(q.action)), func(q *activityQuery) { q.action = "" })
	add(q.key, "Key: "+q.key, func(q *activityQuery) { q.key = "" })
	add(q.who, "By: "+q.who, func(q *activityQuery) { q.who = "" })
	add(q.since, "Within "+q.since, func(q *activityQuery) { q.since = "" })
	return out
}

type activityView struct {
	query  activityQuery
	events []apikey.Event
	next   string
	wrong  []apikey.FieldError
	// unreadable: one of the events is not what this program writes.
	unreadable bool

	now time.Time

	verification verificationView
}

func (d *Dashboard) activity(w http.ResponseWriter, r *http.Request) error {
	v := activityView{query: readActivityQuery(r.URL.Query()), now: d.Now()}
	page, err := d.API.Events(r.Context(), v.query.params(v.now))
	if invalid, ok := errors.AsType[*apikey.InvalidError](err); ok {
		v.wrong = invalid.Fields
	} else if err != nil && !d.unread(r, err) {
		return err
	}
	v.events, v.unreadable = page.Data, err != nil && v.wrong == nil
	if page.NextCursor != "" {
		q := v.query
		q.before = page.NextCursor
		v.next = q.url()
	}
	if partial(r) {
		w.Header().Set("HX-Push-Url", v.query.url())
	} else if v.verification, err = d.verificationOf(r); err != nil {
		return err
	}
	return d.show(w, r, frame{title: "Activity", section: "activity"}, activityContent(v), activityResults(v))
}

// unread reports whether err is a fault of what is stored, and logs it then: whoever
// damages one event does not hide with it that the record can be verified.
func (d *Dashboard) unread(r *http.Request, err error) bool {
	if failureOf(err).Status != http.StatusInternalServerError {
		return false
	}
	d.Log.ErrorContext(r.Context(), "events cannot be read", "request_id", exchangeFrom(r.Context()).RequestID, "error", err)
	return true
}

// first is the address of the newest events, "" where they are shown.
func (v activityView) first() string {
	if v.query.before == "" {
		return ""
	}
	return v.query.from(func(*activityQuery) {})
}

// places are the fields of the page by what the API calls them.
var places = map[string]string{"?key_id": "key", "?principal": "by", "?before": "page"}

func place(pointer string) string {
	if name, ok := places[pointer]; ok {
		return name
	}
	return strings.TrimPrefix(pointer, "?")
}

// said are the actions for people.
var said = map[apikey.Action]string{
	apikey.ActionCreate: "Key made", apikey.ActionUpdate: "Key changed", apikey.ActionDisable: "Key disabled", apikey.ActionEnable: "Key enabled",
	apikey.ActionRevoke: "Key revoked", apikey.ActionDelete: "Record deleted", apikey.ActionExpire: "Key expired", apikey.ActionExpiring: "Key ends soon",
	apikey.ActionRevokeTokens: "Tokens ended", apikey.ActionAddPublicKey: "Public key added", apikey.ActionRemovePublicKey: "Public key removed",
	apikey.ActionExpirePublicKey: "Public key expired", apikey.ActionRotate: "Key rotated", apikey.ActionCompleteRotation: "Rotation completed",
	apikey.ActionRetirePublicKeys: "Public keys retired", apikey.ActionLoseCredential: "Credential unknown", apikey.ActionDeny: "Tokens refused",
}

// actionWords is an action in words; as it is if it has none.
func actionWords(a apikey.Action) string {
	if words, ok := said[a]; ok {
		return words
	}
	return string(a)
}

func actionTone(a apikey.Action) ui.Tone {
	switch a {
	case apikey.ActionCreate, apikey.ActionEnable:
		return ui.ToneOK
	case apikey.ActionDisable, apikey.ActionDeny, apikey.ActionExpiring, apikey.ActionExpire, apikey.ActionExpirePublicKey:
		return ui.ToneWarn
	case apikey.ActionRevoke, apikey.ActionDelete, apikey.ActionLoseCredential, apikey.ActionRevokeTokens:
		return ui.ToneBad
	}
	return ui.ToneInfo
}

// actionOptions are the actions to choose from.
func actionOptions() []ui.Option {
	out := ui.Options("", "Any")
	for _, a := range apikey.EventActions {
		out = append(out, ui.Option{Value: string(a), Label: actionWords(a)})
	}
	return out
}

// whoWords is a principal for people: "ana", "TokenOS (expiry)", "management key ...y9z8a".
func whoWords(principal string) string {
	kind, name, _ := strings.Cut(principal, ":")
	switch kind {
	case "user":
		return name
	case "system":
		return "TokenOS (" + name + ")"
	case "key":
		return "management key \u2026" + name[max(0, len(name)-8):]
	}
	return principal
}

// member is one member that changed.
type member struct{ name, before, after string }

// membersOf are the members that an event tells of, by name.
func membersOf(e apikey.Event) []member {
	names := slices.Collect(maps.Keys(e.Before))
	names = append(names, slices.Collect(maps.Keys(e.After))...)
	slices.Sort(names)
	var out []member
	for _, n := range slices.Compact(names) {
		out = append(out, member{strings.ReplaceAll(n, "_", " "), shownValue(e.Before, n), shownValue(e.After, n)})
	}
	return out
}

// shownValue is one value as text, at most so long.
func shownValue(all map[string]any, name string) string {
	const most = 1000
	v, ok := all[name]
	if !ok || v == nil {
		return ""
	}
	text, isText := v.(string)
	if !isText {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false) // templ does it
		if enc.Encode(v) != nil {
			return ""
		}
		text = strings.TrimSpace(b.String())
	}
	if len(text) <= most {
		return text
	}
	text = text[:most]
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text + "\u2026"
}
