package web

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/snippets"
)

// codeNames are the languages of the snippets, for people.
var codeNames = map[snippets.Language]string{snippets.Curl: "curl", snippets.JavaScript: "JavaScript", snippets.Go: "Go", snippets.Python: "Python"}

type keyCodeView struct {
	keyView
	lang  snippets.Language
	code  string // "" if there is none; why says it
	why   string
	token string // Hydra's token endpoint
}

func (d *Dashboard) keyCode(r *http.Request, v keyView) (templ.Component, error) {
	out := keyCodeView{keyView: v, lang: snippets.Language(cmp.Or(r.URL.Query().Get("lang"), string(snippets.Curl)))}
	if !slices.Contains(snippets.Languages, out.lang) {
		return nil, apikey.ErrNotFound
	}
	can, err := d.API.Capabilities(r.Context())
	if err != nil {
		return nil, err
	}
	out.token = can.TokenURL
	out.code, out.why = snippetFor(out.lang, v.key, can.TokenURL, v.now)
	return keyCode(out), nil
}

// snippetFor is the code that buys a token with a key, or why there is none.
func snippetFor(lang snippets.Language, k apikey.Key, tokenURL string, now time.Time) (code, why string) {
	p := snippets.Params{Method: string(k.AuthMethod), TokenURL: tokenURL, ClientID: k.ID, Scope: strings.Join(k.Scopes, " "),
		Audience: strings.Join(k.Audiences, " "), InsecureLoopback: true}
	if k.AuthMethod == apikey.PrivateKeyJWT {
		usable := k.LivePublicKeys(now)
		if len(usable) == 0 {
			return "", "The key has no public key that works. Add one under Credentials."
		}
		newest := usable[len(usable)-1]
		p.KID, p.Alg = newest.KID, newest.Alg
	}
	code, err := snippets.Render(lang, p)
	if err != nil {
		return "", "Hydra's token endpoint, a scope or an audience has a form that no code can be written for safely."
	}
	return code, ""
}
