package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	strict "github.com/go-jose/go-jose/v4/json"
	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
)

// tokenVariable may hold the token to look at.
const tokenVariable = "TOKENOS_ACCESS_TOKEN"

const tokenSources = "The token comes from a file, else from " + tokenVariable + ", else from stdin; `-`\n" +
	"always means stdin. The answer of a token endpoint may stand for the token in it."

func (r *remote) tokenInspect() *cobra.Command {
	return &cobra.Command{
		Use:   "inspect [FILE|-]",
		Short: "Decode an access token, without asking anybody and without believing it",
		Long: "Decode an access token, without asking anybody and without believing it: its\n" +
			"signature is not checked (`tokenos token verify` does that). Says what an API would\n" +
			"mind. An opaque token holds nothing that could be decoded.\n\n" + tokenSources,
		Args: oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			if err := r.check(); err != nil {
				return err
			}
			token, err := r.accessToken(c.Context(), args)
			if err != nil {
				return err
			}
			return r.showInspection(token)
		},
	}
}

func (r *remote) showInspection(token string) error {
	seen, err := inspect(token, time.Now())
	if err != nil {
		return err
	}
	return r.print(r.stdout, shown{seen, seen.names(), seen.grid()})
}

// accessToken reads an access token, alone or in the answer of a token endpoint (RFC
// 6749 section 5.1), also as it stands in a header.
func (p program) accessToken(ctx context.Context, args []string) (string, error) {
	text := p.variable(tokenVariable)
	if len(args) > 0 || text == "" {
		var err error
		if text, err = p.textOf(ctx, "the token", args); err != nil {
			return "", err
		}
	}
	text = strings.TrimSpace(text)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if json.Unmarshal([]byte(text), &answer) == nil {
		text = answer.AccessToken
	}
	text = strings.TrimPrefix(text, "Bearer ")
	if !oneWord(text) {
		return "", usagef("there is no access token to read")
	}
	return text, nil
}

// inspection is what a token says of itself.
type inspection struct {
	Format   string            `json:"format"` // jwt or opaque
	Header   map[string]any    `json:"header,omitempty"`
	Claims   map[string]any    `json:"claims,omitempty"`
	Times    map[string]string `json:"times,omitempty"` // claims that are times, in words
	Warnings []warning         `json:"warnings"`
}

// warning is something that an API would mind, or that is seldom meant.
type warning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// opaqueForm matches an opaque token: of Hydra, "ory_at_" and two parts, or others
// (RFC 6750 section 2.1).
var opaqueForm = regexp.MustCompile(`^[A-Za-z0-9_~+/-]+(\.[A-Za-z0-9_~+/-]+)?=*$`)

// inspect decodes a token. It is an error if it is none.
func inspect(token string, now time.Time) (*inspection, error) {
	if len(token) > maxSmall {
		return nil, errors.New("the token is longer than 64 KiB")
	}
	parts := strings.Split(token, ".")
	switch {
	case len(parts) == 5:
		return nil, errors.New("the token is encrypted (JWE): only who has the key can read it")
	case len(parts) == 3:
		return decodeJWT(parts, now)
	case strings.HasPrefix(token, "tos_"):
		return nil, withHint(errors.New("this is a client secret, not an access token"), "tokenos token buys a token with it")
	case !opaqueForm.MatchString(token):
		return nil, errors.New("this is no access token")
	}
	seen := &inspection{Format: "opaque", Warnings: []warning{}}
	if strings.HasPrefix(token, "ory_") && !strings.HasPrefix(token, "ory_at_") {
		seen.Warnings = append(seen.Warnings, warning{"not_access", "this is a token of Hydra of another kind, such as a refresh token or a code, which no API takes"})
	}
	return seen, nil
}

func decodeJWT(parts []string, now time.Time) (*inspection, error) {
	seen := &inspection{Format: "jwt", Times: map[string]string{}, Warnings: []warning{}}
	for i, to := range []*map[string]any{&seen.Header, &seen.Claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || decodeObject(raw, to) != nil || *to == nil {
			return nil, fmt.Errorf("this is no JWT: part %d is no JSON object in base64url, or one that has a member twice", i+1)
		}
	}
	for _, name := range []string{"iat", "nbf", "exp", "auth_time"} {
		if at, ok := seen.time(name); ok {
			seen.Times[name] = when(at, now)
		}
	}
	if text, _ := seen.Claims["key_expires_at"].(string); text != "" {
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			seen.Times["key_expires_at"] = when(at, now)
		}
	}
	for _, mind := range minds {
		if detail := mind.see(seen, now); detail != "" {
			seen.Warnings = append(seen.Warnings, warning{mind.code, detail})
		}
	}
	return seen, nil
}

// decodeObject refuses a member that is there twice, which parsers read in
// different ways, and keeps numbers as they are written.
func decodeObject(raw []byte, to *map[string]any) error {
	var once map[string]any
	if err := strict.Unmarshal(raw, &once); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(to)
}

// time reads a NumericDate (RFC 7519 section 2) within the years 1970 to 9999.
func (s *inspection) time(name string) (time.Time, bool) {
	n, ok := s.Claims[name].(json.Number)
	if !ok {
		return time.Time{}, false
	}
	f, err := n.Float64()
	if err != nil || !(f >= 0 && f < 253402300800) {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0).UTC(), true
}

// when is a time, and how far it is.
func when(at, now time.Time) string {
	text := at.UTC().Format(time.RFC3339)
	switch d := at.Sub(now).Round(time.Second); {
	case d > 0:
		return text + " (in " + span(d) + ")"
	case d < 0:
		return text + " (" + span(-d) + " ago)"
	}
	return text + " (now)"
}

// span is a length of time as exact as people want it.
func span(d time.Duration) string {
	step := time.Second
	switch {
	case d >= 48*time.Hour:
		step = 24 * time.Hour
	case d >= 2*time.Hour:
		step = time.Minute
	}
	return apikey.Duration(d.Truncate(step)).String()
}

// names is whose token it is, for -o name.
func (s *inspection) names() []string {
	if id, ok := s.Claims["client_id"].(string); ok {
		return []string{id}
	}
	return nil
}

// first are the claims that people look for, in this order.
var first = []string{"iss", "client_id", "sub", "root_id", "owner", "env", "aud", "scp", "scope", "iat", "nbf", "exp", "key_expires_at"}

func (s *inspection) grid() grid {
	var g grid
	if s.Format == "opaque" {
		g.field("format", "opaque: it holds nothing; `tokenos token introspect` asks the server")
	} else {
		g.field("format", "JWT; its signature is not checked here")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Header)) {
		g.field("header "+name, inWords(s.Header[name]))
	}
	others := slices.DeleteFunc(slices.Sorted(maps.Keys(s.Claims)), func(name string) bool { return slices.Contains(first, name) })
	for _, name := range slices.Concat(first, others) {
		if v, found := s.Claims[name]; found {
			g.add(name, or(s.Times[name], inWords(v)))
		}
	}
	for _, w := range s.Warnings {
		g.add("warning", w.Detail)
	}
	return g
}

// inWords is a value for people: text as it is, a list of texts with spaces between.
func inWords(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case []any:
		if !slices.ContainsFunc(v, func(item any) bool { s, ok := item.(string); return !ok || s == "" }) {
			words := make([]string, len(v))
			for i, item := range v {
				words[i] = item.(string)
			}
			return or(strings.Join(words, " "), "none")
		}
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}
