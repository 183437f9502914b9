package apikeytest

import (
	"testing"

	"github.com/tokenos/tokenos/apikey"
)

// The keys that sign are Hydra's, the first of them signs, and callers who are bound
// to owners do not see them. The issuer is the one that Hydra names.
func testSigningKeys(t *testing.T, f Fixture) {
	api, ctx := f.As(t, []apikey.Right{apikey.Admin})
	keys, err := api.SigningKeys(ctx)
	if err != nil || len(keys) == 0 {
		t.Fatalf("got %v, %v", keys, err)
	}
	for i, k := range keys {
		if k.KID == "" || k.Alg != "ES256" || k.Bits != 256 || k.Signs != (i == 0) || k.Signs && k.RetirableAt != nil {
			t.Errorf("key %d is %+v", i, k)
		}
	}
	bound, bctx := f.As(t, []apikey.Right{apikey.Admin}, "signing")
	_, err = bound.SigningKeys(bctx)
	wantErr(t, "an admin bound to an owner", err, apikey.ErrForbidden)
	can, err := api.Capabilities(ctx)
	if err != nil || can.Hydra == nil || can.Hydra.Issuer+"/oauth2/token" != f.TokenURL {
		t.Errorf("capabilities %+v, %v; want the issuer before %s", can.Hydra, err, f.TokenURL)
	}
}
