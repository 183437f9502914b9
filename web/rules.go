package web

import (
	"fmt"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/ui"
)

// rule is one rule for keys in words.
type rule struct{ about, says string }

// rulesOf are a policy's rules, as [apikey.Policies.For] fills them in.
func rulesOf(p apikey.Policy) []rule {
	return []rule{
		{"Expiry", expiryRule(p)},
		{"Proof", "By " + joined(p.AuthMethods, methodName) + "."},
		{"Scopes", listRule(p.Scopes, "Any.", "None.")},
		{"Audiences", listRule(p.Audiences, "Any.", "None.")},
		{"Tokens", tokenRule(p.Token)},
		{"Rotation", graceRule(p.MaxGracePeriod)},
		{"How many", quotaRule(p.MaxKeys)},
	}
}

func expiryRule(p apikey.Policy) string {
	var out []string
	never := p.NeverExpires != nil && *p.NeverExpires
	switch {
	case p.MaxLifetime != nil && never:
		out = append(out, "At most "+period(*p.MaxLifetime)+", or never.")
	case p.MaxLifetime != nil:
		out = append(out, "At most "+period(*p.MaxLifetime)+".")
	case never:
		out = append(out, "Any, or never.")
	default:
		out = append(out, "Any, but every key must expire.")
	}
	switch {
	case p.DefaultLifetime != nil:
		out = append(out, "If nothing is said: "+period(*p.DefaultLifetime)+".")
	case never:
		out = append(out, "If nothing is said to the API: never.")
	}
	return strings.Join(out, " ")
}

func tokenRule(p apikey.TokenPolicy) string {
	out := "As " + joined(p.Formats, func(f apikey.TokenFormat) string { return formatNames[f] })
	if p.MaxLifetime != nil {
		out += ", for at most " + period(*p.MaxLifetime)
	}
	return out + "."
}

var formatNames = map[apikey.TokenFormat]string{apikey.Opaque: "opaque", apikey.JWT: "JWT"}

func graceRule(d *apikey.Duration) string {
	switch {
	case d == nil:
		return "Any grace period."
	case *d == 0:
		return "At once, without a grace period."
	}
	return "With a grace period of at most " + period(*d) + "."
}

func quotaRule(n *int) string {
	if n == nil {
		return "Any number for each owner."
	}
	return "At most " + number(*n) + " for each owner, apart from what is revoked or replaced."
}

func listRule(all []string, anything, nothing string) string {
	switch {
	case all == nil:
		return anything
	case len(all) == 0:
		return nothing
	}
	return list(all, 20)
}

// joined names all of a few: "a, b or c".
func joined[T any](all []T, name func(T) string) string {
	words := make([]string, len(all))
	for i, v := range all {
		words[i] = name(v)
	}
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
	}
	return strings.Join(words, "")
}

// period is a length of time in its largest whole unit.
func period(d apikey.Duration) string {
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := time.Duration(d) / u.size; n > 0 && time.Duration(d)%u.size == 0 {
			return counted(int(n), u.name)
		}
	}
	return d.String()
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return number(n) + " " + what + "s"
}

// breachWords tells what a rule minds about a key: "scopes: ...". The words are the
// API's own.
func breachWords(f apikey.FieldError) string {
	place, _, _ := strings.Cut(strings.TrimPrefix(f.Pointer, "#/"), "/")
	return fmt.Sprintf("%s: %s", strings.ReplaceAll(place, "_", " "), sentence(f.Detail))
}

// checkTone is how doctor's result is meant.
func checkTone(r apikey.CheckResult) ui.Tone {
	switch r {
	case apikey.CheckPassed:
		return ui.ToneOK
	case apikey.CheckWarned:
		return ui.ToneWarn
	case apikey.CheckFailed:
		return ui.ToneBad
	}
	return ui.ToneNeutral
}

var checkWords = map[apikey.CheckResult]string{apikey.CheckPassed: "passed", apikey.CheckWarned: "look at it", apikey.CheckFailed: "failed", apikey.CheckSkipped: "skipped"}

// checkName is a check for people.
func checkName(name string) string {
	return strings.TrimSuffix(sentence(strings.ReplaceAll(name, "_", " ")), ".")
}

// worth are the checks that somebody should look at, the others apart.
func worth(all []apikey.Check) (look, others []apikey.Check) {
	for _, c := range all {
		if c.Result == apikey.CheckFailed || c.Result == apikey.CheckWarned {
			look = append(look, c)
		} else {
			others = append(others, c)
		}
	}
	return look, others
}
