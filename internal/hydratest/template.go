package hydratest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/tokenos/tokenos/hydradev"
)

// templateVersion is part of the template's name: raise it when what a template
// holds changes.
const templateVersion = 1

// template returns the data folder that all Hydras of tests start from, making it
// once per binary. It is kept in the user's cache, so that each test package
// saves the migration (0.2 s) and the making of RSA keys (up to 1.5 s).
func template(binary string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	fi, err := os.Stat(binary)
	if err != nil {
		return "", fmt.Errorf("hydratest: look at Hydra's binary: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %d %s", templateVersion, binary, fi.Size(), fi.ModTime().UTC()))
	dir := filepath.Join(cache, "tokenos", fmt.Sprintf("hydratest-%x", sum[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("hydratest: make the template: %w", err)
	}
	lock := flock.New(dir + ".lock")
	if err := lock.Lock(); err != nil {
		return "", fmt.Errorf("hydratest: make the template: %w", err)
	}
	defer lock.Close()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	return dir, makeTemplate(binary, dir)
}

// makeTemplate runs a Hydra in a folder beside dir and renames that to dir.
func makeTemplate(binary, dir string) error {
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "hydratest-*.tmp")
	if err != nil {
		return fmt.Errorf("hydratest: make the template: %w", err)
	}
	defer os.RemoveAll(tmp)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s, err := hydradev.Start(ctx, hydradev.Config{Binary: binary, Dir: tmp})
	if err != nil {
		return err
	}
	err = readKeys(ctx, s)
	if e := s.Stop(ctx); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("hydratest: make the template: %w", err)
	}
	return nil
}

// readKeys reads jwks.json, upon which Hydra makes its RSA key for OpenID Connect.
func readKeys(ctx context.Context, s *hydradev.Server) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.PublicURL()+"/.well-known/jwks.json", nil)
	if err != nil {
		return fmt.Errorf("hydratest: read Hydra's keys: %w", err)
	}
	resp, err := direct.Do(req)
	if err != nil {
		return fmt.Errorf("hydratest: read Hydra's keys: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("hydratest: read Hydra's keys: it answered %d", resp.StatusCode)
	}
	return nil
}

// direct calls Hydra without a kept connection: net/http repeats some requests by
// itself when a kept one turns out dead, and tests count requests.
var direct = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
