package handlers_test

import (
	"context"
	"sync"

	"github.com/tokenos/tokenos/apikey"
)

// fakeHolder answers as an apikey.Holder, and remembers what it was shown.
type fakeHolder struct {
	mu     sync.Mutex
	shown  []apikey.HolderCredential
	reason []apikey.RevocationReason
	from   apikey.Caller
	err    error
}

func (f *fakeHolder) Self(ctx context.Context, c apikey.HolderCredential) (apikey.Self, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown = append(f.shown, c)
	f.from, _ = apikey.CallerFrom(ctx)
	return apikey.Self{ID: keyID, RootID: keyID, Status: apikey.StatusActive, Flags: []apikey.Flag{}, Scopes: []string{"a"}, Audiences: []string{}}, f.err
}

func (f *fakeHolder) RevokeSelf(ctx context.Context, c apikey.HolderCredential, p apikey.RevokeSelfParams) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown, f.reason = append(f.shown, c), append(f.reason, p.Reason)
	f.from, _ = apikey.CallerFrom(ctx)
	return f.err
}
