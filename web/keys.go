package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/ui"
)

// keysAtOnce is how many keys one page shows: about two windows full.
const keysAtOnce = 25

// keysQuery is the list's address: what is searched for, filtered by and ordered
// by. Everything in it is input; the API checks what reaches it.
type keysQuery struct {
	q, owner, scope, label, rootID string
	status                         apikey.Status
	environment                    apikey.Environment
	method                         apikey.AuthMethod
	expires                        string // a word of spans
	unused                         string // likewise
	sort, cursor                   string
}

// spans are the words for stretches of time in filters.
var spans = map[string]time.Duration{"7d": 7 * 24 * time.Hour, "30d": 30 * 24 * time.Hour, "90d": 90 * 24 * time.Hour}

func readKeysQuery(v url.Values) keysQuery {
	return keysQuery{
		q: strings.TrimSpace(v.Get("q")), owner: v.Get("owner"), scope: v.Get("scope"), label: v.Get("label"), rootID: v.Get("root_id"),
		status: apikey.Status(v.Get("status")), environment: apikey.Environment(v.Get("environment")), method: apikey.AuthMethod(v.Get("auth_method")),
		expires: v.Get("expires"), unused: v.Get("unused"), sort: v.Get("sort"), cursor: v.Get("cursor"),
	}
}

// url is the list's address in its one form, without what is not set.
func (k keysQuery) url() string {
	v := url.Values{}
	for name, value := range map[string]string{
		"q": k.q, "owner": k.owner, "scope": k.scope, "label": k.label, "root_id": k.rootID, "status": string(k.status),
		"environment": string(k.environment), "auth_method": string(k.method), "expires": k.expires, "unused": k.unused, "sort": k.sort, "cursor": k.cursor,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if len(v) == 0 {
		return keysPath
	}
	return keysPath + "?" + v.Encode()
}

// params are the query as the API takes it.
func (k keysQuery) params(now time.Time) apikey.ListParams {
	p := apikey.ListParams{Q: k.q, Owner: k.owner, Scope: k.scope, Label: k.label, RootID: k.rootID, Status: k.status, Environment: k.environment,
		AuthMethod: k.method, Sort: k.sort, Cursor: k.cursor, Limit: keysAtOnce}
	// Whole hours: a cursor goes with the moment it was given for.
	if d, ok := spans[k.expires]; ok {
		at := now.Add(d).UTC().Truncate(time.Hour)
		p.ExpiresBefore = &at
	}
	if d, ok := spans[k.unused]; ok {
		at := now.Add(-d).UTC().Truncate(time.Hour)
		p.LastUsedBefore = &at
	}
	return p
}

// filtered reports whether the list is narrowed.
func (k keysQuery) filtered() bool {
	k.sort, k.cursor = "", ""
	return k != keysQuery{}
}

// from is the query from the first page on.
func (k keysQuery) from(change func(*keysQuery)) string {
	k.cursor = ""
	change(&k)
	return k.url()
}

// chip is a filter that is set, and the address without it.
type chip struct{ text, url string }

func (k keysQuery) chips() (out []chip) {
	add := func(set bool, text string, clear func(*keysQuery)) {
		if set {
			out = append(out, chip{text, k.from(clear)})
		}
	}
	add(k.q != "", "Search: "+k.q, func(k *keysQuery) { k.q = "" })
	add(k.status != "", "Status: "+string(k.status), func(k *keysQuery) { k.status = "" })
	add(k.environment != "", "Environment: "+string(k.environment), func(k *keysQuery) { k.environment = "" })
	add(k.method != "", "Method: "+methodName(k.method), func(k *keysQuery) { k.method = "" })
	add(k.expires != "", "Expires within "+k.expires, func(k *keysQuery) { k.expires = "" })
	add(k.unused != "", "Not used for "+k.unused, func(k *keysQuery) { k.unused = "" })
	add(k.owner != "", "Owner: "+k.owner, func(k *keysQuery) { k.owner = "" })
	add(k.scope != "", "Scope: "+k.scope, func(k *keysQuery) { k.scope = "" })
	add(k.label != "", "Label: "+k.label, func(k *keysQuery) { k.label = "" })
	add(k.rootID != "", "Rotation chain: "+k.rootID, func(k *keysQuery) { k.rootID = "" })
	return out
}

// column is a column that orders; clicking again turns it round.
func (k keysQuery) column(label, field string, down bool) ui.Sort {
	s := ui.Sort{Label: label}
	now := k.sort
	if now == "" {
		now = "-created_at"
	}
	next := field
	if down {
		next = "-" + field
	}
	switch now {
	case field:
		s.Order, next = "ascending", "-"+field
	case "-" + field:
		s.Order, next = "descending", field
	}
	s.URL = k.from(func(k *keysQuery) { k.sort = next })
	return s
}

// methodName is an auth method for people.
func methodName(m apikey.AuthMethod) string {
	switch m {
	case apikey.ClientSecretBasic:
		return "Secret (Basic)"
	case apikey.ClientSecretPost:
		return "Secret (form)"
	case apikey.PrivateKeyJWT:
		return "Key pair"
	}
	return string(m)
}

type keysView struct {
	query    keysQuery
	keys     []apikey.Key
	next     string
	wrong    []apikey.FieldError // what the API does not take of the query
	mayWrite bool
	now      time.Time
}

func (d *Dashboard) keys(w http.ResponseWriter, r *http.Request) error {
	v := keysView{query: readKeysQuery(r.URL.Query()), now: d.Now(), mayWrite: exchangeFrom(r.Context()).person.May(apikey.KeysWrite)}
	page, err := d.API.List(r.Context(), v.query.params(v.now))
	if invalid, ok := errors.AsType[*apikey.InvalidError](err); ok {
		v.wrong = invalid.Fields
	} else if err != nil {
		return err
	}
	v.keys = page.Data
	if page.NextCursor != "" {
		q := v.query
		q.cursor = page.NextCursor
		v.next = q.url()
	}
	if partial(r) {
		w.Header().Set("HX-Push-Url", v.query.url())
	}
	return d.show(w, r, frame{title: "Keys", section: "keys"}, keysContent(v), keysResults(v))
}
