package handlers_test

import (
	"strings"
	"testing"

	"github.com/tokenos/tokenos/apikey"
)

// An operation that was begun says where it can be followed; a dry run began
// none and says nothing.
func TestOperationLocation(t *testing.T) {
	b := newBench(t, nil)
	res, _ := b.do(request("POST", "/v1/owners/acme/disable", ""))
	if got := res.Header.Get("Location"); got != "/v1/operations/"+operationID {
		t.Errorf("Location %q", got)
	}
	res, body := b.do(request("POST", "/v1/owners/acme/disable", `{"dry_run":true}`))
	if _, has := res.Header["Location"]; has || strings.Contains(body, `"id"`) {
		t.Errorf("a dry run has Location %q, body %s", res.Header.Get("Location"), body)
	}
}

// What docs/api.md says is there only when it is true is not there as false.
func TestAbsentWhenFalse(t *testing.T) {
	at := "/v1/keys/" + keyID
	for path, method := range map[string]string{at: "GET", at + "/disable": "POST", at + "/rotations": "POST", "/v1/owners/acme/disable": "POST", "/v1/operations/" + operationID: "GET"} {
		_, body := newBench(t, nil).do(request(method, path, ""))
		for _, name := range []string{"dry_run", "pending", "disabled_with_owner"} {
			if strings.Contains(body, `"`+name+`":false`) {
				t.Errorf("%s has %s: %s", path, name, body)
			}
		}
	}
}

// An owner that cannot stand in a path is refused, and what is no owner's
// segment may not be encoded; neither reaches anything nor is repeated.
func TestHostileOwners(t *testing.T) {
	for path, kind := range map[string]apikey.ErrorKind{
		"/v1/owners/../disable":                         apikey.ErrMalformed,
		"/v1/owners/./disable":                          apikey.ErrMalformed,
		"/v1/owners/%2e%2e/disable":                     apikey.ErrMalformed,
		"/v1/owners/..%2f..%2fkeys/disable":             apikey.ErrMalformed,
		"/v1/owners/a%2f%2e%2e%2f" + canary + "/revoke": apikey.ErrMalformed,
		"/v1/owners/a%5c..%5cb/disable":                 apikey.ErrMalformed,
		"/v1/owners//disable":                           apikey.ErrNotFound,
		"/v1/owners/%ff/disable":                        apikey.ErrNotFound,
		"/v1/owners/" + canary + "/%64isable":           apikey.ErrNotFound,
		"/v1/owners/" + canary + "/tokens%2frevoke":     apikey.ErrNotFound,
		"/v1/owners/" + canary + "%2fdisable":           apikey.ErrNotFound,
		"/v1/%6fwners/" + canary + "/disable":           apikey.ErrNotFound,
		"/v1/owners/" + canary + "/destroy":             apikey.ErrNotFound,
		"/v1/owners/a/b/disable":                        apikey.ErrNotFound,
		"/v1/keys/a%2Fb/disable":                        apikey.ErrNotFound,
	} {
		b := newBench(t, nil)
		res, body := b.do(request("POST", path, ""))
		status := map[apikey.ErrorKind]int{apikey.ErrMalformed: 400, apikey.ErrNotFound: 404}[kind]
		wantProblem(t, res, body, status, kind)
		if b.count() != 0 || t.Failed() {
			t.Errorf("%s reached the API, or was answered otherwise: %s", path, body)
		}
		noEcho(t, b, res, body)
	}
	b := newBench(t, nil)
	for _, id := range []string{"%2e%2e", "op%5f1", "a/b", strings.Repeat("a", 129)} {
		res, body := b.do(request("GET", "/v1/operations/"+id, ""))
		wantProblem(t, res, body, 404, apikey.ErrNotFound)
		noEcho(t, b, res, body)
	}
	if b.count() != 0 {
		t.Error("an id that no operation can have reached the API")
	}
	for _, body := range []string{`{"until":"tomorrow"}`, `{"dry_run":"yes"}`} {
		res, got := b.do(request("POST", "/v1/owners/acme/disable", body))
		wantProblem(t, res, got, 422, apikey.ErrInvalid)
	}
	res, got := b.do(request("POST", "/v1/owners/acme/disable", `{"all":true}`))
	wantProblem(t, res, got, 400, apikey.ErrMalformed)
}
