package ledger_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/ledger"
)

// salt is recognizable in a file.
var salt = []byte("a salt that must not stay behind")

// withReplay gives a change an Idempotency-Key.
func withReplay(b apikey.Begin, header string) apikey.Begin {
	b.Change.Replay = &apikey.Replay{Hash: []byte("hash " + header), Request: []byte("request"), Salt: salt, ServerKey: "k1", KeyID: b.Change.KeyID}
	return b
}

// A stored request says what became of it and gives its answer; its twin is told
// to wait.
func TestReplay(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		ctx := t.Context()
		b := withReplay(asking(apikey.ActionCreate, definition(nil)), "one")
		_, err := db.Replay(ctx, b.Change.Replay.Hash)
		wantError(t, "an unknown request", err, apikey.ErrNotFound)

		begun := begin(t, db, b)
		want := *b.Change.Replay
		want.Op, want.State, want.Action, want.At = b.Change.Op, apikey.ChangeBegun, apikey.ActionCreate, start
		if diff := cmp.Diff(want, must[apikey.Replay](t)(db.Replay(ctx, want.Hash))); diff != "" {
			t.Error(diff)
		}
		twin := withReplay(asking(apikey.ActionCreate, definition(nil)), "one")
		_, err = db.Begin(ctx, twin)
		wantError(t, "a twin of a running request", err, apikey.ErrIdempotencyRunning)

		f := finishing(begun.Change)
		f.Answer = []byte(`{"id":1}`)
		if err := db.Finish(ctx, f); err != nil {
			t.Fatal(err)
		}
		want.Answer, want.State = f.Answer, apikey.ChangeDone
		if diff := cmp.Diff(want, must[apikey.Replay](t)(db.Replay(ctx, want.Hash))); diff != "" {
			t.Error(diff)
		}
		_, err = db.Begin(ctx, twin)
		wantError(t, "a twin of an answered request", err, apikey.ErrIdempotencyRunning)
	})
}

// A request that finds nothing to do is answered at once and leaves no change.
func TestReplayUnchanged(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		d := created(t, db, nil)
		b := withReplay(asking(apikey.ActionEnable, d), "idle")
		b.Plan = func(r apikey.Record, found bool) (apikey.Planned, error) {
			if !found || r.ID != d.ID {
				t.Errorf("the plan saw %+v, %v", r, found)
			}
			return apikey.Planned{Unchanged: true, Answer: []byte("{}")}, nil
		}
		if begun := begin(t, db, b); !begun.Unchanged || begun.Record.ID != d.ID {
			t.Errorf("got %+v", begun)
		}
		r, err := db.Replay(t.Context(), b.Change.Replay.Hash)
		if err != nil || r.State != apikey.ChangeDone || string(r.Answer) != "{}" {
			t.Errorf("got %+v, %v", r, err)
		}
		apply(t, db, apikey.ActionUpdate, d) // the key is free
	})
}

// A request whose change was abandoned is made again with its own id and salt,
// and with no others.
func TestReplayTakenOver(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		ctx, d := t.Context(), definition(nil)
		b := withReplay(asking(apikey.ActionCreate, d), "again")
		begin(t, db, b)
		if err := db.Abandon(ctx, b.Change.Op, 0, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if r, err := db.Replay(ctx, b.Change.Replay.Hash); err != nil || r.State != apikey.ChangeAbandoned {
			t.Errorf("got %+v, %v", r, err)
		}
		salted := withReplay(asking(apikey.ActionCreate, d), "again")
		salted.Change.Replay.Salt = []byte("another salt")
		_, err := db.Begin(ctx, salted)
		wantError(t, "with another salt", err, apikey.ErrIdempotencyRunning)

		again := withReplay(asking(apikey.ActionCreate, d), "again")
		if err := db.Finish(ctx, finishing(begin(t, db, again).Change)); err != nil {
			t.Fatal(err)
		}
		if r, err := db.Replay(ctx, b.Change.Replay.Hash); err != nil || r.State != apikey.ChangeDone || r.Op != again.Change.Op {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

// Prune erases what is older than the cut-off and nothing else; of an erased
// salt no byte is left in SQLite's files.
func TestPrune(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, url string) {
		ctx := t.Context()
		var last apikey.Begin
		for i := range 600 { // more than one round
			last = withReplay(asking(apikey.ActionCreate, definition(nil)), strings.Repeat("x", i))
			if i == 599 {
				last.Change.At, last.Change.Replay.Salt = start.Add(time.Hour), []byte("young")
			}
			begin(t, db, last)
			if err := db.Abandon(ctx, last.Change.Op, 0, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		path, onFile := strings.CutPrefix(url, "sqlite://")
		if onFile && !holds(t, path, salt) {
			t.Fatal("the salt is not found where it must be")
		}
		if err := db.Prune(ctx, start.Add(time.Minute), start.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		_, err := db.Replay(ctx, []byte("hash "))
		wantError(t, "an erased request", err, apikey.ErrNotFound)
		if r, err := db.Replay(ctx, last.Change.Replay.Hash); err != nil || r.State != apikey.ChangeAbandoned {
			t.Errorf("a young request: got %+v, %v", r, err)
		}
		if onFile && holds(t, path, salt) {
			t.Error("an erased salt is still in the files")
		}
	})
}

// holds reports whether a file of the ledger contains b.
func holds(t *testing.T, path string, b []byte) bool {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 2 {
		t.Fatalf("files of the ledger: %v, %v", files, err)
	}
	for _, f := range files {
		if raw, err := os.ReadFile(f); err == nil && bytes.Contains(raw, b) {
			return true
		}
	}
	return false
}
