package handlers_test

import (
	"strings"
	"testing"
)

// What cannot be a period or a number of days is refused before anybody is
// asked, and not repeated.
func TestHostileUsage(t *testing.T) {
	usage := "/v1/keys/" + keyID + "/usage"
	for _, target := range []string{
		usage + "?from=" + canary, usage + "?from=2026-13-01T00:00:00Z", usage + "?from=2026-11-23", usage + "?to=1795435200", usage + "?to=%00",
		usage + "?from=2026-11-23T12:00:00Z&from=2026-11-24T12:00:00Z", usage + "?by=day&by=hour", usage + "?limit=1", usage + "?From=2026-11-23T12:00:00Z",
		"/v1/keys/" + keyID + "%2f/usage", "/v1/keys/../usage", "/v1/keys/a%00b/usage", "/v1/keys//usage",
		"/v1/keys?unused_scopes=0", "/v1/keys?unused_scopes=-1", "/v1/keys?unused_scopes=3651", "/v1/keys?unused_scopes=1e3", "/v1/keys?unused_scopes=99999999999999999999",
		"/v1/keys?unused_scopes=" + canary, "/v1/keys?last_used_before=" + canary, "/v1/keys?last_used_before=yesterday", "/v1/keys?last_used_before=99999-01-01T00:00:00Z",
	} {
		b := newBench(t, nil)
		res, body := b.do(request("GET", target, ""))
		if res.StatusCode < 400 || res.StatusCode >= 500 || b.count() != 0 {
			t.Errorf("%s: %d, %s", target, res.StatusCode, body)
		}
		if strings.Contains(body, canary) {
			t.Errorf("%s: repeated in %s", target, body)
		}
	}
}
