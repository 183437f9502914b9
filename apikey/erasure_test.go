package apikey_test

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// record is a log kept in memory.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.text.Bytes())
}

// recorded makes a world whose logs are kept, down to the least level.
func recorded(t *testing.T, url string) (*apikeytest.World, *record) {
	r := &record{}
	log := slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
	return apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Config: func(c *apikey.Config) { c.Log = log },
		HydraWith: func(c *hydra.Config) { c.Log = log }}), r
}

// sqliteBytes are the bytes of a SQLite ledger's files.
func sqliteBytes(t *testing.T, url string) []byte {
	t.Helper()
	path := strings.TrimPrefix(url, "sqlite://")
	var all []byte
	for _, end := range []string{"", "-wal", "-shm"} {
		b, err := os.ReadFile(path + end)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

// postgresText is every row of every table as text.
func postgresText(t *testing.T, url string) []byte {
	t.Helper()
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background()) //nolint:errcheck // read to its end
	rows, err := db.Query(t.Context(), "SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_schema = 'public'")
	tables := must(pgx.CollectRows(rows, pgx.RowTo[string]))
	if err != nil || len(tables) < 8 {
		t.Fatal(tables, err)
	}
	var all []byte
	for _, table := range tables {
		rows, _ := db.Query(t.Context(), "SELECT x::text FROM "+table+" x")
		for _, line := range must(pgx.CollectRows(rows, pgx.RowTo[string])) {
			all = append(append(all, line...), '\n')
		}
	}
	return all
}

// clusterBytes stops a Postgres and returns the bytes of all files in the folder
// beside or below its data: in "data/base" the tables, in "." also its write-ahead
// log and what it logged.
func clusterBytes(t *testing.T, pg *pgtest.Server, folder string) []byte {
	t.Helper()
	db, err := pgx.Connect(t.Context(), pg.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	var dir string
	err = db.QueryRow(t.Context(), "SHOW data_directory").Scan(&dir)
	if err := errors.Join(err, db.Close(t.Context()), pg.Stop()); err != nil {
		t.Fatal(err)
	}
	var all []byte
	if err := filepath.WalkDir(filepath.Join(filepath.Dir(dir), folder), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, b...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// holds reports whether the bytes hold the text, as it is, in hex or in base64.
func holds(all []byte, text string) bool {
	b := []byte(text)
	for _, form := range []string{text, hex.EncodeToString(b), base64.StdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b)} {
		if bytes.Contains(all, []byte(form)) {
			return true
		}
	}
	return false
}

// use makes keys by every method and does what there is to do, and returns what
// must be found nowhere, and an id, which must.
func use(ctx context.Context, t *testing.T, w *apikeytest.World) (secret map[string]string, id string) {
	t.Helper()
	f, s := w.Fixture(), w.Service
	secret = map[string]string{}
	add := func(name string, v apikey.Secret) {
		secret[name], secret[name+"'s body"] = v.Reveal(), v.Reveal()[4:47]
	}
	for i, method := range []apikey.AuthMethod{apikey.ClientSecretBasic, apikey.ClientSecretPost, apikey.PrivateKeyJWT} {
		for _, header := range []string{"", "erasure-header-" + string(method)} {
			p := apikey.CreateParams{AuthMethod: method, IdempotencyKey: header}
			var pair *apikeytest.Pair
			if method == apikey.PrivateKeyJWT {
				pair = apikeytest.NewPair(t, "ES256")
				p.PublicKeys = []apikey.PublicKeyInput{{JWK: pair.Public}}
			}
			issued := create(ctx, t, s, p)
			if pair == nil {
				add(fmt.Sprintf("secret %d%s", i, header), issued.Secret)
			}
			id = issued.Key.ID
			_, err1 := s.Disable(ctx, id, apikey.DisableParams{IdempotencyKey: strings.Replace(header, "header", "disable", 1)})
			_, err2 := s.Enable(ctx, id, apikey.ActionParams{})
			_, err3 := f.Buy(t, issued.Key, issued.Secret, pair)
			_, err4 := s.Revoke(ctx, id, apikey.RevokeParams{})
			if err := errors.Join(err1, err2, err3, err4); err != nil {
				t.Fatal(err)
			}
		}
	}
	manager := managementKey(t, w)
	add("the manager's secret", manager.Secret)
	token, err := f.Buy(t, manager.Key, manager.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(ctx, token); err != nil {
		t.Fatal(err)
	}
	_, _ = s.Authenticate(ctx, token+"x")
	secret["the token"], secret["the server secret"] = token, apikeytest.ServerSecret
	private := apikeytest.NewPair(t, "ES256").Public
	private["d"] = "cHJpdmF0ZS1rZXktb2YtYS1jYWxsZXItd2hvLWVycmVk"
	secret["a private key that was sent"] = "cHJpdmF0ZS1rZXktb2YtYS1jYWxsZXItd2hvLWVycmVk"
	_, err = s.Create(ctx, apikey.CreateParams{Name: "x", Owner: "test", Scopes: []string{"a"}, AuthMethod: apikey.PrivateKeyJWT,
		PublicKeys: []apikey.PublicKeyInput{{JWK: private}}, IdempotencyKey: "erasure-private-key"})
	if !errors.Is(err, apikey.ErrInvalid) {
		t.Errorf("a private key is answered with %v", err)
	}
	return secret, id
}

// After keys of every method were made and used, no file, no table and no log
// holds a client secret, a token or a private key.
func TestNoSecretIsKept(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		url := apikeytest.SQLiteURL(t)
		w, log := recorded(t, url)
		secrets, id := use(as(t), t, w)
		open := sqliteBytes(t, url)
		w.Close()
		nowhere(t, secrets, id, map[string][]byte{"the open files": open, "the closed files": sqliteBytes(t, url), "the log": log.bytes()})
	})
	t.Run("Postgres", func(t *testing.T) {
		pg := pgtest.New(t, pgtest.Config{Settings: map[string]string{"log_statement": "all", "log_min_duration_statement": "0"}})
		url := pg.URL(t)
		w, log := recorded(t, url)
		secrets, id := use(as(t), t, w)
		w.Close()
		text := postgresText(t, url)
		nowhere(t, secrets, id, map[string][]byte{"the tables": text, "the cluster's files": clusterBytes(t, pg, "."), "the log": log.bytes()})
	})
}

func nowhere(t *testing.T, secrets map[string]string, id string, places map[string][]byte) {
	t.Helper()
	for place, all := range places {
		if !holds(all, id) {
			t.Errorf("%s (%d bytes) do not even hold an id: looked at the wrong thing", place, len(all))
		}
		for name, text := range secrets {
			if holds(all, text) {
				t.Errorf("%s: found in %s", name, place)
			}
		}
	}
}

// salts reads what is stored for deriving secrets again.
func salts(t *testing.T, url string) [][]byte {
	t.Helper()
	db := must(sql.Open("sqlite", "file:"+strings.TrimPrefix(url, "sqlite://")+"?mode=ro"))
	defer db.Close() //nolint:errcheck // read only
	rows, err := db.QueryContext(t.Context(), "SELECT salt FROM replays")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // read to its end
	var all [][]byte
	for rows.Next() {
		var salt []byte
		if err := rows.Scan(&salt); err != nil {
			t.Fatal(err)
		}
		all = append(all, salt)
	}
	return all
}

// recomputed tries to make the secret again out of what is left, with all else
// that a thief may have: the server secret, the caller and the header. Text and
// empty space cannot be a salt.
func recomputed(t *testing.T, left []byte, want apikey.Secret, principal, header string) bool {
	t.Helper()
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	body, base := new(big.Int), big.NewInt(62)
	for _, c := range want.Reveal()[4:47] {
		body.Add(body.Mul(body, base), big.NewInt(int64(strings.IndexRune(digits, c))))
	}
	limit, n := new(big.Int).Exp(base, big.NewInt(43), nil), new(big.Int)
	info := "tokenos client secret v1\x00" + principal + "\x00" + header
	for i := 0; i+32 <= len(left); i++ {
		salt := left[i : i+32]
		if bytes.Count(salt, []byte{0}) > 8 || bytes.IndexFunc(salt, func(r rune) bool { return r < ' ' || r > '~' }) < 0 {
			continue
		}
		bits := must(hkdf.Key(sha256.New, []byte(apikeytest.ServerSecret), salt, info, 32))
		wide := sha512.Sum512(bits)
		if n.Mod(n.SetBytes(wide[:]), limit).Cmp(body) == 0 {
			return true
		}
	}
	return false
}

// A day after, the salts are gone from the files and with them every way to the
// secrets; the same request is then a new one.
func TestSaltsAreErased(t *testing.T) {
	url := apikeytest.SQLiteURL(t)
	w := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Idle: true})
	caller := apikeytest.Caller(apikeytest.All)
	ctx := apikey.WithCaller(t.Context(), caller)
	params := func(i int) apikey.CreateParams {
		return apikey.CreateParams{Description: strings.Repeat("long ", i), IdempotencyKey: fmt.Sprintf("erased-header-%04d", i)}
	}
	first := make([]apikey.Issued, 60)
	for i := range first { // enough for the tables to grow and be split
		first[i] = create(ctx, t, w.Service, params(i))
		if _, err := w.Service.Disable(ctx, first[i].Key.ID, apikey.DisableParams{IdempotencyKey: fmt.Sprintf("erased-disable-%04d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	stored, before := salts(t, url), sqliteBytes(t, url)
	if len(stored) != 2*len(first) {
		t.Fatalf("%d salts", len(stored))
	}
	for _, salt := range stored {
		if !bytes.Contains(before, salt) {
			t.Error("a stored salt is not found: looked at the wrong thing")
		}
	}
	if !recomputed(t, stored[0], first[0].Secret, caller.Principal, params(0).IdempotencyKey) {
		t.Fatal("the secret does not follow from the server secret, the salt and the header as documented")
	}
	if again := create(ctx, t, w.Service, params(7)); again.Key.ID != first[7].Key.ID || !again.Secret.Equal(first[7].Secret) {
		t.Error("within the day the answer is not the same")
	}
	w.Clock.Advance(24*time.Hour - time.Minute)
	if err := w.Service.Prune(ctx); err != nil || len(salts(t, url)) != len(stored) {
		t.Errorf("pruned before the day was over: %v", err)
	}
	w.Clock.Advance(2 * time.Minute)
	if err := w.Service.Prune(ctx); err != nil {
		t.Fatal(err)
	}
	after := sqliteBytes(t, url)
	for i, salt := range stored {
		if bytes.Contains(after, salt) {
			t.Errorf("salt %d is still in the files", i)
		}
	}
	for _, i := range []int{0, 30, 59} {
		if recomputed(t, after, first[i].Secret, caller.Principal, params(i).IdempotencyKey) {
			t.Errorf("secret %d can still be computed", i)
		}
	}
	if anew := create(ctx, t, w.Service, params(7)); anew.Key.ID == first[7].Key.ID || anew.Secret.Equal(first[7].Secret) {
		t.Error("after the day the request is not a new one")
	}
}

// On Postgres the salts are gone from the tables at once, and from the tables'
// files when they are rewritten, as the documentation says.
func TestSaltsAreErasedOnPostgres(t *testing.T) {
	pg := pgtest.New(t, pgtest.Config{})
	url := pg.URL(t)
	w := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Idle: true})
	ctx := as(t)
	for i := range 30 {
		create(ctx, t, w.Service, apikey.CreateParams{IdempotencyKey: fmt.Sprintf("erased-header-%04d", i)})
	}
	db := must(pgx.Connect(ctx, url))
	rows, _ := db.Query(ctx, "SELECT salt FROM replays")
	stored := must(pgx.CollectRows(rows, pgx.RowTo[[]byte]))
	if text := postgresText(t, url); len(stored) != 30 || !bytes.Contains(text, []byte(hex.EncodeToString(stored[0]))) {
		t.Fatalf("%d salts, and not found in the tables: looked at the wrong thing", len(stored))
	}
	w.Clock.Advance(24*time.Hour + time.Minute)
	if err := w.Service.Prune(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(ctx, "VACUUM FULL replays"); err != nil {
		t.Fatal(err)
	}
	_ = db.Close(ctx)
	w.Close()
	text := postgresText(t, url)
	files := clusterBytes(t, pg, "data/base")
	for i, salt := range stored {
		if bytes.Contains(text, []byte(hex.EncodeToString(salt))) {
			t.Errorf("salt %d is still in the tables", i)
		}
		if bytes.Contains(files, salt) {
			t.Errorf("salt %d is still in the tables' files", i)
		}
	}
}
