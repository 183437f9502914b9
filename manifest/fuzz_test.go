package manifest_test

import (
	"bytes"
	"errors"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/manifest"
)

// Whatever the text is, Parse ends with documents or with problems in its lines;
// what it took makes a plan; and the keys of that plan, written as documents, are
// read as the same.
func FuzzParse(f *testing.F) {
	for _, c := range refusals {
		f.Add(c.text)
	}
	for _, c := range plans {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		docs, err := manifest.Parse([]manifest.Source{source("F", text)}, now)
		if err != nil {
			wrong, ok := errors.AsType[*manifest.Error](err)
			if !ok || len(wrong.Problems) == 0 || docs != nil || !utf8.ValidString(err.Error()) {
				t.Fatalf("%v, %v", docs, err)
			}
			for _, p := range wrong.Problems {
				if p.Line < 0 || p.Line > len(text)+2 {
					t.Errorf("line %d of %q", p.Line, text)
				}
			}
			return
		}
		var keys []apikey.Key
		for _, c := range manifest.Plan(docs, nil, manifest.Options{Now: now}) {
			if c.Action != manifest.Create {
				continue
			}
			def, err := c.Params.Definition(now)
			if err != nil {
				t.Fatalf("%v of %q", err, text)
			}
			keys = append(keys, apikey.Key{Definition: def, Status: apikey.StatusActive})
		}
		var out bytes.Buffer
		if _, err := manifest.Write(&out, keys, now); err != nil {
			t.Fatal(err)
		}
		written, err := manifest.Parse([]manifest.Source{source("W", out.String())}, now.Add(time.Second))
		if err != nil {
			t.Fatalf("%v in what was written:\n%s", err, out.String())
		}
		for _, c := range manifest.Plan(written, keys, manifest.Options{Prune: true, Now: now}) {
			if c.Action != manifest.Unchanged {
				t.Errorf("%s\n%s", told([]manifest.Change{c}), out.String())
			}
		}
	})
}
