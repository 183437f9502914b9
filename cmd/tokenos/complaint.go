package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client/tokensource"
)

// complaint is a failure as -o json writes it to stderr: the members of the REST
// API's problem documents, and what only the command line knows.
type complaint struct {
	Code           string              `json:"code"` // the API's, "interrupted", else "failed"
	Detail         string              `json:"detail"`
	Hint           string              `json:"hint,omitempty"`
	RequestID      string              `json:"request_id,omitempty"`
	Pending        bool                `json:"pending,omitempty"` // it may still take effect
	Errors         []apikey.FieldError `json:"errors,omitempty"`
	IdempotencyKey string              `json:"idempotency_key,omitempty"` // repeats it without doing it twice
}

// complain tells on stderr what went wrong, and the next step.
func (p program) complain(ran *cobra.Command, err error) {
	c := complaintOf(err)
	if f := ran.Flags().Lookup("output"); f != nil && f.Value.String() == "json" {
		_ = writeJSON(p.stderr, c)
		return
	}
	text := "error: " + c.Detail
	if c.RequestID != "" {
		text += " (request " + c.RequestID + ")"
	}
	if c.Pending {
		text += "\n       it may have been done all the same, or still be"
	}
	if c.Hint != "" {
		text += "\nhint: " + c.Hint
	}
	if c.IdempotencyKey != "" {
		text += "\nhint: it is not done twice if you repeat it with --idempotency-key " + c.IdempotencyKey
	}
	fmt.Fprintln(p.stderr, plain(text))
}

func complaintOf(err error) complaint {
	c := complaint{Code: "failed", Detail: words(err)}
	if kind, ok := errors.AsType[apikey.ErrorKind](err); ok {
		c.Code, c.Hint = string(kind), hints[kind]
	}
	if code, hint := unreached(err); hint != "" {
		c.Code, c.Hint = code, hint
	}
	if e, ok := errors.AsType[*apikey.Error](err); ok {
		c.RequestID, c.Pending = e.RequestID, e.Pending
	}
	if e, ok := errors.AsType[*apikey.InvalidError](err); ok {
		c.Errors = e.Fields
	}
	_, stopped := errors.AsType[interruption](err)
	if stopped {
		c.Code, c.Detail, c.Hint = "interrupted", "interrupted before it was done", ""
	}
	if h, ok := errors.AsType[hinted](err); ok && (h.lasts || !stopped) {
		c.Hint = h.hint
	}
	if again, ok := errors.AsType[repeatable](err); ok {
		c.IdempotencyKey = again.key
	}
	return c
}

// unreached is the code and the next step of a failure on the way to the server,
// where there is more to say than to try again; "" for any other.
func unreached(err error) (code, hint string) {
	code = string(apikey.ErrUnavailable)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return code, "this machine does not trust the certificate; on Linux SSL_CERT_FILE names a file of authorities to trust"
	}
	if e, ok := errors.AsType[*tokensource.Error](err); ok && e.Kind == tokensource.ErrUnavailable {
		return code, "try again in a moment; what cannot wait for Hydra: tokenos keys disable ID --local, by the server's configuration"
	}
	return "", ""
}

// hints are the next steps after what a server answers.
var hints = map[apikey.ErrorKind]string{
	apikey.ErrNotFound:             "tokenos keys list -q WORD finds keys; tokenos auth status shows as whom you ask",
	apikey.ErrUnauthenticated:      "tokenos auth status shows who is signed in; tokenos auth login signs in",
	apikey.ErrForbidden:            "tokenos auth status shows the rights of the key you are signed in with",
	apikey.ErrPrecondition:         "somebody changed it meanwhile: look at it again, then decide",
	apikey.ErrUnavailable:          "try again in a moment; tokenos doctor, at the server, finds out why",
	apikey.ErrTimeout:              "try again in a moment, or with a longer --timeout",
	apikey.ErrExpired:              "give it a later end: tokenos keys update ID --expires 90d",
	apikey.ErrLastCredential:       "register another first: tokenos keys public-keys add ID",
	apikey.ErrPreconditionRequired: "tokenos keys get ID shows the revision: give it with --if-match",
	apikey.ErrNotRevoked:           "revoke it first: tokenos keys revoke ID",
	apikey.ErrRotationPending:      "complete it (tokenos keys rotate ID --complete), or --force",
}

// words are a failure in a sentence for people.
func words(err error) string {
	switch e := bare(err).(type) { //nolint:errorlint // what is wrapped by others has their words around it
	case *apikey.InvalidError:
		var lines []string
		for _, f := range e.Fields {
			lines = append(lines, strings.TrimRight(told(flagOf(f.Pointer), f.Detail)+"; "+f.Fix, "; "))
		}
		return strings.Join(lines, "\n       ")
	case *apikey.Error:
		text := e.Detail
		if text == "" {
			text = strings.ReplaceAll(string(e.Kind), "_", " ")
		}
		if t, ok := errors.AsType[*tokensource.Error](err); ok {
			text += ": " + t.Detail
		} else if e.Cause != nil && e.Kind == apikey.ErrUnavailable {
			text += ": " + e.Cause.Error()
		}
		return text
	case *tokensource.Error:
		return e.Detail
	}
	return err.Error()
}

// bare is the error within what this program wraps around it.
func bare(err error) error {
	for {
		switch e := err.(type) { //nolint:errorlint // one layer at a time
		case hinted:
			err = e.error
		case repeatable:
			err = e.error
		case usageError:
			err = e.error
		default:
			return err
		}
	}
}

// flags of members of a request body, where they are not called the same.
var flagNames = map[string]string{"scopes": "scope", "audiences": "audience", "labels": "label", "expires_at": "expires",
	"owners": "bind-owner", "public_keys": "public-key", "format": "token-format", "lifetime": "token-lifetime", "until": "for",
	"q": "query", "from": "since"}

// told is what is wrong with a flag: one sentence with it ("--owner is required"),
// or one of its own.
func told(flag, detail string) string {
	switch first, _, _ := strings.Cut(detail, " "); first {
	case "is", "must", "has", "contains", "cannot":
		return flag + " " + detail
	}
	return flag + ": " + detail
}

// flagOf is the flag that sets what the API points at, by JSON pointer or, for a
// parameter of a query, by "?" and its name.
func flagOf(pointer string) string {
	path := strings.Split(strings.TrimPrefix(strings.TrimPrefix(pointer, "#/"), "?"), "/")
	name := path[0]
	if name == "token" && len(path) > 1 {
		name = path[1]
	}
	if other, ok := flagNames[name]; ok {
		name = other
	}
	if name == "" {
		return pointer
	}
	return "--" + strings.ReplaceAll(name, "_", "-")
}

// tokenCode is the exit code of a token that could not be had.
func tokenCode(e *tokensource.Error) int {
	switch e.Kind {
	case tokensource.ErrUnavailable:
		return exitUnavailable
	case tokensource.ErrCredential, tokensource.ErrDisabled, tokensource.ErrScope, tokensource.ErrAudience, tokensource.ErrMethod:
		return exitNotAllowed
	}
	return exitFailed
}
