package apikey_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
)

const wholePolicy = `{
	"scopes": [{"name": "orders:read", "title": " Read orders ", "description": "a\nb"}, {"name": "orders:write"}],
	"live": {"max_lifetime": "90d", "never_expires": false, "default_lifetime": "30d", "auth_methods": ["private_key_jwt"], "scopes": ["orders:read"],
		"audiences": [], "max_grace_period": "0s", "token": {"max_lifetime": "1h", "formats": ["jwt", "opaque"]}, "max_keys": 0},
	"test": {},
	"owners": {"ac/me~": {"live": {"max_lifetime": "36500d", "max_keys": 1000000}}, "x": {}}
}`

// Every member is read.
func TestParsePolicies(t *testing.T) {
	got, err := apikey.ParsePolicies([]byte(wholePolicy))
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	want := apikey.Policies{
		Scopes: []apikey.ScopeInfo{{Name: "orders:read", Title: "Read orders", Description: "a\nb"}, {Name: "orders:write"}},
		Live: apikey.Policy{MaxLifetime: new(apikey.Duration(90 * day)), NeverExpires: new(false), DefaultLifetime: new(apikey.Duration(30 * day)),
			AuthMethods: []apikey.AuthMethod{apikey.PrivateKeyJWT}, Scopes: []string{"orders:read"}, Audiences: []string{}, MaxGracePeriod: new(apikey.Duration(0)),
			Token: apikey.TokenPolicy{MaxLifetime: new(apikey.Duration(time.Hour)), Formats: []apikey.TokenFormat{apikey.JWT, apikey.Opaque}}, MaxKeys: new(0)},
		Owners: map[string]apikey.OwnerPolicy{"ac/me~": {Live: apikey.Policy{MaxLifetime: new(apikey.Duration(36500 * day)), MaxKeys: new(1000000)}}, "x": {}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, nothing := range []string{`{}`, ` {"live": {}, "test": {"token": {}}, "owners": {}} `} {
		if got, err := apikey.ParsePolicies([]byte(nothing)); err != nil || !reflect.DeepEqual(got, apikey.Policies{}) {
			t.Errorf("%s: %+v, %v", nothing, got, err)
		}
	}
}

// What cannot be meant is refused at its place, and everything at once.
func TestParsePoliciesRefuses(t *testing.T) {
	many := func(n int, item string) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	numbered := func(n int) string {
		var items []string
		for i := range n {
			items = append(items, fmt.Sprintf(`"https://%d.example"`, i))
		}
		return strings.Join(items, ",")
	}
	for _, c := range []struct{ in, want string }{
		{``, "# malformed"}, {`{`, "# malformed"}, {`{}x`, "# malformed"}, {`{"live":{},}`, "# malformed"}, {"{\"owners\":{\"\xff\":{}}}", "# malformed"},
		{strings.Repeat("[", 20) + strings.Repeat("]", 20), "# malformed"},
		{`{"live":` + strings.Repeat(" ", 1<<20) + `{}}`, "# too_long"},
		{`null`, "# wrong_type"}, {`[]`, "# wrong_type"}, {`{"live":null}`, "#/live wrong_type"}, {`{"owners":[]}`, "#/owners wrong_type"}, {`{"live":{"token":"jwt"}}`, "#/live/token wrong_type"},
		{`{"LIVE":{}}`, "#/LIVE unknown_member"}, {`{"live":{"max_lifetme":"90d"}}`, "#/live/max_lifetme unknown_member"}, {`{"live":{"Max_lifetime":"90d"}}`, "#/live/Max_lifetime unknown_member"},
		{`{"owners":{"a":{"scopes":[]}}}`, "#/owners/a/scopes unknown_member"}, {`{"live":{"token":{"lifetime":"1h"}}}`, "#/live/token/lifetime unknown_member"},
		{`{"live":{},"live":{}}`, "#/live repeated_member"}, {`{"live":{"max_keys":1,"max_keys":2}}`, "#/live/max_keys repeated_member"}, {`{"owners":{"a":{},"a":{}}}`, "#/owners/a repeated_member"},
		{`{"live":{"max_lifetime":null}}`, "#/live/max_lifetime wrong_type"}, {`{"live":{"max_lifetime":90}}`, "#/live/max_lifetime wrong_type"}, {`{"live":{"max_lifetime":"90"}}`, "#/live/max_lifetime wrong_type"},
		{`{"live":{"max_lifetime":"90 d"}}`, "#/live/max_lifetime wrong_type"}, {`{"live":{"max_lifetime":"3m"}}`, ""}, {`{"live":{"max_lifetime":"3months"}}`, "#/live/max_lifetime wrong_type"},
		{`{"live":{"max_lifetime":"1m"}}`, ""}, {`{"live":{"max_lifetime":"59s"}}`, "#/live/max_lifetime out_of_range"}, {`{"live":{"max_lifetime":"-90d"}}`, "#/live/max_lifetime wrong_type"},
		{`{"live":{"max_lifetime":"-1h"}}`, "#/live/max_lifetime out_of_range"}, {`{"live":{"max_lifetime":"36501d"}}`, "#/live/max_lifetime out_of_range"}, {`{"live":{"max_lifetime":"1h0.5s"}}`, "#/live/max_lifetime out_of_range"},
		{`{"live":{"max_grace_period":"30d"}}`, ""}, {`{"live":{"max_grace_period":"31d"}}`, "#/live/max_grace_period out_of_range"}, {`{"live":{"max_grace_period":"-1s"}}`, "#/live/max_grace_period out_of_range"},
		{`{"live":{"token":{"max_lifetime":"24h"}}}`, ""}, {`{"live":{"token":{"max_lifetime":"25h"}}}`, "#/live/token/max_lifetime out_of_range"}, {`{"live":{"token":{"max_lifetime":"30s"}}}`, "#/live/token/max_lifetime out_of_range"},
		{`{"live":{"never_expires":"no"}}`, "#/live/never_expires wrong_type"}, {`{"live":{"never_expires":0}}`, "#/live/never_expires wrong_type"},
		{`{"live":{"max_keys":"5"}}`, "#/live/max_keys wrong_type"}, {`{"live":{"max_keys":5.0}}`, "#/live/max_keys wrong_type"}, {`{"live":{"max_keys":-1}}`, "#/live/max_keys out_of_range"},
		{`{"live":{"max_keys":1000001}}`, "#/live/max_keys out_of_range"}, {`{"live":{"max_keys":99999999999999999999}}`, "#/live/max_keys out_of_range"},
		{`{"live":{"auth_methods":[]}}`, "#/live/auth_methods required"}, {`{"live":{"auth_methods":["none"]}}`, "#/live/auth_methods/0 invalid"}, {`{"live":{"auth_methods":"private_key_jwt"}}`, "#/live/auth_methods wrong_type"},
		{`{"live":{"auth_methods":["private_key_jwt","private_key_jwt"]}}`, "#/live/auth_methods/1 duplicate"}, {`{"live":{"token":{"formats":["JWT"]}}}`, "#/live/token/formats/0 invalid"},
		{`{"live":{"scopes":[]}}`, "#/live/scopes required"}, {`{"live":{"scopes":["a b"]}}`, "#/live/scopes/0 invalid_scope"}, {`{"live":{"scopes":["a","*"]}}`, "#/live/scopes/1 invalid_scope"}, {`{"live":{"scopes":[1]}}`, "#/live/scopes/0 wrong_type #/live/scopes/0 invalid_scope"},
		{`{"live":{"scopes":["a","a"]}}`, "#/live/scopes/1 duplicate"}, {`{"live":{"scopes":[` + many(1001, `"a"`) + `]}}`, "#/live/scopes too_many"},
		{`{"live":{"audiences":["tokenos"]}}`, "#/live/audiences/0 reserved"}, {`{"live":{"audiences":["nowhere"]}}`, "#/live/audiences/0 invalid_audience"}, {`{"live":{"audiences":[` + numbered(1000) + `]}}`, ""},
		{`{"scopes":[]}`, "#/scopes required"}, {`{"scopes":["a"]}`, "#/scopes/0 wrong_type"}, {`{"scopes":[{}]}`, "#/scopes/0/name required"}, {`{"scopes":[{"name":"a"},{"name":"a"}]}`, "#/scopes/1/name duplicate"},
		{`{"scopes":[{"name":"a","title":"x\u202e"}]}`, "#/scopes/0/title invalid_text"}, {`{"scopes":[{"name":"a","description":"` + strings.Repeat("x", 501) + `"}]}`, "#/scopes/0/description too_long"},
		{`{"scopes":[{"name":"a"}],"live":{"scopes":["a","b"]},"owners":{"o":{"test":{"scopes":["c"]}}}}`, "#/live/scopes/1 unknown_scope #/owners/o/test/scopes/0 unknown_scope"},
		{`{"owners":{"":{}}}`, "#/owners/ invalid_owner"}, {`{"owners":{" a":{}}}`, "#/owners/ a invalid_owner"}, {`{"owners":{"e\u0301":{}}}`, "#/owners/e\u0301 invalid_owner"}, {`{"owners":{"a\u0000":{}}}`, "#/owners/a\x00 invalid_owner"},
		{`{"owners":{"` + strings.Repeat("o", 101) + `":{}}}`, "#/owners/" + strings.Repeat("o", 101) + " invalid_owner"},
		{`{"live":{"max_lifetime":"30d","default_lifetime":"31d"}}`, "#/live/default_lifetime contradiction"}, {`{"live":{"max_lifetime":"30d","default_lifetime":"30d"}}`, ""},
		{`{"live":{"default_lifetime":"31d"},"owners":{"a":{"live":{"max_lifetime":"30d"}},"b":{"live":{"max_keys":1}}}}`, "#/owners/a/live/max_lifetime contradiction"},
		{`{"live":{"max_lifetime":"30d"},"owners":{"a":{"live":{"default_lifetime":"31d"}}}}`, "#/owners/a/live/default_lifetime contradiction"},
		{`{"live":{"max_lifetime":30,"scopes":[],"x":1},"test":{"max_keys":true},"y":2}`, "#/live/max_lifetime wrong_type #/live/scopes required #/live/x unknown_member #/test/max_keys wrong_type #/y unknown_member"},
	} {
		_, err := apikey.ParsePolicies([]byte(c.in))
		var got []string
		if invalid, ok := errors.AsType[*apikey.InvalidError](err); ok {
			for _, f := range invalid.Fields {
				got = append(got, f.Pointer+" "+f.Code)
				if f.Detail == "" {
					t.Errorf("%.80s: nothing said of %s", c.in, f.Pointer)
				}
			}
		} else if err != nil {
			t.Errorf("%.80s: %v", c.in, err)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%.80s:\n got %q\nwant %q", c.in, strings.Join(got, " "), c.want)
		}
	}
}

// A file of nonsense gets a hundred problems and the number of the others.
func TestParsePoliciesIsBrief(t *testing.T) {
	var b strings.Builder
	for i := range 250 {
		fmt.Fprintf(&b, `,"m%d":1`, i)
	}
	_, err := apikey.ParsePolicies([]byte("{" + b.String()[1:] + "}"))
	invalid, ok := errors.AsType[*apikey.InvalidError](err)
	if !ok || len(invalid.Fields) != 101 || invalid.Fields[100].Detail != "has 150 more problems" {
		t.Errorf("got %d problems", len(invalid.Fields))
	}
}

// No input breaks the parser, and what it reads is written and read as the same.
func FuzzParsePolicies(f *testing.F) {
	f.Add([]byte(wholePolicy))
	f.Add([]byte(`{"owners":{"a":{"test":{"audiences":["https://a.example"],"max_keys":1}},"é":{}}}`))
	f.Add([]byte(`{"scopes":[{"name":"a"}],"live":{"scopes":["b"],"max_lifetime":"1h30m"}}`))
	f.Add([]byte(`{"live":{},"live":[[{"a":1e999}]]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := apikey.ParsePolicies(raw)
		if err != nil {
			if invalid, ok := errors.AsType[*apikey.InvalidError](err); !ok || len(invalid.Fields) == 0 || len(invalid.Fields) > 101 || !reflect.DeepEqual(p, apikey.Policies{}) {
				t.Fatalf("%v with %+v", err, p)
			}
			return
		}
		written, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := apikey.ParsePolicies(written)
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%s is read as %+v, %v; want %+v", written, again, err, p)
		}
		for _, env := range []apikey.Environment{apikey.Live, apikey.Test} {
			rules := p.For("a", env)
			if len(rules.AuthMethods) == 0 || len(rules.Token.Formats) == 0 || rules.Scopes != nil && len(rules.Scopes) == 0 ||
				rules.MaxLifetime != nil && rules.DefaultLifetime != nil && *rules.DefaultLifetime > *rules.MaxLifetime {
				t.Fatalf("no key can be made under %+v", rules)
			}
		}
	})
}
