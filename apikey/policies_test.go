package apikey

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// violated are what policies refuse in an error, as "pointer rule limit".
func violated(err error) []string {
	invalid, ok := errors.AsType[*InvalidError](err)
	if !ok {
		return nil
	}
	var out []string
	for _, f := range invalid.Fields {
		if f.Code == "policy" && f.Detail != "" && f.Fix != "" {
			out = append(out, f.Pointer+" "+f.Rule+" "+f.Limit)
		} else {
			out = append(out, fmt.Sprintf("%+v", f))
		}
	}
	return out
}

// strict has every rule.
func strict() Policies {
	return Policies{
		Scopes: []ScopeInfo{{Name: "orders:read"}, {Name: "orders:write"}, {Name: "users:read"}},
		Live: Policy{MaxLifetime: new(Duration(90 * 24 * time.Hour)), DefaultLifetime: new(Duration(30 * 24 * time.Hour)),
			AuthMethods: []AuthMethod{PrivateKeyJWT, ClientSecretPost}, Scopes: []string{"orders:read", "orders:write"},
			Audiences: []string{"https://api.example.com"}, MaxGracePeriod: new(Duration(time.Hour)),
			Token: TokenPolicy{MaxLifetime: new(Duration(5 * time.Minute)), Formats: []TokenFormat{JWT}}, MaxKeys: new(2)},
	}
}

var writer = Caller{Principal: "key:x", Rights: []Right{KeysWrite, Admin}}

const (
	day    = 24 * time.Hour
	theAPI = "https://api.example.com"
)

// Each rule is exact at its edge when a key is made, and says itself, its limit
// and the fix.
func TestPolicyOnCreate(t *testing.T) {
	life := func(d time.Duration) *TokenParams { return &TokenParams{Lifetime: new(Duration(d))} }
	for _, c := range []struct {
		name string
		edit func(*CreateParams)
		want []string
	}{
		{"all defaults", func(*CreateParams) {}, nil},
		{"ends at the last moment", func(p *CreateParams) { p.ExpiresAt = SetTo(noon.Add(90 * day)) }, nil},
		{"a second later", func(p *CreateParams) { p.ExpiresAt = SetTo(noon.Add(90*day + time.Second)) }, []string{"#/expires_at max_lifetime 90d"}},
		{"never", func(p *CreateParams) { p.ExpiresAt = Null[time.Time]() }, []string{"#/expires_at never_expires false"}},
		{"an allowed method", func(p *CreateParams) { p.AuthMethod = ClientSecretPost }, nil},
		{"another method", func(p *CreateParams) { p.AuthMethod = ClientSecretBasic }, []string{"#/auth_method auth_methods private_key_jwt, client_secret_post"}},
		{"allowed scopes", func(p *CreateParams) { p.Scopes = []string{"orders:write", "orders:read"} }, nil},
		{"scopes of the catalogue that are not allowed, and others", func(p *CreateParams) { p.Scopes = []string{"orders:read", "users:read", "orders:rea", "ORDERS:READ"} },
			[]string{"#/scopes/1 scopes orders:read, orders:write", "#/scopes/2 scopes orders:read, orders:write", "#/scopes/3 scopes orders:read, orders:write"}},
		{"the allowed audience", func(p *CreateParams) { p.Audiences = []string{theAPI} }, nil},
		{"audiences below and beside it", func(p *CreateParams) { p.Audiences = []string{theAPI + "/", theAPI, "https://api.example.org"} },
			[]string{"#/audiences/0 audiences " + theAPI, "#/audiences/2 audiences " + theAPI}},
		{"the longest token", func(p *CreateParams) { p.Token = life(5 * time.Minute) }, nil},
		{"a second longer", func(p *CreateParams) { p.Token = life(5*time.Minute + time.Second) }, []string{"#/token/lifetime token.max_lifetime 5m"}},
		{"another format", func(p *CreateParams) { p.Token = &TokenParams{Format: Opaque} }, []string{"#/token/format token.formats jwt"}},
		{"everything", func(p *CreateParams) {
			p.ExpiresAt, p.AuthMethod, p.Scopes, p.Audiences = Null[time.Time](), ClientSecretBasic, []string{"x"}, []string{"https://x.example"}
			p.Token = &TokenParams{Format: Opaque, Lifetime: new(Duration(time.Hour))}
		}, []string{"#/scopes/0 scopes orders:read, orders:write", "#/audiences/0 audiences " + theAPI, "#/auth_method auth_methods private_key_jwt, client_secret_post",
			"#/token/format token.formats jwt", "#/token/lifetime token.max_lifetime 5m", "#/expires_at never_expires false"}},
		{"in the other environment the catalogue alone", func(p *CreateParams) {
			p.Environment, p.AuthMethod, p.ExpiresAt, p.Scopes = Test, ClientSecretBasic, Null[time.Time](), []string{"users:read", "x"}
		}, []string{"#/scopes/1 scopes orders:read, orders:write, users:read"}},
	} {
		p := CreateParams{Name: "n", Owner: "acme", AuthMethod: ClientSecretPost, Scopes: []string{"orders:read"}}
		c.edit(&p)
		_, err := define(p, writer, noon, strict())
		if diff := gocmp.Diff(c.want, violated(err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// What a create leaves out follows the policy.
func TestPolicyDefaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules Policy
		want  []any // method, format, lifetime of tokens, days to the end (0: never)
	}{
		{"no rules", Policy{}, []any{ClientSecretBasic, Opaque, "15m", 0}},
		{"default lifetime", Policy{DefaultLifetime: new(Duration(7 * day))}, []any{ClientSecretBasic, Opaque, "15m", 7}},
		{"longest lifetime", Policy{MaxLifetime: new(Duration(90 * day))}, []any{ClientSecretBasic, Opaque, "15m", 90}},
		{"both", Policy{MaxLifetime: new(Duration(90 * day)), DefaultLifetime: new(Duration(7 * day))}, []any{ClientSecretBasic, Opaque, "15m", 7}},
		{"may live for ever", Policy{MaxLifetime: new(Duration(90 * day)), NeverExpires: new(true)}, []any{ClientSecretBasic, Opaque, "15m", 0}},
		{"the usual comes first", Policy{AuthMethods: []AuthMethod{ClientSecretPost, ClientSecretBasic}, Token: TokenPolicy{Formats: []TokenFormat{JWT, Opaque}}}, []any{ClientSecretBasic, Opaque, "15m", 0}},
		{"the first that is allowed", Policy{AuthMethods: []AuthMethod{ClientSecretPost, PrivateKeyJWT}, Token: TokenPolicy{Formats: []TokenFormat{JWT}}}, []any{ClientSecretPost, JWT, "15m", 0}},
		{"longer tokens", Policy{Token: TokenPolicy{MaxLifetime: new(Duration(time.Hour))}}, []any{ClientSecretBasic, Opaque, "15m", 0}},
		{"shorter tokens", Policy{Token: TokenPolicy{MaxLifetime: new(Duration(time.Minute))}}, []any{ClientSecretBasic, Opaque, "1m", 0}},
	} {
		d, err := define(CreateParams{Name: "n", Owner: "o", Scopes: []string{"a"}}, writer, noon, Policies{Live: c.rules})
		days := 0
		if d.ExpiresAt != nil {
			days = int(d.ExpiresAt.Sub(noon) / day)
		}
		if diff := gocmp.Diff(c.want, []any{d.AuthMethod, d.Token.Format, d.Token.Lifetime.String(), days}); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
		}
	}
	_, err := define(CreateParams{Name: "n", Owner: "o", Scopes: []string{"a"}}, writer, noon, Policies{Live: Policy{NeverExpires: new(false)}})
	if diff := gocmp.Diff([]string{"#/expires_at never_expires false"}, violated(err)); diff != "" {
		t.Errorf("no end, no default (-want +got):\n%s", diff)
	}
}

// An owner's rules stand in the place of the environment's, member by member,
// in that environment alone; nobody else is touched.
func TestPolicyOfAnOwner(t *testing.T) {
	p := strict()
	p.Owners = map[string]OwnerPolicy{
		"acme":  {Live: Policy{MaxLifetime: new(Duration(365 * day)), Audiences: []string{}, MaxKeys: new(50), Token: TokenPolicy{Formats: []TokenFormat{Opaque}}}},
		"blank": {},
	}
	got := p.For("acme", Live)
	want := p.For("other", Live)
	want.MaxLifetime, want.Audiences, want.MaxKeys, want.Token.Formats = new(Duration(365*day)), []string{}, new(50), []TokenFormat{Opaque}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("acme (-want +got):\n%s", diff)
	}
	for owner, env := range map[string]Environment{"acme": Test, "blank": Live, "": Live} {
		if diff := gocmp.Diff(p.For("other", env), p.For(owner, env)); diff != "" {
			t.Errorf("%q in %s (-others +got):\n%s", owner, env, diff)
		}
	}
	zero := Policies{}.For("acme", Live)
	if zero.MaxLifetime != nil || zero.DefaultLifetime != nil || zero.Scopes != nil || zero.Audiences != nil || zero.MaxKeys != nil ||
		!*zero.NeverExpires || zero.MaxGracePeriod.String() != "30d" || zero.Token.MaxLifetime.String() != "24h" || len(zero.AuthMethods) != 3 || len(zero.Token.Formats) != 2 {
		t.Errorf("no rules are %+v", zero)
	}
	got.AuthMethods[0], got.Scopes[0] = "x", "x" // what is answered is the caller's own
	if diff := gocmp.Diff(want.AuthMethods, p.For("acme", Live).AuthMethods); diff != "" || p.Live.Scopes[0] != "orders:read" {
		t.Errorf("the rules were changed through an answer: %s", diff)
	}
}

// Management keys are not ruled.
func TestPolicyOfManagementKeys(t *testing.T) {
	p := CreateParams{Name: "n", Kind: KindManagement, Scopes: []string{"keys:read"}, ExpiresAt: Null[time.Time]()}
	if d, err := define(p, writer, noon, strict()); err != nil || d.AuthMethod != ClientSecretBasic || d.ExpiresAt != nil {
		t.Errorf("%+v, %v", d, err)
	}
}

// legacy breaks every rule of strict.
func legacy() Definition {
	return Definition{ID: "k", Kind: KindAPI, Name: "n", Owner: "acme", Environment: Live, AuthMethod: ClientSecretBasic, Scopes: []string{"a", "b"},
		Audiences: []string{"https://x.example", "https://y.example"}, Token: TokenSettings{Opaque, Duration(time.Hour)},
		Secret: &SecretInfo{CreatedAt: noon.Add(-100 * day)}, CreatedAt: noon.Add(-100 * day), Revision: 1}
}

// Of a patch only what it changes is asked about, exactly at the edge: a key
// that breaks every rule may be renamed, narrowed and left as it is.
func TestPolicyOnPatch(t *testing.T) {
	life := func(d time.Duration) *TokenParams { return &TokenParams{Lifetime: new(Duration(d))} }
	young := func(d *Definition) { d.Secret.CreatedAt = noon.Add(-80 * day) }
	endsIn := func(in time.Duration) func(*Definition) {
		return func(d *Definition) { at := noon.Add(in); d.ExpiresAt = &at; young(d) }
	}
	for _, c := range []struct {
		name  string
		edit  func(*Definition)
		patch UpdateParams
		want  []string
	}{
		{"rename", nil, UpdateParams{Name: new("m"), Description: new("d"), Labels: map[string]*string{"a": new("b")}}, nil},
		{"all as it is", nil, UpdateParams{Scopes: &[]string{"b", "a"}, Audiences: &[]string{"https://y.example", "https://x.example"}, AuthMethod: new(ClientSecretBasic),
			Token: &TokenParams{Format: Opaque, Lifetime: new(Duration(time.Hour))}, ExpiresAt: Null[time.Time]()}, nil},
		{"narrower", nil, UpdateParams{Scopes: &[]string{"b"}, Audiences: &[]string{}, Token: life(50 * time.Minute)}, nil},
		{"to what is allowed", nil, UpdateParams{Scopes: &[]string{"orders:read", "b"}, Audiences: &[]string{theAPI}, AuthMethod: new(ClientSecretPost),
			Token: &TokenParams{Format: JWT, Lifetime: new(Duration(5 * time.Minute))}}, nil},
		{"another scope", nil, UpdateParams{Scopes: &[]string{"a", "users:read"}}, []string{"#/scopes/1 scopes orders:read, orders:write"}},
		{"another audience", nil, UpdateParams{Audiences: &[]string{"https://z.example"}}, []string{"#/audiences/0 audiences " + theAPI}},
		{"longer tokens", nil, UpdateParams{Token: life(time.Hour + time.Second)}, []string{"#/token/lifetime token.max_lifetime 5m"}},
		{"another format", func(d *Definition) { d.Token.Format = JWT }, UpdateParams{Token: &TokenParams{Format: Opaque}}, []string{"#/token/format token.formats jwt"}},
		{"another method", func(d *Definition) { d.AuthMethod = ClientSecretPost }, UpdateParams{AuthMethod: new(ClientSecretBasic)}, []string{"#/auth_method auth_methods private_key_jwt, client_secret_post"}},
		{"an end for what had none", nil, UpdateParams{ExpiresAt: SetTo(noon.Add(1000 * day))}, nil},
		{"sooner", endsIn(1000 * day), UpdateParams{ExpiresAt: SetTo(noon.Add(999 * day))}, nil},
		{"the same end", endsIn(1000 * day), UpdateParams{ExpiresAt: SetTo(noon.Add(1000 * day))}, nil},
		{"later than too late", endsIn(1000 * day), UpdateParams{ExpiresAt: SetTo(noon.Add(1000*day + time.Second))}, []string{"#/expires_at max_lifetime 90d"}},
		{"no end any more", endsIn(5 * day), UpdateParams{ExpiresAt: Null[time.Time]()}, []string{"#/expires_at never_expires false"}},
		{"later, at the last moment", endsIn(5 * day), UpdateParams{ExpiresAt: SetTo(noon.Add(10 * day))}, nil},
		{"a second later", endsIn(5 * day), UpdateParams{ExpiresAt: SetTo(noon.Add(10*day + time.Second))}, []string{"#/expires_at max_lifetime 90d"}},
		{"to an owner with other rules", nil, UpdateParams{Owner: new("other")}, nil},
	} {
		d := legacy()
		if c.edit != nil {
			c.edit(&d)
		}
		_, err := patched(d, c.patch, writer, noon, strict())
		if diff := gocmp.Diff(c.want, violated(err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// A lifetime is counted from the making of each credential that a later end lets
// live longer: of public keys from the oldest one that has no earlier end of its
// own. The fix is one that works.
func TestPolicyCountsFromTheCredential(t *testing.T) {
	public := func(made time.Duration, end time.Duration) PublicKey {
		p := PublicKey{CreatedAt: noon.Add(made)}
		if end != 0 {
			at := noon.Add(end)
			p.ExpiresAt = &at
		}
		return p
	}
	for _, c := range []struct {
		name   string
		keys   []PublicKey
		latest time.Duration // from noon
		fix    string
	}{
		{"one", []PublicKey{public(-80*day, 0)}, 10 * day, "at most 2026-12-03T12:00:00Z, or rotate the key first, then set expires_at"},
		{"the older counts", []PublicKey{public(-80*day, 0), public(-day, 0)}, 10 * day, "at most 2026-12-03T12:00:00Z, or rotate the key first, then set expires_at"},
		{"the older ends before", []PublicKey{public(-80*day, 2*day), public(-day, 0)}, 89 * day, "at most 2027-02-20T12:00:00Z, or rotate the key first, then set expires_at"},
		{"the older has ended", []PublicKey{public(-200*day, -day), public(0, 0)}, 90 * day, "at most 2027-02-21T12:00:00Z, or rotate the key first, then set expires_at"},
		{"too old for any later end", []PublicKey{public(-100*day, 0)}, 5 * day, "rotate the key first, then set expires_at"},
	} {
		end := noon.Add(5 * day)
		d := legacy()
		d.AuthMethod, d.Secret, d.PublicKeys, d.ExpiresAt = PrivateKeyJWT, nil, c.keys, &end
		_, err := patched(d, UpdateParams{ExpiresAt: SetTo(noon.Add(c.latest))}, writer, noon, strict())
		if err != nil {
			t.Errorf("%s: at the last moment: %v", c.name, err)
		}
		_, err = patched(d, UpdateParams{ExpiresAt: SetTo(noon.Add(c.latest + time.Second))}, writer, noon, strict())
		invalid, _ := errors.AsType[*InvalidError](err)
		if !slices.Equal(violated(err), []string{"#/expires_at max_lifetime 90d"}) || invalid.Fields[0].Fix != c.fix {
			t.Errorf("%s: a second later: %v, fix %+v, want %s", c.name, err, cmp.Or(invalid, &InvalidError{}).Fields, c.fix)
		}
	}
}

// A grace period is at most what the policy allows.
func TestPolicyOfGracePeriods(t *testing.T) {
	for d, want := range map[time.Duration][]string{0: nil, time.Hour: nil, time.Hour + time.Second: {"#/grace_period max_grace_period 1h"}} {
		v := &validation{}
		strict().For("acme", Live).checkGracePeriod(v, "#/grace_period", Duration(d))
		if diff := gocmp.Diff(want, violated(v.err())); diff != "" {
			t.Errorf("%v (-want +got):\n%s", d, diff)
		}
	}
}

// A long list is not shown whole.
func TestPolicyLimitIsShort(t *testing.T) {
	var many []string
	for i := range 25 {
		many = append(many, fmt.Sprint("s", i))
	}
	if got, want := listed(many), "s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15, s16, s17, s18, s19 and 5 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
