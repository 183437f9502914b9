package web

import (
	"context"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/snippets"
)

// capabilityTime is how long a page waits to learn the token endpoint.
const capabilityTime = 3 * time.Second

// codeView is the code that buys a token, in every language.
type codeView struct {
	method   apikey.AuthMethod
	tokenURL string
	snippets []snippet
	note     string // why there is none, or what is still missing in it
}

type snippet struct{ lang, label, text string }

var languageNames = map[snippets.Language]string{snippets.Curl: "curl", snippets.JavaScript: "JavaScript", snippets.Go: "Go", snippets.Python: "Python"}

// render writes the code. What cannot be written is not the person's fault while
// a form is being filled in, so it becomes a note.
func (d *Dashboard) render(ctx context.Context, p snippets.Params) codeView {
	v := codeView{method: apikey.AuthMethod(p.Method)}
	ctx, cancel := context.WithTimeout(ctx, capabilityTime)
	defer cancel()
	able, err := d.API.Capabilities(ctx)
	if err != nil || able.TokenURL == "" {
		v.note = "Hydra's token endpoint is not known at the moment, so there is no code to show."
		return v
	}
	p.TokenURL, p.InsecureLoopback, v.tokenURL = able.TokenURL, true, able.TokenURL
	for _, lang := range snippets.Languages {
		text, err := snippets.Render(lang, p)
		if err != nil {
			v.snippets, v.note = nil, "The code comes back as soon as scopes and audiences can be read."
			return v
		}
		v.snippets = append(v.snippets, snippet{string(lang), languageNames[lang], text})
	}
	return v
}

// codeOf is the code for a key that there is.
func (d *Dashboard) codeOf(ctx context.Context, k apikey.Key) codeView {
	p := snippets.Params{Method: string(k.AuthMethod), ClientID: k.ID, Scope: strings.Join(k.Scopes, " "), Audience: strings.Join(k.Audiences, " ")}
	if k.AuthMethod == apikey.PrivateKeyJWT {
		live := k.LivePublicKeys(d.Now())
		if len(live) == 0 {
			return codeView{method: k.AuthMethod, note: "The key has no public key that works."}
		}
		newest := live[len(live)-1]
		p.KID, p.Alg = newest.KID, newest.Alg
	}
	return d.render(ctx, p)
}
