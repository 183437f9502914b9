package apikey_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tokenos/tokenos/apikey"
)

// in is a moment so many seconds after noon.
func in(seconds int) *time.Time {
	t := noon.Add(time.Duration(seconds) * time.Second)
	return &t
}

// The status follows from the facts and the clock, to the second: revoked comes
// before disabled, before expired, before active.
func TestStatusAt(t *testing.T) {
	for _, c := range []struct {
		name string
		d    apikey.Definition
		want map[int]apikey.Status // by seconds after noon
	}{
		{"no facts", apikey.Definition{}, map[int]apikey.Status{0: apikey.StatusActive, 1e9: apikey.StatusActive}},
		{"expires", apikey.Definition{ExpiresAt: in(10)},
			map[int]apikey.Status{0: apikey.StatusActive, 9: apikey.StatusActive, 10: apikey.StatusExpired, 11: apikey.StatusExpired}},
		{"replaced", apikey.Definition{EndsAt: in(10)},
			map[int]apikey.Status{9: apikey.StatusActive, 10: apikey.StatusExpired}},
		{"the earlier end counts", apikey.Definition{ExpiresAt: in(20), EndsAt: in(10)},
			map[int]apikey.Status{9: apikey.StatusActive, 10: apikey.StatusExpired, 20: apikey.StatusExpired}},
		{"disabled", apikey.Definition{DisabledAt: in(0)},
			map[int]apikey.Status{0: apikey.StatusDisabled, 1e9: apikey.StatusDisabled}},
		{"disabled for a time", apikey.Definition{DisabledAt: in(0), DisabledUntil: in(10)},
			map[int]apikey.Status{0: apikey.StatusDisabled, 9: apikey.StatusDisabled, 10: apikey.StatusActive, 11: apikey.StatusActive}},
		{"expires while disabled", apikey.Definition{DisabledAt: in(0), DisabledUntil: in(20), ExpiresAt: in(10)},
			map[int]apikey.Status{9: apikey.StatusDisabled, 10: apikey.StatusDisabled, 19: apikey.StatusDisabled, 20: apikey.StatusExpired}},
		{"disabled for good and expired", apikey.Definition{DisabledAt: in(0), ExpiresAt: in(1)},
			map[int]apikey.Status{0: apikey.StatusDisabled, 2: apikey.StatusDisabled}},
		{"revoked", apikey.Definition{RevokedAt: in(0)},
			map[int]apikey.Status{0: apikey.StatusRevoked, 1e9: apikey.StatusRevoked}},
		{"revoked, disabled and expired", apikey.Definition{RevokedAt: in(5), DisabledAt: in(0), ExpiresAt: in(1), EndsAt: in(1)},
			map[int]apikey.Status{6: apikey.StatusRevoked}},
		{"an end of a pause without a pause", apikey.Definition{DisabledUntil: in(10)},
			map[int]apikey.Status{0: apikey.StatusActive}},
	} {
		for seconds, want := range c.want {
			if got := c.d.StatusAt(*in(seconds)); got != want {
				t.Errorf("%s: %s at %d s, want %s", c.name, got, seconds, want)
			}
			if got := c.d.StatusAt(in(seconds).In(time.FixedZone("west", -7*3600))); got != want {
				t.Errorf("%s: %s at %d s in another zone, want %s", c.name, got, seconds, want)
			}
		}
		for seconds := range c.want {
			withSecret := c.d
			withSecret.AuthMethod = apikey.ClientSecretPost
			if open := withSecret.OpenAt(*in(seconds)); open != (c.want[seconds] == apikey.StatusActive) {
				t.Errorf("%s: open is %v at %d s", c.name, open, seconds)
			}
		}
	}
}

// A key with public keys is open while one of them lives; each ends to the
// second.
func TestOpenAtFollowsPublicKeys(t *testing.T) {
	public := func(kid string, end *time.Time) apikey.PublicKey { return apikey.PublicKey{KID: kid, ExpiresAt: end} }
	d := apikey.Definition{AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKey{public("a", in(10)), public("b", in(20)), public("c", in(5))}}
	for seconds, want := range map[int][]string{0: {"a", "b", "c"}, 4: {"a", "b", "c"}, 5: {"a", "b"}, 9: {"a", "b"}, 10: {"b"}, 19: {"b"}, 20: nil, 21: nil} {
		var live []string
		for _, p := range d.LivePublicKeys(*in(seconds)) {
			live = append(live, p.KID)
		}
		if !slices.Equal(live, want) {
			t.Errorf("%v live at %d s, want %v", live, seconds, want)
		}
		if open := d.OpenAt(*in(seconds)); open != (len(want) > 0) {
			t.Errorf("open is %v at %d s", open, seconds)
		}
	}
	if len(d.PublicKeys) != 3 || d.PublicKeys[2].KID != "c" {
		t.Error("asking for the live ones has changed the definition")
	}
	d.PublicKeys = append(d.PublicKeys, public("d", nil))
	if !d.OpenAt(*in(1e9)) {
		t.Error("a public key without an end does not live for ever")
	}
	if d.ExpiresAt = in(1); d.OpenAt(*in(1)) {
		t.Error("an expired key is open because of its public keys")
	}
	if (apikey.Definition{AuthMethod: apikey.PrivateKeyJWT}).OpenAt(noon) {
		t.Error("a key without any credential is open")
	}
}

const month = 30 * 24 * 3600

// The flags tell what stands beside the status.
func TestFlags(t *testing.T) {
	secret := apikey.Definition{AuthMethod: apikey.ClientSecretBasic}
	public := apikey.Definition{AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKey{{ExpiresAt: in(10)}}}
	ending := func(d apikey.Definition, expires, ends *time.Time) apikey.Definition {
		d.ExpiresAt, d.EndsAt = expires, ends
		return d
	}
	revoked := func(d apikey.Definition) apikey.Definition {
		d.RevokedAt = in(0)
		return d
	}
	pending := []apikey.PendingChange{{Op: "op", Action: apikey.ActionUpdate, State: apikey.ChangeBegun}}
	for _, c := range []struct {
		name string
		r    apikey.Record
		at   int
		want []apikey.Flag
	}{
		{"none", apikey.Record{Definition: secret}, 0, nil},
		{"a month and a second left", apikey.Record{Definition: ending(secret, in(month+1), nil)}, 0, nil},
		{"a month left", apikey.Record{Definition: ending(secret, in(month), nil)}, 0, []apikey.Flag{apikey.FlagExpiring}},
		{"a second left", apikey.Record{Definition: ending(secret, in(1), nil)}, 0, []apikey.Flag{apikey.FlagExpiring}},
		{"expired", apikey.Record{Definition: ending(secret, in(1), nil)}, 1, nil},
		{"replaced, a day left", apikey.Record{Definition: ending(secret, nil, in(86400))}, 0, []apikey.Flag{apikey.FlagExpiring}},
		{"revoked before its end", apikey.Record{Definition: revoked(ending(secret, in(1), nil))}, 0, nil},
		{"changing", apikey.Record{Definition: secret, Pending: pending}, 0, []apikey.Flag{apikey.FlagChanging}},
		{"unconfirmed", apikey.Record{Definition: secret, Upkeep: apikey.Upkeep{ConfirmAt: *in(30)}}, 0, []apikey.Flag{apikey.FlagUnconfirmed}},
		{"public key lives", apikey.Record{Definition: public}, 9, nil},
		{"public key has ended", apikey.Record{Definition: public}, 10, []apikey.Flag{apikey.FlagNoCredential}},
		{"public key has ended, revoked", apikey.Record{Definition: revoked(public)}, 10, nil},
		{"drifted", apikey.Record{Definition: secret, Upkeep: apikey.Upkeep{Drifted: true}}, 0, []apikey.Flag{apikey.FlagDrifted}},
		{"drifted, revoked", apikey.Record{Definition: revoked(secret), Upkeep: apikey.Upkeep{Drifted: true}}, 0, nil},
		{"everything", apikey.Record{Definition: ending(public, in(100), nil), Pending: pending, Upkeep: apikey.Upkeep{Drifted: true, ConfirmAt: *in(30)}}, 10,
			[]apikey.Flag{apikey.FlagExpiring, apikey.FlagChanging, apikey.FlagUnconfirmed, apikey.FlagNoCredential, apikey.FlagDrifted}},
	} {
		k := c.r.Key(*in(c.at))
		if diff := cmp.Diff(c.want, k.Flags, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if k.Status != c.r.StatusAt(*in(c.at)) {
			t.Errorf("%s: status %s", c.name, k.Status)
		}
		if k.Flags == nil || k.Labels == nil || k.PublicKeys == nil || k.Audiences == nil {
			t.Errorf("%s: a list or map would be null in JSON", c.name)
		}
	}
}

// Only an accepted disable or revoke counts before Hydra has it.
func TestNarrowedBy(t *testing.T) {
	for _, a := range []apikey.Action{
		apikey.ActionCreate, apikey.ActionUpdate, apikey.ActionDisable, apikey.ActionEnable, apikey.ActionRevoke, apikey.ActionDelete, apikey.ActionExpire,
		apikey.ActionRevokeTokens, apikey.ActionAddPublicKey, apikey.ActionRemovePublicKey, apikey.ActionExpirePublicKey, apikey.ActionConverge,
	} {
		r := apikey.Record{Pending: []apikey.PendingChange{{Action: apikey.ActionUpdate}, {Action: a}}}
		got, narrowed := r.NarrowedBy()
		if want := a == apikey.ActionDisable || a == apikey.ActionRevoke; narrowed != want || want && got != a {
			t.Errorf("%s: narrowed by %q, %v", a, got, narrowed)
		}
	}
	if a, narrowed := (apikey.Record{}).NarrowedBy(); narrowed || a != "" {
		t.Error("a record at rest is narrowed")
	}
}
