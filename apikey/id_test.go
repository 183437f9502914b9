package apikey_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// Ids have the documented form, are taken everywhere an id is, and no two are
// equal, not even within a millisecond.
func TestNewIDForm(t *testing.T) {
	seen := map[string]bool{}
	for env, form := range map[apikey.Environment]*regexp.Regexp{
		apikey.Live: regexp.MustCompile(`^key_live_[0-9a-hjkmnp-tv-z]{26}$`),
		apikey.Test: regexp.MustCompile(`^key_test_[0-9a-hjkmnp-tv-z]{26}$`),
	} {
		for range 50_000 {
			id := apikey.NewID(env, noon)
			if !form.MatchString(id) || !apikey.OwnID(id) || !apikey.ValidID(id) {
				t.Fatalf("%s is not a good id", id)
			}
			if seen[id] {
				t.Fatalf("%s was made twice", id)
			}
			seen[id] = true
		}
	}
}

// Ids sort by age, to the millisecond, from 1970 to the year 9999.
func TestIDsSortByAge(t *testing.T) {
	times := []time.Time{time.Unix(0, 0), time.UnixMilli(1), noon, noon.Add(time.Millisecond), noon.Add(time.Hour), noon.AddDate(30, 0, 0), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}
	for range 200 {
		var ids []string
		for _, at := range times {
			ids = append(ids, apikey.NewID(apikey.Live, at))
		}
		if !slices.IsSorted(ids) {
			t.Fatalf("ids do not sort by age: %v", ids)
		}
	}
}

// Every change of one character of an id, every transposition of neighbours and
// the other environment are seen by the checksum. The checksum is linear, so
// what holds for one id holds for all.
func TestOwnIDSeesChanges(t *testing.T) {
	for range 20 {
		id := apikey.NewID(apikey.Live, time.Now())
		for i := range len(id) {
			for _, c := range []byte(crockford + "ilouAZ_-. \x00\xff") {
				if changed := id[:i] + string([]byte{c}) + id[i+1:]; c != id[i] && apikey.OwnID(changed) {
					t.Errorf("%s passes for %s", changed, id)
				}
			}
			if i > 0 && id[i] != id[i-1] {
				b := []byte(id)
				b[i], b[i-1] = b[i-1], b[i]
				if apikey.OwnID(string(b)) {
					t.Errorf("%s passes for %s", b, id)
				}
			}
		}
		for _, changed := range []string{
			strings.Replace(id, "live", "test", 1), strings.ToUpper(id), id + "0", id[:len(id)-1], " " + id, id + "\n",
			strings.TrimPrefix(id, "key_live_"), strings.Replace(id, "live", "prod", 1), "",
		} {
			if apikey.OwnID(changed) {
				t.Errorf("%q passes for %s", changed, id)
			}
		}
	}
}

// Only what Hydra can address is an id at all; everything else is not found
// before any call (security catalogue, 11).
func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"key_live_01k9x2zzzzzzzzzzzzzzzzzzzz":  true,
		"9b2fd6d1-5b3c-4d4c-9a44-1f8a35a5d0a1": true,
		"a":                                    true,
		"..a":                                  true,
		"...":                                  true,
		"~tilde.dot-dash_underscore":           true,
		strings.Repeat("x", 128):               true,
		strings.Repeat("x", 129):               false,
		strings.Repeat("x", 5000):              false,
		"":                                     false,
		".":                                    false,
		"..":                                   false,
		"%2e%2e":                               false,
		"../clients":                           false,
		"..%2f..%2fadmin%2fclients":            false,
		"a/b":                                  false,
		"a%2Fb":                                false,
		`a\b`:                                  false,
		"a;x":                                  false,
		"a?x":                                  false,
		"a#x":                                  false,
		"a b":                                  false,
		"a+b":                                  false,
		"a:b":                                  false,
		"a@b":                                  false,
		"a\x00":                                false,
		"a\n":                                  false,
		"\na":                                  false,
		"a\r\nHost: evil":                      false,
		"é":                                    false,
		"ａ":                                    false,
		"a\u202eb":                             false,
		"\xff":                                 false,
		"key_live_01k9x2zzzzzzzzzzzzzzzzzzzz/../": false,
	} {
		if got := apikey.ValidID(id); got != want {
			t.Errorf("ValidID(%.40q) is %v", id, got)
		}
	}
}
