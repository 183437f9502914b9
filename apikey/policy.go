package apikey

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var limits = Limits{
	NameLength: 100, DescriptionLength: 500, OwnerLength: 100,
	Labels: 32, LabelNameLength: 63, LabelValueLength: 255,
	Scopes: 100, ScopeLength: 128, Audiences: 20, AudienceLength: 512,
	PublicKeys: 10, Owners: 100,
	TokenLifetimeMin: Duration(time.Minute), TokenLifetimeMax: Duration(24 * time.Hour),
	PageSize: 200,
}

// DefaultLimits are the bounds that every key keeps.
func DefaultLimits() Limits { return limits }

const defaultTokenLifetime = Duration(15 * time.Minute)

// lastMoment bounds every time a caller may set: RFC 3339 has four-digit years.
var lastMoment = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// validation collects everything that is wrong, so a caller mends it in one go.
type validation struct{ fields []FieldError }

func (v *validation) add(pointer, code, detail, fix string) {
	v.fields = append(v.fields, FieldError{Pointer: pointer, Code: code, Detail: detail, Fix: fix})
}

func (v *validation) err() error {
	if len(v.fields) == 0 {
		return nil
	}
	return &InvalidError{Fields: v.fields}
}

// text checks one line of text for people and returns it in NFC, trimmed.
// Control, format and bidi characters are refused: they make one text look
// like another, on a page, in a log or in a terminal.
func (v *validation) text(pointer, s string, least, most int, also string) string {
	if !utf8.ValidString(s) {
		v.add(pointer, "invalid_text", "is not valid Unicode", "send UTF-8")
		return ""
	}
	s = strings.TrimSpace(norm.NFC.String(s))
	for _, r := range s {
		if strings.ContainsRune(also, r) {
			continue
		}
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp) || r == utf8.RuneError {
			v.add(pointer, "invalid_text", "contains a control, formatting or direction character", "use plain text")
			return ""
		}
	}
	switch n := utf8.RuneCountInString(s); {
	case n < least:
		v.add(pointer, "required", "is required", "")
	case n > most:
		v.add(pointer, "too_long", "is longer than "+itoa(most)+" characters", "shorten it")
	}
	return s
}

// labelName: letters, digits and . _ / -, beginning with a letter or digit.
var labelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)

func (v *validation) labels(in map[string]string) map[string]string {
	if len(in) > limits.Labels {
		v.add("#/labels", "too_many", "has more than "+itoa(limits.Labels)+" labels", "remove some")
		return nil
	}
	out := make(map[string]string, len(in))
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if len(name) > limits.LabelNameLength || !labelName.MatchString(name) {
			v.add("#/labels", "invalid_label", "a label's name has 1 to 63 letters, digits or . _ / - and begins with a letter or digit", "")
			continue
		}
		out[name] = v.text("#/labels/"+escapePointer(name), in[name], 0, limits.LabelValueLength, "")
	}
	return out
}

// scopeToken is one scope (RFC 6749 section 3.3).
var scopeToken = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`)

// scopes returns the scopes sorted, each once. "*" is refused: Hydra's default
// strategy would read it as everything. So is "|": Hydra stores the scopes of a
// token joined by it, and a token with the scope "a|b" introspects as "a b".
func (v *validation) scopes(pointer string, in []string) []string {
	if len(in) == 0 {
		v.add(pointer, "required", "at least one scope is required: Hydra reads none as openid and offline", "name what the key may do, for example orders:read")
	}
	if len(in) > limits.Scopes {
		v.add(pointer, "too_many", "has more than "+itoa(limits.Scopes)+" scopes", "")
		return nil
	}
	for i, s := range in {
		v.scope(pointer+"/"+itoa(i), s)
	}
	return sortedSet(in)
}

// scope checks one scope.
func (v *validation) scope(at, s string) {
	switch {
	case len(s) > limits.ScopeLength || !scopeToken.MatchString(s):
		v.add(at, "invalid_scope", "a scope has 1 to "+itoa(limits.ScopeLength)+" printable ASCII characters without space, quote and backslash (RFC 6749 section 3.3)", "")
	case strings.Contains(s, "*"):
		v.add(at, "invalid_scope", "wildcards are not scopes", "name each scope")
	case strings.Contains(s, "|"):
		v.add(at, "invalid_scope", "a scope cannot contain |: Hydra would read it as two", "name each scope")
	}
}

// audiences returns the audiences sorted, each once. Hydra also grants paths
// below a registered audience.
func (v *validation) audiences(pointer string, in []string) []string {
	if len(in) > limits.Audiences {
		v.add(pointer, "too_many", "has more than "+itoa(limits.Audiences)+" audiences", "")
		return nil
	}
	for i, s := range in {
		v.audience(pointer+"/"+itoa(i), s)
	}
	return sortedSet(in)
}

// audience checks one audience.
func (v *validation) audience(at, s string) {
	if s == ManagementAudience || strings.HasPrefix(s, ManagementAudience+"/") || strings.HasPrefix(s, ManagementAudience+":") {
		v.add(at, "reserved", "this audience is reserved for management keys", "")
		return
	}
	if !audienceURI(s) {
		v.add(at, "invalid_audience", "an audience is an absolute URI with a host, of at most "+itoa(limits.AudienceLength)+" characters, without query and fragment", "for example https://api.example.com")
	}
}

// audienceURI reports whether s can be an audience. Hydra compares scheme, host
// and path alone: a key with one urn: would be granted every urn:, one with a
// query every query. It stores the audiences of a token joined by "|".
func audienceURI(s string) bool {
	if len(s) > limits.AudienceLength || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) || strings.ContainsAny(s, `|?#"<>\^{}`+"`") {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && u.IsAbs() && u.Hostname() != "" && u.User == nil
}

// token fills in the defaults of p over base.
func (v *validation) token(base TokenSettings, p *TokenParams) TokenSettings {
	if p == nil {
		return base
	}
	switch p.Format {
	case Opaque, JWT:
		base.Format = p.Format
	case "":
	default:
		v.add("#/token/format", "invalid", "must be opaque or jwt", "")
	}
	if p.Lifetime != nil {
		base.Lifetime = *p.Lifetime
		if base.Lifetime < limits.TokenLifetimeMin || base.Lifetime > limits.TokenLifetimeMax || time.Duration(base.Lifetime)%time.Second != 0 {
			v.add("#/token/lifetime", "out_of_range", "must be whole seconds between 1m and 24h", "for example 15m")
		}
	}
	return base
}

// future checks a moment a caller set: later than now, whole seconds, UTC.
func (v *validation) future(pointer string, at *time.Time, now time.Time) *time.Time {
	if at == nil {
		return nil
	}
	t := at.UTC().Truncate(time.Second)
	switch {
	case !t.After(now):
		v.add(pointer, "past", "must lie in the future", "")
	case t.After(lastMoment):
		v.add(pointer, "out_of_range", "must lie before the year 10000", "leave it out for never")
	}
	return &t
}

func (v *validation) idempotencyKey(s string) {
	if s != "" && (len(s) < 16 || len(s) > 255 || strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' })) {
		v.add("Idempotency-Key", "invalid", "must have 16 to 255 printable ASCII characters without space", "send a random UUID")
	}
}

func sortedSet(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}

func itoa(n int) string { return strconv.Itoa(n) }

func escapePointer(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}
