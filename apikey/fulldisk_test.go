package apikey_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"modernc.org/sqlite"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// smallDisk names the folder that the test's child was given for its ledger.
const smallDisk = "TOKENOS_TEST_SMALL_DISK"

// A SQLite ledger on a full disk: changes are answered with 503 and its reason,
// nothing is half done, what was answered is kept, reads go on; and when there is
// room again everything works by itself.
func TestFullDisk(t *testing.T) {
	if dir := os.Getenv(smallDisk); dir != "" {
		onFullDisk(t, "sqlite://"+filepath.Join(dir, "ledger.db"), ballast(t, dir))
		return
	}
	t.Run("limit", func(t *testing.T) { // SQLite's own, which works everywhere
		url := apikeytest.SQLiteURL(t)
		onFullDisk(t, url, pageLimit(t, url))
	})
	t.Run("disk", func(t *testing.T) {
		dir := t.TempDir()
		const mount = `mount -t tmpfs -o size=6m tokenos "$0" && exec "$@"`
		child := func(args ...string) ([]byte, error) { // in a mount namespace of its own, which needs no root
			cmd := exec.CommandContext(t.Context(), "unshare", append([]string{"-rm", "sh", "-c", mount, dir}, args...)...)
			cmd.Env = append(os.Environ(), smallDisk+"="+dir)
			return cmd.CombinedOutput()
		}
		if out, err := child("true"); err != nil {
			t.Logf("no disk of one's own here, the limit must do: %v %s", err, out)
			return
		}
		out, err := child(os.Args[0], "-test.run=^TestFullDisk$", "-test.count=1", "-test.v")
		if err != nil || !strings.Contains(string(out), "--- PASS: TestFullDisk") {
			t.Errorf("%v\n%s", err, out)
		}
		t.Logf("%s", out)
	})
}

// room fills and frees a disk.
type room struct{ fill, free func() }

// ballast fills the folder's disk with a file.
func ballast(t *testing.T, dir string) room {
	path := filepath.Join(dir, "ballast")
	return room{fill: func() {
		f := must(os.Create(path))
		defer f.Close() //nolint:errcheck // full
		for _, size := range []int{1 << 16, 1 << 12, 1} {
			for err := error(nil); err == nil; {
				_, err = f.Write(make([]byte, size))
			}
		}
	}, free: func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}}
}

// limited are the connections to SQLite files by their path, to limit.
var limited struct {
	sync.Mutex
	hook sync.Once
	open map[string][]sqlite.ExecQuerierContext
}

// pageLimit limits the size of the file to what it is. SQLite then says that the
// disk is full when it needs a new page.
func pageLimit(t *testing.T, url string) room {
	path := strings.TrimPrefix(url, "sqlite://")
	limited.hook.Do(func() {
		limited.open = map[string][]sqlite.ExecQuerierContext{}
		sqlite.RegisterConnectionHook(func(c sqlite.ExecQuerierContext, dsn string) error {
			limited.Lock()
			defer limited.Unlock()
			limited.open[dsn] = append(limited.open[dsn], c)
			return nil
		})
	})
	set := func(pages string) func() {
		return func() {
			limited.Lock()
			defer limited.Unlock()
			n := 0
			for dsn, all := range limited.open {
				if !strings.Contains(dsn, path+"?") || !strings.Contains(dsn, "immediate") {
					continue
				}
				last := all[len(all)-1] // the writer; those before it have been closed
				if _, err := last.ExecContext(context.Background(), "PRAGMA max_page_count = "+pages, []driver.NamedValue{}); err != nil {
					t.Error(err)
				}
				n++
			}
			if n != 1 {
				t.Errorf("%d writers", n)
			}
		}
	}
	return room{fill: set("1"), free: set("1000000")} // 1: SQLite takes the size it has
}

func onFullDisk(t *testing.T, url string, r room) {
	w := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Idle: true}) // the writer is ours alone while its limit is set
	ctx, f := as(t), w.Fixture()
	owner := "full disk of " + url
	kept := create(ctx, t, w.Service, apikey.CreateParams{})
	p := apikey.CreateParams{Name: "x", Owner: owner, Scopes: []string{"a"}, Description: strings.Repeat("long ", 90), IdempotencyKey: "full-disk-create-01"}
	r.fill()
	var made []apikey.Issued
	var err error
	for range 200 { // until what SQLite still had is used up
		p.IdempotencyKey += "x"
		var issued apikey.Issued
		if issued, err = w.Service.Create(ctx, p); err != nil {
			break
		}
		made = append(made, issued)
	}
	saysFull(t, "create", err)
	name := strings.Repeat("long ", 19)
	_, err = w.Service.Update(ctx, kept.Key.ID, apikey.UpdateParams{Name: &name, Description: &p.Description})
	if err != nil {
		saysFull(t, "update", err)
	}
	if k, err := w.Service.Get(ctx, kept.Key.ID); err != nil || k.Status != apikey.StatusActive {
		t.Errorf("read: %+v, %v", k, err)
	}
	if !f.Works(t, kept.Key, kept.Secret, nil) {
		t.Error("a key does not work while the disk is full")
	}
	r.free()
	again, err := w.Service.Create(ctx, p)
	for i := 0; err != nil && i < 5; i++ { // the create was stuck between T1 and T2
		_ = w.Service.Turn(ctx)
		again, err = w.Service.Create(ctx, p)
	}
	if err != nil {
		t.Fatalf("with room again: %v", err)
	}
	made = append(made, again)
	if err := w.Service.Turn(ctx); err != nil {
		t.Fatal(err)
	}
	for _, issued := range append(made, kept) {
		if !f.Works(t, issued.Key, issued.Secret, nil) || !quiet(ctx, t, w.Service, issued.Key.ID) {
			t.Errorf("%s does not work, or is still changing", issued.Key.ID)
		}
	}
	page, err := w.Service.List(ctx, apikey.ListParams{Owner: owner, Limit: 200})
	if err != nil || len(page.Data) != len(made) {
		t.Errorf("%d keys, %v; %d were answered", len(page.Data), err, len(made))
	}
	if in := hydratest.Clients(t, w.Hydra.AdminURL(), owner); len(in) != len(made) {
		t.Errorf("%d clients in Hydra for %d keys", len(in), len(made))
	}
	if v, err := w.Ledger.VerifyChain(ctx, apikey.Head{}, func(int64) {}); err != nil {
		t.Errorf("the chain of events: %+v, %v", v, err)
	}
	t.Logf("%d keys before the disk was full", len(made)-1)
}

// saysFull checks the answer to a change on a full disk: 503 with the reason, or,
// if the disk became full amidst the change, that its outcome is open.
func saysFull(t *testing.T, what string, err error) {
	t.Helper()
	e, ok := errors.AsType[*apikey.Error](err)
	if !ok || e.Kind != apikey.ErrUnavailable || e.RetryAfter <= 0 || !e.Pending && !strings.Contains(e.Detail, "disk is full") {
		t.Errorf("%s on a full disk: %v", what, err)
	}
	t.Logf("%s: %v", what, err)
}
