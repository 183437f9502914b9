package snippets

import (
	"embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// Language is what a snippet is written in.
type Language string

const (
	Curl       Language = "curl"       // a POSIX shell; bash or zsh and openssl for private_key_jwt
	JavaScript Language = "javascript" // an ES module for Node 20 or newer; openid-client 6 for private_key_jwt
	Go         Language = "go"         // golang.org/x/oauth2; go-jose/v4 for private_key_jwt
	Python     Language = "python"     // Python 3.9 or newer, nothing else; Authlib for private_key_jwt
)

// Languages are all languages, in the order in which they are shown.
var Languages = []Language{Curl, JavaScript, Go, Python}

// Methods are the ways to authenticate, by their registered names (RFC 7591
// section 2, OpenID Connect Core section 9).
var Methods = []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}

// Params describe the key that the snippet is for. They hold no secret.
type Params struct {
	Method   string // one of [Methods]: Hydra takes no other than the key's own
	TokenURL string // Hydra's token endpoint, https; also the audience of an assertion
	ClientID string // the key's id
	Scope    string // one or more scopes with a space between them; required
	Audience string // one or more audiences with a space between them; "" if the key has none

	KID string // of the public key, for private_key_jwt only
	Alg string // of the public key, such as ES256, for private_key_jwt only

	// InsecureLoopback allows a TokenURL with plain HTTP on a loopback address,
	// and has the snippet tell its library so. For development.
	InsecureLoopback bool
}

//go:embed templates
var files embed.FS

// templates are the texts by file name. They quote nothing by themselves: a
// value goes in through sh (a word of the shell), str (a string literal) or,
// where [Params.check] leaves nothing to quote, as it is.
var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"sh":  func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" },
	"str": strconv.Quote,
}).ParseFS(files, "templates/*.tmpl"))

// Render returns the snippet, ending in a newline. It fails if the language is
// not one of [Languages], or with everything that is wrong with p at once.
func Render(lang Language, p Params) (string, error) {
	if !slices.Contains(Languages, lang) {
		return "", errors.New("snippets: render: unknown language")
	}
	if err := p.check(); err != nil {
		return "", fmt.Errorf("snippets: render %s: %w", lang, err)
	}
	name := string(lang) + "_secret.tmpl"
	v := view{Params: p}
	if p.Method == "private_key_jwt" {
		name = string(lang) + "_private_key.tmpl"
		v.Algorithm = algorithms[p.Alg]
	}
	var b strings.Builder
	if err := templates.ExecuteTemplate(&b, name, v); err != nil {
		return "", fmt.Errorf("snippets: render %s: %w", lang, err)
	}
	return b.String(), nil
}

// view is what a template sees.
type view struct {
	Params
	Algorithm algorithm
}

// Basic reports whether id and secret travel in the Authorization header.
func (v view) Basic() bool { return v.Method == "client_secret_basic" }
