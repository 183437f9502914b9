package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/manifest"
)

// maxManifestFiles bounds the files of one apply.
const maxManifestFiles = 1000

// documents reads all that -f names.
func (r *remote) documents(ctx context.Context, names []string) ([]manifest.Document, error) {
	if len(names) == 0 {
		return nil, usagef("--file is required: a YAML file, a folder of them, or - for stdin")
	}
	var sources []manifest.Source
	for _, name := range names {
		if looksSecret(name) {
			return nil, usagef("--file takes the name of a file; nothing secret stands in an argument")
		}
		found, err := r.sources(ctx, name)
		if err != nil {
			return nil, err
		}
		if sources = append(sources, found...); len(sources) > maxManifestFiles {
			return nil, usagef("these are more than %d files", maxManifestFiles)
		}
	}
	docs, err := manifest.Parse(sources, time.Now())
	if err != nil {
		return nil, withHint(usagef("nothing was changed, because of mistakes in the documents:\n%w", err), "docs/keys-as-code.md describes the documents")
	}
	if len(docs) == 0 {
		return nil, usagef("there is no document in it")
	}
	return docs, nil
}

// sources are the texts of a file, of the files in a folder, or stdin.
func (r *remote) sources(ctx context.Context, name string) ([]manifest.Source, error) {
	if name == "-" {
		text, err := within(ctx, func() (string, error) {
			if r.stdin == nil {
				return "", nil
			}
			b, err := io.ReadAll(io.LimitReader(r.stdin, manifest.MaxBytes+1))
			return string(b), err
		})
		return []manifest.Source{{Name: "stdin", Text: []byte(text), Open: beside(".")}}, err
	}
	files := []string{name}
	if st, err := os.Stat(name); err == nil && st.IsDir() {
		if files, err = yamlFiles(name); err != nil {
			return nil, err
		}
	}
	var out []manifest.Source
	for _, file := range files {
		text, err := readRegular(file, manifest.MaxBytes)
		if err != nil {
			return nil, usagef("--file: %s cannot be read: %w", file, err)
		}
		out = append(out, manifest.Source{Name: file, Text: text, Open: beside(filepath.Dir(file))})
	}
	return out, nil
}

// yamlFiles are the YAML files in a folder, by name. Folders in it, and what
// begins with a dot, are not looked at.
func yamlFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, usagef("--file: %w", err)
	}
	var out []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	if len(out) == 0 {
		return nil, usagef("--file: %s has no .yaml and no .yml file", dir)
	}
	slices.Sort(out)
	return out, nil
}

// beside opens files relative to a folder.
func beside(dir string) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if filepath.IsAbs(path) {
			return nil, errors.New("its path must be relative")
		}
		return readRegular(filepath.Join(dir, path), 1<<20)
	}
}

// readRegular reads at most limit bytes and one more of a regular file. The error
// does not name it.
func readRegular(path string, limit int64) ([]byte, error) {
	st, err := os.Stat(path)
	if err == nil && !st.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return nil, pathless(err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, pathless(err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	return text, pathless(err)
}

func pathless(err error) error {
	if at, ok := errors.AsType[*os.PathError](err); ok {
		return at.Err
	}
	return err
}

// liveKeys are all keys of the owners in the documents, also revoked ones, and
// what documents name by id. Several lists by status would miss a key that
// changes between them, and it would be made twice.
func liveKeys(ctx context.Context, api apikey.API, docs []manifest.Document) ([]apikey.Key, error) {
	var out []apikey.Key
	owners, have := map[string]bool{}, map[string]apikey.Key{}
	for _, d := range docs {
		if owners[d.Owner] {
			continue
		}
		owners[d.Owner] = true
		keys, err := everyKey(ctx, api, apikey.ListParams{Owner: d.Owner})
		if err != nil {
			return nil, err
		}
		if out = append(out, keys...); len(out) > maxListed {
			return nil, withHint(fmt.Errorf("these owners have more than %d keys", maxListed), "apply fewer owners at once")
		}
	}
	for _, k := range out {
		have[k.ID] = k
	}
	for _, d := range docs {
		k, listed := have[d.ID]
		if d.ID == "" || listed && k.ReplacedBy == nil {
			continue
		}
		keys, err := keyAndSuccessors(ctx, api, d.ID) // which may have another owner now
		if err != nil {
			return nil, err
		}
		out = append(out, keys...)
	}
	return out, nil
}

// keyAndSuccessors is the key of an id, and if it was replaced its whole rotation
// chain; none if there is none.
func keyAndSuccessors(ctx context.Context, api apikey.API, id string) ([]apikey.Key, error) {
	k, err := api.Get(ctx, id)
	switch {
	case errors.Is(err, apikey.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case k.ReplacedBy == nil:
		return []apikey.Key{k}, nil
	}
	return everyKey(ctx, api, apikey.ListParams{RootID: k.RootID})
}

// everyKey reads all pages of a list.
func everyKey(ctx context.Context, api apikey.API, p apikey.ListParams) ([]apikey.Key, error) {
	p.Limit = 200
	var out []apikey.Key
	for {
		page, err := api.List(ctx, p)
		if err != nil {
			return nil, err
		}
		out = append(out, page.Data...)
		if page.NextCursor == "" || len(out) > maxListed {
			return out, nil
		}
		p.Cursor = page.NextCursor
	}
}
