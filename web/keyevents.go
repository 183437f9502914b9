package web

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"github.com/tokenos/tokenos/apikey"
)

// eventsPage is how many events one page shows.
const eventsPage = 25

type eventsView struct {
	keyView
	events      []apikey.Event
	first, next string
}

func (d *Dashboard) keyEvents(r *http.Request, v keyView) (templ.Component, error) {
	cursor := r.URL.Query().Get("cursor")
	page, err := d.API.KeyEvents(r.Context(), v.key.ID, apikey.PageParams{Limit: eventsPage, Cursor: cursor})
	if err != nil {
		return nil, err
	}
	out := eventsView{keyView: v, events: page.Data}
	if cursor != "" {
		out.first = tabPath(v.key.ID, "events")
	}
	if page.NextCursor != "" {
		out.next = tabPath(v.key.ID, "events", "cursor", page.NextCursor)
	}
	return keyEvents(out), nil
}

// actionNames are what was done, for people.
var actionNames = map[apikey.Action]string{
	apikey.ActionCreate: "Made", apikey.ActionUpdate: "Changed", apikey.ActionDisable: "Disabled", apikey.ActionEnable: "Enabled", apikey.ActionRevoke: "Revoked",
	apikey.ActionDelete: "Deleted", apikey.ActionExpire: "Expired", apikey.ActionRevokeTokens: "Tokens ended", apikey.ActionAddPublicKey: "Public key added",
	apikey.ActionRemovePublicKey: "Public key removed", apikey.ActionExpirePublicKey: "Public key ended", apikey.ActionRotate: "Rotated",
	apikey.ActionCompleteRotation: "Rotation completed", apikey.ActionRetirePublicKeys: "Replaced public keys ended",
	apikey.ActionLoseCredential: "Secret lost", apikey.ActionExpiring: "End is near",
}

func actionName(a apikey.Action) string {
	if name, ok := actionNames[a]; ok {
		return name
	}
	return string(a)
}

// difference is one member that an event changed.
type difference struct{ member, before, after string }

// differences are the members of an event, by name.
func differences(e apikey.Event) (out []difference) {
	members := map[string]bool{}
	for m := range e.Before {
		members[m] = true
	}
	for m := range e.After {
		members[m] = true
	}
	for _, m := range slices.Sorted(maps.Keys(members)) {
		out = append(out, difference{m, written(e.Before, m), written(e.After, m)})
	}
	return out
}

// written is a member as it stands in JSON, texts without their quotes; "" if it is
// not there.
func written(from map[string]any, member string) string {
	value, there := from[member]
	if !there || value == nil {
		return ""
	}
	if text, ok := value.(string); ok {
		return text
	}
	var b strings.Builder
	as := json.NewEncoder(&b)
	as.SetEscapeHTML(false) // the page does that
	if err := as.Encode(value); err != nil {
		return ""
	}
	return strings.TrimSpace(b.String())
}

// from is where an event's request came from.
func from(e apikey.Event) string {
	switch {
	case e.Address != "" && e.UserAgent != "":
		return e.Address + ", " + e.UserAgent
	case e.Address != "":
		return e.Address
	}
	return e.UserAgent
}
