package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
)

// otherVariables begin like ours and belong to other parts of the program.
var otherVariables = []string{
	"TOKENOS_CONFIG", "TOKENOS_HYDRA_BINARY",
	"TOKENOS_SERVER", "TOKENOS_TOKEN", "TOKENOS_TOKEN_FILE", "TOKENOS_PROFILE", "TOKENOS_OUTPUT",
	"TOKENOS_ACCESS_TOKEN",
}

// testPrefix begins the variables of the test suites.
const testPrefix = "TOKENOS_TEST_"

// serviceLink matches the variables that Kubernetes puts into every pod beside
// a service whose name begins with "tokenos" (and Docker's old links, which
// have the same form). Nobody chose them, so nobody should have to remove them.
// See "Environment variables" in Kubernetes' documentation of services.
var serviceLink = regexp.MustCompile(`^TOKENOS(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// servicePort matches the one of them that somebody may have meant for a key;
// it is Kubernetes' only with a URL as its value.
var servicePort = regexp.MustCompile(`^TOKENOS(_[A-Z0-9_]+)?_PORT$`)

// isForeign reports whether a variable is none of ours.
func isForeign(name, value string) bool {
	return slices.Contains(otherVariables, name) || strings.HasPrefix(name, testPrefix) || serviceLink.MatchString(name) ||
		servicePort.MatchString(name) && strings.Contains(value, "://")
}

// variable is a variable that sets a key.
type variable struct {
	key     Var
	name    string
	fromEnv bool // the value itself; else the path of a file that holds it
}

// variableNamed returns what a variable sets. No name is both: a test compares
// all of them.
func variableNamed(name string) (variable, bool) {
	for _, v := range vars() {
		switch name {
		case v.Env:
			return variable{v, name, true}, true
		case v.Env + fileSuffix:
			return variable{v, name, false}, true
		}
	}
	return variable{}, false
}

// env lays the variables over the file, then the files that variables name.
func (l *loader) env(environ []string) {
	found := map[string]bool{}
	for _, entry := range environ {
		name, value, ok := strings.Cut(entry, "=")
		if !ok || !strings.HasPrefix(name, envPrefix) || found[name] {
			continue
		}
		v, ours := variableNamed(name)
		if ours && !v.fromEnv && value == "" {
			continue // what a compose file leaves of a file that is not used
		}
		found[name] = true
		if !ours && !isForeign(name, value) {
			l.errs.add(Problem{Key: clip(name), Source: "env", Expected: "unknown variable" + suggest(name, variableNames(), envPrefix)})
		}
	}
	for _, v := range vars() {
		if found[v.Env] && found[v.Env+fileSuffix] {
			l.sources[v.Path] = "env"
			l.bad(v.Path, fmt.Sprintf("%s and %s are both set: remove one", v.Env, v.Env+fileSuffix))
			found[v.Env], found[v.Env+fileSuffix] = false, false
		}
	}
	for _, fromEnv := range []bool{true, false} {
		l.merge(env.Provider(".", env.Opt{
			Prefix:      envPrefix,
			EnvironFunc: func() []string { return environ },
			TransformFunc: func(name, value string) (string, any) {
				x, ok := variableNamed(name)
				if !ok || !found[name] || x.fromEnv != fromEnv {
					return "", nil
				}
				return l.variable(x, value)
			},
		}))
	}
}

// variable returns the key and the value that a variable sets, or "" if it
// names a file that cannot be read.
func (l *loader) variable(x variable, value string) (string, any) {
	l.sources[x.key.Path] = "env " + x.name
	// Whatever was wrong with the value of the file no longer matters to the
	// checks that follow; it has been reported.
	delete(l.broken, x.key.Path)
	if x.fromEnv {
		return x.key.Path, x.key.parse(value)
	}
	text, mode, err := readFile(value, maxValueBytes)
	if err != nil {
		l.bad(x.key.Path, fmt.Sprintf("%s names a file that cannot be read, %s: %v", x.name, showPath(value), err))
		return "", nil
	}
	if x.key.Secret {
		l.readable(showPath(value), mode, "is the file of "+x.name)
	}
	// A line break at the end is the editor's, not the value's.
	return x.key.Path, x.key.parse(strings.TrimRight(string(text), "\r\n"))
}

func variableNames() []string {
	names := slices.Clone(otherVariables)
	for _, v := range vars() {
		names = append(names, v.Env, v.Env+fileSuffix)
	}
	return names
}
