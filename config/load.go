package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// LoadOptions says where [Load] looks. The zero value finds nothing but the
// default files.
type LoadOptions struct {
	// Flags is a parsed set on which [RegisterFlags] was called; nil for none.
	// Only flags that were given count.
	Flags *pflag.FlagSet
	// Env holds "NAME=value" as os.Environ gives it; nil for no variables.
	Env []string
	// File is the configuration file; a missing one is an error. Empty means
	// the one of --config, else of TOKENOS_CONFIG, else the first of Defaults.
	File string
	// Defaults are files that need not exist. Nil means ./tokenos.yaml and
	// /etc/tokenos/tokenos.yaml, an empty slice means none.
	Defaults []string
}

var defaultFiles = []string{"tokenos.yaml", "/etc/tokenos/tokenos.yaml"}

// Load reads the configuration and checks all of it, the files it names too. On
// a fault it returns nil and an [*Error] with every problem found.
func Load(o LoadOptions) (*Config, error) {
	l := &loader{k: koanf.New("."), sources: map[string]string{}, broken: map[string]bool{}, errs: &Error{}}
	presets := map[string]any{}
	for _, v := range vars() {
		presets[v.Path] = v.preset()
	}
	l.merge(values(presets))
	l.file(o)
	l.env(o.Env)
	l.flags(o.Flags)

	l.required()
	l.shape()
	cfg := l.decode()
	l.rules(cfg)
	if len(l.errs.Problems) > 0 {
		l.errs.sort()
		return nil, l.errs
	}
	for _, v := range vars() {
		if l.sources[v.Path] == "" {
			l.sources[v.Path] = "default"
		}
	}
	cfg.sources, cfg.Warnings, cfg.Exposed = l.sources, l.warnings, l.exposed
	return cfg, nil
}

// loader gathers values, where they came from and what is wrong with them.
type loader struct {
	k        *koanf.Koanf
	sources  map[string]string // by key; a key that is missing has its default
	broken   map[string]bool   // keys with a problem: no further complaint about them
	errs     *Error
	warnings []string
	exposed  []string // those of the warnings that are about files
}

// bad reports what is wrong with a key's value, once per key. A key may end in
// an index, "previous_secrets[1]".
func (l *loader) bad(key, expected string) {
	path, _, _ := strings.Cut(key, "[")
	source := l.sources[path]
	if _, known := varAt(path); known && source == "" {
		source = "default"
	}
	l.broken[path] = true
	l.errs.add(Problem{Key: key, Source: source, Expected: expected})
}

// fine reports whether nothing is wrong with these keys so far.
func (l *loader) fine(paths ...string) bool {
	for _, p := range paths {
		if l.broken[p] {
			return false
		}
	}
	return true
}

func (l *loader) warn(format string, args ...any) {
	l.warnings = append(l.warnings, fmt.Sprintf(format, args...))
}

// values is a koanf provider of values by key.
type values map[string]any

func (v values) Read() (map[string]any, error) { return maps.Unflatten(v, "."), nil }
func (v values) ReadBytes() ([]byte, error)    { return nil, errors.New("config: values have no bytes") }

// merge lays a layer over those before.
func (l *loader) merge(p koanf.Provider) {
	if err := l.k.Load(p, nil); err != nil {
		// The providers are ours and do not fail; their words may hold values.
		l.errs.add(Problem{Key: "configuration", Expected: "a layer could not be read"})
	}
}

// file lays the configuration file over the defaults.
func (l *loader) file(o LoadOptions) {
	path, from := l.explicit(o)
	candidates := []string{path}
	if from == "" {
		if candidates = o.Defaults; candidates == nil {
			candidates = defaultFiles
		}
	}
	for _, path := range candidates {
		text, mode, err := readFile(path, maxFileBytes)
		if errors.Is(err, fs.ErrNotExist) && from == "" {
			continue
		}
		if err != nil {
			l.errs.add(Problem{Key: showFile(path), Source: from, Expected: fmt.Sprintf("expected a readable configuration file: %v", err)})
			return
		}
		d := readDocument(path, text, l.errs.add)
		l.document(d, mode)
		return
	}
}

// showFile names a configuration file in a problem.
func showFile(path string) string {
	if path == "" {
		return "configuration file"
	}
	return clip(path)
}

// explicit returns the file that was asked for and by what; both are empty if
// none was.
func (l *loader) explicit(o LoadOptions) (path, from string) {
	if o.File != "" {
		return o.File, "flag --config"
	}
	if o.Flags != nil {
		if f := o.Flags.Lookup(configFlag); f != nil && f.Changed {
			return f.Value.String(), "flag --config"
		}
	}
	for _, entry := range o.Env {
		if value, ok := strings.CutPrefix(entry, "TOKENOS_CONFIG="); ok && value != "" {
			path, from = value, "env TOKENOS_CONFIG"
		}
	}
	return path, from
}

func (l *loader) document(d *document, mode fs.FileMode) {
	l.merge(values(d.values))
	var secrets []string
	for path, line := range d.lines {
		l.sources[path] = fmt.Sprintf("%s:%d", d.name, line)
	}
	for path := range d.broken {
		l.broken[path] = true
	}
	for _, v := range vars() {
		if _, set := d.values[v.Path]; set && v.Secret {
			secrets = append(secrets, v.Path)
		}
	}
	if len(secrets) > 0 {
		l.readable(quote(d.name), mode, "holds "+strings.Join(secrets, ", "))
	}
}

// readable warns of a file with secrets that every user of the machine can
// read. Windows has no such bits.
func (l *loader) readable(shown string, mode fs.FileMode, why string) {
	if runtime.GOOS != "windows" && mode.Perm()&0o004 != 0 {
		l.warn("%s can be read by every user of this machine (mode %04o) and %s: chmod o-r", shown, mode.Perm(), why)
		l.exposed = append(l.exposed, l.warnings[len(l.warnings)-1])
	}
}

// showPath returns a path for people, or a few words if it may be no path: who
// puts a secret itself where a file's name belongs shall not find it in a log.
func showPath(path string) string {
	slashed := filepath.ToSlash(path)
	plausible := filepath.IsAbs(path) || strings.HasPrefix(slashed, "./") || strings.HasPrefix(slashed, "../")
	for part := range strings.SplitSeq(slashed, "/") {
		if len(part) > 24 && !strings.ContainsAny(part, "._-") {
			plausible = false
		}
	}
	if !plausible || len(path) > 256 {
		return "a path that is not repeated here because it may be no path"
	}
	return quote(path)
}
