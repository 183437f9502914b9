package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/v2"
)

// schema is Config as huma sees it, made once: huma only reads it afterwards.
var schema = sync.OnceValues(newSchema)

func newSchema() (huma.Registry, *huma.Schema) {
	r := huma.NewMapRegistry("#/$defs/", huma.DefaultSchemaNamer)
	return r, r.Schema(reflect.TypeFor[Config](), false, "Config")
}

// required reports keys without a usable default that nothing has set.
func (l *loader) required() {
	for _, v := range vars() {
		if !v.Required || l.sources[v.Path] != "" || l.broken[v.Path] {
			continue
		}
		l.broken[v.Path] = true
		how := fmt.Sprintf("required: set it in the file, as %s or as --%s", v.Env, v.Path)
		if v.Secret {
			how = fmt.Sprintf("required: set it in the file or as %s, or name a file that holds it in %s", v.Env, v.Env+fileSuffix)
		}
		l.errs.add(Problem{Key: v.Path, Expected: how})
	}
}

// shape checks each value by itself: type, length, pattern, range. What failed
// is replaced by its default, so that the rest can be decoded and checked too.
func (l *loader) shape() {
	flat := map[string]any{}
	for _, v := range vars() {
		flat[v.Path] = l.k.Get(v.Path)
		if l.broken[v.Path] {
			flat[v.Path] = v.preset()
		}
	}
	registry, s := schema()
	var result huma.ValidateResult
	huma.Validate(registry, s, huma.NewPathBuffer(make([]byte, 0, 64), 0), huma.ModeWriteToServer, maps.Unflatten(flat, "."), &result)
	skip := map[string]bool{} // broken before, or this very place reported
	for path := range l.broken {
		skip[path] = true
	}
	for _, err := range result.Errors {
		// Of huma's error only the place and the message: its value is the
		// whole section, secrets included.
		e, ok := errors.AsType[*huma.ErrorDetail](err)
		if !ok {
			continue
		}
		path, _, _ := strings.Cut(e.Location, "[")
		if !skip[path] && !skip[e.Location] {
			skip[e.Location] = true
			l.bad(e.Location, expectation(path, e.Message))
		}
	}
	l.ranges(flat)
	for path := range l.broken {
		if v, ok := varAt(path); ok {
			flat[path] = v.preset()
		}
	}
	l.merge(values(flat))
}

// expectation is huma's message, or our words where huma knows only the type.
func expectation(path, message string) string {
	v, _ := varAt(path)
	switch v.Type {
	case "duration":
		return "expected " + durationWords
	case "integer":
		return "expected integer from " + v.Limits
	}
	return strings.ReplaceAll(message, "expected array", "expected list")
}

// ranges checks durations, which JSON schema has no words for.
func (l *loader) ranges(flat map[string]any) {
	for _, v := range vars() {
		if v.Type != "duration" || l.broken[v.Path] {
			continue
		}
		text, _ := flat[v.Path].(string)
		d, err := ParseDuration(text)
		switch {
		case err != nil:
			l.bad(v.Path, "expected "+durationWords)
		case d < v.min || d > v.max:
			l.bad(v.Path, fmt.Sprintf("expected a duration from %s to %s", v.min, v.max))
		}
	}
}

// decode fills a Config; the values have the right shape by now.
func (l *loader) decode() *Config {
	cfg := &Config{}
	err := l.k.UnmarshalWithConf("", cfg, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		TagName:     "json",
		ErrorUnused: true,
		DecodeHook:  mapstructure.TextUnmarshallerHookFunc(),
	}})
	if err != nil {
		// Not to be reached; its words would hold values.
		l.errs.add(Problem{Key: "configuration", Expected: "a value could not be taken over"})
	}
	return cfg
}
