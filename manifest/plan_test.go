package manifest_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/manifest"
)

// key is a key of owner o with a change or two.
func key(id string, changes ...func(*apikey.Key)) apikey.Key {
	k := apikey.Key{Definition: apikey.Definition{ID: id, RootID: id, Kind: apikey.KindAPI, Name: "a", Owner: "o", Environment: apikey.Live,
		Labels: map[string]string{}, AuthMethod: apikey.ClientSecretBasic, Scopes: []string{"s"}, Audiences: []string{},
		Token: apikey.TokenSettings{Format: apikey.Opaque, Lifetime: apikey.Duration(15 * time.Minute)}, CreatedAt: now.Add(-time.Hour), Revision: 7}}
	for _, change := range changes {
		change(&k)
	}
	k.Status = k.StatusAt(now)
	return k
}

func named(name string) func(*apikey.Key) { return func(k *apikey.Key) { k.Name = name } }
func ours(k *apikey.Key)                  { k.Labels = map[string]string{"managed-by": "tokenos-apply"} }
func revoked(k *apikey.Key)               { k.RevokedAt = new(now.Add(-time.Minute)) }
func paused(k *apikey.Key)                { k.DisabledAt = new(now.Add(-time.Minute)) }
func management(k *apikey.Key)            { k.Kind = apikey.KindManagement }
func replacedBy(id string) func(*apikey.Key) {
	return func(k *apikey.Key) { k.ReplacedBy, k.EndsAt = &id, new(now.Add(time.Hour)) }
}
func after(id string) func(*apikey.Key) {
	return func(k *apikey.Key) { k.Replaces, k.RootID = &id, id }
}

func withKeys(keys ...apikey.PublicKey) func(*apikey.Key) {
	return func(k *apikey.Key) { k.AuthMethod, k.PublicKeys = apikey.PrivateKeyJWT, keys }
}

// told is a plan in lines.
func told(changes []manifest.Change) (out []string) {
	for _, c := range changes {
		line := string(c.Action)
		if c.Key != nil {
			line += " " + c.Key.ID
		}
		for _, m := range c.Members {
			line += fmt.Sprintf(" %s=%v->%v", m.Name, m.Old, m.New)
		}
		if c.Problem != "" {
			line += " " + c.Problem
		}
		if c.Note != "" {
			line += " " + c.Note
		}
		out = append(out, line)
	}
	return out
}

// doc is the text of the document of key a, with more lines.
func doc(lines ...string) string {
	return strings.Join(append([]string{"name: a", "owner: o", "scopes: [s]"}, lines...), "\n") + "\n"
}

var plans = []struct {
	name string
	text string
	keys []apikey.Key
	want []string // beginnings
}{
	{"no key", doc(), nil, []string{"create labels.managed-by=<nil>->tokenos-apply scopes=<nil>->[s]"}},
	{"a key of its own", doc(), []apikey.Key{key("k1")}, []string{"unchanged k1"}},
	{"other names and environments", doc("environment: test"), []apikey.Key{key("k1"), key("k2", named("b"))}, []string{"create "}},
	{"revoked before", doc(), []apikey.Key{key("k1", revoked), key("k2", func(k *apikey.Key) { k.Flags = []apikey.Flag{apikey.FlagRevoking} })}, []string{"create "}},
	{"management key of that name", doc(), []apikey.Key{key("k1", management)}, []string{"create "}},
	{"rotated", doc(), []apikey.Key{key("k1", replacedBy("k2")), key("k2", after("k1"))}, []string{"unchanged k2"}},
	{"several", doc(), []apikey.Key{key("k1"), key("k2")}, []string{"refused may be about several keys of this owner, environment and name: k1, k2"}},
	{"by id", "id: k2\n" + doc(), []apikey.Key{key("k1"), key("k2")}, []string{"unchanged k2"}},
	{"by id, renamed and moved", "id: k1\nname: b\nowner: p\nscopes: [s]", []apikey.Key{key("k1")}, []string{"change k1 name=a->b owner=o->p"}},
	{"by id, rotated", "id: k1\n" + doc(), []apikey.Key{key("k1", replacedBy("k2")), key("k2", after("k1"), replacedBy("k3")), key("k3", after("k1"))}, []string{"unchanged k3"}},
	{"by id, rotated and ended", "id: k1\n" + doc(), []apikey.Key{key("k1", replacedBy("k2")), key("k2", after("k1"), revoked)}, []string{"refused k1 is about a key that was replaced, and what replaced it has ended"}},
	{"by id, absent", "id: k9\n" + doc(), []apikey.Key{key("k1")}, []string{"refused there is no key with this id"}},
	{"by id, revoked", "id: k1\n" + doc(), []apikey.Key{key("k1", revoked)}, []string{"refused k1 is about a key that has been revoked"}},
	{"by id, management", "id: k1\n" + doc(), []apikey.Key{key("k1", management)}, []string{"refused k1 is about a management key"}},
	{"by id and by name", "id: k1\n" + doc() + "---\n" + doc(), []apikey.Key{key("k1")}, []string{"refused k1 is about the same key as F:6", "refused k1 is about the same key as F:1"}},
	{"other environment", "id: k1\n" + doc("environment: test"), []apikey.Key{key("k1")}, []string{"refused k1 the environment of a key cannot change"}},
	{"members", "name: a\nowner: o\nscopes: [t, s]\ndescription: x\naudiences: [https://a.example.com]\nauth_method: client_secret_post\ntoken: {format: jwt, lifetime: 1h}\nexpires_at: 2027-01-01T00:00:00Z",
		[]apikey.Key{key("k1")}, []string{"change k1 description=<nil>->x auth_method=client_secret_basic->client_secret_post scopes=[s]->[s t] audiences=[]->[https://a.example.com] " +
			"token.format=opaque->jwt token.lifetime=15m->1h expires_at=never->2027-01-01T00:00:00Z"}},
	{"what is left out stays", doc(), []apikey.Key{key("k1", paused, func(k *apikey.Key) {
		k.Description, k.Labels, k.Audiences, k.ExpiresAt, k.AuthMethod = "x", map[string]string{"a": "b"}, []string{"https://a"}, new(now.Add(time.Hour)), apikey.ClientSecretPost
	})}, []string{"unchanged k1"}},
	{"emptied", doc(`description: ""`, "labels: {}", "audiences: []", "expires_at: never"), []apikey.Key{key("k1", func(k *apikey.Key) {
		k.Description, k.Labels, k.Audiences, k.ExpiresAt = "x", map[string]string{"a": "b", "managed-by": "tokenos-apply"}, []string{"https://a"}, new(now.Add(time.Hour))
	})}, []string{"change k1 description=x-><nil> labels.a=b-><nil> audiences=[https://a]->[] expires_at=2026-11-26T13:00:00Z->never"}},
	{"labels", doc("labels: {a: c, d: e, managed-by: hand}"), []apikey.Key{key("k1", func(k *apikey.Key) {
		k.Labels = map[string]string{"a": "b", "x": "y", "managed-by": "tokenos-apply"}
	})}, []string{"change k1 labels.a=b->c labels.d=<nil>->e labels.managed-by=tokenos-apply->hand labels.x=y-><nil>"}},
	{"secret to public key", doc("auth_method: private_key_jwt", "public_keys: [{file: pub.pem}]"), []apikey.Key{key("k1")}, []string{"refused k1 auth_method client_secret_basic cannot become private_key_jwt without a new credential"}},
	{"public key to secret", doc("auth_method: client_secret_basic"), []apikey.Key{key("k1", withKeys())}, []string{"refused k1 auth_method private_key_jwt cannot become client_secret_basic"}},
	{"past end", doc("expires_at: 2020-01-01T00:00:00Z"), []apikey.Key{key("k1")}, []string{"refused k1 expires_at is over"}},
	{"past end, made so", doc("expires_at: 2020-01-01T00:00:00Z"), nil, []string{"refused expires_at is over, and there is no such key yet"}},
	{"ended as it says", doc("expires_at: 2020-01-01T00:00:00Z"), []apikey.Key{key("k1", func(k *apikey.Key) { k.ExpiresAt = new(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)) })}, []string{"unchanged k1"}},
	{"disable", doc("status: disabled"), []apikey.Key{key("k1")}, []string{"change k1 status=active->disabled"}},
	{"disabled", doc("status: disabled"), []apikey.Key{key("k1", paused)}, []string{"unchanged k1"}},
	{"disabled for now", doc("status: disabled"), []apikey.Key{key("k1", paused, func(k *apikey.Key) { k.DisabledUntil = new(now.Add(time.Hour)) })}, []string{"change k1 status=disabled until 2026-11-26T13:00:00Z->disabled"}},
	{"enable", doc("status: active"), []apikey.Key{key("k1", paused)}, []string{"change k1 status=disabled->active"}},
	{"enable with owner", doc("status: active"), []apikey.Key{key("k1", paused, func(k *apikey.Key) { k.DisabledWithOwner = true })}, []string{"unchanged k1 paused with its owner, and stays so"}},
	{"active but expired", doc("status: active"), []apikey.Key{key("k1", func(k *apikey.Key) { k.ExpiresAt = new(now) })}, []string{"unchanged k1"}},
	{"made disabled", doc("status: disabled"), nil, []string{"create labels.managed-by=<nil>->tokenos-apply scopes=<nil>->[s] status=<nil>->disabled"}},
	{"made without public key", doc("auth_method: private_key_jwt"), nil, []string{"refused private_key_jwt needs a public key that has not ended, and there is no such key yet"}},
	{"two documents", doc() + "---\nname: b\nowner: o\nscopes: [s]", []apikey.Key{key("k1")}, []string{"unchanged k1", "create "}},
	{"all labels taken", doc("labels: {" + manyLabels() + "}"), nil, []string{"refused has as many labels as there may be"}},
}

func manyLabels() string {
	var all []string
	for i := range 32 {
		all = append(all, fmt.Sprintf("l%d: x", i))
	}
	return strings.Join(all, ", ")
}

func TestPlan(t *testing.T) {
	for _, c := range plans {
		t.Run(c.name, func(t *testing.T) {
			got := told(manifest.Plan(parse(t, c.text), c.keys, manifest.Options{Now: now}))
			for i := range got {
				if i < len(c.want) && strings.HasPrefix(got[i], c.want[i]) && !strings.HasPrefix(c.want[i], "change") {
					got[i] = c.want[i]
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The PATCH of a change says what differs and nothing else, of the revision seen.
func TestPlanPatch(t *testing.T) {
	text := "name: a\nowner: o\nscopes: [t]\nlabels: {}\naudiences: []\nexpires_at: never\ntoken: {lifetime: 1h}"
	k := key("k1", func(k *apikey.Key) {
		k.Labels, k.Audiences, k.ExpiresAt = map[string]string{"a": "b"}, []string{"https://a"}, new(now.Add(time.Hour))
	})
	got := manifest.Plan(parse(t, text), []apikey.Key{k}, manifest.Options{Now: now})[0].Patch
	want := &apikey.UpdateParams{Labels: map[string]*string{"a": nil}, Scopes: &[]string{"t"}, Audiences: &[]string{}, ExpiresAt: apikey.Null[time.Time](),
		Token: &apikey.TokenParams{Lifetime: new(apikey.Duration(time.Hour))}, IfMatch: 7}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c := manifest.Plan(parse(t, doc("status: disabled")), []apikey.Key{key("k1")}, manifest.Options{Now: now})[0]; c.Patch != nil || c.Status != apikey.StatusDisabled {
		t.Errorf("a pause alone: patch %v, status %s", c.Patch, c.Status)
	}
}

// Public keys are added and removed by what they are. Those that have ended do not
// count, here and there.
func TestPlanPublicKeys(t *testing.T) {
	d := parse(t, doc("auth_method: private_key_jwt", "public_keys: [{file: pub.pem}, {file: pub.jwk}]"))[0]
	one, two := d.PublicKeys[0], d.PublicKeys[1]
	gone := two
	gone.ExpiresAt = new(now.Add(-time.Hour))
	for _, c := range []struct {
		name string
		keys string
		have []apikey.PublicKey
		want string
	}{
		{"same", "[{file: pub.jwk}, {file: pub.pem}]", []apikey.PublicKey{one, two}, "unchanged"},
		{"left out", "", []apikey.PublicKey{one}, "unchanged"},
		{"exchanged", "[{file: pub.jwk}]", []apikey.PublicKey{one}, "change +" + two.KID + " -" + one.KID},
		{"ended on the server", "[{file: pub.pem}]", []apikey.PublicKey{one, gone}, "unchanged"},
		{"ended in the document", "[{file: pub.pem}, {file: pub.jwk, expires_at: 2020-01-01T00:00:00Z}]", []apikey.PublicKey{one}, "unchanged"},
		{"all ended in the document", "[{file: pub.jwk, expires_at: 2020-01-01T00:00:00Z}]", []apikey.PublicKey{one}, "refused every public key of the document has ended"},
		{"ended in the document alone", "[{file: pub.pem}, {file: pub.jwk, expires_at: 2020-01-01T00:00:00Z}]", []apikey.PublicKey{one, two}, "change -" + two.KID},
		{"another end", "[{file: pub.pem, expires_at: 2030-01-01T00:00:00Z}]", []apikey.PublicKey{one}, "refused the end of a registered public key"},
		{"another algorithm", "[{file: pub.jwk}]", []apikey.PublicKey{{KID: "x", Alg: "RS256"}}, "refused the public keys of this key are for RS256"},
	} {
		lines := []string{"auth_method: private_key_jwt"}
		if c.keys != "" {
			lines = append(lines, "public_keys: "+c.keys)
		}
		change := manifest.Plan(parse(t, doc(lines...)), []apikey.Key{key("k1", withKeys(c.have...))}, manifest.Options{Now: now})[0]
		got := string(change.Action)
		for _, p := range change.AddPublicKeys {
			parsed, _ := apikey.ParsePublicKey(p.JWK, "")
			got += " +" + parsed.KID
		}
		for _, kid := range change.RemovePublicKeys {
			got += " -" + kid
		}
		if change.Problem != "" {
			got += " " + change.Problem
		}
		if got != c.want && !(change.Problem != "" && strings.HasPrefix(got, c.want)) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// Only keys that apply made are pruned, of owners and environments in the
// documents, and none that a document may be about.
func TestPrune(t *testing.T) {
	keys := []apikey.Key{
		key("k1", ours), key("k2", ours, named("gone")), key("k3", named("by hand")), key("k4", ours, named("revoked"), revoked),
		key("k5", ours, func(k *apikey.Key) { k.Owner = "other" }), key("k6", ours, func(k *apikey.Key) { k.Environment = apikey.Test }),
		key("k7", ours, named("rotated"), replacedBy("k8")), key("k8", ours, named("rotated"), after("k7")),
		key("k9", ours, named("grace"), replacedBy("k10")), key("k10", ours, named("grace"), after("k9")),
		key("k11", ours, named("over"), replacedBy("k12"), func(k *apikey.Key) { k.EndsAt = new(now) }), key("k12", named("over"), after("k11")),
		key("k13", ours, named("two")), key("k14", ours, named("two")),
		key("k15", ours, named("bad")),
		key("k17", ours, named("odd"), replacedBy("k18")), key("k18", ours, named("odd"), after("k17"), revoked),
		key("k16", ours, named("elsewhere"), func(k *apikey.Key) { k.Labels = map[string]string{"managed-by": "terraform"} }),
	}
	text := doc() + "---\nname: rotated\nowner: o\nscopes: [s]\n---\nname: two\nowner: o\nscopes: [s]\n---\nname: bad\nowner: o\nscopes: [s]\nauth_method: private_key_jwt\npublic_keys: [{file: pub.pem}]\n" +
		"---\nid: k17\nname: odd\nowner: o\nscopes: [s]\n"
	var got []string
	for _, c := range manifest.Plan(parse(t, text), keys, manifest.Options{Prune: true, Now: now}) {
		if c.Action == manifest.Revoke {
			got = append(got, c.Key.ID)
		}
	}
	if diff := cmp.Diff([]string{"k2", "k10", "k9"}, got); diff != "" {
		t.Errorf("pruned (-want +got):\n%s", diff)
	}
	for _, c := range manifest.Plan(parse(t, text), keys, manifest.Options{Now: now}) {
		if c.Action == manifest.Revoke {
			t.Errorf("%s is revoked unasked", c.Key.ID)
		}
	}
}

// The Idempotency-Key of a create is the same when it is planned again, also once
// the key is there, and another for another text, another file, and after the key
// of that name was revoked.
func TestPlanIdempotencyKey(t *testing.T) {
	of := func(file, text string, keys ...apikey.Key) string {
		docs, err := manifest.Parse([]manifest.Source{source(file, text)}, now)
		if err != nil {
			t.Fatal(err)
		}
		return manifest.Plan(docs, keys, manifest.Options{Now: now})[0].Params.IdempotencyKey
	}
	first := of("x/F", doc())
	if len(first) < 16 || len(first) > 255 {
		t.Errorf("%d characters", len(first))
	}
	for what, same := range map[string]string{
		"again": of("x/F", doc()), "in another folder": of("y/F", doc()), "lower in the file": of("x/F", "\n\n"+doc()),
		"made": of("x/F", doc(), key("k1", ours)), "made and rotated": of("x/F", doc(), key("k1", replacedBy("k2")), key("k2", after("k1"))),
		"beside others": of("x/F", doc(), key("k2", named("b"))),
	} {
		if same != first {
			t.Errorf("%s: another key", what)
		}
	}
	for what, other := range map[string]string{
		"another text": of("x/F", doc("description: x")), "another file": of("x/G", doc()), "after a revoke": of("x/F", doc(), key("k1", revoked)),
		"after two": of("x/F", doc(), key("k1", revoked), key("k2", revoked)),
	} {
		if other == first {
			t.Errorf("%s: the same key", what)
		}
		if what == "after two" && other == of("x/F", doc(), key("k1", revoked)) {
			t.Errorf("%s: the same key as after one", what)
		}
	}
}

// What Write writes changes nothing, whatever a key has.
func TestWrite(t *testing.T) {
	one := parse(t, doc("auth_method: private_key_jwt", "public_keys: [{file: pub.pem}, {file: pub.jwk}]"))[0].PublicKeys
	one[1].ExpiresAt = new(now.Add(time.Hour))
	ended := one[0]
	ended.KID, ended.ExpiresAt = "ended", new(now.Add(-time.Hour))
	keys := []apikey.Key{
		key("k1", ours), key("k2", paused), key("k3", revoked), key("k4", replacedBy("k5")), key("k5", after("k4")), key("k6", management),
		key("k7", paused, func(k *apikey.Key) { k.DisabledUntil = new(now.Add(time.Hour)) }),
		key("k8", paused, func(k *apikey.Key) { k.DisabledWithOwner = true }),
		key("k9", withKeys(append(one, ended)...)), key("k10", withKeys(ended)),
		key("k11", func(k *apikey.Key) { k.ExpiresAt = new(now.Add(-time.Hour)) }),
		key("k12", named("yes"), func(k *apikey.Key) { k.Owner, k.Environment = "12", apikey.Test }),
		key("k13", named("2027-01-01"), func(k *apikey.Key) {
			k.Description, k.Labels = "# not a comment\n  indented: [\n\n\"quoted\" 'twice'\ttab", map[string]string{"a": "", "b": "null", "c": "~", "d": "{x}", "n": "1_000"}
			k.Audiences, k.Scopes = []string{"https://a.example.com/x:y"}, []string{"!tag", "#x", "&a", "-", "0x1", "?", "@x", "no", "null", "~"}
			k.Token, k.ExpiresAt = apikey.TokenSettings{Format: apikey.JWT, Lifetime: apikey.Duration(61 * time.Second)}, new(now.Add(time.Hour))
		}),
		key("k14", named("ünï · 漢字 🦀\u00a0x")),
	}
	keys[12].Description = strings.ReplaceAll(keys[12].Description, "\t", " ") // no key has one
	var out bytes.Buffer
	n, err := manifest.Write(&out, keys, now)
	if err != nil || n != 11 {
		t.Fatalf("%d keys written, %v", n, err)
	}
	docs := parse(t, out.String())
	for _, c := range manifest.Plan(docs, keys, manifest.Options{Prune: true, Now: now}) {
		if c.Action != manifest.Unchanged {
			t.Errorf("%s\n%s", told([]manifest.Change{c}), out.String())
		}
	}
	var again bytes.Buffer
	slices.Reverse(keys)
	if _, err := manifest.Write(&again, keys, now); err != nil || again.String() != out.String() {
		t.Errorf("the order is not stable: %v", err)
	}
	if got := strings.Count(out.String(), "status: disabled"); got != 1 {
		t.Errorf("%d keys are written as disabled, want the one that is so without end\n%s", got, out.String())
	}
}
