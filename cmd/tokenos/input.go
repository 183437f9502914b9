package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// textOf reads what oneFile's argument names, or stdin.
func (p program) textOf(ctx context.Context, what string, args []string) (string, error) {
	if len(args) > 0 && args[0] != "-" {
		raw, err := readSmall(what, args[0])
		return string(raw), err
	}
	if p.interactive() {
		fmt.Fprintf(p.stderr, "reading %s from the terminal; Ctrl-D ends it\n", what)
	}
	return p.piped(ctx)
}

// oneWord reports whether text can be a token: printable ASCII without spaces.
func oneWord(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// credentialForm matches what no file is called: tokens and assertions, our secrets,
// PEM, and the JSON of a JWK.
var credentialForm = regexp.MustCompile(`^\s*(?:Bearer\s|eyJ|ory_[a-z]{2}_|tos_|-----BEGIN|\{)|^[\w-]{20,}\.[\w-]{20,}\.[\w-]{20,}$`)

// looksSecret reports whether an argument is a token, a secret or a key and no file.
func looksSecret(s string) bool { return credentialForm.MatchString(s) }

// noFile refuses a credential in the place of a file's name, and does not repeat it.
func noFile(flag string) error {
	return usagef("%s takes the name of a file; nothing secret stands there, where others can read it", flag)
}
