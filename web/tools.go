package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// maxToken bounds a token that is looked up, in bytes.
const maxToken = 32 << 10

type toolsView struct {
	mayLookUp bool
	found     *apikey.Introspection // what the server said; nil: it was not asked
	wrong     string                // why it was not asked
	now       time.Time
}

func (d *Dashboard) tools(w http.ResponseWriter, r *http.Request) error {
	return d.show(w, r, toolsFrame(), toolsContent(d.toolsView(r)))
}

func toolsFrame() frame {
	return frame{title: "Tools", section: "tools", script: "inspect.js"}
}

func (d *Dashboard) toolsView(r *http.Request) toolsView {
	return toolsView{mayLookUp: d.Introspector != nil && exchangeFrom(r.Context()).person.May(apikey.TokensIntrospect), now: d.Now()}
}

// lookUp asks the server about a token. The token came in a form and goes no
// further: it stands in no address, no session and not in the answer.
func (d *Dashboard) lookUp(w http.ResponseWriter, r *http.Request) error {
	if d.Introspector == nil {
		return apikey.ErrNotFound
	}
	v := d.toolsView(r)
	token := tokenIn(r.PostForm.Get("token"))
	if token == "" {
		v.wrong = "There is no access token in what was sent: paste one, alone, in a header or in the answer of a token endpoint."
		d.showAs(w, r, http.StatusUnprocessableEntity, toolsFrame(), toolsContent(v))
		return nil
	}
	found, err := d.Introspector.Introspect(r.Context(), apikey.NewSecret(token))
	if err != nil {
		return err
	}
	v.found = &found
	return d.show(w, r, toolsFrame(), toolsContent(v))
}

// tokenIn finds the token in a text: alone, in a header, or in the answer of a
// token endpoint (RFC 6749 section 5.1). It is "" if there is none.
func tokenIn(text string) string {
	text = strings.TrimSpace(text)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if json.Unmarshal([]byte(text), &answer) == nil {
		text = answer.AccessToken
	}
	text = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(text, "Authorization: "), "Bearer "))
	if len(text) > maxToken || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return text
}

// seconds of the Unix clock as a moment; nil for none.
func unixTime(n int64) *time.Time {
	if n == 0 {
		return nil
	}
	at := time.Unix(n, 0).UTC()
	return &at
}
