package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/manifest"
)

func TestApply(t *testing.T) {
	t.Parallel()
	w := apikeytest.NewWorld(t, apikeytest.Options{Config: func(c *apikey.Config) {
		c.Policies.Owners = map[string]apikey.OwnerPolicy{"ruled": {Live: apikey.Policy{Scopes: []string{"s"}}}}
	}})
	for name, test := range map[string]func(*applyTest){
		"export": (*applyTest).export, "rotated": (*applyTest).rotated, "changed meanwhile": (*applyTest).changedMeanwhile,
		"lost answer": (*applyTest).lostAnswer, "not made": (*applyTest).notMade, "no place": (*applyTest).noPlace, "too late": (*applyTest).tooLate,
		"interrupted": (*applyTest).interrupted, "full of public keys": (*applyTest).fullOfPublicKeys, "policy": (*applyTest).policy,
		"pages": (*applyTest).pages, "made and gone": (*applyTest).madeAndGone,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newApplyTest(t, w))
		})
	}
}

// What export writes changes nothing when it is applied, whatever there is.
func (a *applyTest) export() {
	s, pair := a.w.Service, func() []apikey.PublicKeyInput {
		return []apikey.PublicKeyInput{{JWK: apikeytest.NewPair(a.t, "ES256").Public}}
	}
	hour := apikey.SetTo(time.Now().Add(time.Hour))
	a.make(apikey.CreateParams{Name: "yes", Owner: "ex", Description: "# a\n- b: [", Labels: map[string]string{"a": "", "n": "1", "x/y": "null"}, Environment: apikey.Test,
		AuthMethod: apikey.ClientSecretPost, Audiences: []string{"https://a.example.com", "https://b.example.com/x"}, ExpiresAt: hour,
		Token: &apikey.TokenParams{Format: apikey.JWT, Lifetime: new(apikey.Duration(61 * time.Second))}, Scopes: []string{"!x", "~", "null", "0x1"}})
	disabled := a.make(apikey.CreateParams{Name: "disabled", Owner: "ex"})
	a.must(s.Disable(a.ctx, disabled.Key.ID, apikey.DisableParams{}))
	forNow := a.make(apikey.CreateParams{Name: "for now", Owner: "ex"})
	a.must(s.Disable(a.ctx, forNow.Key.ID, apikey.DisableParams{Until: hour.Value}))
	replaced := a.make(apikey.CreateParams{Name: "rotated", Owner: "ex"})
	a.must(s.Rotate(a.ctx, replaced.Key.ID, apikey.RotateParams{}))
	revoked := a.make(apikey.CreateParams{Name: "revoked", Owner: "ex"})
	a.must(s.Revoke(a.ctx, revoked.Key.ID, apikey.RevokeParams{}))
	jwt := a.make(apikey.CreateParams{Name: "jwt", Owner: "ex", AuthMethod: apikey.PrivateKeyJWT, PublicKeys: pair()})
	a.must(s.Rotate(a.ctx, jwt.Key.ID, apikey.RotateParams{PublicKeys: pair()}))
	rsa := []apikey.PublicKeyInput{{JWK: apikeytest.NewPair(a.t, "PS256").Public, ExpiresAt: hour.Value}}
	a.make(apikey.CreateParams{Name: "rsa", Owner: "ex", AuthMethod: apikey.PrivateKeyJWT, PublicKeys: rsa})
	a.make(apikey.CreateParams{Name: "same", Owner: "ex"})
	a.make(apikey.CreateParams{Name: "same", Owner: "ex"})
	a.make(apikey.CreateParams{Name: "management", Owner: "ex", Kind: apikey.KindManagement, Scopes: []string{"keys:read"}})
	a.make(apikey.CreateParams{Name: "paused", Owner: "ex-paused"})
	op, err := s.DisableOwner(a.ctx, "ex-paused", apikey.DisableOwnerParams{})
	a.must(nil, err)
	apikeytest.Ended(a.ctx, a.t, s, op)

	for owner, n := range map[string]int{"ex": 8, "ex-paused": 1} {
		keys, err := everyKey(a.ctx, s, apikey.ListParams{Owner: owner})
		a.must(nil, err)
		var out bytes.Buffer
		written, err := manifest.Write(&out, keys, time.Now())
		if err != nil || written != n {
			a.t.Fatalf("%d documents of %s, want %d, %v", written, owner, n, err)
		}
		code, stdout, stderr := a.apply(s, out.String(), applying{prune: true, dryRun: true, exitCode: true})
		if want := fmt.Sprintf("plan: %d unchanged\n", n); code != 0 || stdout != want || stderr != "" {
			a.t.Errorf("exit code %d\n%s%s\nof\n%s", code, stdout, stderr, out.String())
		}
	}
}

// A document goes on to be about the key that came after by rotation, by name and
// by id, and a change of method is left to a rotation.
func (a *applyTest) rotated() {
	text := "name: n\nowner: ro\nscopes: [s]\n"
	a.want(a.w.Service, text, 0, "1 to create", "1 done\n")
	first := a.only("ro")
	next, err := a.w.Service.Rotate(a.ctx, first.ID, apikey.RotateParams{})
	a.must(nil, err)
	a.want(a.w.Service, text, 0, "1 unchanged", "")
	a.want(a.w.Service, "id: "+first.ID+"\nname: n\nowner: ro\nscopes: [t]\n", 0, "1 to change", "1 done\n")
	k, err := a.w.Service.Get(a.ctx, next.Key.ID)
	if a.must(nil, err); !cmp.Equal(k.Scopes, []string{"t"}) {
		a.t.Errorf("scopes %v of the successor", k.Scopes)
	}
	moved := "id: " + first.ID + "\nname: n\nowner: ro-new\nscopes: [t]\n"
	a.want(a.w.Service, moved, 0, "1 to change", "1 done\n")
	a.want(a.w.Service, moved, 0, "1 unchanged", "")
	a.want(a.w.Service, strings.Replace(moved, "ro-new", "ro", 1), 0, "1 to change", "1 done\n")
	text = strings.Replace(text, "[s]", "[t]", 1)
	a.want(a.w.Service, text+"auth_method: private_key_jwt\n", exitConflict, "1 refused", "")
	code, stdout, _ := a.apply(a.w.Service, "name: other\nowner: ro\nscopes: [s]\n", applying{prune: true})
	if code != 0 || !strings.Contains(stdout, "- ro/live n  "+first.ID) || !strings.Contains(stdout, "- ro/live n  "+next.Key.ID) {
		a.t.Errorf("exit code %d; a pruned key's predecessor is ended with it:\n%s", code, stdout)
	}
}

// Who changed a key since the plan was made is not overridden; other keys are
// changed all the same.
func (a *applyTest) changedMeanwhile() {
	text := func(scope string) string {
		return "name: one\nowner: cm\nscopes: [" + scope + "]\n---\nname: two\nowner: cm\nscopes: [" + scope + "]\n"
	}
	a.want(a.w.Service, text("s"), 0, "2 to create", "2 done\n")
	keys, err := everyKey(a.ctx, a.w.Service, apikey.ListParams{Owner: "cm", Sort: "name"})
	a.must(nil, err)
	meddle := func() func() {
		done := false
		return func() {
			if !done {
				done = true
				a.must(a.w.Service.Update(a.ctx, keys[0].ID, apikey.UpdateParams{Description: new(fmt.Sprint(time.Now()))}))
			}
		}
	}
	code, _, stderr := a.apply(meddled{API: a.w.Service, update: meddle()}, text("t"), applying{})
	if code != exitConflict || !strings.Contains(stderr, "error: F:1 cm/live one: the key has changed since") ||
		!strings.Contains(stderr, "hint: somebody changed it meanwhile: apply again") || !strings.HasSuffix(stderr, "1 done, 1 failed\n") {
		a.t.Errorf("exit code %d\n%s", code, stderr)
	}
	a.want(a.w.Service, text("t"), 0, "1 to change, 1 unchanged", "1 done, 1 unchanged\n")
	disabled := strings.Replace(text("t"), "[t]\n", "[t]\nstatus: disabled\n", 1)
	code, _, stderr = a.apply(meddled{API: a.w.Service, get: meddle()}, disabled, applying{})
	if code != exitConflict || !strings.Contains(stderr, "the key has changed since the plan was made") {
		a.t.Errorf("a pause of what was changed: exit code %d\n%s", code, stderr)
	}
	code, _, stderr = a.apply(meddled{API: a.w.Service, get: meddle()}, "name: two\nowner: cm\nscopes: [t]\n", applying{prune: true})
	if code != exitConflict || !strings.Contains(stderr, "error: cm/live one: the key has changed since the plan was made") {
		a.t.Errorf("an end of what was changed: exit code %d\n%s", code, stderr)
	}
}

// An apply whose answer was lost, or that was killed then, is repeated: no second
// key is made, and the secret is the one that Hydra knows.
func (a *applyTest) lostAnswer() {
	var first apikey.Issued
	lose := func(real func() (apikey.Issued, error)) (apikey.Issued, error) {
		var err error
		first, err = real()
		a.must(nil, err)
		return apikey.Issued{}, &apikey.Error{Kind: apikey.ErrTimeout, Pending: true}
	}
	text := "name: n\nowner: lo\nscopes: [s]\n"
	code, _, stderr := a.apply(meddled{API: a.w.Service, create: lose}, text, applying{})
	if code != exitUnavailable || !strings.Contains(stderr, "hint: apply again: nothing is done twice") {
		a.t.Errorf("exit code %d\n%s", code, stderr)
	}
	if diff := cmp.Diff([]string{"lo.n.live.env.pending"}, a.files()); diff != "" {
		a.t.Errorf("files (-want +got):\n%s", diff)
	}
	a.want(a.w.Service, text+"description: another\n", 0, "1 to change", "1 done\n") // not this document's secret
	a.must(a.w.Service.Update(a.ctx, first.Key.ID, apikey.UpdateParams{Description: new("")}))
	code, stdout, stderr := a.apply(a.w.Service, text, applying{})
	if code != 0 || !strings.HasSuffix(stdout, "plan: 1 to hand over\n") || !strings.Contains(stderr, "made before "+first.Key.ID+": lo/live n; its secret went to "+filepath.Join(a.dir, "lo.n.live.env")) {
		a.t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	written, err := os.ReadFile(filepath.Join(a.dir, "lo.n.live.env"))
	if a.must(nil, err); !strings.Contains(string(written), "TOKENOS_CLIENT_ID="+first.Key.ID+"\nTOKENOS_CLIENT_SECRET="+first.Secret.Reveal()+"\n") {
		a.t.Error("another secret was written")
	}
	if diff := cmp.Diff([]string{"lo.n.live.env"}, a.files()); diff != "" {
		a.t.Errorf("files (-want +got):\n%s", diff)
	}
	a.want(a.w.Service, text, 0, "1 unchanged", "")
	a.only("lo")
}

// A key that was not made leaves nothing behind if that is sure, and else what it
// takes to repeat it.
func (a *applyTest) notMade() {
	fail := func(err error) meddled {
		return meddled{API: a.w.Service, create: func(func() (apikey.Issued, error)) (apikey.Issued, error) { return apikey.Issued{}, err }}
	}
	text := "name: n\nowner: nm\nscopes: [s]\n"
	a.want(fail(&apikey.Error{Kind: apikey.ErrForbidden}), text, exitNotAllowed, "1 to create", "1 failed\n")
	if files := a.files(); len(files) > 0 {
		a.t.Errorf("files %q", files)
	}
	a.want(fail(&apikey.Error{Kind: apikey.ErrUnavailable}), text, exitUnavailable, "1 to create", "1 failed\n")
	a.want(a.w.Service, text, 0, "1 to create", "1 done\n")
	if diff := cmp.Diff([]string{"nm.n.live.env"}, a.files()); diff != "" {
		a.t.Errorf("files (-want +got):\n%s", diff)
	}
}

// A secret that could not be written is written by the next apply.
func (a *applyTest) noPlace() {
	path := filepath.Join(a.dir, "np.n.live.env")
	meddle := func(real func() (apikey.Issued, error)) (apikey.Issued, error) {
		a.must(nil, os.WriteFile(path, []byte("mine"), 0o600))
		return real()
	}
	text := "name: n\nowner: np\nscopes: [s]\n"
	code, _, stderr := a.apply(meddled{API: a.w.Service, create: meddle}, text, applying{})
	if code != exitFailed || !strings.Contains(stderr, "was made, but could not be written") || !strings.Contains(stderr, "apply again within a day") {
		a.t.Errorf("exit code %d\n%s", code, stderr)
	}
	if text, _ := os.ReadFile(path); string(text) != "mine" {
		a.t.Error("a file was overwritten")
	}
	a.must(nil, os.Remove(path))
	a.want(a.w.Service, text, 0, "1 to hand over", "1 done\n")
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "TOKENOS_CLIENT_ID="+a.only("np").ID) {
		a.t.Errorf("%q, %v", text, err)
	}
}

// A secret that can no longer be had again is not asked for: another key would be
// made.
func (a *applyTest) tooLate() {
	lose := func(real func() (apikey.Issued, error)) (apikey.Issued, error) {
		_, err := real()
		return apikey.Issued{}, errors.Join(err, &apikey.Error{Kind: apikey.ErrTimeout, Pending: true})
	}
	text := "name: n\nowner: tl\nscopes: [s]\n"
	a.apply(meddled{API: a.w.Service, create: lose}, text, applying{})
	a.want(aged{a.w.Service}, text, exitConflict, "1 refused", "")
	a.only("tl")
}

func (s aged) List(ctx context.Context, p apikey.ListParams) (apikey.Page[apikey.Key], error) {
	page, err := s.API.List(ctx, p)
	for i := range page.Data {
		page.Data[i].CreatedAt = page.Data[i].CreatedAt.Add(-24 * time.Hour)
	}
	return page, err
}

// Ctrl-C lets the key at hand be finished, begins no other, and says so.
func (a *applyTest) interrupted() {
	stop := func(real func() (apikey.Issued, error)) (apikey.Issued, error) {
		a.stop()
		return real()
	}
	code, _, stderr := a.apply(meddled{API: a.w.Service, create: stop}, "name: one\nowner: in\nscopes: [s]\n---\nname: two\nowner: in\nscopes: [s]\n", applying{})
	if !strings.Contains(stderr, "made key_live_") || !strings.Contains(stderr, "1 done, 1 not begun\nerror: context canceled") {
		a.t.Errorf("exit code %d\n%s", code, stderr)
	}
	if diff := cmp.Diff([]string{"in.one.live.env"}, a.files()); diff != "" {
		a.t.Errorf("files (-want +got):\n%s", diff)
	}
}

// A key with as many public keys as there may be exchanges them, and is never
// without one.
func (a *applyTest) fullOfPublicKeys() {
	document := func(from, n int, all []string) string {
		return "name: n\nowner: fu\nauth_method: private_key_jwt\nscopes: [s]\npublic_keys:\n" + strings.Join(all[from:from+n], "")
	}
	var all []string
	for range 20 {
		k := apikeytest.NewPair(a.t, "ES256").Public
		all = append(all, fmt.Sprintf("  - jwk: {kty: EC, crv: P-256, x: %q, y: %q}\n", k["x"], k["y"]))
	}
	a.want(a.w.Service, document(0, 10, all), 0, "1 to create", "1 done\n")
	a.want(a.w.Service, document(7, 10, all), 0, "1 to change", "1 done\n")
	a.want(a.w.Service, document(19, 1, all), 0, "1 to change", "1 done\n")
	a.want(a.w.Service, document(19, 1, all), 0, "1 unchanged", "")
	if files := a.files(); len(files) > 0 {
		a.t.Errorf("files %q of keys without a secret", files)
	}
}

// What the server's rules refuse of a change is told before anything is changed.
func (a *applyTest) policy() {
	text := "name: n\nowner: ruled\nscopes: [s]\n"
	a.want(a.w.Service, text, 0, "1 to create", "1 done\n")
	code, stdout, _ := a.apply(a.w.Service, strings.Replace(text, "[s]", "[s, t]", 1), applying{dryRun: true})
	if code != exitConflict || !strings.Contains(stdout, "! ruled/live n") || !strings.Contains(stdout, "scopes.1 ") {
		a.t.Errorf("exit code %d\n%s", code, stdout)
	}
	reader := *a
	reader.ctx = apikey.WithCaller(a.t.Context(), apikeytest.Caller([]apikey.Right{apikey.KeysRead}, "ruled"))
	text = strings.Replace(text, "[s]", "[s]\ndescription: x", 1)
	if code, stdout, _ := reader.apply(a.w.Service, text, applying{dryRun: true, exitCode: true}); code != exitFailed || !strings.HasSuffix(stdout, "plan: 1 to change\n") {
		a.t.Errorf("who may only read: exit code %d\n%s", code, stdout)
	}
	if code, _, _ := reader.apply(a.w.Service, text, applying{}); code != exitConflict {
		a.t.Errorf("who may only read, and applies: exit code %d", code)
	}
	code, _, stderr := a.apply(a.w.Service, "name: new\nowner: ruled\nscopes: [t]\n", applying{})
	if code != exitUsage || !strings.Contains(stderr, "error: F:1 ruled/live new: scopes.0 ") {
		a.t.Errorf("exit code %d\n%s", code, stderr)
	}
}

// A document makes its key again if the one before was renamed, deleted or
// revoked, also within the day in which the first answer could be repeated.
func (a *applyTest) madeAndGone() {
	text, seen := "name: n\nowner: mg\nscopes: [s]\n", map[string]bool{}
	again := func(what string) string {
		a.t.Helper()
		a.dir = a.t.TempDir()
		a.want(a.w.Service, text, 0, "1 to create", "1 done\n")
		a.want(a.w.Service, text, 0, "1 unchanged", "")
		keys, err := everyKey(a.ctx, a.w.Service, apikey.ListParams{Owner: "mg", Q: "n", Status: apikey.StatusActive})
		if err != nil || len(keys) != 1 || seen[keys[0].ID] {
			a.t.Fatalf("%s: %d keys, seen before: %v, %v", what, len(keys), seen, err)
		}
		if text, err := os.ReadFile(filepath.Join(a.dir, "mg.n.live.env")); err != nil || !strings.Contains(string(text), keys[0].ID) {
			a.t.Errorf("%s: %v, and not the key's secret in the file", what, err)
		}
		seen[keys[0].ID] = true
		return keys[0].ID
	}
	s, id := a.w.Service, again("first")
	a.must(s.Update(a.ctx, id, apikey.UpdateParams{Name: new("other")}))
	id = again("renamed")
	for range 2 {
		a.must(s.Revoke(a.ctx, id, apikey.RevokeParams{}))
		a.must(nil, s.Delete(a.ctx, id))
		id = again("deleted")
	}
	a.must(s.Revoke(a.ctx, id, apikey.RevokeParams{}))
	again("revoked")
}

// All pages of an owner's keys are looked at.
func (a *applyTest) pages() {
	a.make(apikey.CreateParams{Name: "first", Owner: "pa"})
	a.want(paged{a.w.Service}, "name: a\nowner: pa\nscopes: [s]\n---\nname: b\nowner: pa\nscopes: [s]\n", 0, "2 to create", "2 done\n")
	a.want(paged{a.w.Service}, "name: first\nowner: pa\nscopes: [s]\n", 0, "1 unchanged", "")
	keys, err := everyKey(a.ctx, paged{a.w.Service}, apikey.ListParams{Owner: "pa"})
	if err != nil || len(keys) != 3 {
		a.t.Errorf("%d keys, %v", len(keys), err)
	}
}

func (s paged) List(ctx context.Context, p apikey.ListParams) (apikey.Page[apikey.Key], error) {
	p.Limit = 1
	return s.API.List(ctx, p)
}

func TestSplitCommand(t *testing.T) {
	for text, want := range map[string][]string{
		"a": {"a"}, " a  b\tc\n": {"a", "b", "c"}, `a "b c" 'd "e"'`: {"a", "b c", `d "e"`}, `a x"y z"w`: {"a", "xy zw"}, `a ""`: {"a", ""},
		`a \n $X`: {"a", `\n`, "$X"}, "": nil, " ": nil, `a "b`: nil, `"" b`: nil, `a 'b"`: nil,
	} {
		got, err := splitCommand(text)
		if (err != nil) != (want == nil) || !cmp.Equal(want, got) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestFileName(t *testing.T) {
	seen := map[string]string{}
	for _, text := range []string{"acme", "ACME", "a.b", "a b", "a/b", "../x", "ünï", strings.Repeat("x", 100), strings.Repeat("x", 99), "con", "-", "\x1b[2J"} {
		name := fileName(text)
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" || len(name) > 70 || seen[name] != "" {
			t.Errorf("%q: %q, like %q", text, name, seen[name])
		}
		seen[name] = text
	}
	if got := fileName("acme"); got != "acme" {
		t.Errorf("acme: %q", got)
	}
}
