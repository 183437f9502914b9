package apikey

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

const (
	firstSecret  = "the first server secret, 32 bytes and more"
	secondSecret = "the second server secret, 32 bytes and more"
)

// lister is a service that can do what needs no ledger: read cursors.
func lister(t testing.TB, secrets ...string) *Service {
	t.Helper()
	var list []Secret
	for _, s := range secrets {
		list = append(list, NewSecret(s))
	}
	derive, err := newDeriver(list)
	if err != nil {
		t.Fatal(err)
	}
	return &Service{derive: derive, cfg: Config{Now: func() time.Time { return noon }}}
}

var (
	everyone = Caller{Rights: []Right{Admin}}
	here     = Position{Number: noon.Unix(), ID: "key_live_01k9x2zzzzzzzzzzzzzzzzzzzz"}
)

// cursorFor is the cursor that a list with these parameters gives out.
func (s *Service) cursorFor(p ListParams, c Caller) string {
	return s.derive.cursor(here, cursorBinding(p, c))
}

// takes reports whether the service takes the cursor for the list, and fails
// the test when it takes it for another place.
func takes(t *testing.T, s *Service, p ListParams, c Caller, cursor string) bool {
	t.Helper()
	p.Cursor = cursor
	q, err := s.query(p, c)
	if err == nil {
		if q.After == nil || *q.After != here {
			t.Errorf("the cursor is read as %+v", q.After)
		}
		return true
	}
	var invalid *InvalidError
	if !errors.As(err, &invalid) || len(invalid.Fields) != 1 || invalid.Fields[0].Pointer != "?cursor" || invalid.Fields[0].Code != "invalid" {
		t.Fatalf("the cursor is refused with %v", err)
	}
	return false
}

// A cursor is taken for the list it came from, also with another page size or a
// count, and for no other: not with other filters, another order or by a caller
// with other owners.
func TestCursorGoesWithItsList(t *testing.T) {
	s := lister(t, firstSecret)
	acme := Caller{Rights: []Right{KeysRead}, Owners: []string{"acme", "beta"}}
	p := ListParams{Q: "billing", Owner: "acme", Status: StatusActive, Sort: "-name"}
	cursor := s.cursorFor(p, acme)
	same := p
	same.Limit, same.Count = 7, true
	if !takes(t, s, p, acme, cursor) || !takes(t, s, same, acme, cursor) {
		t.Error("a cursor is refused by its own list")
	}
	at := noon.Add(time.Hour)
	for name, change := range map[string]func(*ListParams){
		"q": func(p *ListParams) { p.Q = "bill" }, "owner": func(p *ListParams) { p.Owner = "beta" }, "no owner": func(p *ListParams) { p.Owner = "" },
		"status": func(p *ListParams) { p.Status = StatusRevoked }, "environment": func(p *ListParams) { p.Environment = Test },
		"method": func(p *ListParams) { p.AuthMethod = PrivateKeyJWT }, "scope": func(p *ListParams) { p.Scope = "a" }, "label": func(p *ListParams) { p.Label = "a:b" },
		"expiry": func(p *ListParams) { p.ExpiresBefore = &at }, "root": func(p *ListParams) { p.RootID = "x" },
		"direction": func(p *ListParams) { p.Sort = "name" }, "order": func(p *ListParams) { p.Sort = "-created_at" },
	} {
		other := p
		change(&other)
		if takes(t, s, other, acme, cursor) {
			t.Errorf("a cursor is taken with another %s", name)
		}
	}
	management := p
	management.Kind = KindManagement
	if takes(t, s, management, Caller{Rights: []Right{Admin}, Owners: acme.Owners}, cursor) {
		t.Error("a cursor is taken with another kind")
	}
	for _, owners := range [][]string{nil, {"acme"}, {"beta"}, {"acme", "beta", "gamma"}, {"acme,beta"}} {
		if takes(t, s, p, Caller{Rights: []Right{KeysRead}, Owners: owners}, cursor) {
			t.Errorf("a cursor is taken from a caller with the owners %q", owners)
		}
	}
}

// Nothing but the cursor itself is taken: every change of a character, every
// cut, and everything made up is refused.
func TestCursorCannotBeForged(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/= \n\r\x00\xff"
	s := lister(t, firstSecret)
	cursor := s.cursorFor(ListParams{}, everyone)
	for i := range len(cursor) {
		for j := range len(alphabet) {
			c := alphabet[j : j+1]
			if changed := cursor[:i] + c + cursor[i+1:]; changed != cursor && takes(t, s, ListParams{}, everyone, changed) {
				t.Fatalf("taken with %q at %d", c, i)
			}
			if takes(t, s, ListParams{}, everyone, cursor[:i]+c+cursor[i:]) {
				t.Fatalf("taken with %q inserted at %d", c, i)
			}
		}
		if i > 0 && takes(t, s, ListParams{}, everyone, cursor[:i]) {
			t.Fatalf("taken when cut off after %d", i)
		}
	}
	raw := `{"Number":1,"Text":"","ID":"a"}`
	for _, made := range []string{
		"x", "eyJpZCI6MX0", base64.RawURLEncoding.EncodeToString([]byte(raw)), base64.RawURLEncoding.EncodeToString(append(make([]byte, 16), raw...)),
		cursor + "=", cursor + "\n", "\n" + cursor, cursor + cursor, strings.Repeat("A", 1<<20), base64.RawURLEncoding.EncodeToString(make([]byte, 16)),
	} {
		if takes(t, s, ListParams{}, everyone, made) {
			t.Errorf("%.40q is taken", made)
		}
	}
}

// A cursor outlives a change of the server secret while the old one is still
// named, and no longer.
func TestCursorAndServerSecrets(t *testing.T) {
	before := lister(t, firstSecret)
	cursor := before.cursorFor(ListParams{}, everyone)
	during := lister(t, secondSecret, firstSecret)
	if !takes(t, during, ListParams{}, everyone, cursor) {
		t.Error("a cursor under a retired secret is refused")
	}
	if next := during.cursorFor(ListParams{}, everyone); takes(t, before, ListParams{}, everyone, next) || !takes(t, lister(t, secondSecret), ListParams{}, everyone, next) {
		t.Error("a new cursor is not under the current secret")
	}
	if takes(t, lister(t, secondSecret), ListParams{}, everyone, cursor) {
		t.Error("a cursor under an unknown secret is taken")
	}
}

// The longest place there is fits into a cursor, and comes back as it was.
func TestCursorHoldsEveryPosition(t *testing.T) {
	d := lister(t, firstSecret).derive
	for _, p := range []Position{
		{}, {Number: NoExpiry, ID: "a"}, {Number: -1 << 62, ID: "a"},
		{Text: SortKey(strings.Repeat("<", 100)), ID: strings.Repeat("x", 128)},
		{Text: SortKey(strings.Repeat("\U0001f511", 100)), ID: strings.Repeat("~", 128)},
		{Text: `"\` + "\u00e9&>", ID: "a"},
	} {
		if got, ok := d.position(d.cursor(p, "list"), "list"); !ok || got != p {
			t.Errorf("%+v comes back as %+v, %v", p, got, ok)
		}
	}
}

// The parts of what is authenticated cannot run into each other.
func TestMacSeparatesParts(t *testing.T) {
	seen := map[string][]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"", "ab"}, {"ab", ""}, {"a", "", "b"}, {"\x00a", "b"}, {"a\x00", "b"}} {
		tag := string(mac([]byte(firstSecret), parts...))
		if other, found := seen[tag]; found {
			t.Errorf("%q and %q have one MAC", parts, other)
		}
		seen[tag] = parts
	}
}

// What cannot be asked for is refused with the name of the parameter; all at
// once.
func TestQueryRules(t *testing.T) {
	s := lister(t, firstSecret)
	long := strings.Repeat("x", 513)
	for _, c := range []struct {
		name   string
		p      ListParams
		wanted []string
	}{
		{"nothing", ListParams{}, nil},
		{"everything", ListParams{Q: "a", Owner: "o", Kind: KindManagement, Status: StatusExpired, Environment: Test, AuthMethod: PrivateKeyJWT, Scope: "s", Label: "k:v:w", RootID: "r", Sort: "expires_at", Limit: 200, Count: true}, nil},
		{"limits", ListParams{Limit: 201}, []string{"?limit out_of_range"}},
		{"negative limit", ListParams{Limit: -1}, []string{"?limit out_of_range"}},
		{"label without value", ListParams{Label: "k"}, []string{"?label invalid"}},
		{"label without name", ListParams{Label: ":v"}, []string{"?label invalid"}},
		{"words", ListParams{Kind: "k", Status: "Active", Environment: "prod", AuthMethod: "none", Sort: "owner"}, []string{"?kind invalid", "?status invalid", "?environment invalid", "?auth_method invalid", "?sort invalid"}},
		{"two signs", ListParams{Sort: "--name"}, []string{"?sort invalid"}},
		{"sign alone", ListParams{Sort: "-"}, []string{"?sort invalid"}},
		{"no words", ListParams{Q: "%_"}, []string{"?q invalid"}},
		{"long", ListParams{Q: strings.Repeat("x", 201), Owner: long, Scope: long, Label: "k:" + long, RootID: long}, []string{"?q too_long", "?owner too_long", "?scope too_long", "?label too_long", "?root_id too_long"}},
	} {
		_, err := s.query(c.p, everyone)
		v := &validation{}
		var invalid *InvalidError
		if errors.As(err, &invalid) {
			v.fields = invalid.Fields
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		want(t, c.name, v, c.wanted...)
	}
	if _, err := s.query(ListParams{Kind: KindManagement}, Caller{Rights: []Right{KeysRead}}); !errors.Is(err, ErrForbidden) {
		t.Errorf("management keys are listed without the right: %v", err)
	}
}

// The beginning of an id looks for ids, everything else for words.
func TestQueryReadsSearch(t *testing.T) {
	s := lister(t, firstSecret)
	for text, prefix := range map[string]string{
		"key_live_": "key_live_", " key_test_01k9 ": "key_test_01k9", "key_live_" + strings.Repeat("0", 26): "key_live_" + strings.Repeat("0", 26),
		"key_live_ billing": "", "key_prod_1": "", "key": "", "KEY_LIVE_1": "", "key_live_%": "",
	} {
		q, err := s.query(ListParams{Q: text}, everyone)
		if err != nil || q.IDPrefix != prefix || (prefix == "") != (len(q.Words) > 0) {
			t.Errorf("%q looks for the id %q, the words %q, %v", text, q.IDPrefix, q.Words, err)
		}
	}
	q, err := s.query(ListParams{}, Caller{Rights: []Right{KeysRead}, Owners: []string{"acme"}})
	if err != nil || q.Kind != KindAPI || q.Sort != SortCreatedAt || !q.Descending || q.Limit != 50 || !q.Now.Equal(noon) || len(q.Owners) != 1 {
		t.Errorf("the defaults of a list are %+v, %v", q, err)
	}
}
